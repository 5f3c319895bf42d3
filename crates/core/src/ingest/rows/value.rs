use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampNanosecondBuilder};
use arrow_array::{ArrayRef, builder::ArrayBuilder};
use arrow_cast::parse::string_to_timestamp_nanos;
use serde::{Deserialize, Serialize};
use tidegate_model::ColumnKind;

use super::cells::{Cell, CellColumn, Cells};
use super::refusals::Refusals;
use crate::ingest::Reason;
use crate::ingest::json::number;
use crate::ingest::json::scan::{Scanner, Text, Value};

/// The type of a dataset's column, in the words of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// A moment, to the nanosecond.
    Timestamp,
    /// Text; takes any value, letter by letter.
    String,
    /// A 64-bit floating point number.
    Double,
    /// A 64-bit signed integer.
    Integer,
    /// `true` or `false`.
    Boolean,
}

impl FieldType {
    /// Returns the column's type without its nulls.
    pub(super) const fn kind(self) -> ColumnKind {
        match self {
            Self::Timestamp => ColumnKind::Timestamp,
            Self::String => ColumnKind::Text,
            Self::Double => ColumnKind::F64,
            Self::Integer => ColumnKind::I64,
            Self::Boolean => ColumnKind::Bool,
        }
    }

    /// Returns the type of a stored column; `None` for a column that no request can name.
    pub(super) fn of(kind: &ColumnKind) -> Option<Self> {
        match kind {
            ColumnKind::Nullable(inner) => Self::of(inner),
            ColumnKind::Timestamp => Some(Self::Timestamp),
            ColumnKind::Text => Some(Self::String),
            ColumnKind::F64 => Some(Self::Double),
            ColumnKind::I64 => Some(Self::Integer),
            ColumnKind::Bool => Some(Self::Boolean),
            _ => None,
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timestamp => "timestamp",
            Self::String => "string",
            Self::Double => "double",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
        })
    }
}

/// Finds the narrowest type that holds every cell of a column; `None` without a cell.
pub(super) fn infer(cells: &Cells<'_>, column: &CellColumn) -> Option<FieldType> {
    let mut found: Option<FieldType> = None;
    for cell in &column.cells {
        let next = type_of(value(cells, *cell));
        let known = found.map_or(next, |found| common(found, next));
        if known == FieldType::String {
            return Some(known);
        }
        found = Some(known);
    }
    found
}

/// Returns the narrowest type that holds the values of both.
pub(super) fn common(one: FieldType, other: FieldType) -> FieldType {
    match (one, other) {
        (one, other) if one == other => one,
        (FieldType::Integer, FieldType::Double) | (FieldType::Double, FieldType::Integer) => FieldType::Double,
        _ => FieldType::String,
    }
}

fn type_of(value: Value<'_>) -> FieldType {
    match value {
        Value::Bool(_) => FieldType::Boolean,
        Value::Number(digits) if number::integer(digits).is_ok_and(|n| i64::try_from(n).is_ok()) => {
            // `5.0` is a double that happens to be whole.
            if digits.iter().all(|b| b.is_ascii_digit() || *b == b'-') { FieldType::Integer } else { FieldType::Double }
        }
        Value::Number(digits) if digits.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) => FieldType::Double,
        Value::Text(text) if is_moment(text.raw) => FieldType::Timestamp,
        _ => FieldType::String,
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
        FieldType::Integer => {
            let mut builder = Int64Builder::with_capacity(rows);
            fill(cells, column, refusals, &mut builder, integer, |b, v| b.append_option(v));
            Arc::new(builder.finish())
        }
        FieldType::Double => {
            let mut builder = Float64Builder::with_capacity(rows);
            fill(cells, column, refusals, &mut builder, double, |b, v| b.append_option(v));
            Arc::new(builder.finish())
        }
        FieldType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(rows);
            fill(cells, column, refusals, &mut builder, boolean, |b, v| b.append_option(v));
            Arc::new(builder.finish())
        }
        FieldType::Timestamp => {
            let mut builder = TimestampNanosecondBuilder::with_capacity(rows);
            fill(cells, column, refusals, &mut builder, moment, |b, v| b.append_option(v));
            Arc::new(builder.finish().with_timezone("UTC"))
        }
        FieldType::String => text_array(cells, column, refusals),
    }
}

type Fits<T> = Result<T, (Reason, &'static str)>;

fn fill<B: ArrayBuilder, T>(
    cells: &Cells<'_>,
    column: &CellColumn,
    refusals: &mut Refusals,
    builder: &mut B,
    read: impl Fn(Value<'_>) -> Fits<T>,
    append: impl Fn(&mut B, Option<T>),
) {
    for cell in &column.cells {
        let row = cell.row as usize;
        (builder.len()..row).for_each(|_| append(builder, None));
        match read(value(cells, *cell)) {
            Ok(value) => append(builder, Some(value)),
            Err((reason, wanted)) => {
                append(builder, None);
                refusals.refuse(row, reason, || misfit(&column.name, cells.text(*cell), wanted));
            }
        }
    }
    (builder.len()..refusals.rows()).for_each(|_| append(builder, None));
}

fn text_array(cells: &Cells<'_>, column: &CellColumn, refusals: &mut Refusals) -> ArrayRef {
    let bytes = column.cells.iter().map(|cell| cells.text(*cell).len()).sum();
    let mut builder = StringBuilder::with_capacity(refusals.rows(), bytes);
    for cell in &column.cells {
        let (row, raw) = (cell.row as usize, cells.text(*cell));
        (builder.len()..row).for_each(|_| builder.append_null());
        let text = if raw.first() == Some(&b'"') { inner(raw).bytes() } else { Some(raw.into()) };
        match text.as_deref().map(std::str::from_utf8) {
            Some(Ok(text)) => builder.append_value(text),
            _ => {
                builder.append_null();
                refusals.refuse(row, Reason::InvalidUtf8, || format!("`{}` is not valid text", column.name));
            }
        }
    }
    (builder.len()..refusals.rows()).for_each(|_| builder.append_null());
    Arc::new(builder.finish())
}

/// Reads a cell again: it was checked when it was cut.
fn value<'a>(cells: &Cells<'a>, cell: Cell) -> Value<'a> {
    let raw = cells.text(cell);
    match raw.first() {
        Some(b'"') => Value::Text(inner(raw)),
        Some(b'-' | b'0'..=b'9') => Value::Number(raw),
        _ => Scanner::new(raw).value().unwrap_or(Value::Null),
    }
}

fn inner(quoted: &[u8]) -> Text<'_> {
    let raw = &quoted[1..quoted.len() - 1];
    Text { raw, is_escaped: raw.contains(&b'\\') }
}

fn integer(value: Value<'_>) -> Fits<i64> {
    let Value::Number(digits) = value else { return Err((Reason::InvalidType, "an integer")) };
    let whole = number::integer(digits).map_err(|_| (Reason::InvalidType, "an integer"))?;
    i64::try_from(whole).map_err(|_| (Reason::OutOfRange, "an integer of 64 bits"))
}

fn double(value: Value<'_>) -> Fits<f64> {
    match value {
        Value::Number(digits) => number::double(digits).map_err(|_| (Reason::OutOfRange, "a double")),
        Value::Text(Text { raw: b"NaN", .. }) => Ok(f64::NAN),
        Value::Text(Text { raw: b"Infinity", .. }) => Ok(f64::INFINITY),
        Value::Text(Text { raw: b"-Infinity", .. }) => Ok(f64::NEG_INFINITY),
        _ => Err((Reason::InvalidType, "a number")),
    }
}

fn boolean(value: Value<'_>) -> Fits<bool> {
    if let Value::Bool(value) = value { Ok(value) } else { Err((Reason::InvalidType, "a boolean")) }
}

/// Reads a date with or without a time, or the milliseconds since 1970 that JavaScript has.
fn moment(value: Value<'_>) -> Fits<i64> {
    const WANTED: &str = "a timestamp (ISO 8601, or milliseconds since 1970)";
    match value {
        Value::Text(text) => {
            let text = text.bytes().ok_or((Reason::InvalidUtf8, WANTED))?;
            let text = std::str::from_utf8(&text).map_err(|_| (Reason::InvalidUtf8, WANTED))?;
            string_to_timestamp_nanos(text).map_err(|_| (Reason::InvalidTimestamp, WANTED))
        }
        Value::Number(digits) => {
            let millis = number::integer(digits).map_err(|_| (Reason::InvalidTimestamp, WANTED))?;
            i64::try_from(millis * 1_000_000).map_err(|_| (Reason::InvalidTimestamp, WANTED))
        }
        _ => Err((Reason::InvalidType, WANTED)),
    }
}

fn misfit(column: &str, raw: &[u8], wanted: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = String::from_utf8_lossy(&raw[..raw.len().min(4 * SHOWN)]).chars().take(SHOWN).collect();
    format!("`{column}`: {shown} is not {wanted}")
}
