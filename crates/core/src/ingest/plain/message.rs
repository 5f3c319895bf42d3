use serde_json::{Number, Value};
use tidegate_model::UnixNanos;

use super::PlainKind;
use super::entry::{Entry, Refusal, kind};
use crate::ingest::Reason;
use crate::ingest::wire::Writer;

const SERVICE: &str = "service.name";
const AGENT: &str = "agent.id";
const SESSION: &str = "session.id";

const LOG_FIELDS: &str = "timestamp, level, source, message, context, trace_id, span_id, agent_id and session_id";
const METRIC_FIELDS: &str =
    "timestamp, metric_name, value, unit, description, type, tags, source, agent_id and session_id";
const EVENT_FIELDS: &str =
    "timestamp, event_type, source, details, metadata, level, trace_id, span_id, agent_id and session_id";

/// Levels in the words of logging libraries, with OpenTelemetry's numbers.
const LEVELS: [(&str, u64); 14] = [
    ("TRACE", 1),
    ("VERBOSE", 1),
    ("DEBUG", 5),
    ("INFO", 9),
    ("INFORMATION", 9),
    ("NOTICE", 10),
    ("WARN", 13),
    ("WARNING", 13),
    ("ERROR", 17),
    ("ERR", 17),
    ("CRITICAL", 18),
    ("FATAL", 21),
    ("ALERT", 22),
    ("EMERGENCY", 23),
];

/// An OTLP request in the making. Entries that follow each other and come from the same place share a resource.
pub(super) struct Message {
    out: Writer,
    /// When the request came: the time of metrics that say none.
    received: UnixNanos,
    /// The resource that is open, and the marks of its message and its scope's.
    open: Option<(Origin, usize, usize)>,
}

/// Where an entry comes from: its attributes of the resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Origin {
    source: Option<String>,
    agent: Option<String>,
    /// Of metrics alone: log records and events have their session themselves.
    session: Option<String>,
}

type Members = Vec<(String, Value)>;

impl Message {
    pub(super) const fn new(received: UnixNanos) -> Self {
        Self { out: Writer::new(), received, open: None }
    }

    pub(super) const fn bytes_len(&self) -> usize {
        self.out.position()
    }

    /// Adds an entry, whole or not at all.
    pub(super) fn push(&mut self, kind: PlainKind, text: &[u8]) -> Result<(), Refusal> {
        let entry = Entry::read(text)?;
        match kind {
            PlainKind::Logs => self.log(entry),
            PlainKind::Metrics => self.metric(entry),
            PlainKind::Events => self.event(entry),
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.out.into_bytes()
    }

    fn log(&mut self, mut entry: Entry) -> Result<(), Refusal> {
        let record = Record {
            body: Some(entry.any("message").ok_or_else(|| (Reason::Missing, "`message` is missing".to_owned()))?),
            ..Record::read(&mut entry, None)?
        };
        let origin = origin(&mut entry)?;
        let members = entry.members(&["context", "metadata", "attributes"])?;
        entry.end(LOG_FIELDS, "context")?;
        self.record(origin, &record, &members)
    }

    fn event(&mut self, mut entry: Entry) -> Result<(), Refusal> {
        let name = entry.needed_text("event_type")?;
        let record = Record { body: entry.any("details"), ..Record::read(&mut entry, Some(name))? };
        let origin = origin(&mut entry)?;
        let members = entry.members(&["metadata", "context", "attributes"])?;
        entry.end(EVENT_FIELDS, "metadata")?;
        self.record(origin, &record, &members)
    }

    fn record(&mut self, mut origin: Origin, record: &Record, members: &Members) -> Result<(), Refusal> {
        let session = origin.session.take();
        check(members)?;
        if let Some(body) = &record.body {
            check_value(if record.name.is_some() { "details" } else { "message" }, body)?;
        }
        self.begin(origin);
        self.out.message(2, |out| {
            out.fixed64(1, record.time);
            if record.severity > 0 {
                out.uint(2, record.severity);
            }
            out.bytes(3, record.level.as_bytes());
            if let Some(body) = &record.body {
                out.message(5, |out| write_value(body, out));
            }
            if let Some(session) = session {
                write_entry(out, 6, SESSION, &Value::String(session));
            }
            members.iter().for_each(|(key, value)| write_entry(out, 6, key, value));
            out.bytes(9, &record.trace_id);
            out.bytes(10, &record.span_id);
            if let Some(name) = &record.name {
                out.bytes(12, name.as_bytes());
            }
        });
        Ok(())
    }

    fn metric(&mut self, mut entry: Entry) -> Result<(), Refusal> {
        let point = Point::read(&mut entry, self.received)?;
        let origin = origin(&mut entry)?;
        let tags = entry.members(&["tags", "attributes"])?;
        entry.end(METRIC_FIELDS, "tags")?;
        check(&tags)?;
        self.begin(origin);
        self.out.message(2, |out| {
            out.bytes(1, point.name.as_bytes());
            out.bytes(2, point.about.as_bytes());
            out.bytes(3, point.unit.as_bytes());
            out.message(if point.is_counter { 7 } else { 5 }, |out| {
                out.message(1, |out| {
                    tags.iter().for_each(|(key, value)| write_entry(out, 7, key, value));
                    out.fixed64(3, point.time);
                    match point.value.as_i64() {
                        Some(whole) => out.fixed64(6, whole.cast_unsigned()),
                        None => out.double(4, point.value.as_f64().unwrap_or(f64::NAN)),
                    }
                });
                if point.is_counter {
                    // Cumulative, and it only rises.
                    out.uint(2, 2);
                    out.uint(3, 1);
                }
            });
        });
        Ok(())
    }

    /// Opens the resource and scope of an origin, unless they are open.
    fn begin(&mut self, origin: Origin) {
        if self.open.as_ref().is_some_and(|(open, ..)| *open == origin) {
            return;
        }
        self.close();
        let resource = self.out.begin(1);
        self.out.message(1, |out| {
            for (key, value) in [(SERVICE, &origin.source), (AGENT, &origin.agent), (SESSION, &origin.session)] {
                if let Some(value) = value {
                    write_entry(out, 1, key, &Value::String(value.clone()));
                }
            }
        });
        let scope = self.out.begin(2);
        self.open = Some((origin, resource, scope));
    }

    fn close(&mut self) {
        if let Some((_, resource, scope)) = self.open.take() {
            self.out.end(scope);
            self.out.end(resource);
        }
    }
}

/// What log records and events share.
#[derive(Debug, Default)]
struct Record {
    time: u64,
    level: String,
    severity: u64,
    trace_id: Vec<u8>,
    span_id: Vec<u8>,
    name: Option<String>,
    body: Option<Value>,
}

impl Record {
    fn read(entry: &mut Entry, name: Option<String>) -> Result<Self, Refusal> {
        let level = entry.text("level")?.unwrap_or_default().to_uppercase();
        let severity = LEVELS.iter().find(|(word, _)| *word == level).map_or(0, |(_, number)| *number);
        let (trace_id, span_id) = (entry.id("trace_id", 16)?, entry.id("span_id", 8)?);
        Ok(Self { time: entry.time()?, level, severity, trace_id, span_id, name, body: None })
    }
}

/// What a metric's entry has beside its tags and its origin.
#[derive(Debug)]
struct Point {
    name: String,
    time: u64,
    value: Number,
    unit: String,
    about: String,
    is_counter: bool,
}

impl Point {
    fn read(entry: &mut Entry, received: UnixNanos) -> Result<Self, Refusal> {
        let (name, time) = (entry.needed_text("metric_name")?, entry.time()?);
        let value = match entry.any("value") {
            Some(Value::Number(number)) => number,
            Some(other) => return Err((Reason::InvalidType, format!("`value` is a number, not {}", kind(&other)))),
            None => return Err((Reason::Missing, "`value` is missing".to_owned())),
        };
        check_number("value", &value)?;
        let (unit, about) = (entry.text("unit")?.unwrap_or_default(), entry.text("description")?.unwrap_or_default());
        let is_counter = match entry.text("type")?.as_deref() {
            None | Some("gauge") => false,
            Some("counter") => true,
            Some(_) => return Err((Reason::InvalidType, "`type` is `gauge` or `counter`".to_owned())),
        };
        // A data point of OTLP has one time, where a record has a second one that 0 would leave it to.
        let time = if time == 0 { u64::try_from(received.0).unwrap_or_default() } else { time };
        Ok(Self { name, time, value, unit, about, is_counter })
    }
}

fn origin(entry: &mut Entry) -> Result<Origin, Refusal> {
    let [source, agent, session] = ["source", "agent_id", "session_id"].map(|name| entry.text(name));
    Ok(Origin { source: source?, agent: agent?, session: session? })
}

fn check(members: &Members) -> Result<(), Refusal> {
    members.iter().try_for_each(|(key, value)| check_value(key, value))
}

/// Refuses whole numbers that no value of OTLP holds.
fn check_value(name: &str, value: &Value) -> Result<(), Refusal> {
    match value {
        Value::Number(number) => check_number(name, number),
        Value::Array(items) => items.iter().try_for_each(|item| check_value(name, item)),
        Value::Object(members) => members.iter().try_for_each(|(key, value)| check_value(key, value)),
        _ => Ok(()),
    }
}

fn check_number(name: &str, number: &Number) -> Result<(), Refusal> {
    if number.is_u64() && !number.is_i64() {
        let name: String = name.chars().take(100).collect();
        return Err((Reason::OutOfRange, format!("`{name}` is past 64 bits with a sign: send it as a text")));
    }
    Ok(())
}

/// Writes a `KeyValue`.
fn write_entry(out: &mut Writer, field: u32, key: &str, value: &Value) {
    out.message(field, |out| {
        out.bytes(1, key.as_bytes());
        out.message(2, |out| write_value(value, out));
    });
}

/// Writes an `AnyValue`; `null` is one that holds nothing.
fn write_value(value: &Value, out: &mut Writer) {
    match value {
        Value::Null => {}
        Value::String(text) => out.bytes(1, text.as_bytes()),
        Value::Bool(flag) => out.uint(2, u64::from(*flag)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => out.int(3, whole),
            None => out.double(4, number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(items) => out.message(5, |out| {
            items.iter().for_each(|item| out.message(1, |out| write_value(item, out)));
        }),
        Value::Object(members) => out.message(6, |out| {
            members.iter().for_each(|(key, value)| write_entry(out, 1, key, value));
        }),
    }
}
