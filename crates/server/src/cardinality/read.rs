use std::fmt::Write as _;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidegate_core::query::{Format, QueryError, ReadAnswer, ReadRequest, parameter_text};
use tidegate_model::ErrorKind;
use tidegate_model::limits::CATALOG_PIECE_ITEMS;

use super::arguments::Page;
use super::listing::in_pieces;
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
        self.params.push((name.into(), parameter_text(value)));
        self
    }

    /// Binds `{name:Array(String)}`.
    pub(super) fn texts<'t>(mut self, name: &str, values: impl IntoIterator<Item = &'t str>) -> Self {
        let quoted: Vec<_> = values.into_iter().map(|value| format!("'{}'", parameter_text(value))).collect();
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

    /// Returns what tells the statement from others.
    pub(super) fn as_key(&self) -> String {
        format!("{}\n{:?}", self.text, self.params)
    }

    /// Binds what [`Filter::condition`] names.
    pub(super) fn filtered(mut self, filter: &Filter) -> Self {
        if let Some(service) = &filter.service {
            self = self.text("service", service);
        }
        self
    }
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

impl<T: Send + 'static> Ranked<T> {
    /// Returns the rows as if they were on their way.
    pub(super) fn in_pieces(self) -> RankedPieces<T> {
        RankedPieces { rows: in_pieces(self.rows).map(Ok).boxed(), total: self.total, samples: self.samples }
    }
}

/// The same, its rows on their way.
pub(super) struct RankedPieces<T> {
    pub(super) rows: BoxStream<'static, Result<Vec<T>, Failure>>,
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
    pub(super) async fn rows<T: DeserializeOwned + Send + 'static>(&self, sql: Sql) -> Result<Vec<T>, Failure> {
        let began = Instant::now();
        let outcome = self.answer(sql).await;
        self.stages.metrics.query(began.elapsed(), outcome.as_ref().map(|_| ()));
        outcome
    }

    async fn answer<T: DeserializeOwned + Send + 'static>(&self, sql: Sql) -> Result<Vec<T>, Failure> {
        let pieces = pieces_of(self.asked(sql).await?.body);
        pieces.try_concat().await
    }

    /// Runs a statement; its rows come as lines of JSON.
    pub(super) async fn asked(&self, sql: Sql) -> Result<ReadAnswer, Failure> {
        if self.sources.live && self.stages.query.rollup.is_none() {
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
    pub(super) async fn row<T: DeserializeOwned + Default + Send + 'static>(&self, sql: Sql) -> Result<T, Failure> {
        Ok(self.rows(sql).await?.into_iter().next().unwrap_or_default())
    }

    /// Returns a page of the rows of `inner`, whose column `n` counts samples; `columns` are those to answer with.
    pub(super) async fn ranked<T: DeserializeOwned + Send + 'static>(
        &self,
        (columns, inner, order): (&str, &str, &str),
        sql: impl Fn(String) -> Sql,
        page: Page,
    ) -> Result<Ranked<T>, Failure> {
        let mut found = self.ranked_pieces((columns, inner, order), sql, page).await?;
        let mut rows = Vec::new();
        while let Some(piece) = found.rows.try_next().await? {
            rows.extend(piece);
        }
        Ok(Ranked { rows, total: found.total, samples: found.samples })
    }

    /// Does the same with rows that are read a thousand at a time.
    pub(super) async fn ranked_pieces<T: DeserializeOwned + Send + 'static>(
        &self,
        (columns, inner, order): (&str, &str, &str),
        sql: impl Fn(String) -> Sql,
        page: Page,
    ) -> Result<RankedPieces<T>, Failure> {
        let text = |limit: u64, offset: u64| {
            format!(
                "SELECT {columns}, count() OVER () AS total_rows, sum(n) OVER () AS total_samples FROM ({inner}) \
                 ORDER BY {order} LIMIT {limit} OFFSET {offset}"
            )
        };
        let began = Instant::now();
        let outcome = async {
            let mut pieces = pieces_of::<RankedRow<T>>(self.asked(sql(text(page.items(), page.offset))).await?.body);
            let first = pieces.try_next().await?.unwrap_or_default();
            Ok((first, pieces))
        };
        let outcome = outcome.await;
        self.stages.metrics.query(began.elapsed(), outcome.as_ref().map(|_| ()));
        let (first, pieces) = outcome?;
        let (total, samples) = match first.first() {
            Some(row) => (row.total_rows, row.total_samples),
            // A page behind the end tells of the list all the same.
            None if page.offset > 0 => {
                let first: Vec<RankedRow<T>> = self.rows(sql(text(1, 0))).await?;
                first.first().map_or((0, 0), |row| (row.total_rows, row.total_samples))
            }
            None => (0, 0),
        };
        let bare = |rows: Vec<RankedRow<T>>| rows.into_iter().map(|row| row.row).collect();
        let rows = stream::iter([Ok(first)]).chain(pieces).map_ok(bare).boxed();
        Ok(RankedPieces { rows, total, samples })
    }
}

type Body = BoxStream<'static, Result<Bytes, QueryError>>;

/// Reads the lines of an answer into pieces of so many rows.
fn pieces_of<T: DeserializeOwned + Send + 'static>(body: Body) -> BoxStream<'static, Result<Vec<T>, Failure>> {
    let read = |(mut body, mut rest): (Body, Vec<u8>)| async move {
        let mut rows = Vec::new();
        loop {
            let mut begin = 0;
            while let Some(length) = rest[begin..].iter().position(|byte| *byte == b'\n') {
                rows.push(row_of(&rest[begin..begin + length])?);
                begin += length + 1;
                if rows.len() == CATALOG_PIECE_ITEMS {
                    break;
                }
            }
            rest.drain(..begin);
            if rows.len() == CATALOG_PIECE_ITEMS {
                return Ok(Some((rows, (body, rest))));
            }
            match body.next().await {
                Some(piece) => rest.extend_from_slice(&piece.map_err(told)?),
                None if rows.is_empty() => return Ok(None),
                None => return Ok(Some((rows, (body, rest)))),
            }
        }
    };
    stream::try_unfold((body, Vec::new()), read).boxed()
}

pub(super) fn row_of<T: DeserializeOwned>(line: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(line).map_err(|error| {
        tracing::error!(%error, "ClickHouse's answer is not what the statement asks for");
        Failure::new(ErrorKind::Internal, "the server failed; its log says why")
    })
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
