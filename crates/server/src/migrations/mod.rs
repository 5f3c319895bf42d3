//! Moves of datasets from older engines: what was taken, who answers reads, the freeze, the switch, and files by which
//! the older engine gets what comes here.
//!
//! It owns the order of a migration's states and the conditions of each step. It never reads the older engine: whoever
//! has it brings its rows through the ordinary ingest, and says what a comparison came to.
//!
//! Invariants:
//! - Rows of an older engine carry the piece that they came in, so what was taken is known from the rows themselves.
//! - A table is frozen before anybody is told so: no request that came earlier is still under way.
//! - Reads are switched only while the table is frozen, everything is taken and compared, and the mirror is level.
//! - A read that is the older engine's is refused with the place to ask; it is never answered with a part of the rows.
//! - A mirror that fails keeps no row from being taken.
//!
//! | file | does |
//! |---|---|
//! | `records.rs` | migrations: begun, listed, what they are to take and have taken |
//! | `steps.rs` | the steps of a migration, and what each asks for |
//! | `pieces.rs` | rows of an older engine as they come in |
//! | `mirror.rs` | files of new rows, for the older engine |
//! | `shapes.rs` | the answers' JSON schemas |

mod mirror;
mod pieces;
mod records;
mod shapes;
mod steps;

use axum::routing::{get as getting, post as posting, put as putting};
use http::HeaderMap;
use serde_json::{Value, json};
use tidegate_core::catalog::CatalogError;
use tidegate_model::ErrorKind;

use crate::errors::Failure;
use crate::routes::{Gives, Param, Route, Sends, get, post, put};
use crate::stages::Stages;

pub(crate) use mirror::healths;
pub use mirror::{Mirrors, run_mirrors};
pub(crate) use pieces::{note, piece_of, retry_key};
pub(crate) use shapes::shapes;

/// The header by which who compares both engines reads here what is the older one's to answer.
const READ_HEADER: &str = "x-tidegate-read";

const LISTED: &[Param] = &[Param::text("dataset", "only of this dataset")];

/// The routes of migrations.
pub(crate) fn routes() -> Vec<Route> {
    const ALL: &str = "/admin/migrations";
    const ONE: &str = "/admin/migrations/{migration}";
    const GIVES: &[(u16, Gives)] = &[(200, Gives::One("Migration"))];
    const DENIED: &[u16] = &[401, 403, 404];
    vec![
        get(ALL, "Lists moves of datasets from older engines, the newest first")
            .takes(&[LISTED])
            .gives(&[(200, Gives::One("Migrations"))])
            .refuses(&[401, 403])
            .by(getting(records::list)),
        post(ALL, "Begins one, or tells of the one that is under way")
            .sends(Sends::Json("MigrationBegun"))
            .gives(&[(201, Gives::One("Migration")), (200, Gives::One("Migration"))])
            .refuses(&[401, 403, 408, 409, 413])
            .by(posting(records::begin)),
        get(ONE, "Tells how far one is, and what keeps reads from being switched")
            .gives(GIVES)
            .refuses(DENIED)
            .by(getting(records::one)),
        post("/admin/migrations/{migration}/files", "Notes files that are to be taken")
            .sends(Sends::Json("MigrationFiles"))
            .gives(GIVES)
            .refuses(&[401, 403, 404, 408, 409, 413])
            .by(posting(records::files)),
        get(
            "/admin/migrations/{migration}/pieces",
            "Lists what was taken, by the notes about it and by the rows themselves",
        )
        .gives(&[(200, Gives::One("MigrationPieces"))])
        .refuses(&[401, 403, 404, 504])
        .by(getting(records::pieces)),
        put("/admin/migrations/{migration}/validation", "Notes what a comparison of both engines came to")
            .sends(Sends::Json("MigrationCompared"))
            .gives(GIVES)
            .refuses(&[401, 403, 404, 408, 409, 413])
            .by(putting(records::validation)),
        post(
            "/admin/migrations/{migration}/steps/{step}",
            "Takes a step: freeze, thaw, switch, rollback, finish, abandon, mirror, unmirror or applied",
        )
        .sends(Sends::Json("MigrationStep"))
        .gives(GIVES)
        .refuses(&[401, 403, 404, 408, 409, 413])
        .by(posting(steps::step)),
    ]
}

/// Refuses a read that is the older engine's to answer.
pub(crate) fn check_reads(stages: &Stages, headers: &HeaderMap, (slug, label): (&str, &str)) -> Result<(), Failure> {
    let Some(migration) = stages.catalog.open_migration(slug, label) else { return Ok(()) };
    let is_meant = headers.get(READ_HEADER).is_some_and(|value| value == "target");
    if is_meant || !migration.is_read_at_source() {
        return Ok(());
    }
    let place = if migration.ask.is_empty() { "the older engine" } else { &migration.ask };
    let message = format!("table `{label}` of dataset `{slug}` is being moved here, and is still read at {place}");
    let details = json!({
        "name": "ReadsElsewhere",
        "dataset": slug,
        "tableName": label,
        "ask": migration.ask,
        "migration": migration.id,
        "state": migration.state_at(stages.clock.now()).as_str(),
    });
    let hint =
        format!("ask there; for what is here already, which may be a part of the rows, send `{READ_HEADER}: target`");
    let failure = Failure::new(ErrorKind::Conflict, message).with_hint(hint);
    Err(Failure { more: vec![("details", details)], ..failure })
}

fn failed(error: &CatalogError) -> Failure {
    Failure::of(error.kind(), error)
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::invalid(format!("the JSON body cannot be read: {error}"))
}

fn not_found(id: &str) -> Failure {
    let message = format!("there is no migration `{id}`");
    Failure::new(ErrorKind::NotFound, message).with_hint("GET /admin/migrations lists them")
}

/// Reads a number that ClickHouse writes as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
