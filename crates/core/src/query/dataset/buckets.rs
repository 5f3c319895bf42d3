use tidegate_model::limits::DATASET_AGGREGATIONS_MAX;
use tidegate_model::{ColumnKind, TableSpec};

use super::body::{Aggregation, Downsample, Function, Unit};
use super::statement::{Form, bare, column, quoted, selected};
use crate::query::QueryError;

/// The most units of a bucket: a second's takes it to 31 years.
const SIZE_MAX: u64 = 1_000_000_000;

/// 1970-01-05 was a Monday.
const FIRST_MONDAY_NANOS: i64 = 4 * 86_400 * NANOS;
const NANOS: i64 = 1_000_000_000;

/// One value of a bucket.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) alias: String,
    pub(super) expression: String,
    pub(super) form: Form,
}

/// Returns the nanosecond at which the bucket of a time begins: whole buckets are counted from 1970-01-01 (weeks from
/// the Monday after it), in UTC.
pub(super) fn begin(downsample: &Downsample, time: &str) -> Result<String, QueryError> {
    let size = downsample.interval_size;
    let size = i64::try_from(size)
        .ok()
        .filter(|_| (1..=SIZE_MAX).contains(&size))
        .ok_or_else(|| QueryError::Parameter(format!("`downsample.intervalSize` is 1 to {SIZE_MAX}, it is {size}")))?;
    let seconds = match downsample.interval_unit {
        Unit::Second => 1,
        Unit::Minute => 60,
        Unit::Hour => 3_600,
        Unit::Day => 86_400,
        Unit::Week => 7 * 86_400,
        Unit::Month => return Ok(month_begin(size, time)),
    };
    let width = size
        .checked_mul(seconds)
        .and_then(|seconds| seconds.checked_mul(NANOS))
        .ok_or_else(|| QueryError::Parameter("`downsample`: a bucket is longer than 292 years".to_owned()))?;
    let offset = if downsample.interval_unit == Unit::Week { FIRST_MONDAY_NANOS } else { 0 };
    let nanos = format!("toUnixTimestamp64Nano({time})");
    Ok(floored(&nanos, offset, width))
}

/// Takes a number down to the next multiple behind an offset; a divisor without a sign would make all numbers so.
fn floored(number: &str, offset: i64, width: i64) -> String {
    format!("({number} - positiveModulo({number} - {offset}, toInt64({width})))")
}

fn month_begin(size: i64, time: &str) -> String {
    let month = format!("(toInt64(toYear({time})) * 12 + toMonth({time}) - 23641)");
    let first = floored(&month, 0, size);
    // ClickHouse's months end with its years: no bucket begins before its table of time zones does.
    format!("toUnixTimestamp64Nano(addMonths(toDateTime64('1970-01-01 00:00:00', 9, 'UTC'), {first}))")
}

/// Writes what is told of each bucket.
pub(super) fn told(downsample: &Downsample, spec: &TableSpec, time: &str) -> Result<Vec<Told>, QueryError> {
    let asked = &downsample.aggregations;
    if asked.is_empty() || asked.len() > DATASET_AGGREGATIONS_MAX {
        return Err(QueryError::Parameter(format!(
            "`downsample.aggregations` has {} entries; 1 to {DATASET_AGGREGATIONS_MAX} are allowed",
            asked.len()
        )));
    }
    let mut all: Vec<Told> = Vec::with_capacity(asked.len());
    for (at, aggregation) in asked.iter().enumerate() {
        let told = one(aggregation, spec, &format!("downsample.aggregations[{at}]"))?;
        if told.alias == time || all.iter().any(|known| known.alias == told.alias) {
            return Err(QueryError::Parameter(format!(
                "`downsample.aggregations[{at}]`: the name `{}` stands twice in the answer; give it an `alias`",
                told.alias
            )));
        }
        all.push(told);
    }
    Ok(all)
}

fn one(aggregation: &Aggregation, spec: &TableSpec, place: &str) -> Result<Told, QueryError> {
    let function = aggregation.function;
    let percentile = percentile(aggregation, place)?;
    let Some(name) = &aggregation.column else {
        if function != Function::Count {
            return Err(QueryError::Parameter(format!("`{place}`: `{function}` needs a `column`")));
        }
        let alias = aggregation.alias.clone().unwrap_or_else(|| "count".to_owned());
        return Ok(Told { alias, expression: "count()".to_owned(), form: Form::Whole });
    };
    let column = column(spec, name, &format!("{place}.column"))?;
    let kind = bare(&column.kind);
    let is_whole =
        matches!(kind, ColumnKind::I64 | ColumnKind::U64 | ColumnKind::I32 | ColumnKind::U32 | ColumnKind::U8);
    let is_number = is_whole || *kind == ColumnKind::F64;
    let is_ordered = is_number
        || matches!(
            kind,
            ColumnKind::Text | ColumnKind::Word | ColumnKind::Keyword | ColumnKind::Timestamp | ColumnKind::Bool
        );
    let needs_number = matches!(function, Function::Avg | Function::Sum | Function::Median | Function::Percentile);
    if (needs_number && !is_number) || (matches!(function, Function::Min | Function::Max) && !is_ordered) {
        let kind = kind.clickhouse();
        return Err(QueryError::Parameter(format!("`{place}`: `{function}` cannot be taken over `{name}`, a {kind}")));
    }
    let value = quoted(name);
    let (expression, form) = match function {
        Function::Count => (format!("count({value})"), Form::Whole),
        Function::CountDistinct => (format!("uniqExact({value})"), Form::Whole),
        Function::Min => selected(&format!("min({value})"), kind),
        Function::Max => selected(&format!("max({value})"), kind),
        Function::Sum if is_whole => (format!("accurateCast({}, 'Nullable(Int64)')", whole_sum(&value)), Form::Whole),
        Function::Sum => (format!("sum({value})"), Form::Double),
        Function::Avg if is_whole => (format!("toFloat64({}) / count({value})", whole_sum(&value)), Form::Double),
        Function::Avg => (format!("avg({value})"), Form::Double),
        Function::Median | Function::Percentile => {
            (format!("quantileExactInclusive({percentile})(toFloat64({value}))"), Form::Double)
        }
    };
    let alias = aggregation.alias.clone().unwrap_or_else(|| match function {
        Function::Percentile => format!("p{}_{name}", hundredths(percentile)),
        function => format!("{function}_{name}"),
    });
    Ok(Told { alias, expression, form })
}

/// The sum of whole numbers, without an overflow on the way.
fn whole_sum(value: &str) -> String {
    format!("sum(toInt128({value}))")
}

/// Writes 0.95 as `95` and 0.999 as `99.9`.
fn hundredths(percentile: f64) -> String {
    let rounded = (percentile * 100_000.0).round() / 1_000.0;
    rounded.to_string()
}

fn percentile(aggregation: &Aggregation, place: &str) -> Result<f64, QueryError> {
    match (aggregation.function, aggregation.percentile) {
        (Function::Percentile, Some(part)) if (0.0..=1.0).contains(&part) => Ok(part),
        (Function::Percentile, given) => {
            let given = given.map_or_else(|| "missing".to_owned(), |part| part.to_string());
            Err(QueryError::Parameter(format!("`{place}.percentile` is 0 to 1 (0.95 for the 95th), it is {given}")))
        }
        (_, Some(_)) => Err(QueryError::Parameter(format!("`{place}.percentile` goes with `percentile` only"))),
        (_, None) => Ok(0.5),
    }
}
