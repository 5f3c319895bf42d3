use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tidegate_model::UnixNanos;
use tidegate_model::limits::LIFECYCLE_RUNS_KEPT;

use super::{Catalog, CatalogError};

/// One run of the lifecycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleRun {
    /// Its number; later ones are larger.
    pub number: i64,
    /// `schedule` or `request`.
    pub cause: String,
    /// Who asked for it; empty where nobody said.
    pub actor: String,
    /// `running`, `completed` or `failed`.
    pub state: String,
    /// When it began.
    pub began_at: UnixNanos,
    /// When it ended.
    pub ended_at: Option<UnixNanos>,
    /// Why it failed.
    pub error: Option<String>,
    /// What it did.
    pub report: Option<Value>,
}

impl Catalog {
    /// Notes that a run begins; returns its number.
    pub async fn begin_run(&self, cause: &str, actor: &str, at: UnixNanos) -> Result<i64, CatalogError> {
        let failed = || CatalogError::database("begin a run of the lifecycle");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let number =
            sqlx::query("INSERT INTO lifecycle_runs (cause, actor, state, began_at) VALUES (?, ?, 'running', ?)")
                .bind(cause)
                .bind(actor)
                .bind(at.0)
                .execute(&mut *transaction)
                .await
                .map_err(failed())?
                .last_insert_rowid();
        sqlx::query("DELETE FROM lifecycle_runs WHERE number <= ?")
            .bind(number - i64::from(LIFECYCLE_RUNS_KEPT))
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(number)
    }

    /// Ends a run.
    pub async fn end_run(&self, number: i64, at: UnixNanos, outcome: Result<&Value, &str>) -> Result<(), CatalogError> {
        let state = if outcome.is_ok() { "completed" } else { "failed" };
        sqlx::query("UPDATE lifecycle_runs SET state = ?, ended_at = ?, error = ?, report = ? WHERE number = ?")
            .bind(state)
            .bind(at.0)
            .bind(outcome.err())
            .bind(outcome.ok().map(Value::to_string))
            .bind(number)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("end a run of the lifecycle"))?;
        Ok(())
    }

    /// Forgets a run that found nothing to do.
    pub async fn forget_run(&self, number: i64) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM lifecycle_runs WHERE number = ?")
            .bind(number)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("forget a run of the lifecycle"))?;
        Ok(())
    }

    /// Ends the runs that the end of the process broke off.
    pub async fn end_broken_runs(&self, at: UnixNanos) -> Result<(), CatalogError> {
        sqlx::query("UPDATE lifecycle_runs SET state = 'failed', ended_at = ?, error = 'the server ended' WHERE state = 'running'")
            .bind(at.0)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("end the broken runs of the lifecycle"))?;
        Ok(())
    }

    /// Lists runs, the newest first: at most so many, those before a number.
    pub async fn runs(&self, limit: u32, before: Option<i64>) -> Result<Vec<LifecycleRun>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM lifecycle_runs WHERE number < ? ORDER BY number DESC LIMIT ?")
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("list the runs of the lifecycle"))?;
        rows.iter().map(run).collect()
    }
}

fn run(row: &SqliteRow) -> Result<LifecycleRun, CatalogError> {
    let number = row.get("number");
    let report: Option<String> = row.get("report");
    let report = report.map(|text| serde_json::from_str(&text)).transpose();
    Ok(LifecycleRun {
        number,
        cause: row.get("cause"),
        actor: row.get("actor"),
        state: row.get("state"),
        began_at: UnixNanos(row.get("began_at")),
        ended_at: row.get::<Option<i64>, _>("ended_at").map(UnixNanos),
        error: row.get("error"),
        report: report.map_err(|_| CatalogError::Corrupt { what: format!("the report of lifecycle run {number}") })?,
    })
}
