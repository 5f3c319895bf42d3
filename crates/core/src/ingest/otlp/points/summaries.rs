use arrow_array::types::{Float64Type, UInt64Type};

use super::{Identity, PointColumns, PointTimes};
use crate::ingest::columns::{EntryList, List, Numbers, columns};
use crate::ingest::otlp::value::read_entry;
use crate::ingest::otlp::{Budget, Context, Stop};
use crate::ingest::wire::{Reader, fixed64, len, varint};

columns! {
    /// The columns of `metric_summaries`, in their order.
    SummaryColumns {
        point: PointColumns,
        count: Numbers<UInt64Type>,
        sum: Numbers<Float64Type>,
        quantiles: List<QuantileColumns>,
    }
}

columns! {
    /// The quantiles of summaries.
    QuantileColumns {
        quantile: Numbers<Float64Type>,
        value: Numbers<Float64Type>,
    }
}

const START: u32 = fixed64(2);
const TIME: u32 = fixed64(3);
const COUNT: u32 = fixed64(4);
const SUM: u32 = fixed64(5);
const QUANTILES: u32 = len(6);
const ATTRIBUTES: u32 = len(7);
const FLAGS: u32 = varint(8);
const KNOWN: u64 = 0b1_1111_1100;

impl SummaryColumns {
    pub(in crate::ingest::otlp) fn new() -> Self {
        let quantiles = QuantileColumns { quantile: Numbers::new(), value: Numbers::new() };
        Self { point: PointColumns::new(), count: Numbers::new(), sum: Numbers::new(), quantiles: List::of(quantiles) }
    }

    pub(in crate::ingest::otlp) fn push(
        &mut self,
        mut reader: Reader<'_>,
        identity: &mut Identity<'_>,
        context: Context,
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        let (mut point, mut count, mut sum) = (PointTimes::default(), 0, 0.0);
        let mut attributes = EntryList::new("attributes");
        while let Some(tag) = reader.tag()? {
            match tag {
                ATTRIBUTES => read_entry(reader.message()?, &mut attributes)?,
                START => point.start = reader.fixed64()?,
                TIME => point.time = reader.fixed64()?,
                COUNT => count = reader.fixed64()?,
                SUM => sum = reader.double()?,
                QUANTILES => {
                    budget.take_row()?;
                    self.quantiles.items.push(reader.message()?)?;
                }
                FLAGS => point.flags = reader.varint32()?,
                _ => reader.skip(tag, KNOWN)?,
            }
        }
        self.count.push(count);
        self.sum.push(sum);
        self.quantiles.end_row();
        self.point.end_row(&point, &attributes, identity, context)
    }
}

impl QuantileColumns {
    fn push(&mut self, mut reader: Reader<'_>) -> Result<(), Stop> {
        let (mut quantile, mut value) = (0.0, 0.0);
        while let Some(tag) = reader.tag()? {
            match tag {
                QUANTILE => quantile = reader.double()?,
                VALUE => value = reader.double()?,
                _ => reader.skip(tag, 0b110)?,
            }
        }
        self.quantile.push(quantile);
        self.value.push(value);
        Ok(())
    }
}

const QUANTILE: u32 = fixed64(1);
const VALUE: u32 = fixed64(2);
