use std::fmt::Write as _;

use tidegate_model::limits::PROMQL_FINGERPRINTS_INLINE_MAX;
use tidegate_promql::{Facet, GridFunction, Read, STALE, Want};

use super::series::Chosen;
use crate::query::parameter_text;

/// Milliseconds that ClickHouse's times can say, from 1970 on.
const MILLIS_MAX: i64 = 9_000_000_000_000;

/// Writes the statement that reads for all selectors at once; `None` where no series is meant.
///
/// Its rows: which read, which facet, the stored series, the bound or quantile as text, times, numbers of rows, values;
/// at each step where the value is asked for, then without times.
pub(super) fn statement(reads: &[Read], chosen: &[Chosen]) -> Option<String> {
    let mut parts = Vec::new();
    for (at, (read, chosen)) in reads.iter().zip(chosen).enumerate() {
        for facet in chosen.facets() {
            parts.push(part((at, read), chosen, facet));
        }
    }
    if parts.is_empty() { None } else { Some(parts.join("\nUNION ALL\n") + " FORMAT RowBinary") }
}

fn part((at, read): (usize, &Read), chosen: &Chosen, facet: Facet) -> String {
    let rows = rows(read, chosen, facet);
    let head = format!("SELECT toUInt32({at}) AS _read, toUInt8({}) AS _facet, fingerprint, _bound", place(facet));
    let values = match read.want {
        Want::Grid(function) if !chosen.is_merged => {
            let (value, condition) = input(function);
            let grid = grid(read, function, value);
            return format!(
                "{head}, emptyArrayInt64() AS _times, emptyArrayUInt64() AS _seqs, \
                 CAST({grid} AS Array(Nullable(Float64))) AS _values \
                 FROM ({rows}){condition} GROUP BY fingerprint, _bound"
            );
        }
        // What is put together first has its markers: they end a series.
        Want::Grid(_) => String::new(),
        Want::Samples => format!(" WHERE {}", fresh()),
    };
    format!(
        "{head}, groupArray(_ms) AS _times, groupArray(_seq) AS _seqs, \
         CAST(groupArray(_value) AS Array(Nullable(Float64))) AS _values \
         FROM ({rows}){values} GROUP BY fingerprint, _bound"
    )
}

/// What the engine's function takes, and of which rows.
fn input(function: GridFunction) -> (&'static str, String) {
    match function {
        GridFunction::Last => ("_value", String::new()),
        // The marker's own time is no time of a value: it stays what it is.
        GridFunction::LastTime => ("_time", String::new()),
        _ => ("_value", format!(" WHERE {}", fresh())),
    }
}

fn fresh() -> String {
    format!("reinterpretAsUInt64(_value) != {STALE}")
}

fn grid(read: &Read, function: GridFunction, value: &str) -> String {
    let name = match function {
        GridFunction::Last | GridFunction::LastTime => "timeSeriesLastToGrid",
        GridFunction::Rate => "timeSeriesRateToGrid",
        GridFunction::Increase => "timeSeriesIncreaseToGrid",
        GridFunction::Delta => "timeSeriesDeltaToGrid",
        GridFunction::InstantRate => "timeSeriesInstantRateToGrid",
        GridFunction::InstantDelta => "timeSeriesInstantDeltaToGrid",
        GridFunction::Changes => "timeSeriesChangesToGrid",
        GridFunction::Resets => "timeSeriesResetsToGrid",
    };
    let moment = |millis: i64| format!("fromUnixTimestamp64Milli(toInt64({millis}), 'UTC')");
    let length = |millis: i64| format!("toDecimal64('{}.{:03}', 3)", millis / 1_000, millis % 1_000);
    format!(
        "{name}({}, {}, {}, {})(fromUnixTimestamp64Milli(_ms, 'UTC'), {value})",
        moment(read.grid.start),
        moment(read.grid.last()),
        length(read.grid.step),
        length(read.range),
    )
}

/// The rows of a facet that any window may hold: series, part, time in milliseconds, value, number.
fn rows(read: &Read, chosen: &Chosen, facet: Facet) -> String {
    let (table, part, value, join, condition) = source(facet);
    let begin = read.grid.start.saturating_sub(read.range).saturating_add(1).clamp(0, MILLIS_MAX);
    let behind = read.grid.last().saturating_add(1).clamp(0, MILLIS_MAX);
    let mut sql = format!(
        "SELECT fingerprint, {part} AS _bound, toUnixTimestamp64Milli(timestamp) AS _ms, \
         if(bitAnd(flags, 1) = 1, reinterpretAsFloat64(toUInt64({STALE})), {value}) AS _value, \
         if(reinterpretAsUInt64(_value) = {STALE}, _value, _ms / 1000) AS _time, _seq \
         FROM {table}{join} \
         WHERE timestamp >= fromUnixTimestamp64Milli(toInt64({begin}), 'UTC') \
         AND timestamp < fromUnixTimestamp64Milli(toInt64({behind}), 'UTC'){condition}"
    );
    let names: Vec<_> = chosen.names.iter().map(|name| format!("'{}'", parameter_text(name))).collect();
    let _ = write!(sql, " AND metric_name IN ({})", names.join(","));
    let own = chosen.series.keys().filter(|(_, own)| *own == facet);
    let fingerprints: Vec<_> = own.map(|(fingerprint, _)| fingerprint.to_string()).collect();
    // Past it the names narrow rows down, and what is too much is left aside here.
    if fingerprints.len() <= PROMQL_FINGERPRINTS_INLINE_MAX {
        let _ = write!(sql, " AND fingerprint IN ({})", fingerprints.join(","));
    }
    sql
}

/// Table, part, value, what is joined, and what must hold.
const fn source(facet: Facet) -> (&'static str, &'static str, &'static str, &'static str, &'static str) {
    const HAS_SUM: &str = " AND (sum IS NOT NULL OR bitAnd(flags, 1) = 1)";
    const SUM: &str = "ifNull(sum, 0)";
    const COUNT: &str = "toFloat64(count)";
    const BUCKETS: &str = " ARRAY JOIN if(empty(bucket_counts), [('+Inf', count)], arrayMap((_count, _at) -> \
        (if(_at <= length(explicit_bounds), toString(explicit_bounds[_at]), '+Inf'), _count), \
        arrayCumSum(bucket_counts), arrayEnumerate(bucket_counts))) AS _bucket";
    const QUANTILES: &str = " ARRAY JOIN arrayZip(quantiles, quantile_values) AS _quantile";
    match facet {
        Facet::Value => ("metric_samples", "''", "value", "", " AND (value_type != 'none' OR bitAnd(flags, 1) = 1)"),
        Facet::Bucket => ("metric_histograms", "_bucket.1", "toFloat64(_bucket.2)", BUCKETS, ""),
        Facet::HistogramSum => ("metric_histograms", "''", SUM, "", HAS_SUM),
        Facet::HistogramCount => ("metric_histograms", "''", COUNT, "", ""),
        Facet::ExponentialSum => ("metric_exponential_histograms", "''", SUM, "", HAS_SUM),
        Facet::ExponentialCount => ("metric_exponential_histograms", "''", COUNT, "", ""),
        Facet::Quantile => ("metric_summaries", "toString(_quantile.1)", "_quantile.2", QUANTILES, ""),
        Facet::SummarySum => ("metric_summaries", "''", "sum", "", ""),
        Facet::SummaryCount => ("metric_summaries", "''", COUNT, "", ""),
    }
}

/// Facets as numbers in an answer.
pub(super) const FACETS: [Facet; 9] = [
    Facet::Value,
    Facet::Bucket,
    Facet::HistogramSum,
    Facet::HistogramCount,
    Facet::ExponentialSum,
    Facet::ExponentialCount,
    Facet::Quantile,
    Facet::SummarySum,
    Facet::SummaryCount,
];

fn place(facet: Facet) -> usize {
    FACETS.iter().position(|own| *own == facet).unwrap_or_default()
}
