use std::fmt::Write as _;
use std::time::Instant;

use futures_util::TryStreamExt;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidegate_core::query::{Format, QueryError, ReadAnswer, ReadRequest};
use tidegate_model::ErrorKind;

use super::arguments::Page;
use super::sessions::bring;
use super::view::{Sources, View};
use super::window::Window;
use crate::api::tables_are_there;
use crate::errors::Failure;
use crate::stages::Stages;

/// A statement of ours with what clients sent beside it: their texts are bound, never part of it.
#[derive(Debug, Clone)]
pub(super) struct Sql {
    text: String,
    params: Vec<(String, String)>,
}

impl Sql {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), params: Vec::new() }
    }

    /// Binds `{name:String}`.
    pub(super) fn text(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.into(), escaped(value)));
        self
    }

    /// Binds `{name:Array(String)}`.
    pub(super) fn texts<'t>(mut self, name: &str, values: impl IntoIterator<Item = &'t str>) -> Self {
        let quoted: Vec<_> = values.into_iter().map(|value| format!("'{}'", escaped(value))).collect();
        self.params.push((name.into(), format!("[{}]", quoted.join(","))));
        self
    }

    /// Binds `{name:UInt64}`.
    pub(super) fn number(mut self, name: &str, value: u64) -> Self {
        self.params.push((name.into(), value.to_string()));
        self
    }

    /// Binds `{name:Array(UInt64)}`.
    pub(super) fn numbers(mut self, name: &str, values: impl IntoIterator<Item = u64>) -> Self {
        let mut list = String::from("[");
        for value in values {
            let _ = write!(list, "{}{value}", if list.len() == 1 { "" } else { "," });
        }
        self.params.push((name.into(), list + "]"));
        self
    }

    /// Binds what [`Filter::condition`] names.
    pub(super) fn filtered(mut self, filter: &Filter) -> Self {
        if let Some(service) = &filter.service {
            self = self.text("service", service);
        }
        self
    }
}

/// Escapes a parameter's text as ClickHouse reads it: tab-separated, with backslashes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out
}

/// What narrows the rows of the catalogue that are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) window: Window,
    pub(super) service: Option<String>,
}

impl Filter {
    /// Returns the SQL condition, with AND before it.
    pub(super) fn condition(&self) -> String {
        let service = if self.service.is_some() { " AND service_name = {service:String}" } else { "" };
        format!("{service}{}", self.window.condition())
    }
}

/// A page of rows, and what all pages have together.
#[derive(Debug, Default)]
pub(super) struct Ranked<T> {
    pub(super) rows: Vec<T>,
    pub(super) total: u64,
    pub(super) samples: u64,
}

#[derive(Debug, Deserialize)]
struct RankedRow<T> {
    total_rows: u64,
    total_samples: u64,
    #[serde(flatten)]
    row: T,
}

/// Asks stored and hot rows for what the routes tell.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) stages: Stages,
    pub(super) sources: Sources,
}

impl Reader {
    /// Returns a reader of a view, whose sessions are brought to ClickHouse first; without one, of what is live.
    pub(super) async fn over(stages: Stages, view: Option<&View>) -> Result<Self, Failure> {
        let Some(view) = view else { return Ok(Self { stages, sources: Sources::default() }) };
        let mut copies = Vec::new();
        for seen in &view.sessions {
            copies.push((bring(&stages, &seen.name).await?, seen.signals.clone()));
        }
        Ok(Self { stages, sources: Sources { live: view.live, copies: copies.into() } })
    }

    /// Returns a statement's rows.
    pub(super) async fn rows<T: DeserializeOwned>(&self, sql: Sql) -> Result<Vec<T>, Failure> {
        let began = Instant::now();
        let outcome = self.answer(sql).await;
        self.stages.metrics.query(began.elapsed(), outcome.as_ref().map(|_| ()));
        outcome
    }

    async fn answer<T: DeserializeOwned>(&self, sql: Sql) -> Result<Vec<T>, Failure> {
        let answer = self.asked(sql).await?;
        let body: Vec<u8> = answer
            .body
            .try_fold(Vec::new(), async |mut all, piece| {
                all.extend_from_slice(&piece);
                Ok(all)
            })
            .await
            .map_err(told)?;
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(serde_json::from_slice).collect::<Result<_, _>>().map_err(|error| {
            tracing::error!(%error, "ClickHouse's answer is not what the statement asks for");
            Failure::new(ErrorKind::Internal, "the server failed; its log says why")
        })
    }

    /// Runs a statement; its rows come as lines of JSON.
    pub(super) async fn asked(&self, sql: Sql) -> Result<ReadAnswer, Failure> {
        if self.sources.live && !self.stages.ingest.has_catalogue() {
            // An empty list would look like an exact one.
            let message = "nothing is counted: the catalogue is off";
            let hint = "start the server with catalogue.enabled = true (TIDEGATE_CATALOGUE__ENABLED=true); records that come from then on are counted";
            return Err(Failure::new(ErrorKind::NotFound, message)
                .with_status(StatusCode::NOT_IMPLEMENTED)
                .with_hint(hint));
        }
        tables_are_there(&self.stages).await?;
        let request = ReadRequest {
            sql: self.sources.put_into(&sql.text),
            params: sql.params,
            format: Format::named("JSONEachRow").unwrap_or(Format::JSON),
            min_watermark: None,
            max_rows: None,
            timeout: None,
            query_id: self.stages.request_id(),
        };
        self.stages.query.read(request).await.map_err(told)
    }

    /// Returns the one row of a statement that always has one.
    pub(super) async fn row<T: DeserializeOwned + Default>(&self, sql: Sql) -> Result<T, Failure> {
        Ok(self.rows(sql).await?.into_iter().next().unwrap_or_default())
    }

    /// Returns a page of the rows of `inner`, whose column `n` counts samples; `columns` are those to answer with.
    pub(super) async fn ranked<T: DeserializeOwned>(
        &self,
        (columns, inner, order): (&str, &str, &str),
        sql: impl Fn(String) -> Sql,
        page: Page,
    ) -> Result<Ranked<T>, Failure> {
        let text = |limit: u64, offset: u64| {
            format!(
                "SELECT {columns}, count() OVER () AS total_rows, sum(n) OVER () AS total_samples FROM ({inner}) \
                 ORDER BY {order} LIMIT {limit} OFFSET {offset}"
            )
        };
        let rows: Vec<RankedRow<T>> = self.rows(sql(text(page.items(), page.offset))).await?;
        let totals = match rows.first() {
            Some(row) => (row.total_rows, row.total_samples),
            // A page behind the end tells of the list all the same.
            None if page.offset > 0 => {
                let first: Vec<RankedRow<T>> = self.rows(sql(text(1, 0))).await?;
                first.first().map_or((0, 0), |row| (row.total_rows, row.total_samples))
            }
            None => (0, 0),
        };
        Ok(Ranked { rows: rows.into_iter().map(|row| row.row).collect(), total: totals.0, samples: totals.1 })
    }
}

/// The statements are ours: one that the engine refuses is a fault of the server, not of the client.
pub(super) fn told(error: QueryError) -> Failure {
    match error {
        QueryError::Engine { kind: ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Conflict, .. }
        | QueryError::Refused { .. } => Failure::of(ErrorKind::Internal, &error),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bound_and_cannot_end_their_quotes() {
        let sql = Sql::new("").texts("names", ["it's", "a\\'b", "x\ty\n"]).numbers("ids", [1, 2]);
        assert_eq!(sql.params[0].1, r"['it\'s','a\\\'b','x\ty\n']");
        assert_eq!(sql.params[1].1, "[1,2]");
    }
}
