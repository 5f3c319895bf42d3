use arrow_array::types::{Float64Type, UInt64Type};

use super::exemplars::ExemplarColumns;
use super::{Identity, PointColumns, PointTimes};
use crate::ingest::columns::{EntryList, List, Numbers, Optional, columns};
use crate::ingest::otlp::value::read_entry;
use crate::ingest::otlp::{Budget, Context, Stop};
use crate::ingest::wire::{Reader, fixed64, len, varint};

columns! {
    /// The columns of `metric_histograms`, in their order.
    HistogramColumns {
        point: PointColumns,
        count: Numbers<UInt64Type>,
        sum: Optional<Float64Type>,
        min: Optional<Float64Type>,
        max: Optional<Float64Type>,
        bucket_counts: List<Numbers<UInt64Type>>,
        explicit_bounds: List<Numbers<Float64Type>>,
        exemplars: List<ExemplarColumns>,
    }
}

const START: u32 = fixed64(2);
const TIME: u32 = fixed64(3);
const COUNT: u32 = fixed64(4);
const SUM: u32 = fixed64(5);
const BUCKET_COUNT: u32 = fixed64(6);
const BUCKET_COUNTS: u32 = len(6);
const BOUND: u32 = fixed64(7);
const BOUNDS: u32 = len(7);
const EXEMPLARS: u32 = len(8);
const ATTRIBUTES: u32 = len(9);
const FLAGS: u32 = varint(10);
const MIN: u32 = fixed64(11);
const MAX: u32 = fixed64(12);
const KNOWN: u64 = 0b1_1111_1111_1100;

impl HistogramColumns {
    pub(in crate::ingest::otlp) fn new(strict: bool) -> Self {
        Self {
            point: PointColumns::new(),
            count: Numbers::new(),
            sum: Optional::new(),
            min: Optional::new(),
            max: Optional::new(),
            bucket_counts: List::of(Numbers::new()),
            explicit_bounds: List::of(Numbers::new()),
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
        let (mut point, mut count) = (PointTimes::default(), 0);
        let (mut sum, mut min, mut max) = (None, None, None);
        let mut attributes = EntryList::new("attributes");
        while let Some(tag) = reader.tag()? {
            match tag {
                ATTRIBUTES => read_entry(reader.message()?, &mut attributes)?,
                START => point.start = reader.fixed64()?,
                TIME => point.time = reader.fixed64()?,
                COUNT => count = reader.fixed64()?,
                SUM => sum = Some(reader.double()?),
                BUCKET_COUNT | BUCKET_COUNTS => {
                    reader.repeated_fixed64(tag, |n| self.bucket_counts.items.push(n))?;
                }
                BOUND | BOUNDS => {
                    reader.repeated_fixed64(tag, |n| self.explicit_bounds.items.push(f64::from_bits(n)))?;
                }
                EXEMPLARS => {
                    budget.take_row()?;
                    self.exemplars.items.push(reader.message()?)?;
                }
                FLAGS => point.flags = reader.varint32()?,
                MIN => min = Some(reader.double()?),
                MAX => max = Some(reader.double()?),
                _ => reader.skip(tag, KNOWN)?,
            }
        }
        self.count.push(count);
        self.sum.push(sum);
        self.min.push(min);
        self.max.push(max);
        self.bucket_counts.end_row();
        self.explicit_bounds.end_row();
        self.exemplars.end_row();
        self.point.end_row(&point, &attributes, identity, context)
    }
}
