//! `Resource…` and `Scope…` messages: all three signals number their fields alike.

use super::Stop;
use super::origin::{Origin, Resource, Scope};
use crate::ingest::wire::{Nested, Reader, len};

const RESOURCE_OR_SCOPE: u32 = len(1);
const ITEMS: u32 = len(2);
const SCHEMA_URL: u32 = len(3);
const KNOWN: u64 = 0b1110;

/// Calls `each` for every scope of a request, with a reader of its `Scope…` message for [`each_item`].
pub(super) fn each_scope(
    body: &[u8],
    mut each: impl FnMut(Origin<'_>, Reader<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut request = Reader::new(body);
    while let Some(tag) = request.tag()? {
        if tag != RESOURCE_OR_SCOPE {
            request.skip(tag, 0b10)?;
            continue;
        }
        let reader = request.message()?;
        let (message, schema_url) = read_frame(reader.clone())?;
        let resource = Resource::read(&message, schema_url)?;
        each_item(reader, |scope_reader| {
            let (message, schema_url) = read_frame(scope_reader.clone())?;
            let scope = Scope::read(&message, schema_url)?;
            each(Origin { resource: &resource, scope: &scope }, scope_reader)
        })?;
    }
    Ok(())
}

/// Calls `each` for every record in a `Scope…` message, for every `Scope…` in a `Resource…` message.
#[inline]
pub(super) fn each_item<'a>(
    mut reader: Reader<'a>,
    mut each: impl FnMut(Reader<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    while let Some(tag) = reader.tag()? {
        match tag {
            ITEMS => each(reader.message()?)?,
            RESOURCE_OR_SCOPE | SCHEMA_URL => drop(reader.bytes()?),
            _ => reader.skip(tag, KNOWN)?,
        }
    }
    Ok(())
}

/// Skims over the items for what belongs to all of them and may come behind them.
fn read_frame(mut reader: Reader<'_>) -> Result<(Nested<'_>, &[u8]), Stop> {
    let mut message = Nested::Absent;
    let mut schema_url: &[u8] = &[];
    while let Some(tag) = reader.tag()? {
        match tag {
            RESOURCE_OR_SCOPE => message.push(reader.message()?),
            SCHEMA_URL => schema_url = reader.bytes()?,
            ITEMS => drop(reader.bytes()?),
            _ => reader.skip(tag, KNOWN)?,
        }
    }
    Ok((message, schema_url))
}
