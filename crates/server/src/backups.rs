//! Backups: taken and listed; restored from the command line only.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get as getting, post as posting};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::backup::{BackupError, BackupManifest, BackupTable, Backups};
use tidegate_model::ErrorKind;
use tidegate_model::limits::BACKUP_BODY_BYTES_MAX;

use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, Shapes, count, found, get, list_of, nullable, object, post, text};
use crate::stages::Stages;

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
    ]);
    Shapes::from([
        ("Backup", backup),
        ("Backups", object(&[("backups", list_of(found("Backup")))])),
        ("BackupAsked", object(&[("name?", nullable(text())), ("base?", nullable(text()))])),
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
        Ok(all) => Json(json!({ "backups": all.iter().map(told).collect::<Vec<_>>() })).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn listed(stages: &Stages, headers: &HeaderMap) -> Result<Vec<BackupManifest>, Failure> {
    check(&stages.access, headers, Want::Admin, None)?;
    office(stages)?.list().await.map_err(|error| failed(&error))
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
    let asked = if body.is_empty() { Ok(Asked::default()) } else { serde_json::from_slice(&body) };
    let Asked { name, base } = asked.map_err(|error| {
        Failure::invalid(format!("the body cannot be read ({error}): send {{\"name\":…,\"base\":…}}, both optional"))
    })?;
    office(stages)?.take(name, base).await.map_err(|error| failed(&error))
}

fn office(stages: &Stages) -> Result<&Backups, Failure> {
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
