use std::collections::HashSet;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};
use tidegate_model::UnixNanos;
use tidegate_model::limits::PRIMARY_ATTEMPTS_MAX;
use tidegate_traces::{Json, Span, SpanId, TraceId, Uuid};

use crate::form::columns;
use crate::pool::Primary;
use crate::{PrimaryError, row};

/// What a span is known by, and what stays of it when it changes.
const KEPT: [&str; 7] =
    ["project_id", "trace_id", "span_id", "created_at", "created_by_id", "updated_at", "updated_by_id"];

/// Spans of one statement.
#[derive(Default)]
struct Round {
    keys: HashSet<(TraceId, SpanId)>,
    rows: Vec<Json>,
}

impl Primary {
    /// Writes spans in one transaction: new ones as they are; those that are there keep who made them and when.
    pub async fn put(&self, project: Uuid, spans: &[Span], now: UnixNanos) -> Result<(), PrimaryError> {
        let form = self.form().await?;
        let mut rounds: Vec<Round> = Vec::new();
        for span in spans {
            // A statement may write a row once; a span that comes twice is written by the next one.
            let key = (span.trace_id, span.span_id);
            let at = rounds.iter().rposition(|round| round.keys.contains(&key)).map_or(0, |last| last + 1);
            if at == rounds.len() {
                rounds.push(Round::default());
            }
            rounds[at].keys.insert(key);
            rounds[at].rows.push(row::json_of(span, project, form));
        }
        let texts: Vec<String> = rounds.into_iter().map(|round| Json::List(round.rows).to_string()).collect();
        let (sql, now) = (upsert(&self.table.quoted()), now.to_string());
        let mut attempts = 1;
        loop {
            match self.put_once(&sql, &texts, &now).await {
                // Nothing of it was done.
                Err(error) if PrimaryError::is_conflict(&error) && attempts < PRIMARY_ATTEMPTS_MAX => attempts += 1,
                outcome => return outcome.map_err(|error| self.failed(error)),
            }
        }
    }

    async fn put_once(&self, sql: &str, texts: &[String], now: &str) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        for text in texts {
            sqlx::query(AssertSqlSafe(sql)).bind(text).bind(now).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// Deletes traces in one transaction; returns the spans that were there.
    pub async fn delete(&self, project: Uuid, traces: &[TraceId]) -> Result<Vec<(TraceId, SpanId)>, PrimaryError> {
        self.form().await?;
        let sql = format!(
            "DELETE FROM {} AS r WHERE r.project_id = $1::uuid AND r.trace_id = ANY($2::text[]::uuid[]) \
             RETURNING r.trace_id::text, r.span_id::text",
            self.table.quoted()
        );
        let ids: Vec<String> = traces.iter().map(|id| id.uuid().to_string()).collect();
        let project = project.to_string();
        let mut attempts = 1;
        let gone = loop {
            let gone = sqlx::query(AssertSqlSafe(sql.as_str())).bind(&project).bind(&ids).fetch_all(&self.pool).await;
            match gone {
                Err(error) if PrimaryError::is_conflict(&error) && attempts < PRIMARY_ATTEMPTS_MAX => attempts += 1,
                outcome => break outcome.map_err(|error| self.failed(error))?,
            }
        };
        gone.iter().map(|row| self.key_of(row)).collect()
    }

    fn key_of(&self, row: &PgRow) -> Result<(TraceId, SpanId), PrimaryError> {
        let text = |at: usize| row.try_get::<String, _>(at).map_err(|error| self.failed(error));
        let corrupt = |source| PrimaryError::Corrupt { table: self.table.to_string(), source };
        Ok((
            TraceId::read(&text(0)?, "trace_id").map_err(corrupt)?,
            SpanId::read(&text(1)?, "span_id").map_err(corrupt)?,
        ))
    }
}

/// Writes the statement for rows that come as one JSON array. They are locked in the order of their keys, so that two
/// requests for the same spans wait for each other and do not meet.
fn upsert(table: &str) -> String {
    let quoted: Vec<String> = columns().map(|column| format!("\"{column}\"")).collect();
    let list = quoted.join(", ");
    let changed: Vec<String> = columns()
        .filter(|column| !KEPT.contains(column))
        .map(|column| format!("\"{column}\" = EXCLUDED.\"{column}\""))
        .collect();
    format!(
        "INSERT INTO {table} ({list}) SELECT {list} FROM json_populate_recordset(NULL::{table}, $1::text::json) \
         ORDER BY trace_id, span_id ON CONFLICT (project_id, trace_id, span_id) DO UPDATE SET {}, \
         updated_at = $2::text::timestamptz, updated_by_id = EXCLUDED.created_by_id",
        changed.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_who_made_a_span_and_when() {
        let sql = upsert("\"public\".\"spans\"");
        let (_, changed) = sql.split_once("DO UPDATE SET ").expect("an upsert");
        assert!(changed.starts_with("\"parent_id\" = EXCLUDED.\"parent_id\", "), "{changed}");
        for kept in ["\"created_at\" =", "\"created_by_id\" =", "\"project_id\" =", "\"span_id\" ="] {
            assert!(!changed.contains(kept), "{changed}");
        }
        assert!(changed.ends_with("updated_by_id = EXCLUDED.created_by_id"), "{changed}");
    }
}
