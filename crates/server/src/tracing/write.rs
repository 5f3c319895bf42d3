use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;
use tidegate_core::ingest::IngestError;
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat};
use tidegate_model::{ErrorKind, UnixNanos};
use tidegate_primary::Primary;
use tidegate_traces::{COLUMNS, DATASET, Json, Span, SpanId, Sql, TABLE, TraceId, Uuid, derive, json, row};

use super::choice::TracingMode;
use super::read::{Reader, is_among};
use crate::errors::Failure;
use crate::stages::Stages;

/// Traces whose versions are looked up in one statement.
const TRACES_AT_ONCE: usize = 500;

/// What is written of each span.
pub(super) enum Change {
    /// These are the spans now.
    Put(Vec<Span>),
    /// These traces are gone.
    Delete(Vec<TraceId>),
}

/// What is known of a span before it is written.
#[derive(Debug, Clone, Copy)]
struct Known {
    version: u64,
    is_deleted: bool,
    created_at: UnixNanos,
    created_by_id: Option<Uuid>,
}

/// Writes spans where the project has them; returns which.
///
/// It goes on when its client goes away: nobody else may number versions before these rows are in the log.
pub(super) async fn write(stages: &Stages, project: Uuid, change: Change) -> Result<Vec<(TraceId, SpanId)>, Failure> {
    let stages = stages.clone();
    let written = tokio::spawn(async move {
        let tracing = Arc::clone(&stages.tracing);
        loop {
            let shared = tracing.shared(project).await;
            let mode = tracing.choices.of(project).0.mode;
            if let Some(primary) = tracing.primary().filter(|_| mode != TracingMode::ClickHouse) {
                let written = to_postgres(&stages, (primary, project), change).await;
                tracing.follow.wake();
                return written;
            }
            drop(shared);
            let _alone = tracing.alone(project).await;
            // Somebody may have switched it meanwhile.
            if tracing.choices.of(project).0.mode == mode {
                return to_clickhouse(&stages, project, change).await;
            }
        }
    });
    written.await.map_err(|error| Failure::of(ErrorKind::Internal, &error))?
}

/// Writes spans in one transaction of PostgreSQL.
async fn to_postgres(
    stages: &Stages,
    (primary, project): (&Primary, Uuid),
    change: Change,
) -> Result<Vec<(TraceId, SpanId)>, Failure> {
    match change {
        Change::Put(spans) => {
            primary.put(project, &spans, stages.clock.now()).await?;
            Ok(spans.iter().map(|span| (span.trace_id, span.span_id)).collect())
        }
        Change::Delete(traces) => Ok(primary.delete(project, &traces).await?),
    }
}

/// Writes spans as the next versions of themselves. Nobody else does for this project.
async fn to_clickhouse(stages: &Stages, project: Uuid, change: Change) -> Result<Vec<(TraceId, SpanId)>, Failure> {
    let reader = Reader { stages, project, id: stages.request_id() };
    let rows = match change {
        Change::Put(spans) => put(&reader, spans).await?,
        Change::Delete(traces) => deleted(&reader, &traces).await?,
    };
    if !rows.is_empty() {
        take(stages, &rows).await?;
    }
    Ok(rows.into_iter().map(|(key, _)| key).collect())
}

type Row = ((TraceId, SpanId), Json);

async fn put(reader: &Reader<'_>, spans: Vec<Span>) -> Result<Vec<Row>, Failure> {
    let mut known = known(reader, &spans).await?;
    let (now, mut rows) = (reader.stages.clock.now(), Vec::with_capacity(spans.len()));
    for mut span in spans {
        let key = (span.trace_id, span.span_id);
        let before = known.get(&key).copied();
        let life = &mut span.lifecycle;
        if let Some(before) = before.filter(|before| !before.is_deleted) {
            life.updated_at = Some(now);
            life.updated_by_id = life.created_by_id;
            (life.created_at, life.created_by_id) = (before.created_at, before.created_by_id);
        }
        let version = before.map_or(0, |before| before.version + 1);
        let (created_at, created_by_id) = (life.created_at, life.created_by_id);
        // A batch may bring a span twice: the later one is the later version.
        known.insert(key, Known { version, is_deleted: false, created_at, created_by_id });
        let derived = derive(&span, &reader.stages.tracing.prices);
        rows.push((key, row(&span, &derived, reader.project, (version, false))));
    }
    Ok(rows)
}

async fn deleted(reader: &Reader<'_>, traces: &[TraceId]) -> Result<Vec<Row>, Failure> {
    let found = reader.traces(traces).await?;
    let now = reader.stages.clock.now();
    let rows = found.into_values().flatten().map(|mut stored| {
        stored.span.lifecycle.deleted_at = Some(now);
        let key = (stored.span.trace_id, stored.span.span_id);
        let derived = derive(&stored.span, &reader.stages.tracing.prices);
        (key, row(&stored.span, &derived, reader.project, (stored.version + 1, true)))
    });
    Ok(rows.collect())
}

/// Looks up which of the spans there are, and their last versions.
async fn known(reader: &Reader<'_>, spans: &[Span]) -> Result<HashMap<(TraceId, SpanId), Known>, Failure> {
    let mut traces: Vec<TraceId> = spans.iter().map(|span| span.trace_id).collect();
    traces.sort_unstable();
    traces.dedup();
    let mut known = HashMap::new();
    for some in traces.chunks(TRACES_AT_ONCE) {
        let mut sql = Sql::default();
        let (among, scope) = (is_among(some, &mut sql), reader.scope(&mut sql));
        let text = format!(
            "SELECT `trace_id` AS t, `span_id` AS s, max(`row_version`) AS v, argMax(ifNull(`row_deleted`, false), `row_version`) AS d, \
             argMax(`created_at`, `row_version`) AS c, argMax(toString(`created_by_id`), `row_version`) AS b \
             FROM {TABLE} WHERE {scope} AND {among} GROUP BY t, s"
        );
        for row in reader.rows(text, sql).await? {
            let (key, found) = known_of(&row).map_err(|error| Failure::of(ErrorKind::Corrupt, &error))?;
            known.insert(key, found);
        }
    }
    Ok(known)
}

fn known_of(row: &Json) -> Result<((TraceId, SpanId), Known), tidegate_traces::Invalid> {
    let text = |name: &str| row.at(name).and_then(Json::as_text).unwrap_or_default();
    let created_by = Some(text("b")).filter(|id| !id.is_empty());
    let known = Known {
        version: row.at("v").map_or(0, |version| version.to_string().trim_matches('"').parse().unwrap_or(0)),
        is_deleted: row.at("d") == Some(&Json::Bool(true)),
        created_at: tidegate_traces::read_moment(&Json::text(text("c")), "created_at")?,
        created_by_id: created_by.map(|id| Uuid::read(id, "created_by_id")).transpose()?,
    };
    Ok(((TraceId::read(text("t"), "trace_id")?, SpanId::read(text("s"), "span_id")?), known))
}

/// Sends rows the way of all rows; the first make the dataset.
async fn take(stages: &Stages, rows: &[Row]) -> Result<(), Failure> {
    let mut body = String::from("{\"schema\":{\"fields\":[");
    for (index, (name, kind)) in COLUMNS.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        body.push_str(&format!("{comma}{{\"name\":\"{name}\",\"type\":\"{kind}\"}}"));
    }
    body.push_str("]},\"rows\":[");
    for (index, (_, row)) in rows.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        row.write(&mut body);
    }
    body.push_str("]}");
    let taken =
        stages.ingest.dataset_rows(DatasetRequest::new(DATASET, RowsFormat::Json, body)).await.map_err(refused)?;
    stages.metrics.rows("tracing", &taken.admitted);
    match taken.admitted.rejected.total() {
        0 => Ok(()),
        refused => {
            Err(Failure::new(ErrorKind::Internal, format!("{refused} spans were refused by the dataset {DATASET}"))
                .with_hint("GET /datasets/ai-spans/quarantine tells why"))
        }
    }
}

/// Tells why rows were not taken. Clients of this API expect 403 past a quota, as everybody else does 429.
fn refused(error: IngestError) -> Failure {
    let is_over_quota = matches!(error, IngestError::OverQuota { .. });
    let failure = Failure::from(error);
    if is_over_quota { failure.with_status(StatusCode::FORBIDDEN) } else { failure }
}

/// Lists spans of a body: a list, or traces whose spans stand below each other by their names.
pub(super) fn listed(body: &Json) -> Result<Vec<Json>, Failure> {
    let mut found = Vec::new();
    let Some(members) = body.as_object() else {
        return Err(Failure::invalid("the body is no object: send {\"spans\": […]} or {\"traces\": {…}}"));
    };
    if let Some(unknown) =
        members.keys().find(|name| !matches!(name.as_str(), "spans" | "trace" | "traces" | "count" | "windowing"))
    {
        let shown: String = unknown.chars().take(100).collect();
        return Err(Failure::invalid(format!("unknown field `{shown}`: there are spans, trace, traces")));
    }
    for name in ["spans", "trace", "traces"] {
        collect(name, members.get(name), &mut found);
    }
    if found.is_empty() {
        return Err(Failure::invalid("there is no span: send {\"spans\": […]} or {\"traces\": {…}}"));
    }
    Ok(found)
}

/// Takes spans out of lists, maps by name, traces, and from below each other. JSON is nested only so deep.
fn collect(name: &str, value: Option<&Json>, found: &mut Vec<Json>) {
    match value {
        Some(Json::List(all)) => all.iter().for_each(|each| collect(name, Some(each), found)),
        Some(Json::Object(members)) if members.contains_key("span_id") => {
            let mut own: json::Object = members.clone();
            let below = own.remove("spans");
            found.push(Json::Object(own));
            collect("spans", below.as_ref(), found);
        }
        Some(Json::Object(members))
            if members.get("spans").is_some_and(|spans| spans.as_text().is_none()) && name != "spans" =>
        {
            collect("spans", members.get("spans"), found);
        }
        Some(Json::Object(members)) => members.iter().for_each(|(_, each)| collect(name, Some(each), found)),
        Some(other) if *other != Json::Null => found.push(other.clone()),
        _ => {}
    }
}
