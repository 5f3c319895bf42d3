use sqlx::{AssertSqlSafe, Row as _};

use crate::PrimaryError;
use crate::pool::Primary;

/// The schema in which what captures changes is (docs/migrate.md).
const SCHEMA: &str = "tidegate";

/// What captures the changes of the table, for the migration that takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The table's number, which the names of what captures end in.
    pub oid: i64,
    /// The migration that it belongs to.
    pub migration: Option<String>,
}

/// How far those who take changes are behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Changes that were committed and are not taken.
    pub rows: u64,
    /// The age of the oldest.
    pub seconds: u64,
}

impl Primary {
    /// Finds what captures the table's changes.
    pub async fn capture(&self) -> Result<Option<Capture>, PrimaryError> {
        let failed = |error| self.failed(error);
        let is_there = "SELECT to_regclass('tidegate.captures') IS NOT NULL";
        if !sqlx::query_scalar::<_, bool>(is_there).fetch_one(&self.pool).await.map_err(failed)? {
            return Ok(None);
        }
        let sql = "SELECT oid, migration FROM tidegate.captures WHERE oid = to_regclass($1)::oid::int8";
        let row = sqlx::query(sql).bind(self.table.quoted()).fetch_optional(&self.pool).await.map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let (oid, migration) = (row.try_get("oid").map_err(failed)?, row.try_get("migration").map_err(failed)?);
        Ok(Some(Capture { oid, migration }))
    }

    /// Counts what was committed and is not taken yet.
    pub async fn lag(&self, capture: &Capture) -> Result<Lag, PrimaryError> {
        let sql = format!(
            "SELECT count(*)::int8 AS n, coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::int8 AS s FROM {}",
            changes(capture)
        );
        let failed = |error| self.failed(error);
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.pool).await.map_err(failed)?;
        let number = |name: &str| row.try_get::<i64, _>(name).map(|number| u64::try_from(number).unwrap_or(0));
        Ok(Lag { rows: number("n").map_err(failed)?, seconds: number("s").map_err(failed)? })
    }

    /// Returns the newest change that is committed and not taken; `None`: all are.
    pub async fn newest_change(&self, capture: &Capture) -> Result<Option<i64>, PrimaryError> {
        let sql = format!("SELECT max(id) FROM {}", changes(capture));
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.map_err(|error| self.failed(error))
    }

    /// Says whether changes up to this one are not taken.
    pub async fn is_behind(&self, capture: &Capture, change: i64) -> Result<bool, PrimaryError> {
        let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE id <= $1)", changes(capture));
        let found = sqlx::query_scalar(AssertSqlSafe(sql)).bind(change).fetch_one(&self.pool).await;
        found.map_err(|error| self.failed(error))
    }

    /// Numbers later changes above this version: ClickHouse has versions up to it that PostgreSQL never had.
    pub async fn number_above(&self, capture: &Capture, version: u64) -> Result<(), PrimaryError> {
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('{0}', 'id'), greatest(nextval(pg_get_serial_sequence('{0}', 'id')), $1))",
            changes(capture)
        );
        let version = i64::try_from(version).unwrap_or(i64::MAX - 1);
        let set = sqlx::query(AssertSqlSafe(sql)).bind(version + 1).execute(&self.pool).await;
        set.map(drop).map_err(|error| self.failed(error))
    }
}

fn changes(capture: &Capture) -> String {
    format!("{SCHEMA}.changes_{}", capture.oid)
}
