//! PromQL over the tables of metrics.
//!
//! An expression is planned without I/O by `tidegate-promql`. What it reads is answered in two steps: the series first,
//! then, in one statement and so from one snapshot of stored and hot rows, the samples of all selectors. Series only ever
//! come, so rows of the second step that belong to none of the first are those of series that are younger than the query.
//!
//! | file | holds |
//! |---|---|
//! | `series.rs` | which stored series a selector means |
//! | `statement.rs` | the SQL that reads their samples, or values at each step |
//! | `found.rs` | its answer, turned into what the evaluation takes |

mod found;
mod series;
mod statement;

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::TryStreamExt;
use tidegate_model::ErrorKind;
use tidegate_model::limits::{PROMQL_RESULT_BYTES, PROMQL_STEPS_MAX};
use tidegate_promql::{Found, Grid, Labels, Plan, PromqlError, Selector, Span, Value, VectorSeries};
use tokio::time::Instant;

use super::{Format, Freshness, FreshnessMode, Query, QueryError, QueryOptions, ReadRequest};

pub use series::PromqlSeries;

/// An expression and when it is asked for.
#[derive(Debug, Clone)]
pub struct PromqlRequest {
    /// The expression.
    pub expression: String,
    /// The moments of its values.
    pub span: Span,
    /// At most so long.
    pub timeout: Option<Duration>,
    /// The query's id in logs and in ClickHouse; unique.
    pub query_id: String,
}

/// What an expression is worth.
#[derive(Debug, Clone)]
pub struct PromqlAnswer {
    /// The value.
    pub value: Value,
    /// Its moments.
    pub grid: Grid,
    /// How fresh what it was computed from is.
    pub freshness: Freshness,
}

/// Why an expression got no answer.
#[derive(Debug, thiserror::Error)]
pub enum PromqlFailure {
    /// The expression is wrong, or has no value.
    #[error(transparent)]
    Expression(#[from] PromqlError),
    /// What it reads could not be read.
    #[error(transparent)]
    Read(#[from] QueryError),
}

impl PromqlFailure {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Expression(_) => ErrorKind::Invalid,
            Self::Read(error) => error.kind(),
        }
    }
}

/// Evaluates an expression at one moment, in milliseconds since 1970, which must be worth a vector or a number.
pub async fn instant(
    query: &Query,
    expression: &str,
    (at, query_id): (i64, String),
) -> Result<Vec<(Labels, f64)>, PromqlFailure> {
    let request = PromqlRequest { expression: expression.to_owned(), span: Span::Instant(at), timeout: None, query_id };
    let first = |series: VectorSeries| Some((series.labels, series.values.first().copied().flatten()?));
    match query.promql(request).await?.value {
        Value::Vector(series) => Ok(series.into_iter().filter_map(first).collect()),
        Value::Scalar(values) => Ok(values.first().map(|value| (Labels::default(), *value)).into_iter().collect()),
        Value::Matrix(_) | Value::Text(_) => {
            let text = format!("`{expression}` is worth a range of samples or a text, not a vector or a number");
            Err(PromqlError::Parameter(text).into())
        }
    }
}

impl Query {
    /// Evaluates an expression over stored and hot rows.
    pub async fn promql(&self, request: PromqlRequest) -> Result<PromqlAnswer, PromqlFailure> {
        let plan = tidegate_promql::plan(&request.expression, request.span, PROMQL_STEPS_MAX)?;
        let limit = request.timeout.map_or(self.options.timeout, |asked| asked.min(self.options.timeout));
        let reader = self.reader(limit, &request.query_id);
        let evaluated = reader.evaluated(plan);
        match tokio::time::timeout_at(reader.deadline, evaluated).await {
            Ok(outcome) => outcome,
            Err(_) => Err(QueryError::Timeout(limit).into()),
        }
    }

    /// Lists all series that one of these selectors means; without one, all. Labels that only the points tell, `le` and
    /// `quantile`, are not among theirs.
    pub async fn promql_series(
        &self,
        selectors: &[Selector],
        query_id: &str,
    ) -> Result<Vec<PromqlSeries>, PromqlFailure> {
        let reader = self.reader(self.options.timeout, query_id);
        let listed = async { Ok::<_, PromqlFailure>(reader.described(selectors).await?.0) };
        match tokio::time::timeout_at(reader.deadline, listed).await {
            Ok(outcome) => outcome,
            Err(_) => Err(QueryError::Timeout(self.options.timeout).into()),
        }
    }

    fn reader(&self, limit: Duration, query_id: &str) -> Reader {
        // Samples come in long arrays: bytes bound an answer, not rows.
        let options =
            QueryOptions { result_bytes: self.options.result_bytes.min(PROMQL_RESULT_BYTES), ..self.options.clone() };
        let query = Self { options, ..self.clone() };
        Reader { query, deadline: Instant::now() + limit, query_id: query_id.to_owned() }
    }
}

/// One question on its way.
struct Reader {
    query: Query,
    deadline: Instant,
    query_id: String,
}

impl Reader {
    async fn evaluated(&self, plan: Plan) -> Result<PromqlAnswer, PromqlFailure> {
        let (found, freshness) = self.found(&plan).await?;
        let grid = plan.grid;
        let worth = tokio::task::spawn_blocking(move || plan.evaluate(&found)).await.map_err(QueryError::Task)??;
        Ok(PromqlAnswer { value: worth, grid, freshness })
    }

    async fn found(&self, plan: &Plan) -> Result<(Vec<Found>, Freshness), PromqlFailure> {
        let selectors: Vec<_> = plan.reads.iter().map(|read| read.selector.clone()).collect();
        if selectors.is_empty() {
            return Ok((Vec::new(), nothing_read()));
        }
        let (described, fresh) = self.described(&selectors).await?;
        let chosen = series::chosen(&plan.reads, described)?;
        let Some(sql) = statement::statement(&plan.reads, &chosen) else {
            return Ok((found::empty(&plan.reads), fresh));
        };
        let (bytes, freshness) = self.answer(sql, Vec::new(), "samples").await?;
        let reads = plan.reads.clone();
        let turned = tokio::task::spawn_blocking(move || found::found(&bytes, &reads, &chosen));
        Ok((turned.await.map_err(QueryError::Task)??, freshness))
    }

    /// Reads a whole answer of ours.
    async fn answer(
        &self,
        sql: String,
        params: Vec<(String, String)>,
        step: &str,
    ) -> Result<(Vec<u8>, Freshness), QueryError> {
        let request = ReadRequest {
            sql,
            params,
            format: Format::JSON,
            min_watermark: None,
            max_rows: None,
            timeout: Some(self.deadline.saturating_duration_since(Instant::now())),
            query_id: format!("{}-{step}", self.query_id),
        };
        let answer = self.query.read(request).await?;
        let bytes = answer.body.try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        });
        Ok((bytes.await?, answer.freshness))
    }
}

fn nothing_read() -> Freshness {
    Freshness {
        mode: FreshnessMode::ReplicaOnly,
        replica_age_ms: 0,
        watermarks: Vec::new(),
        latest: Vec::new(),
        stored: Vec::new(),
    }
}
