use bytes::Bytes;
use tidegate_model::{UnixNanos, put_digits};

use super::answer::broken;
use super::blocks::{Column, Values, eight};
use super::statement::Form;
use crate::query::QueryError;

/// A column of a block, to be written value by value.
#[derive(Debug)]
pub(super) struct Cells<'b> {
    column: &'b Column,
    kind: Kind<'b>,
}

#[derive(Debug)]
enum Kind<'b> {
    Text(&'b [u8], &'b [(u32, u32)]),
    Json(&'b [u8], &'b [(u32, u32)]),
    Flag(&'b Bytes),
    Signed(&'b Bytes),
    Unsigned(&'b Bytes),
    Double(&'b Bytes),
    /// Times, and the day that was written last: most rows of a block are of the same.
    Moment(&'b Bytes, Day),
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
    pub(super) fn of(column: &'b Column, form: Form) -> Result<Self, QueryError> {
        let kind = match (form, &column.values) {
            (Form::Text, Values::Texts(bytes, ends)) => Kind::Text(bytes, ends),
            (Form::Json, Values::Texts(bytes, ends)) => Kind::Json(bytes, ends),
            (Form::Flag, Values::Flags(flags)) => Kind::Flag(flags),
            (Form::Double, Values::Doubles(numbers)) => Kind::Double(numbers),
            (Form::Moment, Values::Signed(times)) => Kind::Moment(times, Day::NONE),
            (Form::Whole, Values::Signed(numbers)) => Kind::Signed(numbers),
            (Form::Whole, Values::Unsigned(numbers)) => Kind::Unsigned(numbers),
            (_, other) => return Err(broken(&format!("a column comes as {} instead of {form:?}", other.name()))),
        };
        Ok(Self { column, kind })
    }

    /// Writes the value of a row as JSON.
    pub(super) fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), QueryError> {
        if self.column.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match &mut self.kind {
            Kind::Text(bytes, ends) => return write_text(text(bytes, ends[row]), out),
            Kind::Json(bytes, ends) => out.extend_from_slice(checked(text(bytes, ends[row]))?.as_bytes()),
            Kind::Flag(flags) => out.extend_from_slice(if flags[row] != 0 { b"true" } else { b"false" }),
            Kind::Signed(numbers) => {
                let number = eight(numbers, row).cast_signed();
                out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            }
            Kind::Unsigned(numbers) => {
                out.extend_from_slice(itoa::Buffer::new().format(eight(numbers, row)).as_bytes());
            }
            Kind::Double(numbers) => write_double(f64::from_bits(eight(numbers, row)), out),
            Kind::Moment(times, day) => day.write(eight(times, row).cast_signed(), out),
        }
        Ok(())
    }
}

fn text(bytes: &[u8], (first, end): (u32, u32)) -> &[u8] {
    &bytes[first as usize..end as usize]
}

/// JSON is text of Unicode; a column of ClickHouse may hold any bytes.
fn checked(text: &[u8]) -> Result<&str, QueryError> {
    std::str::from_utf8(text).map_err(|error| broken(&format!("a text is not UTF-8: {error}")))
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

/// Writes a text between quotes. Most are ASCII with nothing to escape, and what tells that is a loop without branches,
/// which the compiler makes one of whole words.
fn write_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), QueryError> {
    let is_plain = |byte: &u8| (*byte >= b' ') & (*byte < 0x80) & (*byte != b'"') & (*byte != b'\\');
    if text.iter().fold(true, |all, byte| all & is_plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        return Ok(());
    }
    serde_json::to_writer(out, checked(text)?).map_err(|error| broken(&error.to_string()))
}

/// Writes the shortest digits that are this double; a whole number has no point.
fn write_double(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"\"Infinity\"".as_slice() } else { b"\"-Infinity\"" });
    } else {
        let mut digits = zmij::Buffer::new();
        let text = digits.format_finite(number);
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn texts(all: &[Option<&[u8]>]) -> Column {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for text in all.iter().map(|text| text.unwrap_or_default()) {
            let first = u32::try_from(bytes.len()).expect("small");
            bytes.extend_from_slice(text);
            ends.push((first, u32::try_from(bytes.len()).expect("small")));
        }
        Column { nulls: nulls(all), values: Values::Texts(bytes.into(), ends) }
    }

    fn nulls<T>(all: &[Option<T>]) -> Option<Bytes> {
        Some(all.iter().map(|value| u8::from(value.is_none())).collect())
    }

    fn numbers(all: &[Option<u64>], values: fn(Bytes) -> Values) -> Column {
        let bytes: Vec<u8> = all.iter().flat_map(|number| number.unwrap_or_default().to_le_bytes()).collect();
        Column { nulls: nulls(all), values: values(bytes.into()) }
    }

    fn written(column: &Column, rows: usize, form: Form) -> Value {
        let mut cells = Cells::of(column, form).expect("the form");
        let mut out = b"[".to_vec();
        for row in 0..rows {
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
        let some = [Some("a/\"b\"\\\n"), Some(&all), None, Some(""), Some("plain text of more than sixteen bytes")];
        assert_eq!(written(&texts(&some.map(|text| text.map(str::as_bytes))), 5, Form::Text), json!(some));
        let doubles = [0.0, 1.0, -2.5, 1e20, 1e16, 5e-324, f64::MAX, 0.1, 123_456_789.25];
        let found = written(&numbers(&doubles.map(|n| Some(n.to_bits())), Values::Doubles), 9, Form::Double);
        let found: Vec<_> = found.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        assert_eq!(found, doubles);
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 7.0];
        let found = written(&numbers(&odd.map(|n| Some(n.to_bits())), Values::Doubles), 4, Form::Double);
        assert_eq!(found, json!(["NaN", "Infinity", "-Infinity", 7]));
        let whole = [Some(i64::MIN), None, Some(i64::MAX)];
        let column = numbers(&whole.map(|n| n.map(i64::cast_unsigned)), Values::Signed);
        assert_eq!(written(&column, 3, Form::Whole), json!(whole));
        assert_eq!(written(&numbers(&[Some(u64::MAX)], Values::Unsigned), 1, Form::Whole), json!([u64::MAX]));
        let flags = Column { nulls: nulls(&[Some(1), None, Some(0)]), values: Values::Flags(vec![1, 0, 0].into()) };
        assert_eq!(written(&flags, 3, Form::Flag), json!([true, null, false]));
        let times =
            [0, 1, -1, 1_769_850_000_500_000_000, i64::MIN, i64::MAX, 1_769_850_010_000_000_000, 86_399_999_999_999];
        let column = numbers(&times.map(|time: i64| Some(time.cast_unsigned())), Values::Signed);
        assert_eq!(written(&column, 8, Form::Moment), json!(times.map(|time| UnixNanos(time).to_string())));
        let parts = texts(&[Some(b"[1,null]".as_slice()), None]);
        assert_eq!(written(&parts, 2, Form::Json), json!([[1, null], null]));
    }

    #[test]
    fn a_column_of_another_type_and_bytes_that_are_no_text_are_refused() {
        let column = numbers(&[Some(1)], Values::Signed);
        let error = Cells::of(&column, Form::Text).expect_err("no text");
        assert!(format!("{error:?}").contains("Int64"), "{error:?}");
        let column = texts(&[Some(b"a\xff".as_slice())]);
        let error = Cells::of(&column, Form::Text).expect("texts").write(0, &mut Vec::new()).expect_err("no text");
        assert!(format!("{error:?}").contains("UTF-8"), "{error:?}");
    }
}
