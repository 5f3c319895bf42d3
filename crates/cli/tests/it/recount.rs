//! The catalogue against a plain recount of the raw rows, in one query and so at one moment.

use anyhow::{Context, Result, ensure};
use tidegate_load::Stack;

const HOUR: &str =
    "if(_partition = toDate(0), toDateTime64(0, 9, 'UTC'), toDateTime64(toStartOfHour(timestamp), 9, 'UTC'))";

/// Checks that every number of the catalogue is that of a recount: no group is missing, foreign or different.
pub(crate) async fn catalogue_agrees(stack: &Stack) -> Result<()> {
    for (signal, raw) in [("logs", raw_logs()), ("traces", raw_spans()), ("metrics", raw_points())] {
        for sql in [signals_differ(signal, &raw), attributes_differ(signal, &raw)] {
            let different = stack.query(&sql).await.with_context(|| sql.clone())?;
            ensure!(different.is_empty(), "the catalogue of {signal} is not what its rows are: {different:?}\n{sql}");
        }
    }
    let untold = stack.query(TEMPLATES_UNTOLD).await.context("templates without a text")?;
    ensure!(untold.is_empty(), "templates of stored rows have no text: {untold:?}");
    Ok(())
}

/// Checks that the catalogue has counted as many rows as there are: the recount of a moment while producers go on.
pub(crate) async fn every_row_is_counted(stack: &Stack) -> Result<()> {
    let points = ["metric_samples", "metric_histograms", "metric_exponential_histograms", "metric_summaries"];
    let points = points.map(|table| format!("(SELECT count() FROM {table})")).join(" + ");
    for (signal, rows) in [
        ("logs", "(SELECT count() FROM logs) + (SELECT count() FROM events)"),
        ("traces", "(SELECT count() FROM spans)"),
        ("metrics", &points),
    ] {
        let sql = format!(
            "SELECT {rows} AS rows, (SELECT sum(records) FROM catalog_signals WHERE signal = '{signal}') AS counted WHERE rows != counted"
        );
        let different = stack.query(&sql).await.with_context(|| sql.clone())?;
        ensure!(different.is_empty(), "{signal}: {different:?}");
    }
    Ok(())
}

/// Templates that rows have and nobody has told; the reserved ids 0 and 1 have no text.
const TEMPLATES_UNTOLD: &str = "SELECT template_id, count() AS n FROM \
     (SELECT template_id FROM logs UNION ALL SELECT template_id FROM events) WHERE template_id > 1 \
     AND template_id NOT IN (SELECT template_id FROM log_templates) GROUP BY template_id LIMIT 5";

fn signals_differ(signal: &str, raw: &str) -> String {
    let counted = "name, template_id, service_name, hour, count() AS n, min(timestamp) AS first, max(timestamp) AS last, \
                   uniqExactIf(series, series != 0) AS distinct_series";
    differ(
        &format!("SELECT {counted} FROM ({raw}) GROUP BY name, template_id, service_name, hour"),
        &format!(
            "SELECT toString(name) AS name, template_id, toString(service_name) AS service_name, hour, sum(records) AS n, \
             min(first_timestamp) AS first, max(last_timestamp) AS last, uniqExactArray(series) AS distinct_series \
             FROM catalog_signals WHERE signal = '{signal}' GROUP BY name, template_id, service_name, hour"
        ),
        "name, template_id, service_name, hour, n, first, last, distinct_series",
    )
}

fn attributes_differ(signal: &str, raw: &str) -> String {
    differ(
        &format!(
            "SELECT entry.1 AS scope, entry.2 AS key, name, service_name, hour, count() AS n, \
             sum(length(entry.2) + length(entry.3)) AS size, uniqExact(entry.3) AS distinct_values, \
             min(timestamp) AS first, max(timestamp) AS last \
             FROM ({raw}) ARRAY JOIN entries AS entry GROUP BY scope, key, name, service_name, hour"
        ),
        &format!(
            "SELECT toString(scope) AS scope, toString(key) AS key, toString(name) AS name, \
             toString(service_name) AS service_name, hour, sum(records) AS n, sum(bytes) AS size, \
             uniqExactArray(value_hashes) AS distinct_values, min(first_timestamp) AS first, \
             max(last_timestamp) AS last \
             FROM catalog_attributes WHERE signal = '{signal}' GROUP BY scope, key, name, service_name, hour"
        ),
        "scope, key, name, service_name, hour, n, size, distinct_values, first, last",
    )
}

/// Returns the rows that are not on both sides.
fn differ(left: &str, right: &str, columns: &str) -> String {
    format!(
        "SELECT {columns}, groupArray(side) AS sides FROM (SELECT {columns}, 'raw' AS side FROM ({left}) UNION ALL \
         SELECT {columns}, 'catalogue' AS side FROM ({right})) GROUP BY {columns} HAVING count() != 2 LIMIT 5"
    )
}

fn entries(scope: &str, map: &str) -> String {
    format!("arrayMap((k, v) -> ('{scope}', toString(k), toString(v)), mapKeys({map}), mapValues({map}))")
}

fn origin() -> String {
    [entries("resource", "resource_attributes"), entries("scope", "scope_attributes")].join(", ")
}

fn raw_logs() -> String {
    let of = |table: &str| {
        format!(
            "SELECT if(severity_text = '', 'UNSET', toString(severity_text)) AS name, toString(service_name) AS service_name, \
             timestamp, {HOUR} AS hour, toUInt64(0) AS series, template_id, arrayConcat({}, {}) AS entries FROM {table}",
            entries("attribute", "attributes"),
            origin()
        )
    };
    [of("logs"), of("events")].join(" UNION ALL ")
}

fn raw_spans() -> String {
    let nested = |scope, column| format!("arrayFlatten(arrayMap(m -> {}, {column}))", entries(scope, "m"));
    format!(
        "SELECT toString(name) AS name, toString(service_name) AS service_name, timestamp, {HOUR} AS hour, \
         toUInt64(0) AS series, toUInt64(0) AS template_id, arrayConcat({}, {}, {}, {}) AS entries FROM spans",
        entries("attribute", "attributes"),
        nested("event", "event_attributes"),
        nested("link", "link_attributes"),
        origin()
    )
}

fn raw_points() -> String {
    let points: Vec<String> =
        ["metric_samples", "metric_histograms", "metric_exponential_histograms", "metric_summaries"]
            .iter()
            .map(|table| format!("SELECT metric_name, service_name, fingerprint, timestamp, _partition FROM {table}"))
            .collect();
    format!(
        "SELECT toString(p.metric_name) AS name, toString(p.service_name) AS service_name, p.timestamp AS timestamp, \
         {} AS hour, p.fingerprint AS series, toUInt64(0) AS template_id, arrayConcat({}, {}) AS entries \
         FROM ({}) AS p JOIN (SELECT fingerprint, attributes, resource_attributes, scope_attributes FROM metric_series) \
         AS s ON p.fingerprint = s.fingerprint",
        HOUR.replace("_partition", "p._partition").replace("(timestamp)", "(p.timestamp)"),
        entries("attribute", "attributes"),
        origin(),
        points.join(" UNION ALL ")
    )
}
