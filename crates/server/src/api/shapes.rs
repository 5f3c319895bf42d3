//! The JSON schemas of the main API's answers.

use serde_json::{Value, json};

use crate::routes::{
    Shapes, anything, count, flag, found, integer, list_of, map_of, nullable, object, one_of_words, text, texts,
};

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    let step = object(&[("action", text()), ("column", text()), ("detail", text())]);
    let error = object(&[
        ("kind", text()),
        ("message", text()),
        ("hint", text()),
        ("request_id", text()),
        ("name?", text()),
        ("reasons?", texts()),
        ("migrationPlan?", list_of(step)),
        ("retry_after_ms?", count()),
        ("details?", map_of(anything())),
    ]);
    let mut all = Shapes::from([("Error", object(&[("error", error)]))]);
    all.extend(sql());
    all.extend(tables());
    all.extend(server());
    all.extend(otlp());
    all
}

fn sql() -> Shapes {
    let column = object(&[("name", text()), ("type", text())]);
    let statistics =
        object(&[("elapsed", json!({ "type": "number" })), ("rows_read", count()), ("bytes_read", count())]);
    let answer = object(&[
        ("meta", list_of(column)),
        ("data", list_of(map_of(anything()))),
        ("totals?", anything()),
        ("extremes?", anything()),
        ("rows", count()),
        ("rows_before_limit_at_least?", count()),
        ("statistics", statistics),
    ]);
    let asked = object(&[
        ("sql", text()),
        ("params?", map_of(anything())),
        ("format?", text()),
        ("max_rows?", count()),
        ("timeout_ms?", count()),
        ("min_watermark?", anything()),
        ("require_fresh?", flag()),
    ]);
    Shapes::from([("SqlAnswer", answer), ("SqlAsked", asked)])
}

fn tables() -> Shapes {
    let column = object(&[("name", text()), ("type", text())]);
    let table = [("table", text()), ("columns", list_of(column))];
    let mut dataset = table.to_vec();
    dataset.extend([("slug", text()), ("tableName", text()), ("version", count())]);
    let datasets = object(&[("tables", list_of(object(&table))), ("datasets", list_of(object(&dataset)))]);
    let altered = object(&[
        ("manifest", text()),
        ("rows", count()),
        ("found", count()),
        ("checksum", text()),
        ("found_checksum", text()),
    ]);
    let report = object(&[
        ("ledger", found("Ledger")),
        ("batches", count()),
        ("rows", count()),
        ("unkept", count()),
        ("uncovered", count()),
        ("differences", list_of(map_of(anything()))),
        ("manifests", count()),
        ("altered", list_of(altered)),
    ]);
    let refusal = object(&[("index", count()), ("reason", text()), ("detail", text())]);
    let taken_by = object(&[
        ("id", text()),
        ("slug", text()),
        ("tableName", text()),
        ("table", text()),
        ("schemaVersion", count()),
        ("schemaChecksum", text()),
    ]);
    let evolution = object(&[
        ("status", one_of_words(&["created", "additive", "widened"])),
        ("addedColumns", texts()),
        ("widenedColumns", texts()),
        ("requestedBackfill", flag()),
    ]);
    let taken = object(&[
        ("mode", one_of_words(&["inline"])),
        ("accepted", count()),
        ("rejected", count()),
        ("rejections", list_of(refusal)),
        ("quarantined", count()),
        ("retry", flag()),
        ("watermark", text()),
        ("flushPending", flag()),
        ("dataset", taken_by),
        ("signature?", text()),
        ("schemaEvolution?", found("SchemaEvolution")),
    ]);
    let ledger = ["received", "stored", "hot", "rejected", "duplicate", "expired"].map(|name| (name, count()));
    let ledger: Vec<(&str, Value)> = [("table", text())].into_iter().chain(ledger).collect();
    Shapes::from([
        ("Datasets", datasets),
        ("Ledger", object(&ledger)),
        ("Ledgers", object(&[("tables", list_of(found("Ledger")))])),
        ("Verified", object(&[("exact", flag()), ("tables", list_of(report))])),
        ("RowsTaken", taken),
        ("SchemaEvolution", evolution),
    ])
}

fn server() -> Shapes {
    let writes = object(&[("ready", flag()), ("why?", text())]);
    let engine = object(&[
        ("state", one_of_words(&["remote", "starting", "ready", "down", "stopped"])),
        ("ready", flag()),
        ("why?", nullable(text())),
        ("pid?", nullable(count())),
        ("restarts?", count()),
        ("version?", nullable(text())),
    ]);
    let schema = object(&[("state", one_of_words(&["waiting", "current", "failed"])), ("why?", text())]);
    let spans = nullable(crate::tracing::health_shape());
    let parts = [("writes", writes), ("engine", engine), ("schema", schema), ("tracing", spans)];
    let mut health = parts.to_vec();
    let address = object(&[("name", text()), ("address", text())]);
    let freshness = object(&[
        ("replica_age_ms", count()),
        ("hot_tail_rows", count()),
        ("sla_ms", count()),
        ("within_sla", flag()),
        ("alarms", count()),
    ]);
    health.push(("freshness", freshness));
    let backups =
        object(&[("good", flag()), ("failure", nullable(text())), ("last_drill", nullable(found("BackupDrill")))]);
    health.push(("backups", nullable(backups)));
    health.push(("lifecycle", object(&crate::lifecycle::state_shape())));
    let mirror = object(&[
        ("migration", text()),
        ("dataset", text()),
        ("tableName", text()),
        ("lagRows", count()),
        ("why", nullable(text())),
    ]);
    health.push(("mirrors", list_of(mirror)));
    health.extend([("status", text()), ("version", text()), ("uptime_seconds", count()), ("listen", list_of(address))]);
    let mut ready = parts.to_vec();
    ready.extend([("ready", flag()), ("not_ready", texts())]);
    Shapes::from([
        ("ServerHealth", object(&health)),
        ("Ready", object(&ready)),
        ("OpenApi", json!({ "type": "object", "required": ["openapi", "paths"] })),
    ])
}

fn otlp() -> Shapes {
    let partial = object(&[
        ("rejectedLogRecords?", text()),
        ("rejectedSpans?", text()),
        ("rejectedDataPoints?", text()),
        ("errorMessage", text()),
    ]);
    let status = object(&[("code", integer()), ("message", text()), ("details", list_of(map_of(anything())))]);
    Shapes::from([("Exported", object(&[("partialSuccess?", partial)])), ("Status", status)])
}
