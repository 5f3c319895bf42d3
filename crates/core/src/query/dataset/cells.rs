use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray};
use tidegate_model::{UnixNanos, put_digits};

use super::answer::broken;
use super::statement::Form;
use crate::query::QueryError;

/// A column of a block, to be written value by value.
#[derive(Debug)]
pub(super) enum Cells<'b> {
    Text(&'b StringArray),
    Json(&'b StringArray),
    Flag(&'b BooleanArray),
    Signed(&'b PrimitiveArray<Int64Type>),
    Unsigned(&'b PrimitiveArray<UInt64Type>),
    Double(&'b PrimitiveArray<Float64Type>),
    /// Times, and the day that was written last: most rows of a block are of the same.
    Moment(&'b PrimitiveArray<Int64Type>, Day),
}

/// A day, counted from 1970, and its text; the first one is written nowhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    number: i64,
    text: [u8; DAY_CHARS],
}

const DAY_CHARS: usize = b"2026-01-31".len();
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_DAY: i64 = 86_400 * NANOS_PER_SECOND;

impl<'b> Cells<'b> {
    /// Takes a column in its form; refuses one that comes as something else.
    pub(super) fn of(column: &'b ArrayRef, form: Form) -> Result<Self, QueryError> {
        let found = match form {
            Form::Text => column.as_string_opt().map(Self::Text),
            Form::Json => column.as_string_opt().map(Self::Json),
            Form::Flag => column.as_boolean_opt().map(Self::Flag),
            Form::Double => column.as_primitive_opt().map(Self::Double),
            Form::Moment => column.as_primitive_opt().map(|times| Self::Moment(times, Day::NONE)),
            Form::Whole => {
                let signed = column.as_primitive_opt().map(Self::Signed);
                signed.or_else(|| column.as_primitive_opt().map(Self::Unsigned))
            }
        };
        found.ok_or_else(|| broken(&format!("a column comes as {} instead of {form:?}", column.data_type())))
    }

    /// Writes the value of a row as JSON.
    pub(super) fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), QueryError> {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match self {
            Self::Text(texts) => return write_text(texts.value(row), out),
            Self::Json(texts) => out.extend_from_slice(texts.value(row).as_bytes()),
            Self::Flag(flags) => out.extend_from_slice(if flags.value(row) { b"true" } else { b"false" }),
            Self::Signed(numbers) => out.extend_from_slice(itoa::Buffer::new().format(numbers.value(row)).as_bytes()),
            Self::Unsigned(numbers) => out.extend_from_slice(itoa::Buffer::new().format(numbers.value(row)).as_bytes()),
            Self::Double(numbers) => write_double(numbers.value(row), out),
            Self::Moment(times, day) => day.write(times.value(row), out),
        }
        Ok(())
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(column) | Self::Json(column) => column.is_null(row),
            Self::Flag(column) => column.is_null(row),
            Self::Signed(column) | Self::Moment(column, _) => column.is_null(row),
            Self::Unsigned(column) => column.is_null(row),
            Self::Double(column) => column.is_null(row),
        }
    }
}

impl Day {
    const NONE: Self = Self { number: i64::MIN, text: [0; DAY_CHARS] };

    /// Writes a time as [`UnixNanos`] has it, between quotes.
    fn write(&mut self, time: i64, out: &mut Vec<u8>) {
        let (number, nanos) = (time.div_euclid(NANOS_PER_DAY), time.rem_euclid(NANOS_PER_DAY));
        if number != self.number {
            self.number = number;
            let text = UnixNanos(time).to_string();
            self.text.copy_from_slice(&text.as_bytes()[..DAY_CHARS]);
        }
        let second = nanos / NANOS_PER_SECOND;
        let mut clock = *b"T00:00:00.000000000";
        put_digits(&mut clock[1..3], second / 3_600);
        put_digits(&mut clock[4..6], second / 60 % 60);
        put_digits(&mut clock[7..9], second % 60);
        let mut length = 9;
        let fraction = nanos % NANOS_PER_SECOND;
        if fraction > 0 {
            put_digits(&mut clock[10..], fraction);
            length = clock.iter().rposition(|digit| *digit != b'0').map_or(length, |last| last + 1);
        }
        out.push(b'"');
        out.extend_from_slice(&self.text);
        out.extend_from_slice(&clock[..length]);
        out.extend_from_slice(b"Z\"");
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), QueryError> {
    serde_json::to_writer(out, text).map_err(|error| broken(&error.to_string()))
}

/// Writes the shortest digits that are this double; a whole number has no point.
fn write_double(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"\"Infinity\"".as_slice() } else { b"\"-Infinity\"" });
    } else {
        let mut digits = ryu::Buffer::new();
        let text = digits.format_finite(number);
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, UInt64Array};
    use serde_json::{Value, json};

    use super::*;

    fn written(column: ArrayRef, form: Form) -> Value {
        let mut cells = Cells::of(&column, form).expect("the form");
        let mut out = b"[".to_vec();
        for row in 0..column.len() {
            if row > 0 {
                out.push(b',');
            }
            cells.write(row, &mut out).expect("a value");
        }
        out.push(b']');
        serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
    }

    #[test]
    fn values_are_json_whatever_they_are() {
        let all: String = (0..=0x2100).filter_map(char::from_u32).collect();
        let texts = [Some("a/\"b\"\\\n"), Some(&all), None, Some("")];
        assert_eq!(written(Arc::new(StringArray::from(texts.to_vec())), Form::Text), json!(texts));
        let doubles = [0.0, 1.0, -2.5, 1e20, 1e16, 5e-324, f64::MAX, 0.1, 123_456_789.25];
        let found = written(Arc::new(Float64Array::from(doubles.to_vec())), Form::Double);
        let found: Vec<_> = found.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        assert_eq!(found, doubles);
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 7.0];
        let found = written(Arc::new(Float64Array::from(odd.to_vec())), Form::Double);
        assert_eq!(found, json!(["NaN", "Infinity", "-Infinity", 7]));
        let numbers = Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]);
        assert_eq!(written(Arc::new(numbers), Form::Whole), json!([i64::MIN, null, i64::MAX]));
        assert_eq!(written(Arc::new(UInt64Array::from(vec![u64::MAX])), Form::Whole), json!([u64::MAX]));
        let flags = BooleanArray::from(vec![Some(true), None, Some(false)]);
        assert_eq!(written(Arc::new(flags), Form::Flag), json!([true, null, false]));
        let times =
            [0, 1, -1, 1_769_850_000_500_000_000, i64::MIN, i64::MAX, 1_769_850_010_000_000_000, 86_399_999_999_999];
        let found = written(Arc::new(Int64Array::from(times.to_vec())), Form::Moment);
        assert_eq!(found, json!(times.map(|time| UnixNanos(time).to_string())));
        assert_eq!(
            written(Arc::new(Int64Array::from(vec![Some(0), None])), Form::Moment),
            json!(["1970-01-01T00:00:00Z", null])
        );
        let parts = StringArray::from(vec![Some("[1,null]"), None]);
        assert_eq!(written(Arc::new(parts), Form::Json), json!([[1, null], null]));
    }

    #[test]
    fn a_column_of_another_type_is_refused() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let error = Cells::of(&column, Form::Text).expect_err("no text");
        assert!(format!("{error:?}").contains("Int64"), "{error:?}");
    }
}
