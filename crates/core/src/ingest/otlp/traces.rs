//! Spans, with their events and links.

use std::sync::LazyLock;

use arrow_array::types::{Int64Type, UInt16Type, UInt32Type};
use arrow_schema::SchemaRef;
use tidegate_model::tables::SPANS;

use super::envelope::{each_item, each_scope};
use super::origin::OriginColumns;
use super::value::read_entry;
use super::{Budget, Context, DecodeError, Decoded, Stop, Tally, assemble, check_id, enum_name, storable};
use crate::ingest::columns::{Attributes, Column, List, Numbers, Room, Text, Times, Word, columns};
use crate::ingest::rejection::{Fault, Reason};
use crate::ingest::wire::{Nested, Reader, fixed32, fixed64, len, varint};

columns! {
    /// The columns of `spans`, in their order.
    SpanColumns {
        partition: Numbers<UInt16Type>,
        timestamp: Times,
        end_timestamp: Times,
        duration: Numbers<Int64Type>,
        trace_id: Text,
        span_id: Text,
        parent_span_id: Text,
        trace_state: Text,
        flags: Numbers<UInt32Type>,
        service_name: Word,
        name: Word,
        kind: Word,
        status_code: Word,
        status_message: Text,
        attributes: Attributes,
        dropped: Numbers<UInt32Type>,
        events: List<EventColumns>,
        dropped_events: Numbers<UInt32Type>,
        links: List<LinkColumns>,
        dropped_links: Numbers<UInt32Type>,
        origin: OriginColumns,
    }
}

columns! {
    /// The events of spans.
    EventColumns {
        timestamp: Times,
        name: Word,
        attributes: Attributes,
        dropped: Numbers<UInt32Type>,
    }
}

columns! {
    /// The links of spans.
    LinkColumns {
        trace_id: Text,
        span_id: Text,
        trace_state: Text,
        flags: Numbers<UInt32Type>,
        attributes: Attributes,
        dropped: Numbers<UInt32Type>,
    }
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| SPANS.row_schema());

static ROOM: Room = Room::new();

/// Decodes an `ExportTraceServiceRequest`.
pub(super) fn decode(body: &[u8], context: Context) -> Result<Decoded, DecodeError> {
    let mut columns = SpanColumns::new(context.strict);
    ROOM.make(&mut columns, body.len());
    let mut tally = Tally::default();
    each_scope(body, |origin, scope| {
        let first = columns.len();
        let fault = origin.fault();
        each_item(scope, |span| {
            let outcome = match fault {
                None => columns.push(span, context, &mut tally.budget),
                Some(fault) => Err(fault.into()),
            };
            if !tally.settle(outcome)? {
                let rows = columns.partition.len();
                columns.truncate(rows);
            }
            Ok(())
        })?;
        let rows = columns.len() - first;
        columns.service_name.repeat(&origin.resource.service_name, rows)?;
        columns.origin.repeat(&origin, rows, &mut tally.budget)
    })?;
    ROOM.note(&columns, body.len());
    let accepted = columns.len() as u64;
    let rejected = tally.rejections.total();
    Ok(Decoded {
        rows: assemble(&SPANS, &SCHEMA, columns)?.into_iter().collect(),
        accepted,
        rejected: vec![(SPANS.name.clone(), rejected)],
        rejections: tally.rejections,
        series: None,
    })
}

/// The singular fields of one span, until all of it was read.
#[derive(Default)]
struct Span<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    trace_state: &'a [u8],
    parent_span_id: &'a [u8],
    name: &'a [u8],
    kind: u32,
    start: u64,
    end: u64,
    dropped: u32,
    dropped_events: u32,
    dropped_links: u32,
    status: Nested<'a>,
    flags: u32,
}

const TRACE_ID: u32 = len(1);
const SPAN_ID: u32 = len(2);
const TRACE_STATE: u32 = len(3);
const PARENT_SPAN_ID: u32 = len(4);
const NAME: u32 = len(5);
const KIND: u32 = varint(6);
const START: u32 = fixed64(7);
const END: u32 = fixed64(8);
const ATTRIBUTES: u32 = len(9);
const DROPPED: u32 = varint(10);
const EVENTS: u32 = len(11);
const DROPPED_EVENTS: u32 = varint(12);
const LINKS: u32 = len(13);
const DROPPED_LINKS: u32 = varint(14);
const STATUS: u32 = len(15);
const FLAGS: u32 = fixed32(16);
const KNOWN: u64 = 0x1_fffe;

const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
const STATUS_CODES: [&str; 3] = ["UNSET", "OK", "ERROR"];

impl SpanColumns {
    fn new(strict: bool) -> Self {
        Self {
            partition: Numbers::new(),
            timestamp: Times::new(),
            end_timestamp: Times::new(),
            duration: Numbers::new(),
            trace_id: Text::new("trace_id", false),
            span_id: Text::new("span_id", false),
            parent_span_id: Text::new("parent_span_id", false),
            trace_state: Text::new("trace_state", strict),
            flags: Numbers::new(),
            service_name: Word::new("service.name"),
            name: Word::new("name"),
            kind: Word::new("kind"),
            status_code: Word::new("status.code"),
            status_message: Text::new("status.message", strict),
            attributes: Attributes::new("attributes", strict),
            dropped: Numbers::new(),
            events: List::of(EventColumns::new(strict)),
            dropped_events: Numbers::new(),
            links: List::of(LinkColumns::new(strict)),
            dropped_links: Numbers::new(),
            origin: OriginColumns::new(strict),
        }
    }

    fn push(&mut self, mut reader: Reader<'_>, context: Context, budget: &mut Budget) -> Result<(), Stop> {
        let mut span = Span::default();
        while let Some(tag) = reader.tag()? {
            match tag {
                ATTRIBUTES => read_entry(reader.message()?, &mut self.attributes)?,
                TRACE_ID => span.trace_id = reader.bytes()?,
                SPAN_ID => span.span_id = reader.bytes()?,
                TRACE_STATE => span.trace_state = reader.bytes()?,
                PARENT_SPAN_ID => span.parent_span_id = reader.bytes()?,
                NAME => span.name = reader.bytes()?,
                KIND => span.kind = reader.varint32()?,
                START => span.start = reader.fixed64()?,
                END => span.end = reader.fixed64()?,
                DROPPED => span.dropped = reader.varint32()?,
                EVENTS => {
                    budget.take_row()?;
                    self.events.items.push(reader.message()?)?;
                }
                DROPPED_EVENTS => span.dropped_events = reader.varint32()?,
                LINKS => {
                    budget.take_row()?;
                    self.links.items.push(reader.message()?)?;
                }
                DROPPED_LINKS => span.dropped_links = reader.varint32()?,
                STATUS => span.status.push(reader.message()?),
                FLAGS => span.flags = reader.fixed32()?,
                _ => reader.skip(tag, KNOWN)?,
            }
        }
        self.end_row(&span, context)
    }

    fn end_row(&mut self, span: &Span<'_>, context: Context) -> Result<(), Stop> {
        let start = storable(span.start, "start_time_unix_nano")?;
        let end = storable(span.end, "end_time_unix_nano")?;
        check_needed_id(span.trace_id, 16, "trace_id")?;
        check_needed_id(span.span_id, 8, "span_id")?;
        check_id(span.parent_span_id, 8, "parent_span_id")?;
        self.timestamp.push(start);
        self.end_timestamp.push(end);
        self.duration.push(end - start);
        self.trace_id.push_hex(span.trace_id);
        self.span_id.push_hex(span.span_id);
        self.parent_span_id.push_hex(span.parent_span_id);
        self.trace_state.push(span.trace_state)?;
        self.flags.push(span.flags);
        self.name.push(span.name)?;
        self.kind.push(enum_name(&KINDS, span.kind, &mut itoa::Buffer::new()))?;
        self.push_status(span.status.reader())?;
        self.attributes.end_row()?;
        self.dropped.push(span.dropped);
        self.events.end_row();
        self.dropped_events.push(span.dropped_events);
        self.links.end_row();
        self.dropped_links.push(span.dropped_links);
        // The row is whole once its partition is there.
        self.partition.push(context.partition(start));
        Ok(())
    }

    fn push_status(&mut self, mut reader: Reader<'_>) -> Result<(), Stop> {
        let (mut message, mut code): (&[u8], u32) = (&[], 0);
        while let Some(tag) = reader.tag()? {
            match tag {
                STATUS_MESSAGE => message = reader.bytes()?,
                STATUS_CODE => code = reader.varint32()?,
                _ => reader.skip(tag, 0b1100)?,
            }
        }
        self.status_code.push(enum_name(&STATUS_CODES, code, &mut itoa::Buffer::new()))?;
        self.status_message.push(message)?;
        Ok(())
    }
}

const STATUS_MESSAGE: u32 = len(2);
const STATUS_CODE: u32 = varint(3);

fn check_needed_id(id: &[u8], length: usize, field: &'static str) -> Result<(), Fault> {
    if id.is_empty() { Err(Fault::new(Reason::InvalidId, field)) } else { check_id(id, length, field) }
}

impl EventColumns {
    fn new(strict: bool) -> Self {
        Self {
            timestamp: Times::new(),
            name: Word::new("events.name"),
            attributes: Attributes::new("events.attributes", strict),
            dropped: Numbers::new(),
        }
    }

    fn push(&mut self, mut reader: Reader<'_>) -> Result<(), Stop> {
        let (mut time, mut name, mut dropped): (u64, &[u8], u32) = (0, &[], 0);
        while let Some(tag) = reader.tag()? {
            match tag {
                EVENT_TIME => time = reader.fixed64()?,
                EVENT_NAME => name = reader.bytes()?,
                EVENT_ATTRIBUTES => read_entry(reader.message()?, &mut self.attributes)?,
                EVENT_DROPPED => dropped = reader.varint32()?,
                _ => reader.skip(tag, 0b1_1110)?,
            }
        }
        self.timestamp.push(storable(time, "events.time_unix_nano")?);
        self.name.push(name)?;
        self.attributes.end_row()?;
        self.dropped.push(dropped);
        Ok(())
    }
}

const EVENT_TIME: u32 = fixed64(1);
const EVENT_NAME: u32 = len(2);
const EVENT_ATTRIBUTES: u32 = len(3);
const EVENT_DROPPED: u32 = varint(4);

impl LinkColumns {
    fn new(strict: bool) -> Self {
        Self {
            trace_id: Text::new("links.trace_id", false),
            span_id: Text::new("links.span_id", false),
            trace_state: Text::new("links.trace_state", strict),
            flags: Numbers::new(),
            attributes: Attributes::new("links.attributes", strict),
            dropped: Numbers::new(),
        }
    }

    fn push(&mut self, mut reader: Reader<'_>) -> Result<(), Stop> {
        let (mut trace_id, mut span_id, mut trace_state): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let (mut dropped, mut flags) = (0, 0);
        while let Some(tag) = reader.tag()? {
            match tag {
                LINK_TRACE_ID => trace_id = reader.bytes()?,
                LINK_SPAN_ID => span_id = reader.bytes()?,
                LINK_TRACE_STATE => trace_state = reader.bytes()?,
                LINK_ATTRIBUTES => read_entry(reader.message()?, &mut self.attributes)?,
                LINK_DROPPED => dropped = reader.varint32()?,
                LINK_FLAGS => flags = reader.fixed32()?,
                _ => reader.skip(tag, 0b111_1110)?,
            }
        }
        check_id(trace_id, 16, "links.trace_id")?;
        check_id(span_id, 8, "links.span_id")?;
        self.trace_id.push_hex(trace_id);
        self.span_id.push_hex(span_id);
        self.trace_state.push(trace_state)?;
        self.flags.push(flags);
        self.attributes.end_row()?;
        self.dropped.push(dropped);
        Ok(())
    }
}

const LINK_TRACE_ID: u32 = len(1);
const LINK_SPAN_ID: u32 = len(2);
const LINK_TRACE_STATE: u32 = len(3);
const LINK_ATTRIBUTES: u32 = len(4);
const LINK_DROPPED: u32 = varint(5);
const LINK_FLAGS: u32 = fixed32(6);
