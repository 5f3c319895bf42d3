//! OTLP's messages as a table: field name, number, type. The transcoder knows nothing else of OTLP.

use Kind::{
    Base64, Bool, Child, Double, Enum, Fixed32, Fixed64, Hex, Int32, Int64, SFixed64, SInt32, Text, UInt32, UInt64,
};

/// A message and its fields.
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) fields: &'static [Field],
}

/// What a fault inside a message takes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It holds records: a fault of its own rejects all of them.
    Container,
    /// It is a record (log record, span, data point): a fault inside rejects it alone.
    Record,
    /// It belongs to a record or a container, and falls with it.
    Part,
}

/// A field of a message.
pub(super) struct Field {
    /// Its camelCase name; the snake_case one is derived from it.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
}

/// How often a field's value may stand in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    /// One of the message's alternatives: at most one of them may have a value.
    Alternative,
    Many,
    /// Many numbers, written behind each other as one field.
    Packed,
}

/// The type of a field's value.
pub(super) enum Kind {
    Text,
    Bool,
    UInt32,
    Int32,
    SInt32,
    UInt64,
    Int64,
    Fixed32,
    Fixed64,
    SFixed64,
    Double,
    /// Bytes of an id, in hex; this many, or none.
    Hex(usize),
    Base64,
    Enum(&'static Names),
    Child(&'static Message),
}

/// The names of an enum's values, from 0 up, without the prefix that all of them share.
pub(super) struct Names {
    pub(super) prefix: &'static str,
    pub(super) names: &'static [&'static str],
}

impl Message {
    /// Finds a field by its camelCase or snake_case name.
    pub(super) fn field(&self, name: &[u8]) -> Option<&'static Field> {
        let fields = self.fields;
        let camel_case = fields.iter().find(|field| field.name.as_bytes() == name);
        camel_case.or_else(|| fields.iter().find(|field| is_snake_case_of(field.name.as_bytes(), name)))
    }
}

fn is_snake_case_of(camel_case: &[u8], name: &[u8]) -> bool {
    let mut rest = name;
    for &byte in camel_case {
        let expected = byte.to_ascii_lowercase();
        if byte.is_ascii_uppercase() {
            let Some(after) = rest.strip_prefix(b"_") else { return false };
            rest = after;
        }
        match rest.split_first() {
            Some((&first, after)) if first == expected => rest = after,
            _ => return false,
        }
    }
    rest.is_empty()
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { name, number, kind, shape: Shape::One }
}

const fn alternative(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { name, number, kind, shape: Shape::Alternative }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { name, number, kind, shape: Shape::Many }
}

const fn packed(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { name, number, kind, shape: Shape::Packed }
}

const fn container(fields: &'static [Field]) -> Message {
    Message { role: Role::Container, fields }
}

const fn record(fields: &'static [Field]) -> Message {
    Message { role: Role::Record, fields }
}

const fn part(fields: &'static [Field]) -> Message {
    Message { role: Role::Part, fields }
}

const TRACE_ID: Kind = Hex(16);
const SPAN_ID: Kind = Hex(8);

/// `ExportLogsServiceRequest`.
pub(super) static LOGS: Message = container(&[many(1, "resourceLogs", Child(&RESOURCE_LOGS))]);
/// `ExportTraceServiceRequest`.
pub(super) static TRACES: Message = container(&[many(1, "resourceSpans", Child(&RESOURCE_SPANS))]);
/// `ExportMetricsServiceRequest`.
pub(super) static METRICS: Message = container(&[many(1, "resourceMetrics", Child(&RESOURCE_METRICS))]);

static RESOURCE: Message = part(&[
    many(1, "attributes", Child(&KEY_VALUE)),
    one(2, "droppedAttributesCount", UInt32),
    many(3, "entityRefs", Child(&ENTITY_REF)),
]);
static ENTITY_REF: Message =
    part(&[one(1, "schemaUrl", Text), one(2, "type", Text), many(3, "idKeys", Text), many(4, "descriptionKeys", Text)]);
static SCOPE: Message = part(&[
    one(1, "name", Text),
    one(2, "version", Text),
    many(3, "attributes", Child(&KEY_VALUE)),
    one(4, "droppedAttributesCount", UInt32),
]);
static KEY_VALUE: Message =
    part(&[one(1, "key", Text), one(2, "value", Child(&ANY_VALUE)), one(3, "keyStrindex", Int32)]);
pub(super) static ANY_VALUE: Message = part(&[
    alternative(1, "stringValue", Text),
    alternative(2, "boolValue", Bool),
    alternative(3, "intValue", Int64),
    alternative(4, "doubleValue", Double),
    alternative(5, "arrayValue", Child(&ARRAY_VALUE)),
    alternative(6, "kvlistValue", Child(&KEY_VALUE_LIST)),
    alternative(7, "bytesValue", Base64),
    alternative(8, "stringValueStrindex", Int32),
]);
static ARRAY_VALUE: Message = part(&[many(1, "values", Child(&ANY_VALUE))]);
static KEY_VALUE_LIST: Message = part(&[many(1, "values", Child(&KEY_VALUE))]);

static RESOURCE_LOGS: Message = container(&[
    one(1, "resource", Child(&RESOURCE)),
    many(2, "scopeLogs", Child(&SCOPE_LOGS)),
    one(3, "schemaUrl", Text),
]);
static SCOPE_LOGS: Message =
    container(&[one(1, "scope", Child(&SCOPE)), many(2, "logRecords", Child(&LOG_RECORD)), one(3, "schemaUrl", Text)]);
static LOG_RECORD: Message = record(&[
    one(1, "timeUnixNano", Fixed64),
    one(11, "observedTimeUnixNano", Fixed64),
    one(2, "severityNumber", Enum(&SEVERITY_NUMBER)),
    one(3, "severityText", Text),
    one(5, "body", Child(&ANY_VALUE)),
    many(6, "attributes", Child(&KEY_VALUE)),
    one(7, "droppedAttributesCount", UInt32),
    one(8, "flags", Fixed32),
    one(9, "traceId", TRACE_ID),
    one(10, "spanId", SPAN_ID),
    one(12, "eventName", Text),
]);

static RESOURCE_SPANS: Message = container(&[
    one(1, "resource", Child(&RESOURCE)),
    many(2, "scopeSpans", Child(&SCOPE_SPANS)),
    one(3, "schemaUrl", Text),
]);
static SCOPE_SPANS: Message =
    container(&[one(1, "scope", Child(&SCOPE)), many(2, "spans", Child(&SPAN)), one(3, "schemaUrl", Text)]);
static SPAN: Message = record(&[
    one(1, "traceId", TRACE_ID),
    one(2, "spanId", SPAN_ID),
    one(3, "traceState", Text),
    one(4, "parentSpanId", SPAN_ID),
    one(16, "flags", Fixed32),
    one(5, "name", Text),
    one(6, "kind", Enum(&SPAN_KIND)),
    one(7, "startTimeUnixNano", Fixed64),
    one(8, "endTimeUnixNano", Fixed64),
    many(9, "attributes", Child(&KEY_VALUE)),
    one(10, "droppedAttributesCount", UInt32),
    many(11, "events", Child(&SPAN_EVENT)),
    one(12, "droppedEventsCount", UInt32),
    many(13, "links", Child(&SPAN_LINK)),
    one(14, "droppedLinksCount", UInt32),
    one(15, "status", Child(&STATUS)),
]);
static SPAN_EVENT: Message = part(&[
    one(1, "timeUnixNano", Fixed64),
    one(2, "name", Text),
    many(3, "attributes", Child(&KEY_VALUE)),
    one(4, "droppedAttributesCount", UInt32),
]);
static SPAN_LINK: Message = part(&[
    one(1, "traceId", TRACE_ID),
    one(2, "spanId", SPAN_ID),
    one(3, "traceState", Text),
    many(4, "attributes", Child(&KEY_VALUE)),
    one(5, "droppedAttributesCount", UInt32),
    one(6, "flags", Fixed32),
]);
static STATUS: Message = part(&[one(2, "message", Text), one(3, "code", Enum(&STATUS_CODE))]);

static RESOURCE_METRICS: Message = container(&[
    one(1, "resource", Child(&RESOURCE)),
    many(2, "scopeMetrics", Child(&SCOPE_METRICS)),
    one(3, "schemaUrl", Text),
]);
static SCOPE_METRICS: Message =
    container(&[one(1, "scope", Child(&SCOPE)), many(2, "metrics", Child(&METRIC)), one(3, "schemaUrl", Text)]);
static METRIC: Message = container(&[
    one(1, "name", Text),
    one(2, "description", Text),
    one(3, "unit", Text),
    alternative(5, "gauge", Child(&GAUGE)),
    alternative(7, "sum", Child(&SUM)),
    alternative(9, "histogram", Child(&HISTOGRAM)),
    alternative(10, "exponentialHistogram", Child(&EXPONENTIAL_HISTOGRAM)),
    alternative(11, "summary", Child(&SUMMARY)),
    many(12, "metadata", Child(&KEY_VALUE)),
]);
static GAUGE: Message = container(&[many(1, "dataPoints", Child(&NUMBER_POINT))]);
static SUM: Message = container(&[
    many(1, "dataPoints", Child(&NUMBER_POINT)),
    one(2, "aggregationTemporality", Enum(&TEMPORALITY)),
    one(3, "isMonotonic", Bool),
]);
static HISTOGRAM: Message =
    container(&[many(1, "dataPoints", Child(&HISTOGRAM_POINT)), one(2, "aggregationTemporality", Enum(&TEMPORALITY))]);
static EXPONENTIAL_HISTOGRAM: Message = container(&[
    many(1, "dataPoints", Child(&EXPONENTIAL_POINT)),
    one(2, "aggregationTemporality", Enum(&TEMPORALITY)),
]);
static SUMMARY: Message = container(&[many(1, "dataPoints", Child(&SUMMARY_POINT))]);
static NUMBER_POINT: Message = record(&[
    many(7, "attributes", Child(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Fixed64),
    one(3, "timeUnixNano", Fixed64),
    alternative(4, "asDouble", Double),
    alternative(6, "asInt", SFixed64),
    many(5, "exemplars", Child(&EXEMPLAR)),
    one(8, "flags", UInt32),
]);
static HISTOGRAM_POINT: Message = record(&[
    many(9, "attributes", Child(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Fixed64),
    one(3, "timeUnixNano", Fixed64),
    one(4, "count", Fixed64),
    one(5, "sum", Double),
    packed(6, "bucketCounts", Fixed64),
    packed(7, "explicitBounds", Double),
    many(8, "exemplars", Child(&EXEMPLAR)),
    one(10, "flags", UInt32),
    one(11, "min", Double),
    one(12, "max", Double),
]);
static EXPONENTIAL_POINT: Message = record(&[
    many(1, "attributes", Child(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Fixed64),
    one(3, "timeUnixNano", Fixed64),
    one(4, "count", Fixed64),
    one(5, "sum", Double),
    one(6, "scale", SInt32),
    one(7, "zeroCount", Fixed64),
    one(8, "positive", Child(&BUCKETS)),
    one(9, "negative", Child(&BUCKETS)),
    one(10, "flags", UInt32),
    many(11, "exemplars", Child(&EXEMPLAR)),
    one(12, "min", Double),
    one(13, "max", Double),
    one(14, "zeroThreshold", Double),
]);
static BUCKETS: Message = part(&[one(1, "offset", SInt32), packed(2, "bucketCounts", UInt64)]);
static SUMMARY_POINT: Message = record(&[
    many(7, "attributes", Child(&KEY_VALUE)),
    one(2, "startTimeUnixNano", Fixed64),
    one(3, "timeUnixNano", Fixed64),
    one(4, "count", Fixed64),
    one(5, "sum", Double),
    many(6, "quantileValues", Child(&QUANTILE)),
    one(8, "flags", UInt32),
]);
static QUANTILE: Message = part(&[one(1, "quantile", Double), one(2, "value", Double)]);
static EXEMPLAR: Message = part(&[
    many(7, "filteredAttributes", Child(&KEY_VALUE)),
    one(2, "timeUnixNano", Fixed64),
    alternative(3, "asDouble", Double),
    alternative(6, "asInt", SFixed64),
    one(4, "spanId", SPAN_ID),
    one(5, "traceId", TRACE_ID),
]);

#[rustfmt::skip]
static SEVERITY_NUMBER: Names = Names {
    prefix: "SEVERITY_NUMBER_",
    names: &[
        "UNSPECIFIED",
        "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4",
        "INFO", "INFO2", "INFO3", "INFO4", "WARN", "WARN2", "WARN3", "WARN4",
        "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2", "FATAL3", "FATAL4",
    ],
};
static SPAN_KIND: Names =
    Names { prefix: "SPAN_KIND_", names: &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"] };
static STATUS_CODE: Names = Names { prefix: "STATUS_CODE_", names: &["UNSET", "OK", "ERROR"] };
static TEMPORALITY: Names =
    Names { prefix: "AGGREGATION_TEMPORALITY_", names: &["UNSPECIFIED", "DELTA", "CUMULATIVE"] };
