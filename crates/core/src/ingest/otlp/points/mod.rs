//! Data points, a file for each of their tables.
//!
//! Every kind of point reads its attributes into an [`EntryList`] first: they belong to its series, not to its row.
//!
//! | file | holds |
//! |---|---|
//! | `samples.rs` | points of gauges and sums |
//! | `histograms.rs` | points of histograms |
//! | `exponential.rs` | points of exponential histograms |
//! | `summaries.rs` | points of summaries |
//! | `exemplars.rs` | the exemplars of the first three |

mod exemplars;
mod exponential;
mod histograms;
mod samples;
mod summaries;

use arrow_array::types::{UInt16Type, UInt32Type, UInt64Type};

use super::{Context, Stop, storable};
use crate::ingest::columns::{EntryList, Numbers, Times, Word, columns};

pub(super) use exponential::ExponentialColumns;
pub(super) use histograms::HistogramColumns;
pub(super) use samples::SampleColumns;
pub(super) use summaries::SummaryColumns;

columns! {
    /// The first columns of every point; the row is whole once its partition is there.
    PointColumns {
        partition: Numbers<UInt16Type>,
        metric_name: Word,
        service_name: Word,
        fingerprint: Numbers<UInt64Type>,
        timestamp: Times,
        start_timestamp: Times,
        flags: Numbers<UInt32Type>,
    }
}

/// What a point's series is made of beside its attributes, and how it becomes a number.
pub(super) struct Identity<'a> {
    pub(super) metric_name: &'a [u8],
    pub(super) service_name: &'a [u8],
    /// Takes the attributes of a point and its time, returns its series' fingerprint.
    pub(super) fingerprint: &'a mut dyn FnMut(&EntryList, i64) -> Result<u64, Stop>,
}

/// The fields that every kind of point has, until all of it was read.
#[derive(Default)]
struct PointTimes {
    time: u64,
    start: u64,
    flags: u32,
}

impl PointColumns {
    fn new() -> Self {
        Self {
            partition: Numbers::new(),
            metric_name: Word::new("metric name"),
            service_name: Word::new("service.name"),
            fingerprint: Numbers::new(),
            timestamp: Times::new(),
            start_timestamp: Times::new(),
            flags: Numbers::new(),
        }
    }

    /// Ends a row whose other columns are pushed already.
    fn end_row(
        &mut self,
        point: &PointTimes,
        attributes: &EntryList,
        identity: &mut Identity<'_>,
        context: Context,
    ) -> Result<(), Stop> {
        let time = storable(point.time, "time_unix_nano")?;
        let start = storable(point.start, "start_time_unix_nano")?;
        self.metric_name.push(identity.metric_name)?;
        self.service_name.push(identity.service_name)?;
        self.timestamp.push(time);
        self.start_timestamp.push(start);
        self.flags.push(point.flags);
        // Last, so that only a point that is taken brings a series.
        self.fingerprint.push((identity.fingerprint)(attributes, time)?);
        self.partition.push(context.partition(time));
        Ok(())
    }
}

/// The value of a number point or an exemplar.
#[derive(Debug, Clone, Copy, Default)]
enum Number {
    #[default]
    None,
    Double(f64),
    Int(i64),
}

impl Number {
    /// Returns the columns `value`, `value_int`, `value_type`.
    #[expect(clippy::cast_precision_loss, reason = "the exact integer is kept beside it")]
    const fn columns(self) -> (f64, i64, &'static [u8]) {
        match self {
            Self::None => (f64::NAN, 0, b"none"),
            Self::Double(n) => (n, 0, b"double"),
            Self::Int(n) => (n as f64, n, b"int"),
        }
    }
}
