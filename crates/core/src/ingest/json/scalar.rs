//! Scalar values: from a JSON value to a protobuf field.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::messages::{Field, Kind, Names};
use super::number::{self, NumberProblem};
use super::scan::{Text, Value};
use super::transcode::Fault;
use crate::ingest::Reason;
use crate::ingest::wire::{Writer, zigzag};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Writes a field that is no message.
pub(super) fn write(out: &mut Writer, field: &Field, value: Value<'_>, is_utf8: bool) -> Result<(), Fault> {
    let number = field.number;
    match &field.kind {
        Kind::Text => {
            let text = text(value)?;
            if !is_utf8 && std::str::from_utf8(&text).is_err() {
                return Err(Fault::misfit(Reason::InvalidUtf8, "the string is not valid UTF-8"));
            }
            out.bytes(number, &text);
        }
        Kind::Hex(length) => out.bytes(number, &id_bytes(&text(value)?, *length)?),
        Kind::Base64 => out.bytes(number, &base64_bytes(&text(value)?)?),
        Kind::Bool => out.uint(number, u64::from(boolean(value)?)),
        Kind::UInt32 => out.uint(number, u64::from(integer::<u32>(value)?)),
        Kind::Int32 => out.int(number, i64::from(integer::<i32>(value)?)),
        Kind::SInt32 => out.uint(number, u64::from(zigzag(integer(value)?))),
        Kind::UInt64 => out.uint(number, integer(value)?),
        Kind::Int64 => out.int(number, integer(value)?),
        Kind::Fixed32 => out.fixed32(number, integer(value)?),
        Kind::Fixed64 => out.fixed64(number, integer(value)?),
        Kind::SFixed64 => out.fixed64(number, integer::<i64>(value)?.cast_unsigned()),
        Kind::Double => out.double(number, double(value)?),
        Kind::Enum(names) => out.int(number, i64::from(enum_number(names, value)?)),
        Kind::Child(_) => unreachable!("the caller writes messages"),
    }
    Ok(())
}

/// Writes one number of a packed field; the table packs these three kinds only.
pub(super) fn write_packed(out: &mut Writer, kind: &Kind, value: Value<'_>) -> Result<(), Fault> {
    match kind {
        Kind::Double => out.packed_fixed64(double(value)?.to_bits()),
        Kind::Fixed64 => out.packed_fixed64(integer(value)?),
        _ => out.packed_varint(integer(value)?),
    }
    Ok(())
}

fn boolean(value: Value<'_>) -> Result<bool, Fault> {
    match value {
        Value::Bool(value) => Ok(value),
        other => Err(Fault::wrong_type(other, "a boolean")),
    }
}

fn integer<T: TryFrom<i128>>(value: Value<'_>) -> Result<T, Fault> {
    let digits = match value {
        Value::Number(digits) => digits,
        Value::Text(text) => text.raw,
        other => return Err(Fault::wrong_type(other, "an integer")),
    };
    let value = number::integer(digits).map_err(|problem| bad_number(digits, problem))?;
    T::try_from(value).map_err(|_| bad_number(digits, NumberProblem::OutOfRange))
}

fn double(value: Value<'_>) -> Result<f64, Fault> {
    let digits = match value {
        Value::Number(digits) => digits,
        Value::Text(Text { raw: b"NaN", .. }) => return Ok(f64::NAN),
        Value::Text(Text { raw: b"Infinity", .. }) => return Ok(f64::INFINITY),
        Value::Text(Text { raw: b"-Infinity", .. }) => return Ok(f64::NEG_INFINITY),
        Value::Text(text) => text.raw,
        other => return Err(Fault::wrong_type(other, "a number")),
    };
    number::double(digits).map_err(|problem| bad_number(digits, problem))
}

/// Reads an enum by its number or its name, with or without the prefix.
fn enum_number(names: &Names, value: Value<'_>) -> Result<i32, Fault> {
    let Value::Text(text) = value else { return integer(value) };
    let name = text.raw.strip_prefix(names.prefix.as_bytes()).unwrap_or(text.raw);
    let number = match names.names.iter().position(|known| known.as_bytes() == name) {
        Some(number) => i32::try_from(number).ok(),
        None => number::integer(text.raw).ok().and_then(|number| i32::try_from(number).ok()),
    };
    number
        .ok_or_else(|| Fault::misfit(Reason::InvalidType, format!("`{}` is no value of this enum", excerpt(text.raw))))
}

fn id_bytes(text: &[u8], length: usize) -> Result<Vec<u8>, Fault> {
    if !text.is_empty() && text.len() != 2 * length {
        let problem = format!("an id of {} characters, not {} hex digits or none", text.len(), 2 * length);
        return Err(Fault::misfit(Reason::InvalidId, problem));
    }
    let problem = || format!("`{}` is not an id in hex", excerpt(text));
    hex::decode(text).map_err(|_| Fault::misfit(Reason::InvalidId, problem()))
}

fn base64_bytes(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let is_url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if is_url_safe { &URL_SAFE } else { &STANDARD };
    let decoded = engine.decode(text);
    decoded.map_err(|_| Fault::misfit(Reason::Malformed, format!("`{}` is not base64", excerpt(text))))
}

fn text(value: Value<'_>) -> Result<Cow<'_, [u8]>, Fault> {
    let Value::Text(text) = value else { return Err(Fault::wrong_type(value, "a string")) };
    text.bytes().ok_or_else(|| Fault::misfit(Reason::InvalidUtf8, "half of a surrogate pair in the string"))
}

fn bad_number(digits: &[u8], problem: NumberProblem) -> Fault {
    let reason = match problem {
        NumberProblem::OutOfRange => Reason::OutOfRange,
        NumberProblem::NotANumber | NumberProblem::NotWhole => Reason::InvalidType,
    };
    Fault::misfit(reason, format!("`{}` is {problem}", excerpt(digits)))
}

/// The beginning of a text, short enough for a message.
fn excerpt(text: &[u8]) -> String {
    const CHARACTERS: usize = 40;
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * CHARACTERS)]);
    text.chars().take(CHARACTERS).collect()
}
