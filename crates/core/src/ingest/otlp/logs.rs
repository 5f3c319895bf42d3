//! Log records.

use std::sync::LazyLock;

use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_schema::SchemaRef;
use tidegate_model::tables::LOGS;

use super::envelope::{each_item, each_scope};
use super::origin::OriginColumns;
use super::value::{EMPTY, STRING, read_entry, read_text};
use super::{Context, DecodeError, Decoded, Stop, Tally, assemble, check_id, storable};
use crate::ingest::columns::{Attributes, Column, Numbers, Room, Text, Times, Word, columns};
use crate::ingest::rejection::{Fault, Reason};
use crate::ingest::wire::{Nested, Reader, fixed32, fixed64, len, varint};

columns! {
    /// The columns of `logs`, in their order.
    LogColumns {
        partition: Numbers<UInt16Type>,
        timestamp: Times,
        timestamp_source: Word,
        observed_timestamp: Times,
        trace_id: Text,
        span_id: Text,
        flags: Numbers<UInt32Type>,
        severity_number: Numbers<UInt8Type>,
        severity_text: Word,
        service_name: Word,
        event_name: Word,
        body: Text,
        body_type: Word,
        attributes: Attributes,
        dropped: Numbers<UInt32Type>,
        template_id: Numbers<UInt64Type>,
        origin: OriginColumns,
    }
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| LOGS.row_schema());

static ROOM: Room = Room::new();

/// Decodes an `ExportLogsServiceRequest`.
pub(super) fn decode(body: &[u8], context: Context) -> Result<Decoded, DecodeError> {
    let mut columns = LogColumns::new(context.strict);
    ROOM.make(&mut columns, body.len());
    let mut tally = Tally::default();
    each_scope(body, |origin, scope| {
        let first = columns.len();
        let fault = origin.fault();
        each_item(scope, |record| {
            let outcome = fault.map_or_else(|| columns.push(record, context), |fault| Err(fault.into()));
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
        rows: assemble(&LOGS, &SCHEMA, columns)?.into_iter().collect(),
        accepted,
        rejected: vec![(LOGS.name.clone(), rejected)],
        rejections: tally.rejections,
        series: None,
    })
}

/// The singular fields of one record, until all of it was read.
#[derive(Default)]
struct Record<'a> {
    time: u64,
    observed: u64,
    severity_number: u32,
    severity_text: &'a [u8],
    body: Nested<'a>,
    dropped: u32,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a [u8],
}

const TIME: u32 = fixed64(1);
const SEVERITY_NUMBER: u32 = varint(2);
const SEVERITY_TEXT: u32 = len(3);
const BODY: u32 = len(5);
const ATTRIBUTES: u32 = len(6);
const DROPPED: u32 = varint(7);
const FLAGS: u32 = fixed32(8);
const TRACE_ID: u32 = len(9);
const SPAN_ID: u32 = len(10);
const OBSERVED: u32 = fixed64(11);
const EVENT_NAME: u32 = len(12);
const KNOWN: u64 = 0b1_1111_1110_1110;

impl LogColumns {
    fn new(strict: bool) -> Self {
        Self {
            partition: Numbers::new(),
            timestamp: Times::new(),
            timestamp_source: Word::new("timestamp_source"),
            observed_timestamp: Times::new(),
            trace_id: Text::new("trace_id", false),
            span_id: Text::new("span_id", false),
            flags: Numbers::new(),
            severity_number: Numbers::new(),
            severity_text: Word::new("severity_text"),
            service_name: Word::new("service.name"),
            event_name: Word::new("event_name"),
            body: Text::new("body", strict),
            body_type: Word::new("body"),
            attributes: Attributes::new("attributes", strict),
            dropped: Numbers::new(),
            template_id: Numbers::new(),
            origin: OriginColumns::new(strict),
        }
    }

    fn push(&mut self, mut reader: Reader<'_>, context: Context) -> Result<(), Stop> {
        let mut record = Record::default();
        while let Some(tag) = reader.tag()? {
            match tag {
                ATTRIBUTES => read_entry(reader.message()?, &mut self.attributes)?,
                TIME => record.time = reader.fixed64()?,
                OBSERVED => record.observed = reader.fixed64()?,
                SEVERITY_NUMBER => record.severity_number = reader.varint32()?,
                SEVERITY_TEXT => record.severity_text = reader.bytes()?,
                BODY => record.body.push(reader.message()?),
                DROPPED => record.dropped = reader.varint32()?,
                FLAGS => record.flags = reader.fixed32()?,
                TRACE_ID => record.trace_id = reader.bytes()?,
                SPAN_ID => record.span_id = reader.bytes()?,
                EVENT_NAME => record.event_name = reader.bytes()?,
                _ => reader.skip(tag, KNOWN)?,
            }
        }
        self.end_row(&record, context)
    }

    fn end_row(&mut self, record: &Record<'_>, context: Context) -> Result<(), Stop> {
        let time = storable(record.time, "time_unix_nano")?;
        let observed = storable(record.observed, "observed_time_unix_nano")?;
        check_id(record.trace_id, 16, "trace_id")?;
        check_id(record.span_id, 8, "span_id")?;
        let severity_number = u8::try_from(record.severity_number);
        let severity_number = severity_number.map_err(|_| Fault::new(Reason::OutOfRange, "severity_number"))?;
        let (timestamp, source) = match (time, observed) {
            (0, 0) => (context.received.0, "received"),
            (0, observed) => (observed, "observed"),
            (time, _) => (time, "event"),
        };
        self.timestamp.push(timestamp);
        self.timestamp_source.push(source.as_bytes())?;
        self.observed_timestamp.push(observed);
        self.trace_id.push_hex(record.trace_id);
        self.span_id.push_hex(record.span_id);
        self.flags.push(record.flags);
        self.severity_number.push(severity_number);
        self.severity_text.push(record.severity_text)?;
        self.event_name.push(record.event_name)?;
        let letter = read_text(record.body.reader(), &mut self.body)?;
        let body_type: &[u8] = if letter == STRING { b"" } else { std::slice::from_ref(&letter) };
        self.body_type.push(body_type)?;
        debug_assert!(record.body.is_present() || letter == EMPTY);
        self.attributes.end_row()?;
        self.dropped.push(record.dropped);
        // Looked for when all bodies are there.
        self.template_id.push(0);
        // The row is whole once its partition is there.
        self.partition.push(context.partition(timestamp));
        Ok(())
    }
}
