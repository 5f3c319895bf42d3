use serde_json::{Value, json};

use super::super::answer::{Answer, Ask};
use crate::errors::Failure;

/// Runs a statement over the engine's own tables, as the store's own user: readers may not see them.
async fn rows(ask: &Ask, sql: &str) -> Result<Vec<Value>, Failure> {
    crate::api::tables_are_there(&ask.reader.stages).await?;
    ask.reader.stages.store.rows(sql, &[]).await.map_err(|error| Failure::of(error.kind(), &error))
}

/// Answers `GET stats`: what the engine has done since it started.
pub(super) async fn queries(ask: Ask) -> Result<Answer, Failure> {
    let counts = rows(
        &ask,
        "SELECT toFloat64(sumIf(value, event = 'Query')) AS total, \
         toFloat64(sumIf(value, event = 'QueryTimeMicroseconds')) AS micros, \
         toFloat64(sumIf(value, event = 'SelectedRows')) AS scanned, toFloat64(uptime()) AS seconds, \
         toFloat64((SELECT sum(value) FROM system.metrics \
         WHERE metric IN ('HTTPConnection', 'TCPConnection'))) AS connections, \
         toFloat64((SELECT sum(value) FROM system.metrics WHERE metric = 'Query')) AS running, \
         toFloat64((SELECT count() FROM system.tables WHERE database = 'system' AND name = 'query_log')) AS logged \
         FROM system.events",
    )
    .await?;
    let number = |name: &str| counts.first().and_then(|row| row[name].as_f64()).unwrap_or(0.0);
    let each = |sum: f64, of: f64| if of > 0.0 { sum / of } else { 0.0 };
    let p95 = if number("logged") > 0.0 { p95(&ask).await? } else { Value::Null };
    Ok(json!({
        "total_queries_executed": number("total"),
        "avg_query_duration_ms": each(number("micros") / 1_000.0, number("total")),
        // Only ClickHouse's log of queries knows it, and the embedded engine keeps none.
        "p95_query_duration_ms": p95,
        "rows_scanned_per_second": each(number("scanned"), number("seconds")),
        "active_connections": number("connections"),
        "active_queries": number("running"),
        "uptime_seconds": number("seconds"),
    })
    .into())
}

async fn p95(ask: &Ask) -> Result<Value, Failure> {
    let found = rows(
        ask,
        "SELECT quantileExact(0.95)(query_duration_ms) AS p95 FROM system.query_log \
         WHERE type = 'QueryFinish' AND event_time > now() - INTERVAL 1 HOUR",
    )
    .await?;
    Ok(found.first().map_or(Value::Null, |row| row["p95"].clone()))
}

/// Answers `GET stats/tables`: rows and bytes in the parts of each table of ours; hot rows are in none yet.
pub(super) async fn tables(ask: Ask) -> Result<Answer, Failure> {
    let found = rows(
        &ask,
        "SELECT table AS table_name, toFloat64(sum(rows)) AS row_count, \
         sum(data_compressed_bytes) / 1048576 AS compressed_size_mb, \
         sum(data_uncompressed_bytes) / 1048576 AS uncompressed_size_mb, \
         toFloat64(sum(data_uncompressed_bytes)) / greatest(sum(data_compressed_bytes), 1) AS compression_ratio, \
         toFloat64(count()) AS part_count FROM system.parts WHERE active AND database = currentDatabase() \
         GROUP BY table ORDER BY sum(data_compressed_bytes) DESC, table",
    )
    .await?;
    let total = found.len();
    Ok(json!({ "tables": found, "total": total }).into())
}
