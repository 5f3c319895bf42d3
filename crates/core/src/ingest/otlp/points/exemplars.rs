use arrow_array::types::{Float64Type, Int64Type};

use super::Number;
use crate::ingest::columns::{Attributes, Numbers, Text, Times, Word, columns};
use crate::ingest::otlp::value::read_entry;
use crate::ingest::otlp::{Stop, check_id, storable};
use crate::ingest::wire::{Reader, fixed64, len};

columns! {
    /// The exemplars of points.
    ExemplarColumns {
        timestamp: Times,
        value: Numbers<Float64Type>,
        value_int: Numbers<Int64Type>,
        value_type: Word,
        trace_id: Text,
        span_id: Text,
        attributes: Attributes,
    }
}

const TIME: u32 = fixed64(2);
const AS_DOUBLE: u32 = fixed64(3);
const SPAN_ID: u32 = len(4);
const TRACE_ID: u32 = len(5);
const AS_INT: u32 = fixed64(6);
const ATTRIBUTES: u32 = len(7);
const KNOWN: u64 = 0b1111_1100;

impl ExemplarColumns {
    pub(super) fn new(strict: bool) -> Self {
        Self {
            timestamp: Times::new(),
            value: Numbers::new(),
            value_int: Numbers::new(),
            value_type: Word::new("exemplars.value_type"),
            trace_id: Text::new("exemplars.trace_id", false),
            span_id: Text::new("exemplars.span_id", false),
            attributes: Attributes::new("exemplars.filtered_attributes", strict),
        }
    }

    pub(super) fn push(&mut self, mut reader: Reader<'_>) -> Result<(), Stop> {
        let (mut time, mut number) = (0, Number::None);
        let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
        while let Some(tag) = reader.tag()? {
            match tag {
                TIME => time = reader.fixed64()?,
                AS_DOUBLE => number = Number::Double(reader.double()?),
                AS_INT => number = Number::Int(reader.fixed64()?.cast_signed()),
                SPAN_ID => span_id = reader.bytes()?,
                TRACE_ID => trace_id = reader.bytes()?,
                ATTRIBUTES => read_entry(reader.message()?, &mut self.attributes)?,
                _ => reader.skip(tag, KNOWN)?,
            }
        }
        check_id(trace_id, 16, "exemplars.trace_id")?;
        check_id(span_id, 8, "exemplars.span_id")?;
        let (value, value_int, value_type) = number.columns();
        self.timestamp.push(storable(time, "exemplars.time_unix_nano")?);
        self.value.push(value);
        self.value_int.push(value_int);
        self.value_type.push(value_type)?;
        self.trace_id.push_hex(trace_id);
        self.span_id.push_hex(span_id);
        self.attributes.end_row()?;
        Ok(())
    }
}
