//! Datasets as things of their own: what is said of them, versions of their schemas, what was done to them, and their
//! refused rows.
//!
//! | file | holds |
//! |---|---|
//! | `access.rs` | which scopes a request needs |
//! | `records.rs` | `/admin/datasets`: made, listed, changed, archived |
//! | `history.rs` | versions of schemas, the audit log, drift |
//! | `quarantine.rs` | refused rows: listed, mended, sent again, discarded |
//! | `shapes.rs` | the answers' JSON schemas |

mod access;
mod history;
mod quarantine;
mod records;
mod shapes;

use axum::routing::{get as getting, patch as patching, post as posting, put as putting};
use http::{HeaderMap, StatusCode};
use tidegate_core::catalog::DatasetRecord;
use tidegate_model::ErrorKind;

use crate::errors::Failure;
use crate::routes::{Gives, Kind, Param, Route, Sends, delete, get, patch, post, put};
use crate::stages::Stages;

pub use access::Access;
pub(crate) use access::{Want, check, check_sql};
pub(crate) use shapes::shapes;

const CALLER: &[Param] = &[
    Param::text("x-iam-scopes", "the caller's scopes, with commas between"),
    Param::text("x-actor-id", "who asks, for the audit log; also x-iam-user, x-user-id"),
];
const CHANGING: &[Param] =
    &[CALLER[0], CALLER[1], Param::text("If-Match", "the ETag that the change is of; another one is a 412")];
const PAGE: &[Param] = &[
    Param::text("cursor", "as the answer before this one gave it"),
    Param {
        name: "limit",
        kind: Kind::Number { default: Some(records::PAGE_DEFAULT), max: records::PAGE_MAX },
        about: "items of a page",
    },
];
const LIST: &[Param] = &[
    Param { name: "status", kind: Kind::Word { words: &["active", "archived"], default: false }, about: "only these" },
    Param::text("search", "only those whose slug, name or description has this text"),
];
const AUDIT: &[Param] = &[
    Param::text("action", "only this action"),
    Param { name: "success", kind: Kind::Word { words: &["true", "false"], default: false }, about: "only these" },
    Param { name: "startTime", kind: Kind::Time, about: "not before" },
    Param { name: "endTime", kind: Kind::Time, about: "not after" },
];
const TABLE: &[Param] = &[Param::text("tableName", "the table of the dataset")];

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    const ONE: &[(u16, Gives)] = &[(200, Gives::One("Dataset"))];
    const DENIED: &[u16] = &[401, 403, 404];
    let made = post("/admin/datasets", "Makes a dataset, with a schema if one is told").headers(CALLER);
    let changed = patch("/admin/datasets/{id}", "Changes what is said of a dataset").headers(CHANGING);
    let archived = post("/admin/datasets/{id}/archive", "Lets a dataset take no more rows").headers(CHANGING);
    vec![
        get("/admin/datasets", "Lists datasets")
            .takes(&[PAGE, LIST])
            .headers(CALLER)
            .gives(&[(200, Gives::One("DatasetList"))])
            .refuses(DENIED)
            .by(getting(records::list)),
        made.sends(Sends::Json("DatasetMade"))
            .gives(&[(201, Gives::One("Dataset"))])
            .refuses(&[401, 403, 409, 413])
            .by(posting(records::make)),
        get("/admin/datasets/{id}", "Tells of a dataset")
            .headers(CALLER)
            .gives(ONE)
            .refuses(DENIED)
            .by(getting(records::one)),
        put("/admin/datasets/{id}/storage-target", "Says where a dataset's exports go")
            .headers(CHANGING)
            .sends(Sends::Json("StorageTargetOfDataset"))
            .gives(ONE)
            .refuses(&[401, 403, 404, 412, 413])
            .by(putting(records::retarget)),
        changed
            .sends(Sends::Json("DatasetChanged"))
            .gives(ONE)
            .refuses(&[401, 403, 404, 412, 413])
            .by(patching(records::change)),
        archived.gives(ONE).refuses(&[401, 403, 404, 412]).by(posting(records::archive)),
        get("/admin/datasets/{id}/schema", "Tells every version of the schemas of a dataset")
            .takes(&[TABLE])
            .headers(CALLER)
            .gives(&[(200, Gives::One("SchemaHistory"))])
            .refuses(DENIED)
            .by(getting(history::schema)),
        get("/admin/datasets/{id}/audit", "Tells what was done to a dataset, newest first")
            .takes(&[PAGE, AUDIT])
            .headers(CALLER)
            .gives(&[(200, Gives::One("AuditLog"))])
            .refuses(DENIED)
            .by(getting(history::audit)),
        post("/admin/schema/reconcile", "Compares ClickHouse's columns with the catalog's, and adds what is lacking")
            .headers(CALLER)
            .gives(&[(200, Gives::One("Reconciled"))])
            .refuses(&[401, 403, 504])
            .by(posting(history::reconcile)),
        get("/datasets/{slug}/quarantine", "Lists refused rows, the oldest first")
            .takes(&[PAGE, TABLE])
            .headers(CALLER)
            .gives(&[(200, Gives::One("Quarantine"))])
            .refuses(DENIED)
            .by(getting(quarantine::list)),
        post("/datasets/{slug}/quarantine/replay", "Sends refused rows again, mended or as they are")
            .headers(CALLER)
            .sends(Sends::Json("ReplayAsked"))
            .gives(&[(200, Gives::One("Replayed"))])
            .refuses(&[401, 403, 404, 409, 413, 429])
            .by(posting(quarantine::replay)),
        delete("/datasets/{slug}/quarantine/{row}", "Lets a refused row go for good")
            .headers(CALLER)
            .gives(&[(204, Gives::Nothing)])
            .refuses(DENIED)
            .by(axum::routing::delete(quarantine::discard)),
    ]
}

/// Finds a dataset that the caller may see.
fn found(stages: &Stages, headers: &HeaderMap, slug: &str, want: Want) -> Result<DatasetRecord, Failure> {
    let record = stages.catalog.record(slug);
    check(&stages.access, headers, want, record.as_ref())?;
    record.ok_or_else(|| Failure::new(ErrorKind::NotFound, format!("there is no dataset `{slug}`")))
}

fn failed(error: &tidegate_core::catalog::CatalogError) -> Failure {
    Failure::of(error.kind(), error)
}

/// The query string, each name known.
pub(crate) fn parameters(query: Option<&str>, known: &[&[Param]]) -> Result<Vec<(String, String)>, Failure> {
    let invalid = |error: crate::api::sql_parameters::InvalidParameters| Failure::invalid(error.to_string());
    let mut found = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = crate::api::sql_parameters::decoded;
        let (name, value) = (decoded(name).map_err(invalid)?, decoded(value).map_err(invalid)?);
        if !known.iter().copied().flatten().any(|param| param.name == name) {
            let names: Vec<_> = known.iter().copied().flatten().map(|param| param.name).collect();
            return Err(Failure::invalid(format!(
                "the parameter `{name}` is not known: there are {}",
                names.join(", ")
            )));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn text<'a>(given: &'a [(String, String)], name: &str) -> Option<&'a str> {
    given.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn limit(given: &[(String, String)]) -> Result<u64, Failure> {
    let Some(text) = text(given, "limit") else { return Ok(records::PAGE_DEFAULT) };
    let limit = text.parse().ok().filter(|limit| (1..=records::PAGE_MAX).contains(limit));
    limit.ok_or_else(|| Failure::invalid(format!("limit: `{text}` is not a number from 1 to {}", records::PAGE_MAX)))
}

const GONE: StatusCode = StatusCode::NO_CONTENT;
