use std::collections::{BTreeMap, HashSet};
use std::fmt;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use serde::Serialize;
use serde_json::Value;
use tidegate_model::limits::DISTINCT_VALUES_MAX;
use tidegate_model::{FieldType, MigrationPiece, Scalar};

use super::form::{Form, identifier, literal};
use super::{Columns, text_of};
use crate::migrate::Told;
use crate::migrate::server::Migration;

const NANOS_OF_DAY: i64 = 86_400_000_000_000;

/// Two sums of doubles that differ by less than this share of them were added up in another order.
const SUM_TOLERANCE: f64 = 1e-9;

/// What a column of the source holds, taken together.
#[derive(Debug, Default)]
pub(super) struct Summary {
    nulls: u64,
    low: Option<i128>,
    high: Option<i128>,
    /// `None`: it is too large to be told.
    sum: Option<i128>,
    is_overflowed: bool,
    doubles: Doubles,
    /// Hashes of values, while they are few.
    distinct: Option<HashSet<u64>>,
    /// Rows by day since 1970, of the time column.
    days: BTreeMap<i64, u64>,
}

#[derive(Debug, Default)]
struct Doubles {
    low: Option<f64>,
    high: Option<f64>,
    sum: f64,
}

/// Something that both sides have otherwise.
#[derive(Debug, Serialize)]
pub(super) struct Unequal {
    what: String,
    source: String,
    target: String,
}

impl fmt::Display for Unequal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} there, {} here", self.what, self.source, self.target)
    }
}

/// Adds rows of the source.
pub(super) fn add(columns: &mut Columns, form: &Form, rows: &RecordBatch) -> Result<()> {
    for ((column, kind), array) in form.columns.iter().zip(rows.columns()) {
        let summary = columns.entry(column.name.clone()).or_insert_with(|| Summary {
            distinct: Some(HashSet::new()),
            sum: Some(0),
            ..Summary::default()
        });
        summary.nulls += array.null_count() as u64;
        if let FieldType::One(scalar) = kind {
            summary.add(array, *scalar)?;
        }
        if form.time_column.as_ref() == Some(&column.name) {
            for nanos in array.as_primitive::<TimestampNanosecondType>().iter().flatten() {
                *summary.days.entry(nanos.div_euclid(NANOS_OF_DAY)).or_default() += 1;
            }
        }
    }
    Ok(())
}

impl Summary {
    fn add(&mut self, array: &ArrayRef, scalar: Scalar) -> Result<()> {
        match scalar {
            Scalar::Integer => self.whole(array.as_primitive::<Int64Type>().iter().flatten().map(i128::from)),
            Scalar::Unsigned => self.whole(array.as_primitive::<UInt64Type>().iter().flatten().map(i128::from)),
            Scalar::Timestamp => {
                self.whole(array.as_primitive::<TimestampNanosecondType>().iter().flatten().map(i128::from));
            }
            Scalar::Date => self.whole(array.as_primitive::<Date32Type>().iter().flatten().map(i128::from)),
            Scalar::Decimal { .. } => self.whole(array.as_primitive::<Decimal128Type>().iter().flatten()),
            Scalar::Boolean => self.whole(array.as_boolean().iter().flatten().map(i128::from)),
            Scalar::String | Scalar::Keyword | Scalar::Json | Scalar::Uuid => {
                let texts = array.as_string_opt::<i32>().context("a text column of another form")?;
                self.whole(texts.iter().flatten().map(|text| text.len() as i128));
            }
            Scalar::Double => {
                let values = array.as_primitive::<Float64Type>().iter().flatten().filter(|value| !value.is_nan());
                for value in values {
                    let own = &mut self.doubles;
                    own.low = Some(own.low.map_or(value, |low| low.min(value)));
                    own.high = Some(own.high.map_or(value, |high| high.max(value)));
                    own.sum += value;
                }
            }
        }
        self.tell_apart(array, scalar)
    }

    fn whole(&mut self, values: impl Iterator<Item = i128>) {
        for value in values {
            self.low = Some(self.low.map_or(value, |low| low.min(value)));
            self.high = Some(self.high.map_or(value, |high| high.max(value)));
            self.sum = self.sum.and_then(|sum| sum.checked_add(value));
            self.is_overflowed |= self.sum.is_none();
        }
    }

    fn tell_apart(&mut self, array: &ArrayRef, scalar: Scalar) -> Result<()> {
        // The two zeros are one value there and two here, and NaN is told otherwise too.
        let Some(distinct) = self.distinct.as_mut().filter(|_| scalar != Scalar::Double) else { return Ok(()) };
        let hashes = tidegate_core::store::checksum::hashes(&[(std::sync::Arc::clone(array), true)], array.len())?;
        distinct.extend(hashes.into_iter().enumerate().filter(|(row, _)| array.is_valid(*row)).map(|(_, hash)| hash));
        if distinct.len() > DISTINCT_VALUES_MAX {
            self.distinct = None;
        }
        Ok(())
    }
}

/// Compares days and columns; returns what differs, and what was compared.
pub(super) async fn compare(
    told: &Told,
    migration: &Migration,
    form: &Form,
    source: &Columns,
) -> Result<(Vec<Unequal>, Vec<String>)> {
    let (mut unequal, mut compared) = (Vec::new(), Vec::new());
    let own = format!("startsWith(`_partition_attributes`, {})", literal(&MigrationPiece::prefix(&migration.id)));
    for (column, kind) in &form.columns {
        let Some(summary) = source.get(&column.name) else { continue };
        let wanted = asked(&identifier(&column.name), *kind, summary);
        let list: Vec<_> = wanted.iter().map(|(name, expression, _)| format!("{expression} AS {name}")).collect();
        let rows = told.server.rows(&format!("SELECT {} FROM `{}` WHERE {own}", list.join(", "), form.table)).await?;
        let row = rows.first().context("the server does not tell of a column")?;
        for (name, _, there) in &wanted {
            let here = text_of(&row[*name]);
            if !is_equal(there, &here) {
                let what = format!("{name} of `{}`", column.name);
                unequal.push(Unequal { what, source: there.clone(), target: here });
            }
        }
        let names: Vec<_> = wanted.iter().map(|(name, ..)| *name).collect();
        compared.push(format!("`{}`: {}", column.name, names.join(", ")));
        if !summary.days.is_empty() {
            unequal.extend(days(told, (form, &own), &column.name, summary).await?);
            compared.push(format!("rows of {} days, by `{}`", summary.days.len(), column.name));
        }
    }
    Ok((unequal, compared))
}

/// Says what is asked of a column: a name, ClickHouse's expression, and what the source has.
fn asked(name: &str, kind: FieldType, summary: &Summary) -> Vec<(&'static str, String, String)> {
    let mut asked = vec![("nulls", format!("toString(countIf(isNull({name})))"), summary.nulls.to_string())];
    let FieldType::One(scalar) = kind else { return asked };
    if scalar == Scalar::Double {
        let (own, valid) = (&summary.doubles, format!("{name} IS NOT NULL AND NOT isNaN({name})"));
        let shown = |value: Option<f64>| value.map_or_else(|| "0".to_owned(), |value| value.to_string());
        asked.push(("min", format!("toString(ifNull(minIf({name}, {valid}), 0))"), shown(own.low)));
        asked.push(("max", format!("toString(ifNull(maxIf({name}, {valid}), 0))"), shown(own.high)));
        asked.push(("sum", format!("toString(ifNull(sumKahanIf({name}, {valid}), 0))"), own.sum.to_string()));
        return asked;
    }
    let value = match scalar {
        Scalar::Integer | Scalar::Unsigned | Scalar::Boolean => format!("toInt256({name})"),
        Scalar::Timestamp => format!("toInt256(toUnixTimestamp64Nano({name}))"),
        Scalar::Date => format!("toInt256(toInt32({name}))"),
        Scalar::Decimal { scale, .. } => {
            format!(
                "toInt256(multiplyDecimal(toDecimal256({name}, {scale}), toDecimal256(1{}, 0), 0))",
                "0".repeat(scale.into())
            )
        }
        Scalar::Uuid => format!("toInt256(length(toString({name})))"),
        Scalar::String | Scalar::Keyword | Scalar::Json | Scalar::Double => format!("toInt256(length({name}))"),
    };
    let shown = |value: Option<i128>| value.unwrap_or(0).to_string();
    asked.push(("min", format!("toString(ifNull(min({value}), 0))"), shown(summary.low)));
    asked.push(("max", format!("toString(ifNull(max({value}), 0))"), shown(summary.high)));
    if !summary.is_overflowed {
        asked.push(("sum", format!("toString(ifNull(sum({value}), 0))"), shown(summary.sum)));
    }
    if let Some(distinct) = &summary.distinct {
        asked.push(("distinct", format!("toString(uniqExact({name}))"), distinct.len().to_string()));
    }
    asked
}

fn is_equal(there: &str, here: &str) -> bool {
    if there == here {
        return true;
    }
    match (there.parse::<f64>(), here.parse::<f64>()) {
        // Whole numbers are the same digits, or they are not equal.
        (Ok(there_value), Ok(here_value))
            if there.contains('.') || here.contains('.') || there.contains('e') || here.contains('e') =>
        {
            (there_value - here_value).abs() <= there_value.abs().max(here_value.abs()) * SUM_TOLERANCE
        }
        _ => false,
    }
}

async fn days(told: &Told, (form, own): (&Form, &str), column: &str, summary: &Summary) -> Result<Vec<Unequal>> {
    let name = identifier(column);
    let sql = format!(
        "SELECT toString(intDiv(toUnixTimestamp64Nano({name}) - if(toUnixTimestamp64Nano({name}) < 0, {} - 1, 0), {NANOS_OF_DAY})) AS day, \
             toString(count()) AS found FROM `{}` WHERE {own} GROUP BY day",
        NANOS_OF_DAY, form.table,
    );
    let mut here: BTreeMap<i64, u64> = BTreeMap::new();
    for row in told.server.rows(&sql).await? {
        let number = |value: &Value| text_of(value).parse::<i64>().context("the server's days cannot be read");
        here.insert(number(&row["day"])?, u64::try_from(number(&row["found"])?)?);
    }
    let all: std::collections::BTreeSet<i64> = summary.days.keys().chain(here.keys()).copied().collect();
    let differ = all.into_iter().filter_map(|day| {
        let (there, here) = (summary.days.get(&day).copied().unwrap_or(0), here.get(&day).copied().unwrap_or(0));
        let date = tidegate_model::UnixNanos(day.saturating_mul(NANOS_OF_DAY)).to_string();
        let what = format!("rows of {}", date.split('T').next().unwrap_or_default());
        (there != here).then(|| Unequal { what, source: there.to_string(), target: here.to_string() })
    });
    Ok(differ.collect())
}
