//! Statements of operators, with all rights, as they are.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_model::limits::ADMIN_SQL_BYTES_MAX;

use super::{Store, StoreError};

/// A statement of an operator.
#[derive(Debug, Clone)]
pub struct AdminSql {
    /// One statement, without a FORMAT clause.
    pub sql: String,
    /// It answers with rows, and may change nothing.
    pub is_query: bool,
    /// Past so many rows it fails; it is never cut short.
    pub rows_max: u64,
}

/// What a statement of an operator answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdminAnswer {
    /// Names and types.
    pub columns: Vec<(String, String)>,
    /// Rows as objects.
    pub rows: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Answered {
    meta: Vec<Meta>,
    data: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Meta {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Store {
    /// Runs a statement of an operator, once: it may not be one that can be repeated.
    pub async fn run_admin(&self, statement: &AdminSql) -> Result<AdminAnswer, StoreError> {
        let (rows, bytes) = (statement.rows_max.to_string(), ADMIN_SQL_BYTES_MAX.to_string());
        let mut params = vec![("database", self.database()), ("wait_end_of_query", "1")];
        if statement.is_query {
            params.extend([("default_format", "JSON"), ("result_overflow_mode", "throw")]);
            params.extend([
                ("max_result_rows", rows.as_str()),
                ("max_result_bytes", bytes.as_str()),
                ("readonly", "1"),
            ]);
        }
        let body = self.once("run an operator's statement", &statement.sql, &params).await?;
        if !statement.is_query {
            return Ok(AdminAnswer::default());
        }
        let answered: Answered = serde_json::from_slice(&body).map_err(|error| StoreError::Refused {
            code: 0,
            text: format!("the answer is not ClickHouse's JSON ({error}): leave the FORMAT clause out"),
        })?;
        let columns = answered.meta.into_iter().map(|column| (column.name, column.kind)).collect();
        Ok(AdminAnswer { columns, rows: answered.data })
    }
}
