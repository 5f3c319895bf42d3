use super::text;
use super::wire::{Field, Message};
use crate::json::DEPTH_MAX;
use crate::{Invalid, Json, Object};

/// Reads a `KeyValue` into an object; of one key the last counts.
pub(super) fn attribute(bytes: &[u8], into: &mut Object) -> Result<(), Invalid> {
    member(bytes, into, 0)
}

fn member(bytes: &[u8], into: &mut Object, depth: usize) -> Result<(), Invalid> {
    let (mut message, mut key, mut value) = (Message::of(bytes), String::new(), Json::Null);
    while let Some((number, field)) = message.next()? {
        match (number, field) {
            (1, Field::Bytes(name)) => key = text(name)?,
            (2, Field::Bytes(inner)) => value = any(inner, depth)?,
            _ => {}
        }
    }
    into.insert(key, value);
    Ok(())
}

/// Reads an `AnyValue`; one that says nothing is `null`.
fn any(bytes: &[u8], depth: usize) -> Result<Json, Invalid> {
    if depth == DEPTH_MAX / 2 {
        return Err(Invalid::at(
            "an attribute",
            "its values are nested too deep",
            format!("nest up to {}", DEPTH_MAX / 2),
        ));
    }
    let (mut message, mut value) = (Message::of(bytes), Json::Null);
    while let Some((number, field)) = message.next()? {
        value = match (number, field) {
            (1, Field::Bytes(bytes)) => Json::Text(text(bytes)?),
            (2, Field::Number(flag)) => Json::Bool(flag != 0),
            (3, Field::Number(bits)) => Json::from(bits.cast_signed()),
            (4, Field::Fixed(bits)) => double(f64::from_bits(bits)),
            (5, Field::Bytes(inner)) => list(inner, depth + 1)?,
            (6, Field::Bytes(inner)) => object(inner, depth + 1)?,
            // Bytes have no place in JSON: their digits do.
            (7, Field::Bytes(bytes)) => Json::Text(super::digits(bytes)),
            _ => continue,
        };
    }
    Ok(value)
}

/// Doubles that JSON cannot write are texts, so that they are not lost.
fn double(value: f64) -> Json {
    if value.is_finite() { Json::number(value) } else { Json::text(value.to_string()) }
}

fn list(bytes: &[u8], depth: usize) -> Result<Json, Invalid> {
    let (mut message, mut elements) = (Message::of(bytes), Vec::new());
    while let Some((number, field)) = message.next()? {
        if let (1, Field::Bytes(inner)) = (number, field) {
            elements.push(any(inner, depth)?);
        }
    }
    Ok(Json::List(elements))
}

fn object(bytes: &[u8], depth: usize) -> Result<Json, Invalid> {
    let (mut message, mut members) = (Message::of(bytes), Object::new());
    while let Some((number, field)) = message.next()? {
        if let (1, Field::Bytes(inner)) = (number, field) {
            member(inner, &mut members, depth)?;
        }
    }
    Ok(Json::Object(members))
}
