use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::{Value, json};
use tidegate_core::catalog::AuditFilter;
use tidegate_model::UnixNanos;

use super::{AUDIT, PAGE, TABLE, Want, check, failed, found, limit, parameters, text};
use crate::api::evolution;
use crate::cardinality::{rfc3339, unix_seconds};
use crate::errors::Failure;
use crate::stages::Stages;

/// Answers `GET /admin/datasets/{id}/schema`.
pub(super) async fn schema(
    State(stages): State<Stages>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let told = async {
        found(&stages, &headers, &id, Want::Admin)?;
        let given = parameters(query.as_deref(), &[TABLE])?;
        let tables = stages.catalog.datasets().await.map_err(|error| failed(&error))?;
        let is_wanted = |label: &str| text(&given, "tableName").is_none_or(|wanted| wanted == label);
        let mut versions = Vec::new();
        for table in tables.iter().filter(|table| table.slug == id && is_wanted(&table.label)) {
            let all = stages.catalog.schema_versions(&id, &table.label).await.map_err(|error| failed(&error))?;
            versions.extend(all.iter().map(|version| {
                let canonical = version.dataset.canonical();
                json!({
                    "tableName": table.label,
                    "version": version.dataset.version,
                    "checksum": canonical.checksum(),
                    "fields": canonical.fields,
                    "change": evolution(&version.change, version.dataset.version),
                    "actor": version.change.actor,
                    "createdAt": rfc3339(version.at.0),
                })
            }));
        }
        Ok::<_, Failure>(json!({ "versions": versions }))
    };
    answered(&stages, told.await)
}

/// Answers `GET /admin/datasets/{id}/audit`.
pub(super) async fn audit(
    State(stages): State<Stages>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let told = async {
        found(&stages, &headers, &id, Want::Admin)?;
        let given = parameters(query.as_deref(), &[PAGE, AUDIT])?;
        let limit = u32::try_from(limit(&given)?).unwrap_or(u32::MAX);
        let filter = filter(&given)?;
        let entries = stages.catalog.audits(&id, &filter, limit).await.map_err(|error| failed(&error))?;
        let is_full = entries.len() == limit as usize;
        let next = entries.last().filter(|_| is_full).map(|entry| entry.id.to_string());
        let entries = entries.into_iter().map(|entry| {
            json!({
                "id": entry.id,
                "at": rfc3339(entry.at.0),
                "action": entry.action,
                "success": entry.success,
                "actor": entry.actor,
                "detail": entry.detail,
            })
        });
        Ok::<_, Failure>(json!({ "entries": entries.collect::<Vec<_>>(), "nextCursor": next }))
    };
    answered(&stages, told.await)
}

fn filter(given: &[(String, String)]) -> Result<AuditFilter, Failure> {
    let success = match text(given, "success") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return Err(Failure::invalid(format!("success: `{other}` is not true or false"))),
    };
    let time = |name: &str, more: i64| {
        let Some(written) = text(given, name) else { return Ok(None) };
        let seconds = unix_seconds(written).and_then(|seconds| seconds.checked_mul(1_000_000_000));
        let wrong = || Failure::invalid(format!("{name}: `{written}` is not a time such as 2026-01-31T09:00:00Z"));
        seconds.map(|at| Some(UnixNanos(at.saturating_add(more)))).ok_or_else(wrong)
    };
    let before = text(given, "cursor").map(|cursor| {
        cursor.parse().map_err(|_| Failure::invalid(format!("cursor: `{cursor}` is none that an answer gave")))
    });
    Ok(AuditFilter {
        action: text(given, "action").map(str::to_owned),
        success,
        start: time("startTime", 0)?,
        // To the end of the second.
        end: time("endTime", 999_999_999)?,
        before: before.transpose()?,
    })
}

/// Answers `POST /admin/schema/reconcile`.
pub(super) async fn reconcile(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    let told = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let tables = stages.catalog.datasets().await.map_err(|error| failed(&error))?;
        let specs: Vec<_> = tables.iter().map(|table| &table.spec).collect();
        let drifts = stages.store.reconcile(&specs).await.map_err(|error| Failure::of(error.kind(), &error))?;
        let drifts = drifts.into_iter().map(|drift| {
            json!({
                "replica": drift.replica,
                "table": drift.table,
                "column": drift.column,
                "found": drift.found,
                "wanted": drift.wanted,
                "mended": drift.is_mended,
            })
        });
        Ok::<_, Failure>(json!({ "tables": specs.len(), "drift": drifts.collect::<Vec<_>>() }))
    };
    answered(&stages, told.await)
}

pub(super) fn answered(stages: &Stages, told: Result<Value, Failure>) -> Response {
    match told {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}
