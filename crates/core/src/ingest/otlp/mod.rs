//! OTLP requests, walked field by field from their bytes into the columns of the built-in tables.
//!
//! What protobuf allows is read: fields in any order, unknown fields, singular fields that come twice (the last one
//! counts, messages are merged), packed and unpacked numbers. What cannot be told apart afterwards: an absent
//! `AnyValue` and one that holds nothing; an absent span status and an unset one; the order of the attributes of a
//! data point (its series has that of the first point); messages without a single row in them.
//!
//! | file | holds |
//! |---|---|
//! | `value.rs` | attribute values and bodies |
//! | `origin.rs` | resource and scope |
//! | `envelope.rs` | `Resource…` and `Scope…` messages, the same for all signals |
//! | `logs.rs` | log records |
//! | `traces.rs` | spans with events and links |
//! | `metrics.rs` | metrics; `points/` has a file for each kind of data point |
//! | `series.rs` | the identity of data points, the rows of `metric_series` |

mod envelope;
mod logs;
mod metrics;
mod origin;
mod points;
mod series;
mod traces;
mod value;

#[cfg(test)]
pub(crate) mod tests;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use tidegate_model::limits::{REQUEST_EXPANDED_BYTES_MAX, REQUEST_INFLATED_BYTES_MAX, REQUEST_ROWS_MAX};
use tidegate_model::{ErrorKind, Signal, TableName, TableSpec, UnixNanos, partition_day};

use crate::buffer::Rows;
use crate::ingest::columns::Column;
use crate::ingest::rejection::{Fault, Reason, Rejections};
use crate::ingest::wire::WireError;

/// What came out of one request.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The rows, at most one batch a table; the rows of `metric_series` are not among them.
    pub rows: Vec<Rows>,
    /// Rows of `metric_series` for series that were not known, one each.
    pub series: Option<Rows>,
    /// How many log records, spans or data points are in `rows`.
    pub accepted: u64,
    /// Those that are not.
    pub rejections: Rejections,
    /// How many were refused of each table.
    pub rejected: Vec<(TableName, u64)>,
}

/// Why a request could not be decoded at all.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body is not protobuf.
    #[error("the body is not an OTLP request")]
    Wire(#[from] WireError),
    /// The request, or what it expands to, is past a limit.
    #[error("{0}; send it in smaller pieces")]
    TooLarge(&'static str),
    /// The columns do not fit their table.
    #[error("assemble the rows of {table}")]
    Internal {
        /// The table.
        table: TableName,
        /// What Arrow says.
        source: ArrowError,
    },
}

impl DecodeError {
    /// Says what the caller does next.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Wire(_) | Self::TooLarge(_) => ErrorKind::Invalid,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }
}

/// Turns an OTLP request into rows; `is_known` says which series need no further row.
pub fn decode(
    signal: Signal,
    body: &[u8],
    received: UnixNanos,
    is_known: &dyn Fn(u64) -> bool,
) -> Result<Decoded, DecodeError> {
    if body.len() > REQUEST_INFLATED_BYTES_MAX {
        return Err(DecodeError::TooLarge("the request has too many bytes"));
    }
    let run = |strict| {
        let context = Context { received, strict };
        match signal {
            Signal::Logs => logs::decode(body, context),
            Signal::Traces => traces::decode(body, context),
            Signal::Metrics => metrics::decode(body, context, is_known),
        }
    };
    match run(false) {
        // Some text is not UTF-8: strict columns find the rows to refuse.
        Err(DecodeError::Internal { .. }) => run(true),
        outcome => outcome,
    }
}

/// What the rows of one request share.
#[derive(Debug, Clone, Copy)]
struct Context {
    received: UnixNanos,
    strict: bool,
}

impl Context {
    #[inline]
    fn partition(self, timestamp: i64) -> u16 {
        partition_day(UnixNanos(timestamp), self.received)
    }
}

/// Why walking on makes no sense: for this row, or for the whole request.
#[derive(Debug)]
enum Stop {
    Row(Fault),
    Wire(WireError),
    TooLarge(&'static str),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Row(fault)
    }
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Stop> for DecodeError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Wire(error) => Self::Wire(error),
            Stop::TooLarge(what) => Self::TooLarge(what),
            Stop::Row(_) => unreachable!("a row's fault is handled where its row is"),
        }
    }
}

/// What a request may expand to: a few bytes on the wire can stand for a long row, because rows repeat their resource.
#[derive(Debug, Default)]
struct Budget {
    rows: usize,
    bytes: usize,
}

impl Budget {
    /// Takes a row, or an item of a list in a row.
    #[inline]
    fn take_row(&mut self) -> Result<(), Stop> {
        self.rows += 1;
        if self.rows > REQUEST_ROWS_MAX { Err(Stop::TooLarge("the request has too many rows")) } else { Ok(()) }
    }

    fn take_bytes(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > REQUEST_EXPANDED_BYTES_MAX {
            return Err(Stop::TooLarge("the request's rows are too large with their resource repeated in each"));
        }
        Ok(())
    }
}

/// Numbers the rows of a request, and notes which were refused.
#[derive(Debug, Default)]
struct Tally {
    next: u64,
    rejections: Rejections,
    budget: Budget,
}

impl Tally {
    /// Notes the outcome of the next row; says whether it was taken, and passes on what ends the request.
    #[inline]
    fn settle(&mut self, outcome: Result<(), Stop>) -> Result<bool, Stop> {
        self.budget.take_row()?;
        let index = self.next;
        self.next += 1;
        match outcome {
            Ok(()) => Ok(true),
            Err(Stop::Row(fault)) => {
                self.rejections.push(fault.at(index));
                Ok(false)
            }
            Err(stop) => Err(stop),
        }
    }
}

/// Assembles the rows of a table; `None` where there is not one.
fn assemble(spec: &TableSpec, schema: &SchemaRef, columns: impl Column) -> Result<Option<Rows>, DecodeError> {
    if columns.len() == 0 {
        return Ok(None);
    }
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    let rows = columns.finish(&mut arrays).and_then(|()| RecordBatch::try_new(schema.clone(), arrays));
    match rows {
        Ok(rows) => Ok(Some(Rows { table: spec.name.clone(), rows })),
        Err(source) => Err(DecodeError::Internal { table: spec.name.clone(), source }),
    }
}

/// Turns a time from the wire into a storable one.
#[inline]
fn storable(nanos: u64, field: &'static str) -> Result<i64, Fault> {
    i64::try_from(nanos).map_err(|_| Fault::new(Reason::InvalidTimestamp, field))
}

/// Checks an id's length; `Some(0)` bytes stand for no id.
#[inline]
fn check_id(id: &[u8], length: usize, field: &'static str) -> Result<(), Fault> {
    if id.is_empty() || id.len() == length { Ok(()) } else { Err(Fault::new(Reason::InvalidId, field)) }
}

/// Returns an enum's name, or the digits of a number that has none.
fn enum_name<'a>(names: &[&'static str], number: u32, digits: &'a mut itoa::Buffer) -> &'a [u8] {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    names.get(place).map_or_else(|| digits.format(number.cast_signed()).as_bytes(), |name| name.as_bytes())
}
