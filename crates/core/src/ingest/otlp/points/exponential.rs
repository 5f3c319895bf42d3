use arrow_array::types::{Float64Type, Int32Type, UInt64Type};

use super::exemplars::ExemplarColumns;
use super::{Identity, PointColumns, PointTimes};
use crate::ingest::columns::{EntryList, List, Numbers, Optional, columns};
use crate::ingest::otlp::value::read_entry;
use crate::ingest::otlp::{Budget, Context, Stop};
use crate::ingest::wire::{Nested, Reader, fixed64, len, unzigzag, varint};

columns! {
    /// The columns of `metric_exponential_histograms`, in their order.
    ExponentialColumns {
        point: PointColumns,
        count: Numbers<UInt64Type>,
        sum: Optional<Float64Type>,
        min: Optional<Float64Type>,
        max: Optional<Float64Type>,
        scale: Numbers<Int32Type>,
        zero_count: Numbers<UInt64Type>,
        zero_threshold: Numbers<Float64Type>,
        positive: Buckets,
        negative: Buckets,
        exemplars: List<ExemplarColumns>,
    }
}

columns! {
    /// The buckets on one side of zero.
    Buckets {
        offset: Optional<Int32Type>,
        counts: List<Numbers<UInt64Type>>,
    }
}

/// The singular fields of one point, until all of it was read.
#[derive(Default)]
struct Point<'a> {
    times: PointTimes,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: Nested<'a>,
    negative: Nested<'a>,
}

const ATTRIBUTES: u32 = len(1);
const START: u32 = fixed64(2);
const TIME: u32 = fixed64(3);
const COUNT: u32 = fixed64(4);
const SUM: u32 = fixed64(5);
const SCALE: u32 = varint(6);
const ZERO_COUNT: u32 = fixed64(7);
const POSITIVE: u32 = len(8);
const NEGATIVE: u32 = len(9);
const FLAGS: u32 = varint(10);
const EXEMPLARS: u32 = len(11);
const MIN: u32 = fixed64(12);
const MAX: u32 = fixed64(13);
const ZERO_THRESHOLD: u32 = fixed64(14);
const KNOWN: u64 = 0b111_1111_1111_1110;

impl ExponentialColumns {
    pub(in crate::ingest::otlp) fn new(strict: bool) -> Self {
        Self {
            point: PointColumns::new(),
            count: Numbers::new(),
            sum: Optional::new(),
            min: Optional::new(),
            max: Optional::new(),
            scale: Numbers::new(),
            zero_count: Numbers::new(),
            zero_threshold: Numbers::new(),
            positive: Buckets::new(),
            negative: Buckets::new(),
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
        let mut point = Point::default();
        let mut attributes = EntryList::new("attributes");
        while let Some(tag) = reader.tag()? {
            match tag {
                ATTRIBUTES => read_entry(reader.message()?, &mut attributes)?,
                START => point.times.start = reader.fixed64()?,
                TIME => point.times.time = reader.fixed64()?,
                COUNT => point.count = reader.fixed64()?,
                SUM => point.sum = Some(reader.double()?),
                SCALE => point.scale = unzigzag(reader.varint32()?),
                ZERO_COUNT => point.zero_count = reader.fixed64()?,
                POSITIVE => point.positive.push(reader.message()?),
                NEGATIVE => point.negative.push(reader.message()?),
                FLAGS => point.times.flags = reader.varint32()?,
                EXEMPLARS => {
                    budget.take_row()?;
                    self.exemplars.items.push(reader.message()?)?;
                }
                MIN => point.min = Some(reader.double()?),
                MAX => point.max = Some(reader.double()?),
                ZERO_THRESHOLD => point.zero_threshold = reader.double()?,
                _ => reader.skip(tag, KNOWN)?,
            }
        }
        self.push_values(&point)?;
        self.exemplars.end_row();
        self.point.end_row(&point.times, &attributes, identity, context)
    }

    fn push_values(&mut self, point: &Point<'_>) -> Result<(), Stop> {
        self.count.push(point.count);
        self.sum.push(point.sum);
        self.min.push(point.min);
        self.max.push(point.max);
        self.scale.push(point.scale);
        self.zero_count.push(point.zero_count);
        self.zero_threshold.push(point.zero_threshold);
        self.positive.push(&point.positive)?;
        self.negative.push(&point.negative)
    }
}

const OFFSET: u32 = varint(1);
const BUCKET_COUNT: u32 = varint(2);
const BUCKET_COUNTS: u32 = len(2);

impl Buckets {
    fn new() -> Self {
        Self { offset: Optional::new(), counts: List::of(Numbers::new()) }
    }

    fn push(&mut self, message: &Nested<'_>) -> Result<(), Stop> {
        let (mut reader, mut offset) = (message.reader(), 0);
        while let Some(tag) = reader.tag()? {
            match tag {
                OFFSET => offset = unzigzag(reader.varint32()?),
                BUCKET_COUNT | BUCKET_COUNTS => reader.repeated_varint(tag, |n| self.counts.items.push(n))?,
                _ => reader.skip(tag, 0b110)?,
            }
        }
        self.offset.push(message.is_present().then_some(offset));
        self.counts.end_row();
        Ok(())
    }
}
