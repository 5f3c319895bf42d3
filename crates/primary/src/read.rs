use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use tidegate_model::UnixNanos;
use tidegate_model::limits::{
    PRIMARY_FETCH_BYTES, PRIMARY_FETCH_ROWS, PRIMARY_FETCH_ROWS_MAX, PRIMARY_READ_BYTES_MAX, PRIMARY_READ_ROWS_MAX,
    PRIMARY_SECONDS, PRIMARY_TRACES_AT_ONCE,
};
use tidegate_traces::{Span, TraceId, Uuid};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::pool::Primary;
use crate::{PrimaryError, row};

/// How spans come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The earliest first.
    Ascending,
    /// The latest first.
    Descending,
}

/// The time that spans are narrowed down and put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeColumn {
    /// When they began.
    Start,
    /// When they came in.
    Created,
}

/// Which spans are looked at, one after another. Spans of equal times come by their traces and their own ids, in the order
/// of ClickHouse, which compares the second half of a UUID first: a page ends at the same place on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    /// Their order.
    pub order: Order,
    /// By which time.
    pub column: TimeColumn,
    /// From then on.
    pub from: Option<UnixNanos>,
    /// Before then.
    pub to: Option<UnixNanos>,
    /// Only spans without a parent.
    pub roots_only: bool,
    /// Only spans that have this column.
    pub having: Option<&'static str>,
}

/// One read of one project: all of it sees the same moment, and it may look at so much and no more.
#[derive(Debug)]
pub struct Reading {
    primary: Primary,
    project: Uuid,
    transaction: Transaction<'static, Postgres>,
    /// Rows that may still come.
    rows: u64,
    bytes: u64,
    /// Rows of a scan that are fetched at once.
    at_once: u64,
    deadline: Instant,
    scanned: Scanned,
}

/// Where a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scanned {
    Nothing,
    Some,
    All,
}

impl Primary {
    /// Begins a read of one project.
    pub async fn reading(&self, project: Uuid) -> Result<Reading, PrimaryError> {
        let deadline = Instant::now() + Duration::from_secs(PRIMARY_SECONDS);
        let begun = async {
            self.form().await?;
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            self.pool.begin_with(begin).await.map_err(|error| self.failed(error))
        };
        let transaction = timeout_at(deadline, begun).await.map_err(|_| PrimaryError::Timeout)??;
        let (rows, bytes, at_once) = (PRIMARY_READ_ROWS_MAX, PRIMARY_READ_BYTES_MAX, PRIMARY_FETCH_ROWS);
        let (primary, scanned) = (self.clone(), Scanned::Nothing);
        Ok(Reading { primary, project, transaction, rows, bytes, at_once, deadline, scanned })
    }
}

impl Reading {
    /// Begins to look at spans in their order, and ends what was looked at before.
    pub async fn scan(&mut self, scan: &Scan) -> Result<(), PrimaryError> {
        let close = if self.scanned == Scanned::Nothing { "" } else { "CLOSE tidegate_spans; " };
        let sql = format!("{close}{}", self.declared(scan));
        let done = timeout_at(self.deadline, sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.transaction)).await;
        self.in_time(done)?;
        self.scanned = Scanned::Some;
        Ok(())
    }

    /// Returns the next spans; none: there are no more.
    pub async fn next(&mut self) -> Result<Vec<Span>, PrimaryError> {
        if self.scanned != Scanned::Some {
            return Ok(Vec::new());
        }
        let (sql, left) = (format!("FETCH {} FROM tidegate_spans", self.at_once), self.bytes);
        let rows = self.rows(sqlx::query(AssertSqlSafe(sql))).await?;
        let fetched = rows.len() as u64;
        if fetched < self.at_once {
            self.scanned = Scanned::All;
        }
        let each = (left - self.bytes) / fetched.max(1);
        self.at_once = (PRIMARY_FETCH_BYTES / each.max(1)).clamp(1, PRIMARY_FETCH_ROWS_MAX);
        self.spans(&rows)
    }

    /// Reads all spans of some traces.
    pub async fn traces(&mut self, ids: &[TraceId]) -> Result<BTreeMap<TraceId, Vec<Span>>, PrimaryError> {
        let sql = format!(
            "SELECT {} FROM {} AS r WHERE r.project_id = $1::uuid AND r.trace_id = ANY($2::text[]::uuid[]) LIMIT {}",
            row::selected(),
            self.primary.table.quoted(),
            PRIMARY_READ_ROWS_MAX + 1
        );
        let mut found: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
        let project = self.project.to_string();
        for some in ids.chunks(PRIMARY_TRACES_AT_ONCE) {
            let texts: Vec<String> = some.iter().map(|id| id.uuid().to_string()).collect();
            let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(&project).bind(&texts);
            let rows = self.rows(query).await?;
            for span in self.spans(&rows)? {
                found.entry(span.trace_id).or_default().push(span);
            }
        }
        Ok(found)
    }

    fn declared(&self, scan: &Scan) -> String {
        let column = match scan.column {
            TimeColumn::Start => "start_time",
            TimeColumn::Created => "created_at",
        };
        let mut conditions = vec![format!("r.project_id = '{}'::uuid", self.project)];
        for (sign, time) in [(">=", scan.from), ("<", scan.to)] {
            conditions.extend(time.map(|time| format!("r.{column} {sign} '{}'::timestamptz", up(time))));
        }
        if scan.roots_only {
            conditions.push("r.parent_id IS NULL".to_owned());
        }
        conditions.extend(scan.having.map(|column| format!("r.\"{column}\" <> ''")));
        let word = if scan.order == Order::Ascending { "ASC" } else { "DESC" };
        let halves = |id: &str| format!("substr(uuid_send(r.{id}), 9) {word}, substr(uuid_send(r.{id}), 1, 8) {word}");
        format!(
            "DECLARE tidegate_spans NO SCROLL CURSOR FOR SELECT {} FROM {} AS r WHERE {} \
             ORDER BY r.{column} {word}, {}, {}",
            row::selected(),
            self.primary.table.quoted(),
            conditions.join(" AND "),
            halves("trace_id"),
            halves("span_id"),
        )
    }

    /// Reads rows, as many as it may: they are counted as they come, before anything is made of them.
    async fn rows(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, PrimaryError> {
        let (primary, rows, bytes) = (&self.primary, &mut self.rows, &mut self.bytes);
        let mut coming = query.fetch(&mut *self.transaction);
        let all = async {
            let mut found = Vec::new();
            while let Some(row) = coming.try_next().await.map_err(|error| primary.failed(error))? {
                *rows = rows.checked_sub(1).ok_or(PrimaryError::TooMuch)?;
                *bytes = bytes.checked_sub(row::bytes_of(primary, &row)?).ok_or(PrimaryError::TooMuch)?;
                found.push(row);
            }
            Ok(found)
        };
        timeout_at(self.deadline, all).await.map_err(|_| PrimaryError::Timeout)?
    }

    fn spans(&self, rows: &[PgRow]) -> Result<Vec<Span>, PrimaryError> {
        rows.iter().map(|row| row::span_of(&self.primary, row)).collect()
    }

    fn in_time<T>(&self, outcome: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, PrimaryError> {
        outcome.map_err(|_| PrimaryError::Timeout)?.map_err(|error| self.primary.failed(error))
    }
}

/// Writes a bound as the next microsecond, which is all that PostgreSQL knows: it would round to the nearest.
fn up(time: UnixNanos) -> UnixNanos {
    let ticks = time.0.div_euclid(1_000) + i64::from(time.0.rem_euclid(1_000) > 0);
    UnixNanos(ticks.checked_mul(1_000).unwrap_or(time.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_between_two_microseconds_is_the_later_one() {
        let check = |nanos: i64, wanted: i64| assert_eq!(up(UnixNanos(nanos)), UnixNanos(wanted));
        check(1_000, 1_000);
        check(1_001, 2_000);
        check(-1, 0);
        check(-1_001, -1_000);
        check(i64::MAX, i64::MAX);
    }
}
