//! The resource and the scope that rows come from: read once, repeated for their rows.

use arrow_array::types::{UInt8Type, UInt32Type};
use tidegate_model::tables::UNKNOWN_SERVICE;

use super::value::{read_entry, write_json_string};
use super::{Budget, Stop};
use crate::ingest::columns::{EntryList, Labels, Numbers, Word, columns};
use crate::ingest::rejection::{Fault, Reason};
use crate::ingest::wire::{Nested, Reader, WireError, len, varint};

columns! {
    /// The last columns of every row.
    OriginColumns {
        resource_attributes: Labels,
        resource_dropped: Numbers<UInt32Type>,
        resource_entity_refs: Word,
        resource_schema_url: Word,
        scope_name: Word,
        scope_version: Word,
        scope_attributes: Labels,
        scope_dropped: Numbers<UInt32Type>,
        scope_schema_url: Word,
        presence: Numbers<UInt8Type>,
    }
}

impl OriginColumns {
    pub(super) fn new(strict: bool) -> Self {
        Self {
            resource_attributes: Labels::new("resource.attributes", strict),
            resource_dropped: Numbers::new(),
            resource_entity_refs: Word::new("resource.entity_refs"),
            resource_schema_url: Word::new("resource schema_url"),
            scope_name: Word::new("scope.name"),
            scope_version: Word::new("scope.version"),
            scope_attributes: Labels::new("scope.attributes", strict),
            scope_dropped: Numbers::new(),
            scope_schema_url: Word::new("scope schema_url"),
            presence: Numbers::new(),
        }
    }

    /// Pushes the origin of `rows` rows.
    pub(super) fn repeat(&mut self, origin: &Origin<'_>, rows: usize, budget: &mut Budget) -> Result<(), Stop> {
        let (resource, scope) = (origin.resource, origin.scope);
        let entries = resource.attributes.len() + scope.attributes.len();
        let bytes = resource.attributes.bytes_len() + scope.attributes.bytes_len() + 8 * entries;
        budget.take_bytes(bytes.saturating_mul(rows))?;
        self.resource_attributes.repeat(&resource.attributes, rows)?;
        self.resource_dropped.repeat(resource.dropped, rows);
        self.resource_entity_refs.repeat(&resource.entity_refs, rows)?;
        self.resource_schema_url.repeat(resource.schema_url, rows)?;
        self.scope_name.repeat(scope.name, rows)?;
        self.scope_version.repeat(scope.version, rows)?;
        self.scope_attributes.repeat(&scope.attributes, rows)?;
        self.scope_dropped.repeat(scope.dropped, rows);
        self.scope_schema_url.repeat(scope.schema_url, rows)?;
        self.presence.repeat(origin.presence(), rows);
        Ok(())
    }
}

/// Where rows come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) resource: &'a Resource<'a>,
    pub(super) scope: &'a Scope<'a>,
}

impl Origin<'_> {
    pub(super) fn presence(&self) -> u8 {
        u8::from(self.resource.present) | u8::from(self.scope.present) << 1
    }

    /// Returns why no row of this origin can be taken, if so.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.resource.fault.or(self.scope.fault)
    }
}

/// A resource, and what its `Resource…` message says beside it.
#[derive(Debug)]
pub(super) struct Resource<'a> {
    pub(super) present: bool,
    pub(super) attributes: EntryList,
    pub(super) dropped: u32,
    /// OTLP JSON, empty where the resource has none.
    pub(super) entity_refs: Vec<u8>,
    pub(super) schema_url: &'a [u8],
    pub(super) service_name: Vec<u8>,
    fault: Option<Fault>,
}

/// A scope, and what its `Scope…` message says beside it.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) present: bool,
    pub(super) name: &'a [u8],
    pub(super) version: &'a [u8],
    pub(super) attributes: EntryList,
    pub(super) dropped: u32,
    pub(super) schema_url: &'a [u8],
    fault: Option<Fault>,
}

impl<'a> Resource<'a> {
    /// Reads the resource and its schema's URL; what cannot be stored is a fault of all its rows.
    pub(super) fn read(message: &Nested<'_>, schema_url: &'a [u8]) -> Result<Self, WireError> {
        let mut resource = Self {
            present: message.is_present(),
            attributes: EntryList::new("resource.attributes"),
            dropped: 0,
            entity_refs: Vec::new(),
            schema_url,
            service_name: Vec::new(),
            fault: None,
        };
        match resource.fill(message.reader()) {
            Err(Stop::Row(fault)) => resource.fault = Some(fault),
            Err(Stop::Wire(error)) => return Err(error),
            Err(Stop::TooLarge(_)) | Ok(()) => {}
        }
        let named = resource.attributes.iter().find(|(key, value, _)| *key == b"service.name" && !value.is_empty());
        resource.service_name = named.map_or(UNKNOWN_SERVICE.as_bytes(), |(_, value, _)| value).to_vec();
        Ok(resource)
    }

    fn fill(&mut self, mut reader: Reader<'_>) -> Result<(), Stop> {
        check_utf8(self.schema_url, "resource schema_url")?;
        let mut separator = b'[';
        while let Some(tag) = reader.tag()? {
            match tag {
                ATTRIBUTES => read_entry(reader.message()?, &mut self.attributes)?,
                DROPPED => self.dropped = reader.varint32()?,
                ENTITY_REFS => {
                    self.entity_refs.push(separator);
                    separator = b',';
                    write_entity_ref(reader.message()?, &mut self.entity_refs)?;
                }
                _ => reader.skip(tag, 0b1110)?,
            }
        }
        if separator == b',' {
            self.entity_refs.push(b']');
        }
        Ok(())
    }
}

const ATTRIBUTES: u32 = len(1);
const DROPPED: u32 = varint(2);
const ENTITY_REFS: u32 = len(3);

impl<'a> Scope<'a> {
    /// Reads the scope and its schema's URL; what cannot be stored is a fault of all its rows.
    pub(super) fn read(message: &'a Nested<'_>, schema_url: &'a [u8]) -> Result<Self, WireError> {
        let mut scope = Self {
            present: message.is_present(),
            name: &[],
            version: &[],
            attributes: EntryList::new("scope.attributes"),
            dropped: 0,
            schema_url,
            fault: None,
        };
        match scope.fill(message.reader()) {
            Err(Stop::Row(fault)) => scope.fault = Some(fault),
            Err(Stop::Wire(error)) => return Err(error),
            Err(Stop::TooLarge(_)) | Ok(()) => {}
        }
        Ok(scope)
    }

    fn fill(&mut self, mut reader: Reader<'a>) -> Result<(), Stop> {
        check_utf8(self.schema_url, "scope schema_url")?;
        while let Some(tag) = reader.tag()? {
            match tag {
                SCOPE_NAME => self.name = reader.bytes()?,
                SCOPE_VERSION => self.version = reader.bytes()?,
                SCOPE_ATTRIBUTES => read_entry(reader.message()?, &mut self.attributes)?,
                SCOPE_DROPPED => self.dropped = reader.varint32()?,
                _ => reader.skip(tag, 0b1_1110)?,
            }
        }
        check_utf8(self.name, "scope.name")?;
        check_utf8(self.version, "scope.version")?;
        Ok(())
    }
}

const SCOPE_NAME: u32 = len(1);
const SCOPE_VERSION: u32 = len(2);
const SCOPE_ATTRIBUTES: u32 = len(3);
const SCOPE_DROPPED: u32 = varint(4);

fn check_utf8(text: &[u8], field: &'static str) -> Result<(), Fault> {
    std::str::from_utf8(text).map(drop).map_err(|_| Fault::new(Reason::InvalidUtf8, field))
}

/// Writes an `EntityRef` as OTLP JSON.
fn write_entity_ref(mut reader: Reader<'_>, out: &mut Vec<u8>) -> Result<(), Stop> {
    let (mut schema_url, mut kind): (&[u8], &[u8]) = (&[], &[]);
    let (mut id_keys, mut description_keys) = (Vec::new(), Vec::new());
    while let Some(tag) = reader.tag()? {
        match tag {
            ENTITY_SCHEMA_URL => schema_url = reader.bytes()?,
            ENTITY_TYPE => kind = reader.bytes()?,
            ENTITY_ID_KEYS => id_keys.push(reader.bytes()?),
            ENTITY_DESCRIPTION_KEYS => description_keys.push(reader.bytes()?),
            _ => reader.skip(tag, 0b1_1110)?,
        }
    }
    out.extend_from_slice(b"{\"schemaUrl\":");
    write_json_string(schema_url, out)?;
    out.extend_from_slice(b",\"type\":");
    write_json_string(kind, out)?;
    out.extend_from_slice(b",\"idKeys\":");
    write_json_strings(&id_keys, out)?;
    out.extend_from_slice(b",\"descriptionKeys\":");
    write_json_strings(&description_keys, out)?;
    out.push(b'}');
    Ok(())
}

const ENTITY_SCHEMA_URL: u32 = len(1);
const ENTITY_TYPE: u32 = len(2);
const ENTITY_ID_KEYS: u32 = len(3);
const ENTITY_DESCRIPTION_KEYS: u32 = len(4);

fn write_json_strings(texts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Stop> {
    out.push(b'[');
    for (i, text) in texts.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_json_string(text, out)?;
    }
    out.push(b']');
    Ok(())
}
