use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tidegate_model::UnixNanos;
use tidegate_traces::{Derived, Json, OWN_COLUMNS, Span, Uuid, row};

use crate::PrimaryError;
use crate::form::{Form, columns};
use crate::pool::Primary;

/// PostgreSQL knows microseconds.
const NANOS_PER_TICK: i64 = 1_000;

/// Lists the columns of a span, each as text.
pub(crate) fn selected() -> String {
    let texts: Vec<String> = columns().map(|column| format!("r.\"{column}\"::text")).collect();
    texts.join(", ")
}

/// Counts the bytes of a row of [`selected`].
pub(crate) fn bytes_of(primary: &Primary, row: &PgRow) -> Result<u64, PrimaryError> {
    let mut bytes = 0;
    for at in 0..row.len() {
        let value = row.try_get_raw(at).map_err(|error| primary.failed(error))?;
        // Nothing has no bytes.
        bytes += value.as_bytes().map_or(0, |value| value.len() as u64);
    }
    Ok(bytes)
}

/// Reads a row of [`selected`].
pub(crate) fn span_of(primary: &Primary, row: &PgRow) -> Result<Span, PrimaryError> {
    let mut members = Vec::with_capacity(OWN_COLUMNS.len());
    for (at, column) in columns().enumerate() {
        let text: Option<String> = row.try_get(at).map_err(|error| primary.failed(error))?;
        members.push((column, text.map_or(Json::Null, Json::Text)));
    }
    let span = Span::from_row(&Json::object(members));
    span.map_err(|source| PrimaryError::Corrupt { table: primary.table.to_string(), source })
}

/// Returns a span as PostgreSQL's JSON functions take it for a row of the table.
pub(crate) fn json_of(span: &Span, project: Uuid, form: &Form) -> Json {
    let mut ticks = span.clone();
    for time in [&mut ticks.start_time, &mut ticks.end_time, &mut ticks.lifecycle.created_at] {
        // It would round, and what ended now would end in the future.
        *time = UnixNanos(time.0 - time.0.rem_euclid(NANOS_PER_TICK));
    }
    let Json::Object(mut members) = row(&ticks, &Derived::default(), project, (0, false)) else { return Json::Null };
    members.retain(|name, _| columns().any(|column| column == name));
    for (column, value) in &mut members {
        if let ("trace_type" | "span_type" | "span_kind" | "status_code", Json::Text(word)) = (column.as_str(), &value)
        {
            *value = form.label(column, word);
        }
    }
    Json::Object(members)
}
