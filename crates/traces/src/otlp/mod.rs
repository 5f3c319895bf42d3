//! OTLP's spans, as protobuf has them, become spans as this crate has them.
//!
//! A body that is no protobuf is refused as a whole; a span that cannot be one is refused alone, with its place.

mod value;
mod wire;

#[cfg(test)]
mod tests;

use tidegate_model::UnixNanos;

use crate::span::{Lifecycle, SpanKind, StatusCode};
use crate::{Defaults, Invalid, Json, Object, Span, SpanId, TraceId, vocabulary};
use value::attribute;
use wire::{Field, Message};

/// What an Export request came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exported {
    /// The spans that can be taken.
    pub spans: Vec<Span>,
    /// Why others cannot.
    pub refused: Vec<Invalid>,
}

/// Reads an `ExportTraceServiceRequest`. `name` makes the name of a span that has none.
pub fn read_export(body: &[u8], defaults: &Defaults, mut name: impl FnMut() -> String) -> Result<Exported, Invalid> {
    let mut exported = Exported::default();
    let mut index = 0_usize;
    each(body, 1, &mut |resource_spans| {
        let mut resource = Object::new();
        each(resource_spans, 1, &mut |of| each(of, 1, &mut |bytes| attribute(bytes, &mut resource)))?;
        each(resource_spans, 2, &mut |scope_spans| {
            each(scope_spans, 2, &mut |bytes| {
                let place = format!("spans[{index}]");
                index += 1;
                match Draft::read(bytes)?.span(&place, defaults, &resource) {
                    Ok(mut span) => {
                        if span.span_name.is_empty() {
                            span.span_name = name();
                        }
                        exported.spans.push(span);
                    }
                    Err(refusal) => exported.refused.push(refusal),
                }
                Ok(())
            })
        })
    })?;
    Ok(exported)
}

/// Hands on every message that a field holds.
fn each<'b>(
    bytes: &'b [u8],
    number: u64,
    take: &mut dyn FnMut(&'b [u8]) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    let mut message = Message::of(bytes);
    while let Some((found, field)) = message.next()? {
        if let (true, Field::Bytes(inner)) = (found == number, field) {
            take(inner)?;
        }
    }
    Ok(())
}

/// A span as it stands on the wire.
#[derive(Debug, Default)]
struct Draft<'b> {
    trace_id: &'b [u8],
    span_id: &'b [u8],
    parent_id: &'b [u8],
    name: String,
    kind: u64,
    start: u64,
    end: u64,
    attributes: Object,
    events: Vec<Json>,
    links: Vec<Json>,
    message: String,
    status: u64,
}

impl<'b> Draft<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, Invalid> {
        let (mut draft, mut message) = (Self::default(), Message::of(bytes));
        while let Some((number, field)) = message.next()? {
            match (number, field) {
                (1, Field::Bytes(id)) => draft.trace_id = id,
                (2, Field::Bytes(id)) => draft.span_id = id,
                (4, Field::Bytes(id)) => draft.parent_id = id,
                (5, Field::Bytes(name)) => draft.name = text(name)?,
                (6, Field::Number(kind)) => draft.kind = kind,
                (7, Field::Fixed(time)) => draft.start = time,
                (8, Field::Fixed(time)) => draft.end = time,
                (9, Field::Bytes(inner)) => attribute(inner, &mut draft.attributes)?,
                (11, Field::Bytes(inner)) => draft.events.push(event(inner)?),
                (13, Field::Bytes(inner)) => draft.links.push(link(inner)?),
                (15, Field::Bytes(inner)) => draft.take_status(inner)?,
                _ => {}
            }
        }
        Ok(draft)
    }

    fn take_status(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        let mut message = Message::of(bytes);
        while let Some((number, field)) = message.next()? {
            match (number, field) {
                (2, Field::Bytes(said)) => self.message = text(said)?,
                (3, Field::Number(code)) => self.status = code,
                _ => {}
            }
        }
        Ok(())
    }

    fn span(self, place: &str, defaults: &Defaults, resource: &Object) -> Result<Span, Invalid> {
        let parent = (!self.parent_id.iter().all(|byte| *byte == 0)).then_some(self.parent_id);
        let span_id = |bytes: &[u8], name: &str| SpanId::read(&digits(bytes), &format!("{place}.{name}"));
        let start = time(self.start, &format!("{place}.start_time_unix_nano"))?;
        let end = time(self.end, &format!("{place}.end_time_unix_nano"))?;
        let start_time = start.or(end).unwrap_or(defaults.now);
        let mut span = Span {
            trace_id: TraceId::read(&digits(self.trace_id), &format!("{place}.trace_id"))?,
            span_id: span_id(self.span_id, "span_id")?,
            parent_id: parent.map(|bytes| span_id(bytes, "parent_span_id")).transpose()?,
            trace_type: None,
            span_type: None,
            span_kind: nth(SpanKind::ALL, self.kind),
            span_name: self.name,
            start_time,
            end_time: end.unwrap_or(start_time),
            status_code: nth(StatusCode::ALL, self.status),
            status_message: (!self.message.is_empty()).then_some(self.message),
            session_id: None,
            user_id: None,
            agent_id: None,
            attributes: Object::new(),
            references: Vec::new(),
            links: self.links,
            hashes: Vec::new(),
            events: self.events,
            lifecycle: Lifecycle { created_at: defaults.now, created_by_id: defaults.actor, ..Lifecycle::default() },
        };
        let mut attributes = self.attributes;
        if !resource.is_empty() {
            attributes.entry("resource".to_owned()).or_insert_with(|| Json::Object(resource.clone()));
        }
        vocabulary::settle(&mut span, attributes, Object::new());
        Ok(span)
    }
}

fn nth<T: Copy + Default>(all: &[T], index: u64) -> T {
    usize::try_from(index).ok().and_then(|index| all.get(index)).copied().unwrap_or_default()
}

fn time(nanos: u64, place: &str) -> Result<Option<UnixNanos>, Invalid> {
    let time = i64::try_from(nanos)
        .map_err(|_| Invalid::at(place, format!("{nanos} is no time"), "nanoseconds since 1970 reach to 2262"))?;
    Ok((time != 0).then_some(UnixNanos(time)))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(bytes: &[u8]) -> Result<String, Invalid> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        Invalid::at("a text", "no protobuf: it is no UTF-8", "send an ExportTraceServiceRequest as protobuf")
    })
}

fn event(bytes: &[u8]) -> Result<Json, Invalid> {
    let (mut message, mut members, mut attributes) = (Message::of(bytes), Object::new(), Object::new());
    while let Some((number, field)) = message.next()? {
        match (number, field) {
            (1, Field::Fixed(nanos)) => {
                if let Some(time) = time(nanos, "an event's time_unix_nano")? {
                    members.insert("timestamp".to_owned(), Json::text(time.to_string()));
                }
            }
            (2, Field::Bytes(name)) => drop(members.insert("name".to_owned(), Json::Text(text(name)?))),
            (3, Field::Bytes(inner)) => attribute(inner, &mut attributes)?,
            _ => {}
        }
    }
    Ok(with(members, attributes))
}

fn link(bytes: &[u8]) -> Result<Json, Invalid> {
    let (mut message, mut members, mut attributes) = (Message::of(bytes), Object::new(), Object::new());
    while let Some((number, field)) = message.next()? {
        match (number, field) {
            (1, Field::Bytes(id)) => drop(members.insert("trace_id".to_owned(), Json::Text(digits(id)))),
            (2, Field::Bytes(id)) => drop(members.insert("span_id".to_owned(), Json::Text(digits(id)))),
            (4, Field::Bytes(inner)) => attribute(inner, &mut attributes)?,
            _ => {}
        }
    }
    Ok(with(members, attributes))
}

fn with(mut members: Object, attributes: Object) -> Json {
    if !attributes.is_empty() {
        members.insert("attributes".to_owned(), Json::Object(attributes));
    }
    Json::Object(members)
}
