use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get as getting, post as posting};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::{AuditEntry, CatalogError, Dataset, Export, ExportFilter, ExportState};
use tidegate_core::query::Moment;
use tidegate_model::limits::{EXPORTS_PAGE_MAX, SQL_BODY_BYTES_MAX};
use tidegate_model::{ErrorKind, UnixNanos, partition_of_date};

use super::events::{CREATED, told};
use super::table::Table;
use super::targets::{self, TargetError, check_below, failed as target_failed};
use crate::api::actor;
use crate::body;
use crate::datasets::{Want, check, parameters};
use crate::errors::{Failure, chain};
use crate::routes::{Gives, Param, Route, Sends, get, post};
use crate::stages::Stages;

/// Exports of one page, when the request does not say how many.
const PAGE_DEFAULT: u32 = 50;
const NANOS_OF_DAY: i64 = 86_400_000_000_000;

const LISTED: &[Param] = &[
    Param::text("tableName", "only of this table of the dataset"),
    Param::number("limit", PAGE_DEFAULT as u64, EXPORTS_PAGE_MAX as u64, "exports of a page"),
    Param::text("cursor", "the `next_cursor` of the page before"),
];

/// The routes of exports.
pub(super) fn routes() -> Vec<Route> {
    const ALL: &str = "/admin/datasets/{id}/exports";
    const ONE: &[(u16, Gives)] = &[(200, Gives::One("Export"))];
    vec![
        post(ALL, "Asks for an export of a table as Parquet; it is written behind the answer")
            .sends(Sends::Json("ExportAsked"))
            .gives(&[(202, Gives::One("Export"))])
            .refuses(&[401, 403, 404, 408, 413, 429])
            .by(posting(make)),
        get(ALL, "Lists exports of a dataset, the newest first")
            .takes(&[LISTED])
            .gives(&[(200, Gives::One("Exports"))])
            .refuses(&[401, 403])
            .by(getting(list)),
        get("/admin/datasets/{id}/exports/{export}", "Tells of an export")
            .gives(ONE)
            .refuses(&[401, 403, 404])
            .by(getting(one)),
    ]
}

/// What a request says of the export that it wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    table_name: Option<String>,
    from: Option<Moment>,
    to: Option<Moment>,
    shard: Option<String>,
    folder: Option<String>,
    storage_target_id: Option<String>,
}

/// What is wanted of a table.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) from: Option<UnixNanos>,
    pub(super) to: Option<UnixNanos>,
    /// Below the place of all exports.
    pub(super) folder: Option<String>,
    /// Instead of the dataset's storage target.
    pub(super) target: Option<String>,
    pub(super) actor: String,
    pub(super) is_scheduled: bool,
}

async fn make(State(stages): State<Stages>, Path(slug): Path<String>, request: Request) -> Response {
    match made(&stages, &slug, request).await {
        Ok(export) => (StatusCode::ACCEPTED, Json(told(&export))).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn made(stages: &Stages, slug: &str, request: Request) -> Result<Export, Failure> {
    let (parts, body) = request.into_parts();
    check(&stages.access, &parts.headers, Want::Admin, None)?;
    let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let asked: Asked = body::json_or_default(
        &body,
        r#"send {"tableName":…,"from":…,"to":…,"shard":…,"folder":…,"storageTargetId":…}, all optional"#,
    )?;
    let label = asked.table_name.as_deref().unwrap_or(Dataset::RECORDS);
    let found = Table::find(stages, slug, label).await.map_err(|error| failed(&error))?;
    let table = found.ok_or_else(|| {
        Failure::new(ErrorKind::NotFound, format!("there is no dataset `{slug}` with a table `{label}`"))
    })?;
    let wanted = wanted(&table, &asked, actor(&parts.headers).unwrap_or_default())?;
    let export = ask(stages, &table, wanted).await.map_err(|error| target_failed(&error))?;
    audit(stages, &export).await;
    Ok(export)
}

/// Checks what a request asks for.
fn wanted(table: &Table, asked: &Asked, actor: String) -> Result<Wanted, Failure> {
    let name = &table.spec.name;
    if table.spec.roll_up.is_some() {
        let message = format!("the rows of `{name}` merge and have no number of their own: they cannot be exported");
        return Err(Failure::invalid(message).with_hint("read them with SQL: `FORMAT Parquet`"));
    }
    let (from, to) = match &asked.shard {
        None => (asked.from.map(|time| time.0), asked.to.map(|time| time.0)),
        Some(_) if asked.from.is_some() || asked.to.is_some() => {
            return Err(Failure::invalid("`shard` is a whole day: leave `from` and `to` out, or `shard`"));
        }
        Some(shard) => {
            let day = partition_of_date(shard)
                .ok_or_else(|| Failure::invalid(format!("`shard` is a UTC day such as 2026-01-31, it is `{shard}`")))?;
            let begin = i64::from(day) * NANOS_OF_DAY;
            (Some(UnixNanos(begin)), Some(UnixNanos(begin + NANOS_OF_DAY)))
        }
    };
    if (from.is_some() || to.is_some()) && table.time_column.is_none() {
        return Err(Failure::invalid(format!("`{name}` has no time column: it can only be exported whole")));
    }
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(Failure::invalid(format!("`from` ({from}) is not before `to` ({to}), which is not included")));
    }
    if let Some(folder) = &asked.folder {
        check_below("folder", folder)?;
    }
    let (folder, target) = (asked.folder.clone(), asked.storage_target_id.clone());
    Ok(Wanted { from, to, folder, target, actor, is_scheduled: false })
}

/// Puts an export behind those that wait.
pub(super) async fn ask(stages: &Stages, table: &Table, wanted: Wanted) -> Result<Export, TargetError> {
    let (id, now) = (stages.request_id(), stages.clock.now());
    let own = stages.catalog.record(&table.slug).and_then(|record| record.storage_target);
    let target = wanted.target.or(own).unwrap_or_else(|| stages.exports.options.target.clone());
    let place = targets::place(stages, &target).await?;
    let below = wanted.folder.map(|folder| format!("{folder}/")).unwrap_or_default();
    let folder = format!("{place}/{below}{}/{}/{id}", table.slug, table.label);
    let export = Export {
        id,
        slug: table.slug.clone(),
        label: table.label.clone(),
        table: table.spec.name.clone(),
        state: ExportState::Queued,
        is_scheduled: wanted.is_scheduled,
        from: wanted.from,
        to: wanted.to,
        folder,
        target,
        actor: wanted.actor,
        attempts: 0,
        created_at: now,
        finished_at: None,
        error: None,
        manifest: None,
    };
    let event = stages.exports.event(CREATED, now, &export);
    stages.catalog.add_export(&export, event.as_ref().map(|(kind, body)| (*kind, body.as_str()))).await?;
    stages.metrics.copies.export(&export, ExportState::Queued);
    stages.exports.asked.notify_one();
    stages.exports.told.notify_one();
    Ok(export)
}

async fn audit(stages: &Stages, export: &Export) {
    if stages.catalog.record(&export.slug).is_none() {
        return;
    }
    let entry = AuditEntry {
        slug: export.slug.clone(),
        at: export.created_at,
        action: "export.created",
        success: true,
        actor: export.actor.clone(),
        detail: json!({ "id": export.id, "tableName": export.label, "folder": export.folder, "storageTargetId": export.target }),
    };
    if let Err(error) = stages.catalog.add_audit(&entry).await {
        tracing::warn!(error = chain(&error), export = export.id, "an export is not in the audit log");
    }
}

async fn list(
    State(stages): State<Stages>,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match listed(&stages, slug, query.as_deref(), &headers).await {
        Ok(answer) => Json(answer).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn listed(stages: &Stages, slug: String, query: Option<&str>, headers: &HeaderMap) -> Result<Value, Failure> {
    check(&stages.access, headers, Want::Admin, None)?;
    let given = parameters(query, &[LISTED])?;
    let given = |name: &str| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let limit = match given("limit") {
        None => PAGE_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=EXPORTS_PAGE_MAX).contains(limit))
            .ok_or_else(|| Failure::invalid(format!("`limit` is 1 to {EXPORTS_PAGE_MAX}, it is `{text}`")))?,
    };
    let filter = ExportFilter { slug, label: given("tableName"), limit: limit + 1, before: given("cursor") };
    let mut found = stages.catalog.exports(&filter).await.map_err(|error| failed(&error))?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| has_more).map(|last| &last.id);
    Ok(json!({ "exports": found.iter().map(told).collect::<Vec<_>>(), "next_cursor": next }))
}

async fn one(State(stages): State<Stages>, Path((slug, id)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let found = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let export = stages.catalog.export(&slug, &id).await.map_err(|error| failed(&error))?;
        export.ok_or_else(|| {
            Failure::new(ErrorKind::NotFound, format!("`{slug}` has no export `{id}`"))
                .with_hint("GET /admin/datasets/{id}/exports lists them")
        })
    };
    match found.await {
        Ok(export) => Json(told(&export)).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

fn failed(error: &CatalogError) -> Failure {
    Failure::of(error.kind(), error)
}
