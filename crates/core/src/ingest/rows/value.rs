use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampNanosecondBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, TimestampNanosecondArray};
use arrow_cast::parse::string_to_timestamp_nanos;
use std::sync::Arc;
use tidegate_model::{FieldType, Scalar};

use super::cells::{CellColumn, Cells};
use super::nested;
use super::refusals::Refusals;
use super::scalar::{self, Misfit};
use crate::ingest::json::number;
use crate::ingest::json::scan::Value;

/// Finds the narrowest type that holds every cell of a column; `None` without a cell.
pub(super) fn infer(cells: &Cells<'_>, column: &CellColumn) -> Option<FieldType> {
    let mut found: Option<Scalar> = None;
    let mut has_large = false;
    for cell in &column.cells {
        let value = scalar::read(cells.text(*cell));
        let next = type_of(value);
        has_large |= next == Scalar::Integer && scalar::double(value).is_err();
        let known = found.map_or(next, |found| narrowest(found, next));
        if known == Scalar::String || known == Scalar::Double && has_large {
            return Some(FieldType::One(Scalar::String));
        }
        found = Some(known);
    }
    found.map(FieldType::One)
}

/// Returns the narrowest type that holds the values of both.
pub(super) fn common(one: FieldType, other: FieldType) -> FieldType {
    match (one, other) {
        (one, other) if one == other => one,
        (FieldType::One(one), FieldType::One(other)) => FieldType::One(narrowest(one, other)),
        _ => FieldType::One(Scalar::String),
    }
}

fn narrowest(one: Scalar, other: Scalar) -> Scalar {
    match (one, other) {
        (one, other) if one == other => one,
        (Scalar::Integer, Scalar::Double) | (Scalar::Double, Scalar::Integer) => Scalar::Double,
        _ => Scalar::String,
    }
}

fn type_of(value: Value<'_>) -> Scalar {
    match value {
        Value::Bool(_) => Scalar::Boolean,
        // `5.0` is a double that happens to be whole.
        Value::Number(digits) if number::integer(digits).is_ok_and(|n| i64::try_from(n).is_ok()) => {
            if scalar::is_whole(digits) { Scalar::Integer } else { Scalar::Double }
        }
        Value::Number(digits) if digits.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) => Scalar::Double,
        Value::Text(text) if is_moment(text.raw) => Scalar::Timestamp,
        _ => Scalar::String,
    }
}

/// Says whether a text is a date with a time.
fn is_moment(text: &[u8]) -> bool {
    let has_date = text.len() >= 16 && text.len() <= 40 && text[4] == b'-' && text[7] == b'-';
    has_date && std::str::from_utf8(text).is_ok_and(|text| string_to_timestamp_nanos(text).is_ok())
}

/// Makes the array of a column; rows whose value does not fit are refused.
pub(super) fn array(cells: &Cells<'_>, column: &CellColumn, wanted: FieldType, refusals: &mut Refusals) -> ArrayRef {
    let rows = refusals.rows();
    match wanted {
        FieldType::One(wanted) => {
            let values = column.cells.iter().map(|cell| (cell.row as usize, cells.text(*cell)));
            scalars(values, rows, wanted, &mut |row, raw, (reason, wanted)| {
                refusals.refuse(row, reason, || misfit(&column.name, raw, wanted));
            })
        }
        FieldType::Array(item) => nested::lists(cells, column, item, refusals),
        FieldType::Map(value) => nested::maps(cells, column, value, refusals),
    }
}

/// Is told of a value that has no place in its column.
pub(super) type Refuse<'r, 'a> = dyn FnMut(usize, &'a [u8], Misfit) + 'r;

/// Makes an array of values, each at its place; places without one hold nothing.
pub(super) fn scalars<'a>(
    values: impl Iterator<Item = (usize, &'a [u8])>,
    len: usize,
    wanted: Scalar,
    refuse: &mut Refuse<'_, 'a>,
) -> ArrayRef {
    macro_rules! filled {
        ($builder:expr, $read:expr) => {{
            let mut builder = $builder;
            fill(values, len, (&mut builder, refuse), $read, |builder, value| builder.append_option(value));
            builder.finish()
        }};
    }
    let read = scalar::read;
    match wanted {
        Scalar::Integer => Arc::new(filled!(Int64Builder::with_capacity(len), |raw| scalar::integer(read(raw)))),
        Scalar::Unsigned => Arc::new(filled!(UInt64Builder::with_capacity(len), |raw| scalar::unsigned(read(raw)))),
        Scalar::Double => Arc::new(filled!(Float64Builder::with_capacity(len), |raw| scalar::double(read(raw)))),
        Scalar::Boolean => Arc::new(filled!(BooleanBuilder::with_capacity(len), |raw| scalar::boolean(read(raw)))),
        Scalar::Date => Arc::new(filled!(Date32Builder::with_capacity(len), |raw| scalar::date(read(raw)))),
        Scalar::Timestamp => {
            let builder = TimestampNanosecondBuilder::with_capacity(len);
            let moments: TimestampNanosecondArray = filled!(builder, |raw| scalar::moment(read(raw)));
            Arc::new(moments.with_timezone("UTC"))
        }
        Scalar::Decimal { precision, scale } => {
            let builder = Decimal128Builder::with_capacity(len).with_data_type(scalar::arrow_type(wanted));
            Arc::new(filled!(builder, |raw| scalar::decimal(read(raw), (precision, scale))))
        }
        Scalar::Uuid => Arc::new(filled!(StringBuilder::new(), |raw| scalar::uuid(read(raw)))),
        Scalar::String | Scalar::Keyword => Arc::new(filled!(StringBuilder::new(), scalar::text)),
        Scalar::Json => Arc::new(filled!(StringBuilder::new(), scalar::json)),
    }
}

fn fill<'a, B: ArrayBuilder, T>(
    values: impl Iterator<Item = (usize, &'a [u8])>,
    len: usize,
    (builder, refuse): (&mut B, &mut Refuse<'_, 'a>),
    read: impl Fn(&'a [u8]) -> Result<T, Misfit>,
    append: impl Fn(&mut B, Option<T>),
) {
    for (place, raw) in values {
        (builder.len()..place).for_each(|_| append(builder, None));
        match read(raw) {
            Ok(value) => append(builder, Some(value)),
            Err(misfit) => {
                append(builder, None);
                refuse(place, raw, misfit);
            }
        }
    }
    (builder.len()..len).for_each(|_| append(builder, None));
}

/// Says which value of which column has no place there.
pub(super) fn misfit(column: &str, raw: &[u8], wanted: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = String::from_utf8_lossy(&raw[..raw.len().min(4 * SHOWN)]).chars().take(SHOWN).collect();
    format!("`{column}`: {shown} is not {wanted}")
}
