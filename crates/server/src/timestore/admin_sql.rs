use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get as getting, post as posting};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::rollup::Rollup;
use tidegate_core::store::{AdminAnswer, AdminSql};
use tidegate_model::limits::{ADMIN_SQL_ROWS, ADMIN_SQL_ROWS_MAX, QUERY_SQL_BYTES_MAX, SQL_BODY_BYTES_MAX};
use tidegate_model::{ColumnSpec, TableSpec, tables};

use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, get, post};
use crate::stages::Stages;

/// The first words of statements that answer with rows.
const QUERIES: [&str; 7] = ["SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"];

/// The routes of what SQL can name, and of SQL for operators.
pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/sql/schema", "Lists the tables that SQL can name, with their columns")
            .gives(&[(200, Gives::One("SqlSchema"))])
            .by(getting(schema)),
        post("/sql/admin/clickhouse", "Runs a statement in ClickHouse itself, with all rights and without hot rows")
            .sends(Sends::Json("AdminSqlAsked"))
            .gives(&[(200, Gives::One("AdminSqlAnswer"))])
            .refuses(&[401, 403, 404, 408, 413, 415, 429, 504])
            .by(posting(admin)),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    sql: String,
    #[serde(default)]
    mode: Mode,
    max_rows: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// The statement's first word tells.
    #[default]
    Auto,
    Query,
    Command,
}

async fn schema(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    if let Err(failure) = check(&stages.access, &headers, Want::Read, None) {
        return failure.answer(&stages.request_id());
    }
    let datasets = match stages.catalog.datasets().await {
        Ok(datasets) => datasets,
        Err(error) => return Failure::of(error.kind(), &error).answer(&stages.request_id()),
    };
    let built_in = tables::all().into_iter().chain([&*tables::INGEST_WATERMARKS]);
    let built_in = built_in.map(|spec| described(spec, None, tables::time_column(spec)));
    let own = datasets.iter().map(|one| described(&one.spec, Some(&one.slug), one.time_column.as_deref()));
    Json(json!({ "tables": built_in.chain(own).collect::<Vec<_>>() })).into_response()
}

fn described(spec: &TableSpec, slug: Option<&str>, time_column: Option<&str>) -> Value {
    let column = |column: &ColumnSpec| json!({ "name": column.name, "type": spec.clickhouse(column), "nullable": column.kind.is_nullable() });
    let seq = json!({ "name": TableSpec::SEQ, "type": "UInt64", "nullable": false });
    let columns: Vec<Value> = spec.columns.iter().map(column).chain([seq]).collect();
    json!({ "name": spec.name, "dataset": slug, "timestampColumn": time_column, "columns": columns })
}

async fn admin(State(stages): State<Stages>, request: Request) -> Response {
    match run(&stages, request).await {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn run(stages: &Stages, request: Request) -> Result<Value, Failure> {
    if !stages.admin_sql {
        return Err(Failure::invalid("SQL for operators is switched off")
            .with_status(StatusCode::FORBIDDEN)
            .with_hint("set `query.admin_sql = true` and let only operators reach the port"));
    }
    check(&stages.access, request.headers(), Want::Admin, None)?;
    let asked = asked(stages, request).await?;
    let is_query = match asked.mode {
        Mode::Query => true,
        Mode::Command => false,
        Mode::Auto => {
            let first: String = asked.sql.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
            QUERIES.iter().any(|word| word.eq_ignore_ascii_case(&first)) || asked.sql.trim_start().starts_with('(')
        }
    };
    let max_rows = asked.max_rows.unwrap_or(ADMIN_SQL_ROWS);
    if !(1..=ADMIN_SQL_ROWS_MAX).contains(&max_rows) {
        return Err(Failure::invalid(format!("`maxRows` is 1 to {ADMIN_SQL_ROWS_MAX}, it is {max_rows}")));
    }
    tracing::warn!(sql = asked.sql, is_query, "an operator's statement runs in clickhouse");
    let statement = AdminSql { sql: asked.sql, is_query, rows_max: max_rows };
    // An operator is told ClickHouse's own words.
    let answer = stages.store.run_admin(&statement).await;
    if !is_query && let Some(totals) = stages.query.rollup.as_ref().and_then(Rollup::totals) {
        // What was read of the catalogue may have changed.
        totals.turn().await.forget();
    }
    let AdminAnswer { columns, rows } = answer.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
    let named = |(name, kind): &(String, String)| json!({ "name": name, "type": kind });
    Ok(json!({
        "mode": if is_query { "query" } else { "command" },
        "columns": columns.iter().map(named).collect::<Vec<_>>(),
        "rowCount": rows.len(),
        "rows": rows,
    }))
}

async fn asked(stages: &Stages, request: Request) -> Result<Asked, Failure> {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // A page of another site can send forms and plain text here, and no JSON.
    if !content_type.is_some_and(|name| name.trim_start().to_ascii_lowercase().starts_with("application/json")) {
        return Err(Failure::invalid("send the statement as application/json: {\"sql\":…}")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let asked: Asked = body::json(&body, r#"send {"sql":…,"mode":…,"maxRows":…}"#)?;
    if asked.sql.trim().is_empty() {
        return Err(Failure::invalid("`sql` is empty"));
    }
    if asked.sql.len() > QUERY_SQL_BYTES_MAX {
        return Err(Failure::invalid(format!("`sql` is longer than {QUERY_SQL_BYTES_MAX} bytes"))
            .with_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    Ok(asked)
}
