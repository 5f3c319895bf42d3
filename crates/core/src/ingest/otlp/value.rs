//! Attribute values and bodies: their text, and the letter of their type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tidegate_model::limits::VALUE_DEPTH_MAX;

use super::Stop;
use crate::ingest::columns::{EntrySink, Text};
use crate::ingest::rejection::{Fault, Reason};
use crate::ingest::wire::{Nested, Reader, WireError, fixed64, len, varint};

/// The letter of a string's type.
pub(super) const STRING: u8 = b's';
/// The letter of an absent value.
pub(super) const EMPTY: u8 = b'e';

const KEY: u32 = len(1);
const VALUE: u32 = len(2);
const KEY_VALUE_KNOWN: u64 = 0b1110;
/// An index into the dictionary of profiles; the protocol says to read it as absent in the other signals.
const KEY_INDEX: u32 = varint(3);

const STRING_VALUE: u32 = len(1);
const BOOL_VALUE: u32 = varint(2);
const INT_VALUE: u32 = varint(3);
const DOUBLE_VALUE: u32 = fixed64(4);
const ARRAY_VALUE: u32 = len(5);
const LIST_VALUE: u32 = len(6);
const BYTES_VALUE: u32 = len(7);
/// As [`KEY_INDEX`].
const STRING_INDEX: u32 = varint(8);
const ANY_VALUE_KNOWN: u64 = 0b1_1111_1110;

/// What an `AnyValue` holds.
#[derive(Debug)]
enum Value<'a> {
    Empty,
    String(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Nested<'a>),
    List(Nested<'a>),
    Bytes(&'a [u8]),
}

/// Reads a `KeyValue` into a map.
#[inline]
pub(super) fn read_entry(reader: Reader<'_>, sink: &mut impl EntrySink) -> Result<(), Stop> {
    if let Some((key, value)) = as_sdks_write(reader.clone()) {
        return put_entry(key, value, sink);
    }
    let (key, value) = read_pair(reader)?;
    put_entry(key, value.reader(), sink)
}

/// Reads key and value where each comes once and in their order, and nothing else comes. Always inlined, as in [`Reader`].
#[inline(always)]
fn as_sdks_write(mut reader: Reader<'_>) -> Option<(&[u8], Reader<'_>)> {
    if reader.tag().ok()? != Some(KEY) {
        return None;
    }
    let key = reader.bytes().ok()?;
    if reader.tag().ok()? != Some(VALUE) {
        return None;
    }
    let value = reader.message().ok()?;
    reader.is_done().then_some((key, value))
}

#[cold]
fn read_pair(mut reader: Reader<'_>) -> Result<(&[u8], Nested<'_>), WireError> {
    let mut key: &[u8] = &[];
    let mut value = Nested::Absent;
    while let Some(tag) = reader.tag()? {
        match tag {
            KEY => key = reader.bytes()?,
            VALUE => value.push(reader.message()?),
            KEY_INDEX => drop(reader.varint()?),
            _ => reader.skip(tag, KEY_VALUE_KNOWN)?,
        }
    }
    Ok((key, value))
}

#[inline(always)]
fn put_entry(key: &[u8], value: Reader<'_>, sink: &mut impl EntrySink) -> Result<(), Stop> {
    sink.key(key)?;
    let letter = match as_string(value.clone()) {
        Some(text) => {
            sink.text(text)?;
            STRING
        }
        None => match read_value(value)? {
            Value::String(text) => {
                sink.text(text)?;
                STRING
            }
            other => write_value(&other, sink.made())?,
        },
    };
    sink.end_entry(letter);
    Ok(())
}

/// Reads a value that is a string and nothing else, as most are.
#[inline(always)]
fn as_string(mut reader: Reader<'_>) -> Option<&[u8]> {
    if reader.tag().ok()? != Some(STRING_VALUE) {
        return None;
    }
    let text = reader.bytes().ok()?;
    reader.is_done().then_some(text)
}

/// Reads an `AnyValue` into a column of text, and returns its type's letter.
pub(super) fn read_text(reader: Reader<'_>, column: &mut Text) -> Result<u8, Stop> {
    let letter = match as_string(reader.clone()) {
        Some(text) => {
            column.append(text)?;
            STRING
        }
        None => match read_value(reader)? {
            Value::String(text) => {
                column.append(text)?;
                STRING
            }
            other => write_value(&other, column.open_row())?,
        },
    };
    column.end_row();
    Ok(letter)
}

#[inline]
fn read_value(mut reader: Reader<'_>) -> Result<Value<'_>, WireError> {
    let mut value = Value::Empty;
    while let Some(tag) = reader.tag()? {
        value = match tag {
            STRING_VALUE => Value::String(reader.bytes()?),
            INT_VALUE => Value::Int(reader.varint()?.cast_signed()),
            BOOL_VALUE => Value::Bool(reader.bool()?),
            DOUBLE_VALUE => Value::Double(reader.double()?),
            BYTES_VALUE => Value::Bytes(reader.bytes()?),
            ARRAY_VALUE => {
                let mut pieces = if let Value::Array(pieces) = value { pieces } else { Nested::Absent };
                pieces.push(reader.message()?);
                Value::Array(pieces)
            }
            LIST_VALUE => {
                let mut pieces = if let Value::List(pieces) = value { pieces } else { Nested::Absent };
                pieces.push(reader.message()?);
                Value::List(pieces)
            }
            STRING_INDEX => {
                reader.varint()?;
                Value::Empty
            }
            _ => {
                reader.skip(tag, ANY_VALUE_KNOWN)?;
                value
            }
        };
    }
    Ok(value)
}

/// Writes anything but a string.
fn write_value(value: &Value<'_>, out: &mut Vec<u8>) -> Result<u8, Stop> {
    Ok(match value {
        Value::Empty => EMPTY,
        Value::String(_) => STRING,
        Value::Bool(truth) => {
            out.extend_from_slice(if *truth { b"true" } else { b"false" });
            b'b'
        }
        Value::Int(n) => {
            out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
            b'i'
        }
        Value::Double(n) => {
            out.extend_from_slice(double_text(*n, &mut ryu::Buffer::new()).as_bytes());
            b'd'
        }
        Value::Bytes(bytes) => {
            out.extend_from_slice(BASE64.encode(bytes).as_bytes());
            b'x'
        }
        Value::Array(values) => {
            write_array(values, 1, out)?;
            b'a'
        }
        Value::List(values) => {
            write_list(values, 1, out)?;
            b'k'
        }
    })
}

fn double_text(n: f64, buffer: &mut ryu::Buffer) -> &str {
    if n.is_nan() {
        "NaN"
    } else if n.is_infinite() {
        if n > 0.0 { "Infinity" } else { "-Infinity" }
    } else {
        buffer.format_finite(n)
    }
}

fn write_array(values: &Nested<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
    check_depth(depth)?;
    let mut reader = values.reader();
    let mut separator: &[u8] = b"{\"values\":[";
    while let Some(tag) = reader.tag()? {
        if tag != len(1) {
            reader.skip(tag, 0b10)?;
            continue;
        }
        out.extend_from_slice(separator);
        separator = b",";
        write_json(&read_value(reader.message()?)?, depth, out)?;
    }
    end_values(separator, out);
    Ok(())
}

fn write_list(values: &Nested<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
    check_depth(depth)?;
    let mut reader = values.reader();
    let mut separator: &[u8] = b"{\"values\":[";
    while let Some(tag) = reader.tag()? {
        if tag != len(1) {
            reader.skip(tag, 0b10)?;
            continue;
        }
        out.extend_from_slice(separator);
        separator = b",";
        write_pair(reader.message()?, depth, out)?;
    }
    end_values(separator, out);
    Ok(())
}

fn end_values(separator: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if separator == b"," { b"]}" } else { b"{\"values\":[]}" });
}

fn write_pair(reader: Reader<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
    let (key, value) = read_pair(reader)?;
    out.extend_from_slice(b"{\"key\":");
    write_json_string(key, out)?;
    if value.is_present() {
        out.extend_from_slice(b",\"value\":");
        write_json(&read_value(value.reader())?, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_json(value: &Value<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
    match value {
        Value::Empty => {
            out.extend_from_slice(b"{}");
            return Ok(());
        }
        Value::String(text) => {
            out.extend_from_slice(b"{\"stringValue\":");
            write_json_string(text, out)?;
        }
        Value::Bool(truth) => {
            out.extend_from_slice(if *truth { b"{\"boolValue\":true" } else { b"{\"boolValue\":false" });
        }
        Value::Int(n) => {
            out.extend_from_slice(b"{\"intValue\":\"");
            out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
            out.push(b'"');
        }
        Value::Double(n) => {
            let quote: &[u8] = if n.is_finite() { b"" } else { b"\"" };
            out.extend_from_slice(b"{\"doubleValue\":");
            out.extend_from_slice(quote);
            out.extend_from_slice(double_text(*n, &mut ryu::Buffer::new()).as_bytes());
            out.extend_from_slice(quote);
        }
        Value::Array(values) => {
            out.extend_from_slice(b"{\"arrayValue\":");
            write_array(values, depth + 1, out)?;
        }
        Value::List(values) => {
            out.extend_from_slice(b"{\"kvlistValue\":");
            write_list(values, depth + 1, out)?;
        }
        Value::Bytes(bytes) => {
            out.extend_from_slice(b"{\"bytesValue\":\"");
            out.extend_from_slice(BASE64.encode(bytes).as_bytes());
            out.push(b'"');
        }
    }
    out.push(b'}');
    Ok(())
}

/// Writes text as a JSON string.
pub(super) fn write_json_string(text: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::new(Reason::InvalidUtf8, "a nested value"))?;
    serde_json::to_writer(out, text).expect("text is written to a vector without fail");
    Ok(())
}

fn check_depth(depth: usize) -> Result<(), Fault> {
    if depth > VALUE_DEPTH_MAX { Err(Fault::new(Reason::TooDeep, "a value")) } else { Ok(()) }
}
