//! Backups: taken, listed, restored on trial; restored for good from the command line only.
//!
//! | file | does |
//! |---|---|
//! | `office.rs` | [`BackupOffice`]: who takes and who restores on trial; the alarm |
//! | `schedule.rs` | backups and drills every so many hours, and what goes for later ones |

mod office;
mod schedule;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get as getting, post as posting};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::backup::{BackupAsked, BackupError, BackupManifest, BackupTable};
use tidegate_core::catalog::BackupDrill;
use tidegate_model::ErrorKind;
use tidegate_model::limits::BACKUP_BODY_BYTES_MAX;

use crate::api::actor;
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, Shapes, count, flag, found, get, list_of, nullable, object, post, text};
use crate::stages::Stages;

pub use office::{BackupOffice, BackupPlan, DrillAsked, DrillProof};
pub use schedule::run_backups;

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get("/admin/backups", "Lists the backups in the server's folder of them, the oldest first")
            .gives(&[(200, Gives::One("Backups"))])
            .refuses(&[401, 403])
            .by(getting(list)),
        post("/admin/backups", "Takes a backup of log, catalog and tables as of one moment; answers when it is whole")
            .sends(Sends::Json("BackupAsked"))
            .gives(&[(201, Gives::One("Backup"))])
            .refuses(&[401, 403, 404, 408, 409, 413, 504])
            .by(posting(take)),
        post("/admin/backups/{name}/drill", "Restores a backup on trial, beside the server; answers when it is known")
            .gives(&[(200, Gives::One("BackupDrill"))])
            .refuses(&[401, 403, 404])
            .by(posting(rehearse)),
    ]
}

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    let table = object(&[("table", text()), ("stored", count()), ("head", count())]);
    let backup = object(&[
        ("name", text()),
        ("base", nullable(text())),
        ("began_at", text()),
        ("ended_at", text()),
        ("held_ms", count()),
        ("tidegate", text()),
        ("clickhouse", text()),
        ("files", count()),
        ("bytes", count()),
        ("tables", list_of(table)),
        ("scheduled", flag()),
        ("last_drill?", nullable(found("BackupDrill"))),
    ]);
    Shapes::from([
        ("Backup", backup),
        ("BackupDrill", drill_shape()),
        ("Backups", object(&[("backups", list_of(found("Backup")))])),
        ("BackupAsked", object(&[("name?", nullable(text())), ("base?", nullable(text()))])),
    ])
}

fn drill_shape() -> Value {
    object(&[
        ("backup", text()),
        ("began_at", text()),
        ("ended_at", text()),
        ("good", flag()),
        ("rows", count()),
        ("restore_ms", count()),
        ("verify_ms", count()),
        ("error", nullable(text())),
    ])
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: Option<String>,
    base: Option<String>,
}

async fn list(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    match listed(&stages, &headers).await {
        Ok(all) => Json(json!({ "backups": all })).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn listed(stages: &Stages, headers: &HeaderMap) -> Result<Vec<Value>, Failure> {
    check(&stages.access, headers, Want::Admin, None)?;
    let all = office(stages)?.backups.list().await.map_err(|error| failed(&error))?;
    let drills = stages.catalog.backup_drills().await.map_err(|error| Failure::of(error.kind(), &error))?;
    let with_drill = |manifest: &BackupManifest| {
        let mut value = told(manifest);
        let last = drills.iter().find(|drill| drill.backup == manifest.name);
        value["last_drill"] = last.map(office::told).into();
        value
    };
    Ok(all.iter().map(with_drill).collect())
}

async fn rehearse(State(stages): State<Stages>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    match rehearsed(&stages, &name, &headers).await {
        Ok(drill) => Json(office::told(&drill)).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn rehearsed(stages: &Stages, name: &str, headers: &HeaderMap) -> Result<BackupDrill, Failure> {
    check(&stages.access, headers, Want::Admin, None)?;
    let office = office(stages)?.clone();
    let all = office.backups.list().await.map_err(|error| failed(&error))?;
    let chain = chain_of(&all, name);
    if chain.is_empty() {
        let message = format!("there is no backup `{name}`");
        return Err(Failure::new(ErrorKind::NotFound, message).with_hint("GET /admin/backups lists them"));
    }
    let (stages, actor) = (stages.clone(), actor(headers).unwrap_or_default());
    // A drill goes on, and is written down, when nobody waits for it any more.
    let drilled = tokio::spawn(async move { office::drill(&stages, &office, (chain, &actor)).await });
    let drilled = drilled.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    drilled.map_err(|error| Failure::of(error.kind(), &error))
}

/// Returns a backup and those that it refers to, as far as they are there.
fn chain_of(all: &[BackupManifest], name: &str) -> Vec<BackupManifest> {
    let mut chain: Vec<BackupManifest> = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(found) = next.and_then(|name| all.iter().find(|one| one.name == name)) {
        if chain.iter().any(|known| known.name == found.name) {
            break;
        }
        chain.push(found.clone());
        next = found.base.as_ref().map(|base| base.name.clone());
    }
    chain
}

async fn take(State(stages): State<Stages>, request: Request) -> Response {
    match taken(&stages, request).await {
        Ok(manifest) => (StatusCode::CREATED, Json(told(&manifest))).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn taken(stages: &Stages, request: Request) -> Result<BackupManifest, Failure> {
    let (parts, body) = request.into_parts();
    check(&stages.access, &parts.headers, Want::Admin, None)?;
    let body = body::read(&parts.headers, body, BACKUP_BODY_BYTES_MAX, stages.body_idle).await?;
    let Asked { name, base } = body::json_or_default(&body, r#"send {"name":…,"base":…}, both optional"#)?;
    office(stages)?.backups.take(BackupAsked { name, base, is_scheduled: false }).await.map_err(|error| failed(&error))
}

fn office(stages: &Stages) -> Result<&BackupOffice, Failure> {
    stages.backups.as_ref().ok_or_else(|| {
        Failure::invalid("this server takes no backups: it has no folder for them, or its rows are not on its own disk")
            .with_hint("set `backup.folder` with `storage.backend` = \"embedded\", and start again")
    })
}

/// A file that cannot be written is told whole: the administrator who asks can mend it.
fn failed(error: &BackupError) -> Failure {
    match error {
        BackupError::File { step, source } => Failure::new(ErrorKind::Unavailable, format!("{step}: {source}"))
            .with_hint("see whether the folder of backups has room and belongs to the server's user"),
        other => Failure::of(other.kind(), other),
    }
}

fn told(manifest: &BackupManifest) -> Value {
    let table = |table: &BackupTable| json!({ "table": table.table, "stored": table.stored, "head": table.head });
    json!({
        "name": manifest.name,
        "base": manifest.base.as_ref().map(|base| &base.name),
        "scheduled": manifest.is_scheduled,
        "began_at": manifest.began_at,
        "ended_at": manifest.ended_at,
        "held_ms": manifest.held_ms,
        "tidegate": manifest.tidegate,
        "clickhouse": manifest.clickhouse,
        "files": manifest.files.len(),
        "bytes": manifest.bytes,
        "tables": manifest.tables.iter().map(table).collect::<Vec<_>>(),
    })
}
