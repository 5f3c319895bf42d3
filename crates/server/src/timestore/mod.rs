//! What clients of a dataset service expect: manifests, queries without SQL, saved SQL.
//!
//! | file | holds |
//! |---|---|
//! | `manifests.rs` | `/datasets/{slug}/manifests` |
//! | `shapes.rs` | the answers' JSON schemas |

mod manifests;
mod shapes;

use crate::routes::Route;

pub(crate) use shapes::shapes;

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    manifests::routes()
}
