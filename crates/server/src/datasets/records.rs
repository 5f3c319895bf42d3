use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate_core::catalog::{AuditEntry, DatasetRecord, DatasetStatus, RecordFilter};
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat};
use tidegate_model::limits::SQL_BODY_BYTES_MAX;
use tidegate_model::{ErrorKind, UnixNanos};

use super::{LIST, PAGE, Want, check, failed, found, limit, parameters, text};
use crate::api::actor;
use crate::body;
use crate::cardinality::rfc3339;
use crate::errors::Failure;
use crate::exports::check_target;
use crate::stages::Stages;

/// Items of a page when the request does not say how many.
pub(super) const PAGE_DEFAULT: u64 = 50;
/// The most items of one page.
pub(super) const PAGE_MAX: u64 = 1_000;

/// A dataset to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Made {
    slug: String,
    name: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    metadata: Map<String, Value>,
    storage_target_id: Option<String>,
    table_name: Option<String>,
    schema: Option<Value>,
}

/// What is to change; what is left out stays.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Changed {
    name: Option<String>,
    description: Option<String>,
    status: Option<String>,
    metadata: Option<Map<String, Value>>,
    storage_target_id: Option<String>,
    if_match: Option<String>,
}

/// Answers `GET /admin/datasets`.
pub(super) async fn list(State(stages): State<Stages>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let listed = || {
        check(&stages.access, &headers, Want::Admin, None)?;
        let given = parameters(query.as_deref(), &[PAGE, LIST])?;
        let status = text(&given, "status").map(status_named).transpose()?;
        let limit = usize::try_from(limit(&given)?).unwrap_or(usize::MAX);
        let search = text(&given, "search").unwrap_or_default().to_owned();
        let filter = RecordFilter { after: text(&given, "cursor").map(str::to_owned), status, search };
        let mut records = stages.catalog.records(&filter, limit + 1);
        let has_more = records.len() > limit;
        records.truncate(limit);
        let next = has_more.then(|| records.last().map(|record| record.slug.clone())).flatten();
        Ok::<_, Failure>((records, next))
    };
    let (records, next) = match listed() {
        Ok(listed) => listed,
        Err(failure) => return failure.answer(&stages.request_id()),
    };
    let mut told = Vec::with_capacity(records.len());
    for record in &records {
        match described(&stages, record).await {
            Ok(value) => told.push(value),
            Err(failure) => return failure.answer(&stages.request_id()),
        }
    }
    Json(json!({ "datasets": told, "nextCursor": next })).into_response()
}

/// Answers `GET /admin/datasets/{id}`.
pub(super) async fn one(State(stages): State<Stages>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match found(&stages, &headers, &id, Want::Admin) {
        Ok(record) => answer(&stages, &record, StatusCode::OK).await,
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

/// Answers `POST /admin/datasets`.
pub(super) async fn make(State(stages): State<Stages>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = async {
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let made: Made = read(&body)?;
        add(&stages, made, actor(&parts.headers).unwrap_or_default()).await
    };
    match outcome.await {
        Ok(record) => answer(&stages, &record, StatusCode::CREATED).await,
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn add(stages: &Stages, made: Made, actor: String) -> Result<DatasetRecord, Failure> {
    if let Some(target) = &made.storage_target_id {
        check_target(stages, target).await?;
    }
    let schema = made.schema.unwrap_or_else(|| json!({ "fields": [] }));
    let has_schema = schema["fields"].as_array().is_none_or(|fields| !fields.is_empty());
    let table = made.table_name.unwrap_or_else(|| "records".to_owned());
    let body = json!({ "tableName": table, "schema": schema, "rows": [] }).to_string();
    let request =
        DatasetRequest { actor: Some(actor.clone()), ..DatasetRequest::new(&made.slug, RowsFormat::Json, body) };
    let now = stages.clock.now();
    // Before the record is there: what is wrong with the slug or the schema makes none.
    tidegate_core::ingest::rows::dry_run(&request, None, now)
        .map_err(|error| Failure::from(tidegate_core::ingest::IngestError::from(error)))?;
    let record = DatasetRecord {
        name: made.name.unwrap_or_else(|| made.slug.clone()),
        slug: made.slug,
        description: made.description,
        status: DatasetStatus::Active,
        metadata: made.metadata,
        storage_target: made.storage_target_id,
        created_at: now,
        updated_at: now,
        created_by: actor,
    };
    if !stages.catalog.add_record(&record).await.map_err(|error| failed(&error))? {
        return Err(Failure::new(ErrorKind::Conflict, format!("there is a dataset `{}` already", record.slug)));
    }
    audit(stages, &record, "dataset.created", record.created_by.clone()).await?;
    if has_schema {
        stages.ingest.dataset_rows(request).await?;
    }
    Ok(record)
}

/// Answers `PATCH /admin/datasets/{id}`.
pub(super) async fn change(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = async {
        let record = found(&stages, &parts.headers, &id, Want::Admin)?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let changed: Changed = read(&body)?;
        put(&stages, record, changed, &parts.headers).await
    };
    match outcome.await {
        Ok(record) => answer(&stages, &record, StatusCode::OK).await,
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

/// Answers `PUT /admin/datasets/{id}/storage-target`.
pub(super) async fn retarget(State(stages): State<Stages>, Path(id): Path<String>, request: Request) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Target {
        storage_target_id: String,
    }
    let (parts, body) = request.into_parts();
    let outcome = async {
        let record = found(&stages, &parts.headers, &id, Want::Admin)?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let Target { storage_target_id } = read(&body)?;
        let changed = Changed { storage_target_id: Some(storage_target_id), ..Changed::default() };
        put(&stages, record, changed, &parts.headers).await
    };
    match outcome.await {
        Ok(record) => answer(&stages, &record, StatusCode::OK).await,
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

/// Answers `POST /admin/datasets/{id}/archive`.
pub(super) async fn archive(State(stages): State<Stages>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let outcome = async {
        let record = found(&stages, &headers, &id, Want::Admin)?;
        let status = Some(DatasetStatus::Archived.as_str().to_owned());
        let changed = Changed { status, ..Changed::default() };
        put(&stages, record, changed, &headers).await
    };
    match outcome.await {
        Ok(record) => answer(&stages, &record, StatusCode::OK).await,
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn put(
    stages: &Stages,
    before: DatasetRecord,
    changed: Changed,
    headers: &HeaderMap,
) -> Result<DatasetRecord, Failure> {
    let wanted = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let wanted = wanted.or(changed.if_match);
    let is_meant = |wanted: &String| wanted == "*" || wanted.trim_matches('"') == rfc3339(before.updated_at.0);
    if wanted.as_ref().is_some_and(|wanted| !is_meant(wanted)) {
        return Err(stale(&before));
    }
    if let Some(target) = &changed.storage_target_id {
        check_target(stages, target).await?;
    }
    let mut record = before.clone();
    record.status = changed.status.as_deref().map(status_named).transpose()?.unwrap_or(record.status);
    record.name = changed.name.unwrap_or(record.name);
    record.description = changed.description.unwrap_or(record.description);
    record.metadata = changed.metadata.unwrap_or(record.metadata);
    record.storage_target = changed.storage_target_id.or(record.storage_target);
    // No two states have the same time: it is their ETag.
    record.updated_at = UnixNanos(stages.clock.now().0.max(before.updated_at.0 + 1));
    let is_changed = stages.catalog.change_record(&record, before.updated_at).await.map_err(|error| failed(&error))?;
    if !is_changed {
        return Err(stale(&before));
    }
    let is_archived = record.status == DatasetStatus::Archived && before.status == DatasetStatus::Active;
    let action = if is_archived { "dataset.archived" } else { "dataset.updated" };
    audit(stages, &record, action, actor(headers).unwrap_or_default()).await?;
    Ok(record)
}

fn stale(record: &DatasetRecord) -> Failure {
    Failure::new(ErrorKind::Conflict, format!("dataset `{}` was changed meanwhile", record.slug))
        .with_status(StatusCode::PRECONDITION_FAILED)
        .with_hint("read it again, and send the change with its new ETag in If-Match")
}

async fn audit(stages: &Stages, record: &DatasetRecord, action: &'static str, actor: String) -> Result<(), Failure> {
    let detail = json!({ "status": record.status.as_str(), "name": record.name, "metadata": record.metadata });
    let entry = AuditEntry { slug: record.slug.clone(), at: stages.clock.now(), action, success: true, actor, detail };
    stages.catalog.add_audit(&entry).await.map_err(|error| failed(&error))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::invalid(format!("the JSON body cannot be read: {error}")))
}

fn status_named(name: &str) -> Result<DatasetStatus, Failure> {
    DatasetStatus::named(name).ok_or_else(|| Failure::invalid(format!("status: `{name}` is not active or archived")))
}

async fn answer(stages: &Stages, record: &DatasetRecord, status: StatusCode) -> Response {
    let told = match described(stages, record).await {
        Ok(told) => told,
        Err(failure) => return failure.answer(&stages.request_id()),
    };
    let mut response = (status, Json(told)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", rfc3339(record.updated_at.0))) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

async fn described(stages: &Stages, record: &DatasetRecord) -> Result<Value, Failure> {
    let tables = stages.catalog.datasets().await.map_err(|error| failed(&error))?;
    let tables = tables.iter().filter(|table| table.slug == record.slug).map(|table| {
        let canonical = table.canonical();
        json!({
            "tableName": table.label,
            "table": table.spec.name,
            "schemaVersion": table.version,
            "schemaChecksum": canonical.checksum(),
            "timeColumn": table.time_column,
            "fields": canonical.fields,
        })
    });
    let held = stages.catalog.held_count(&record.slug).await.map_err(|error| failed(&error))?;
    Ok(json!({
        "id": record.slug,
        "slug": record.slug,
        "name": record.name,
        "description": record.description,
        "status": record.status.as_str(),
        "metadata": record.metadata,
        "storageTargetId": record.storage_target,
        "createdAt": rfc3339(record.created_at.0),
        "updatedAt": rfc3339(record.updated_at.0),
        "createdBy": record.created_by,
        "quarantined": held,
        "tables": tables.collect::<Vec<_>>(),
    }))
}
