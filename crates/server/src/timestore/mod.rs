//! What clients of a dataset service expect: manifests, queries without SQL, saved SQL.
//!
//! | file | holds |
//! |---|---|
//! | `manifests.rs` | `/datasets/{slug}/manifests` |
//! | `query.rs` | `/datasets/{slug}/query` |
//! | `saved.rs` | `/sql/saved` |
//! | `admin_sql.rs` | `/sql/schema`, `/sql/admin/clickhouse` |
//! | `shapes.rs` | the answers' JSON schemas |

mod admin_sql;
mod manifests;
mod query;
mod saved;
mod shapes;

use axum::extract::Query;
use axum::http::Uri;
use serde::de::DeserializeOwned;

use crate::errors::Failure;
use crate::routes::Route;

pub(crate) use shapes::shapes;

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    [manifests::routes(), query::routes(), saved::routes(), admin_sql::routes()].into_iter().flatten().collect()
}

/// Reads a query string; a name that is not known is a mistake that would change the answer.
pub(crate) fn arguments<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(arguments)| arguments).map_err(|error| Failure::invalid(error.body_text()))
}
