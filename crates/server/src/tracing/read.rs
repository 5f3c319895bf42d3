use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures_util::TryStreamExt;
use tidegate_core::query::{Format, ReadRequest, parameter_text};
use tidegate_model::ErrorKind;
use tidegate_model::limits::SQL_PARAMETERS_MAX;
use tidegate_traces::{
    COLUMNS, DATASET, Derived, Json, Own, RollUp, Span, SpanId, Sql, TABLE, TraceId, Tree, Uuid, derived_of_row, json,
    latest, scope,
};

use crate::api::tables_are_there;
use crate::errors::Failure;
use crate::stages::Stages;

/// Traces that are asked for in one statement: each is a parameter.
const TRACES_AT_ONCE: usize = 500;

/// Reads the spans of one project, and of no other: every statement is narrowed down to it here.
pub(super) struct Reader<'r> {
    pub(super) stages: &'r Stages,
    pub(super) project: Uuid,
    pub(super) id: String,
}

/// A span as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) span: Span,
    pub(super) derived: Derived,
    pub(super) version: u64,
}

/// A statement in the making.
pub(super) struct Select<'s> {
    /// What is selected.
    pub(super) columns: &'s str,
    /// Of which spans, by what all versions of a span have alike; empty: of all.
    pub(super) among: String,
    /// Which of the latest rows.
    pub(super) conditions: String,
    /// Groups, order and limit.
    pub(super) behind: String,
}

impl Reader<'_> {
    /// Writes the condition that a row is the project's.
    pub(super) fn scope(&self, sql: &mut Sql) -> String {
        scope(self.project, sql)
    }

    /// Reads of the latest versions of the project's spans.
    pub(super) async fn select(&self, select: Select<'_>, mut sql: Sql) -> Result<Vec<Json>, Failure> {
        let Select { columns, among, conditions, behind } = select;
        let scope = self.scope(&mut sql);
        let (latest, and) = (latest(&scope, &among), if among.is_empty() { "" } else { " AND " });
        let text =
            format!("SELECT {columns} FROM {TABLE} WHERE {scope}{and}{among} AND {latest} AND ({conditions}) {behind}");
        self.rows(text, sql).await
    }

    /// Reads rows. A failure on the way is a failure of the whole: no half answer looks like a whole one.
    pub(super) async fn rows(&self, text: String, sql: Sql) -> Result<Vec<Json>, Failure> {
        // Before its first span there is no table, and nothing in it.
        if self.stages.catalog.record(DATASET).is_none() {
            return Ok(Vec::new());
        }
        let params = sql.params();
        if params.len() > SQL_PARAMETERS_MAX {
            let problem = format!("the filter has {} values, {SQL_PARAMETERS_MAX} are the most", params.len());
            return Err(Failure::invalid(problem).with_hint("send fewer values, or several requests"));
        }
        tables_are_there(self.stages).await?;
        let format = Format::named("ndjson").ok_or_else(|| Failure::new(ErrorKind::Internal, "no format of rows"))?;
        let request = ReadRequest {
            sql: text,
            params: params.into_iter().map(|(name, value)| (name, parameter_text(&value))).collect(),
            format,
            min_watermark: None,
            max_rows: None,
            timeout: None,
            query_id: format!("{}-{}", self.id, self.stages.request_id()),
        };
        let answer = self.stages.query.read(request).await?;
        let pieces: Vec<Bytes> = answer.body.try_collect().await?;
        let text = String::from_utf8(pieces.concat()).map_err(|error| Failure::of(ErrorKind::Corrupt, &error))?;
        let rows = text.lines().map(|line| json::parse(line).map_err(|error| Failure::of(ErrorKind::Corrupt, &error)));
        rows.collect()
    }

    /// Reads spans.
    pub(super) async fn spans(
        &self,
        (among, conditions): (String, String),
        behind: String,
        sql: Sql,
    ) -> Result<Vec<Stored>, Failure> {
        let columns: Vec<String> = COLUMNS
            .iter()
            .filter(|(name, _)| !matches!(*name, "attribute_items" | "project_id"))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let rows = self.select(Select { columns: &columns.join(", "), among, conditions, behind }, sql).await?;
        rows.iter().map(stored).collect()
    }

    /// Reads all spans of some traces.
    pub(super) async fn traces(&self, ids: &[TraceId]) -> Result<BTreeMap<TraceId, Vec<Stored>>, Failure> {
        let mut found: BTreeMap<TraceId, Vec<Stored>> = BTreeMap::new();
        for some in ids.chunks(TRACES_AT_ONCE) {
            let mut sql = Sql::default();
            let among = is_among(some, &mut sql);
            for stored in self.spans((among, "true".to_owned()), String::new(), sql).await? {
                found.entry(stored.span.trace_id).or_default().push(stored);
            }
        }
        Ok(found)
    }

    /// Reads what each span of some traces and those below it come to.
    pub(super) async fn roll_ups(&self, ids: &[TraceId]) -> Result<HashMap<(TraceId, SpanId), RollUp>, Failure> {
        let columns = "`trace_id`, `span_id`, `parent_id`, `start_time`, `end_time`, `created_at`, `errors`, \
            `tokens_prompt`, `tokens_completion`, `tokens_total`, `cost_prompt`, `cost_completion`, `cost_total`";
        let mut by_trace: BTreeMap<TraceId, Vec<Stored>> = BTreeMap::new();
        for some in ids.chunks(TRACES_AT_ONCE) {
            let mut sql = Sql::default();
            let (among, conditions) = (is_among(some, &mut sql), "true".to_owned());
            for row in self.select(Select { columns, among, conditions, behind: String::new() }, sql).await? {
                let stored = stored(&row)?;
                by_trace.entry(stored.span.trace_id).or_default().push(stored);
            }
        }
        let mut all = HashMap::new();
        for (trace, spans) in by_trace {
            let (_, roll_ups) = tree(&spans);
            all.extend(spans.iter().zip(roll_ups).map(|(stored, roll_up)| ((trace, stored.span.span_id), roll_up)));
        }
        Ok(all)
    }
}

/// Puts the spans of a trace below each other, and adds up what they come to.
pub(super) fn tree(spans: &[Stored]) -> (Tree, Vec<RollUp>) {
    let places: Vec<_> = spans.iter().map(|one| (one.span.span_id, one.span.parent_id, one.span.start_time)).collect();
    let own: Vec<Own> = spans.iter().map(|one| Own::of(&one.span, &one.derived)).collect();
    let tree = Tree::of(&places);
    let roll_ups = tree.roll_ups(&own);
    (tree, roll_ups)
}

/// Writes the condition that a row is of one of some traces.
pub(super) fn is_among(ids: &[TraceId], sql: &mut Sql) -> String {
    if ids.is_empty() {
        return "false".to_owned();
    }
    let bound: Vec<String> = ids.iter().map(|id| sql.uuid(id.uuid())).collect();
    format!("`trace_id` IN ({})", bound.join(", "))
}

fn stored(row: &Json) -> Result<Stored, Failure> {
    let corrupt = |error: tidegate_traces::Invalid| Failure::of(ErrorKind::Corrupt, &error);
    let version = row.at("row_version").map(|version| version.to_string().trim_matches('"').parse().unwrap_or(0));
    let span = Span::from_row(row).map_err(corrupt)?;
    Ok(Stored { derived: derived_of_row(row, &span), version: version.unwrap_or(0), span })
}
