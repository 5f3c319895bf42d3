use tidegate_core::ingest::wire::Writer;
use tidegate_model::{Signal, UnixNanos};

use crate::queue::MarkChange;

/// The scope that everything collected here comes from.
const SCOPE: &[u8] = b"tidegate.agent";
const CUMULATIVE: u64 = 2;

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// Attributes in the order in which they are sent.
pub(crate) type Attributes = Vec<(String, Value)>;

/// One log record.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LogRow {
    /// When it happened, where that is known.
    pub(crate) time: Option<UnixNanos>,
    /// OpenTelemetry's severity number; 0 when unknown.
    pub(crate) severity: u8,
    pub(crate) severity_text: String,
    pub(crate) body: String,
    pub(crate) attributes: Attributes,
    pub(crate) trace_id: Vec<u8>,
    pub(crate) span_id: Vec<u8>,
    /// The event's name; empty for a plain log record.
    pub(crate) event_name: &'static str,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: Number,
    /// It is a total that only grows.
    pub(crate) is_sum: bool,
    pub(crate) attributes: Attributes,
}

/// A measured number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(u64),
    Double(f64),
}

impl Point {
    pub(crate) const fn gauge(name: &'static str, unit: &'static str, value: Number) -> Self {
        Self { name, unit, value, is_sum: false, attributes: Vec::new() }
    }

    /// A total that only grows while the machine, or what it counts, runs.
    pub(crate) const fn sum(name: &'static str, unit: &'static str, value: Number) -> Self {
        Self { name, unit, value, is_sum: true, attributes: Vec::new() }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), Value::Text(value.to_owned())));
        self
    }
}

/// A part of an export request on its way to the queue; parts of one signal may be joined by writing one behind the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) signal: Signal,
    /// 0: it only moves marks.
    pub(crate) rows: u32,
    pub(crate) body: Vec<u8>,
    pub(crate) marks: Vec<MarkChange>,
    /// A full queue drops it, and counts it.
    pub(crate) may_drop: bool,
}

impl Piece {
    pub(crate) fn logs(body: Vec<u8>, rows: usize, marks: Vec<MarkChange>) -> Self {
        Self { signal: Signal::Logs, rows: u32::try_from(rows).unwrap_or(u32::MAX), body, marks, may_drop: false }
    }

    pub(crate) fn metrics(body: Vec<u8>, rows: usize) -> Self {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Self { signal: Signal::Metrics, rows, body, marks: Vec::new(), may_drop: true }
    }

    pub(crate) const fn of_marks(marks: Vec<MarkChange>) -> Self {
        Self { signal: Signal::Logs, rows: 0, body: Vec::new(), marks, may_drop: false }
    }
}

/// Writes log records of one resource as an `ExportLogsServiceRequest`.
pub(crate) fn logs_request(resource: &Attributes, rows: &[LogRow], observed: UnixNanos) -> Vec<u8> {
    request(resource, |scope| rows.iter().for_each(|row| scope.message(2, |log| log_record(log, row, observed))))
}

/// Writes points of one resource as an `ExportMetricsServiceRequest`.
pub(crate) fn metrics_request(resource: &Attributes, points: &[Point], since: UnixNanos, now: UnixNanos) -> Vec<u8> {
    request(resource, |scope| {
        for same in points.chunk_by(|a, b| a.name == b.name) {
            scope.message(2, |metric| write_metric(metric, same, since, now));
        }
    })
}

fn request(resource: &Attributes, items: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.message(1, |group| {
        group.message(1, |message| write_attributes(message, 1, resource));
        group.message(2, |scope| {
            scope.message(1, |name| name.bytes(1, SCOPE));
            items(scope);
        });
    });
    writer.into_bytes()
}

fn log_record(log: &mut Writer, row: &LogRow, observed: UnixNanos) {
    if let Some(time) = row.time {
        log.fixed64(1, time.0.cast_unsigned());
    }
    if row.severity > 0 {
        log.uint(2, u64::from(row.severity));
    }
    if !row.severity_text.is_empty() {
        log.bytes(3, row.severity_text.as_bytes());
    }
    log.message(5, |body| body.bytes(1, row.body.as_bytes()));
    write_attributes(log, 6, &row.attributes);
    if !row.trace_id.is_empty() {
        log.bytes(9, &row.trace_id);
    }
    if !row.span_id.is_empty() {
        log.bytes(10, &row.span_id);
    }
    log.fixed64(11, observed.0.cast_unsigned());
    if !row.event_name.is_empty() {
        log.bytes(12, row.event_name.as_bytes());
    }
}

fn write_metric(metric: &mut Writer, points: &[Point], since: UnixNanos, now: UnixNanos) {
    let first = &points[0];
    metric.bytes(1, first.name.as_bytes());
    metric.bytes(3, first.unit.as_bytes());
    metric.message(if first.is_sum { 7 } else { 5 }, |data| {
        for point in points {
            data.message(1, |out| write_point(out, point, since, now));
        }
        if first.is_sum {
            data.uint(2, CUMULATIVE);
            data.uint(3, 1);
        }
    });
}

fn write_point(out: &mut Writer, point: &Point, since: UnixNanos, now: UnixNanos) {
    if point.is_sum {
        out.fixed64(2, since.0.cast_unsigned());
    }
    out.fixed64(3, now.0.cast_unsigned());
    match point.value {
        Number::Double(value) => out.double(4, value),
        Number::Int(value) => out.fixed64(6, value),
    }
    write_attributes(out, 7, &point.attributes);
}

fn write_attributes(out: &mut Writer, field: u32, attributes: &Attributes) {
    for (name, value) in attributes {
        out.message(field, |pair| {
            pair.bytes(1, name.as_bytes());
            pair.message(2, |any| match value {
                Value::Text(text) => any.bytes(1, text.as_bytes()),
                Value::Bool(is) => any.uint(2, u64::from(*is)),
                Value::Int(number) => any.int(3, *number),
                Value::Double(number) => any.double(4, *number),
            });
        });
    }
}
