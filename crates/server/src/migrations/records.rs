use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::{AuditEntry, Dataset, Migration, MigrationFile, MigrationState};
use tidegate_model::limits::{MIGRATION_BODY_BYTES_MAX, MIGRATION_FILE_BYTES_MAX, MIGRATION_SOURCE_BYTES_MAX};
use tidegate_model::{ErrorKind, Seq};

use super::steps::{blockers, refused};
use super::{LISTED, failed, not_found, pieces, unreadable};
use crate::api::actor;
use crate::body;
use crate::cardinality::rfc3339;
use crate::datasets::{Want, check, parameters};
use crate::errors::{Failure, chain};
use crate::stages::Stages;

/// A migration that is to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Begun {
    dataset: String,
    table_name: Option<String>,
    source: Value,
    #[serde(default)]
    ask: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    files: Vec<File>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    file: String,
    fingerprint: String,
    rows: u64,
}

/// Answers `GET /admin/migrations`.
pub(super) async fn list(State(stages): State<Stages>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let listed = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let given = parameters(query.as_deref(), &[LISTED])?;
        let slug = given.first().map(|(_, value)| value.as_str());
        let all = stages.catalog.migrations(slug).await.map_err(|error| failed(&error))?;
        let mut told = Vec::with_capacity(all.len());
        for migration in &all {
            told.push(described(&stages, migration).await?);
        }
        Ok::<_, Failure>(json!({ "migrations": told }))
    };
    answered(&stages, listed.await)
}

/// Answers `POST /admin/migrations`: 200 when the table is being moved from this source already.
pub(super) async fn begin(State(stages): State<Stages>, request: Request) -> Response {
    match begun(&stages, request).await {
        Ok((status, told)) => (status, Json(told)).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn begun(stages: &Stages, request: Request) -> Result<(StatusCode, Value), Failure> {
    let (parts, body) = request.into_parts();
    check(&stages.access, &parts.headers, Want::Admin, None)?;
    let body = body::read(&parts.headers, body, MIGRATION_BODY_BYTES_MAX, stages.body_idle).await?;
    let begun: Begun = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
    if begun.source.to_string().len().max(begun.ask.len()) > MIGRATION_SOURCE_BYTES_MAX {
        return Err(Failure::invalid(format!("`source` and `ask` have at most {MIGRATION_SOURCE_BYTES_MAX} bytes")));
    }
    let label = begun.table_name.unwrap_or_else(|| Dataset::RECORDS.to_owned()).to_ascii_lowercase();
    // Its name must be one that rows can be sent to.
    stages.ingest.drain(&begun.dataset, &label).await?;
    let now = stages.clock.now();
    let migration = Migration {
        id: stages.request_id(),
        slug: begun.dataset,
        label,
        state: MigrationState::Copying,
        source: begun.source,
        ask: begun.ask,
        frozen_until: None,
        mirror_from: None,
        mirrored: Seq(0),
        mirror_end: None,
        is_applied: false,
        applied: Seq(0),
        switched_at_row: None,
        validation: None,
        created_at: now,
        updated_at: now,
    };
    if stages.catalog.add_migration(&migration).await.map_err(|error| failed(&error))? {
        let actor = actor(&parts.headers).unwrap_or_default();
        audit(stages, &migration, ("migration.begun", true), actor, json!({ "source": migration.source })).await;
        return Ok((StatusCode::CREATED, described(stages, &migration).await?));
    }
    let open = stages.catalog.open_migration(&migration.slug, &migration.label);
    let open =
        open.ok_or_else(|| Failure::new(ErrorKind::Conflict, "another migration ended this moment; try again"))?;
    if open.source == migration.source {
        return Ok((StatusCode::OK, described(stages, &open).await?));
    }
    let message = format!(
        "table `{}` of dataset `{}` is being moved from another source already, by the migration `{}`",
        open.label, open.slug, open.id
    );
    Err(Failure::new(ErrorKind::Conflict, message).with_hint("finish or abandon that one first, or take another table"))
}

/// Answers `GET /admin/migrations/{migration}`.
pub(super) async fn one(State(stages): State<Stages>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let told = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        described(&stages, &found(&stages, &id).await?).await
    };
    answered(&stages, told.await)
}

/// Answers `POST /admin/migrations/{migration}/files`.
pub(super) async fn files(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let told = async {
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let migration = found(&stages, &id).await?;
        let body = body::read(&parts.headers, body, MIGRATION_BODY_BYTES_MAX, stages.body_idle).await?;
        let Files { files } = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
        if let Some(long) = files.iter().find(|file| file.file.len() > MIGRATION_FILE_BYTES_MAX) {
            let message = format!("the path `{}` is longer than {MIGRATION_FILE_BYTES_MAX} bytes", long.file);
            return Err(Failure::invalid(message));
        }
        let file = |File { file, fingerprint, rows }| MigrationFile { file, fingerprint, rows };
        let files: Vec<_> = files.into_iter().map(file).collect();
        let other = stages.catalog.add_migration_files(&id, &files).await.map_err(|error| failed(&error))?;
        if let Some(other) = other {
            let message =
                format!("the file `{}` is not what it was when it was planned: rows of it may be here", other.file);
            return Err(Failure::new(ErrorKind::Conflict, message).with_hint(
                "put the file back as it was; or abandon the migration, and begin again with another table",
            ));
        }
        described(&stages, &migration).await
    };
    answered(&stages, told.await)
}

/// Answers `GET /admin/migrations/{migration}/pieces`.
pub(super) async fn pieces(State(stages): State<Stages>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let told = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let migration = found(&stages, &id).await?;
        let taken = pieces::taken(&stages, &migration).await?;
        let pieces = taken.into_iter().map(|taken| {
            let piece = taken.piece;
            json!({ "file": piece.file, "first": piece.first, "rows": piece.rows, "accepted": taken.accepted })
        });
        Ok::<_, Failure>(json!({ "pieces": pieces.collect::<Vec<_>>() }))
    };
    answered(&stages, told.await)
}

/// Answers `PUT /admin/migrations/{migration}/validation`.
pub(super) async fn validation(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let told = async {
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let migration = found(&stages, &id).await?;
        let body = body::read(&parts.headers, body, MIGRATION_BODY_BYTES_MAX, stages.body_idle).await?;
        let mut came_to: Value = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
        let is_told = came_to["equal"].is_boolean() && came_to["head"].is_u64() && came_to["rows"].is_u64();
        if !is_told {
            return Err(Failure::invalid("send {\"equal\":true|false,\"head\":…,\"rows\":…,\"report\":…}"));
        }
        let now = stages.clock.now();
        came_to["at"] = json!(rfc3339(now.0));
        let (success, detail) = (came_to["equal"] == true, json!({ "head": came_to["head"], "rows": came_to["rows"] }));
        let table = (migration.slug.as_str(), migration.label.as_str());
        let changed = stages.catalog.update_migration(table, now, |migration| {
            migration.validation = Some(came_to.clone());
            Ok(())
        });
        let changed = changed.await.map_err(|error| failed(&error))?.ok_or_else(|| not_found(&id))?;
        audit(&stages, &changed, ("migration.compared", success), actor(&parts.headers).unwrap_or_default(), detail)
            .await;
        described(&stages, &changed).await
    };
    answered(&stages, told.await)
}

/// Finds a migration; what memory knows of an open one is the newest.
pub(super) async fn found(stages: &Stages, id: &str) -> Result<Migration, Failure> {
    let open = stages.catalog.open_migrations().into_iter().find(|migration| migration.id == id);
    match open {
        Some(migration) => Ok(migration),
        None => stages.catalog.migration(id).await.map_err(|error| failed(&error))?.ok_or_else(|| not_found(id)),
    }
}

/// Returns the newest row of the migration's table.
pub(super) async fn head(stages: &Stages, migration: &Migration) -> Result<Seq, Failure> {
    let dataset = stages.catalog.dataset(&migration.slug, &migration.label).await.map_err(|error| failed(&error))?;
    let Some(dataset) = dataset else { return Ok(Seq(0)) };
    let tails = stages.buffer.status();
    Ok(tails.iter().find(|tail| tail.table == dataset.spec.name).map(|tail| tail.head).unwrap_or_default())
}

/// Tells all that is known of a migration.
pub(super) async fn described(stages: &Stages, migration: &Migration) -> Result<Value, Failure> {
    let progress = stages.catalog.migration_progress(&migration.id).await.map_err(|error| failed(&error))?;
    let (head, now) = (head(stages, migration).await?, stages.clock.now());
    let state = migration.state_at(now);
    let mirror = migration.mirror_from.map(|from| {
        json!({
            "from": from,
            "mirrored": migration.mirrored,
            "lagRows": head.0.saturating_sub(migration.mirrored.0),
            "isApplied": migration.is_applied,
            "applied": migration.applied,
            "folder": stages.mirrors.folder_of(migration),
            "why": stages.mirrors.trouble(&migration.id),
        })
    });
    let frozen_until = migration.frozen_until.filter(|_| state == MigrationState::Frozen);
    Ok(json!({
        "id": migration.id,
        "dataset": migration.slug,
        "tableName": migration.label,
        "state": state.as_str(),
        "reads": if migration.is_read_at_source() { "source" } else { "target" },
        "writes": if state == MigrationState::Frozen { "frozen" } else { "open" },
        "source": migration.source,
        "ask": migration.ask,
        "frozenUntil": frozen_until.map(|until| rfc3339(until.0)),
        "files": progress.files,
        "rows": progress.rows,
        "seen": progress.seen,
        "accepted": progress.accepted,
        "rejected": refused(migration, &progress),
        "head": head,
        "mirror": mirror,
        "validation": migration.validation,
        "blockers": blockers(migration, &progress, head, (now, 0)),
        "createdAt": rfc3339(migration.created_at.0),
        "updatedAt": rfc3339(migration.updated_at.0),
    }))
}

pub(super) async fn audit(
    stages: &Stages,
    migration: &Migration,
    (action, success): (&'static str, bool),
    actor: String,
    mut detail: Value,
) {
    detail["migration"] = json!(migration.id);
    detail["tableName"] = json!(migration.label);
    let (slug, at) = (migration.slug.clone(), stages.clock.now());
    let entry = AuditEntry { slug, at, action, success, actor, detail };
    // What was done stays done.
    if let Err(error) = stages.catalog.add_audit(&entry).await {
        tracing::warn!(error = chain(&error), action, "a step of a migration is not in the audit log");
    }
}

pub(super) fn answered(stages: &Stages, told: Result<Value, Failure>) -> Response {
    match told {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}
