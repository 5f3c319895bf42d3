use arrow_array::types::{Float64Type, Int64Type};

use super::exemplars::ExemplarColumns;
use super::{Identity, Number, PointColumns, PointTimes};
use crate::ingest::columns::{EntryList, List, Numbers, Word, columns};
use crate::ingest::otlp::value::read_entry;
use crate::ingest::otlp::{Budget, Context, Stop};
use crate::ingest::wire::{Reader, fixed64, len, varint};

columns! {
    /// The columns of `metric_samples`, in their order.
    SampleColumns {
        point: PointColumns,
        value: Numbers<Float64Type>,
        value_int: Numbers<Int64Type>,
        value_type: Word,
        exemplars: List<ExemplarColumns>,
    }
}

const START: u32 = fixed64(2);
const TIME: u32 = fixed64(3);
const AS_DOUBLE: u32 = fixed64(4);
const EXEMPLARS: u32 = len(5);
const AS_INT: u32 = fixed64(6);
const ATTRIBUTES: u32 = len(7);
const FLAGS: u32 = varint(8);
const KNOWN: u64 = 0b1_1111_1100;

impl SampleColumns {
    pub(in crate::ingest::otlp) fn new(strict: bool) -> Self {
        Self {
            point: PointColumns::new(),
            value: Numbers::new(),
            value_int: Numbers::new(),
            value_type: Word::new("value_type"),
            exemplars: List::of(ExemplarColumns::new(strict)),
        }
    }

    pub(in crate::ingest::otlp) fn push(
        &mut self,
        mut reader: Reader<'_>,
        identity: &mut Identity<'_>,
        context: Context,
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        let (mut point, mut number) = (PointTimes::default(), Number::None);
        let mut attributes = EntryList::new("attributes");
        while let Some(tag) = reader.tag()? {
            match tag {
                ATTRIBUTES => read_entry(reader.message()?, &mut attributes)?,
                START => point.start = reader.fixed64()?,
                TIME => point.time = reader.fixed64()?,
                AS_DOUBLE => number = Number::Double(reader.double()?),
                AS_INT => number = Number::Int(reader.fixed64()?.cast_signed()),
                EXEMPLARS => {
                    budget.take_row()?;
                    self.exemplars.items.push(reader.message()?)?;
                }
                FLAGS => point.flags = reader.varint32()?,
                _ => reader.skip(tag, KNOWN)?,
            }
        }
        let (value, value_int, value_type) = number.columns();
        self.value.push(value);
        self.value_int.push(value_int);
        self.value_type.push(value_type)?;
        self.exemplars.end_row();
        self.point.end_row(&point, &attributes, identity, context)
    }
}
