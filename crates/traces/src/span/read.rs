use tidegate_model::UnixNanos;

use super::{Lifecycle, Span, SpanKind, SpanType, StatusCode, TraceType};
use crate::members::Members;
use crate::{Invalid, Json, Object, SpanId, TraceId, Uuid, vocabulary};

/// What a span gets that does not say it itself.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The time of its request.
    pub now: UnixNanos,
    /// Who sent it.
    pub actor: Option<Uuid>,
    /// Its name: 12 hexadecimal digits that nobody else got.
    pub name: String,
}

/// What a client may say of a span.
const MEMBERS: &[&str] = &[
    "trace_id",
    "span_id",
    "parent_id",
    "trace_type",
    "span_type",
    "span_kind",
    "span_name",
    "start_time",
    "end_time",
    "status_code",
    "status_message",
    "session_id",
    "user_id",
    "agent_id",
    "attributes",
    "references",
    "links",
    "hashes",
    "events",
    "exception",
];

/// What our answers have beside that, and a client may send back: it is worked out anew.
const ANSWERED: &[&str] =
    &["created_at", "updated_at", "deleted_at", "created_by_id", "updated_by_id", "deleted_by_id", "spans", "nodes"];

impl Span {
    /// Reads a span as clients send it. What has no place is kept in `ag.unsupported`.
    pub fn read(value: &Json, place: &str, defaults: &Defaults) -> Result<Self, Invalid> {
        let members = Members::of(value, place)?;
        let lacks = |name: &str| Invalid::at(members.place_of(name), "it is missing", "every span has its ids");
        let attributes = match members.get("attributes") {
            None => Object::new(),
            Some(Json::Object(attributes)) => attributes.clone(),
            Some(other) => {
                let problem = format!("{} stands where an object is expected", other.kind());
                return Err(Invalid::at(members.place_of("attributes"), problem, "send an object"));
            }
        };
        let (start_time, end_time) = times(members.moment("start_time")?, members.moment("end_time")?, defaults.now);
        let mut span = Self {
            trace_id: members.parsed("trace_id", TraceId::read)?.ok_or_else(|| lacks("trace_id"))?,
            span_id: members.parsed("span_id", SpanId::read)?.ok_or_else(|| lacks("span_id"))?,
            parent_id: members.parsed("parent_id", SpanId::read)?,
            trace_type: members.parsed("trace_type", TraceType::read)?,
            span_type: members.parsed("span_type", SpanType::read)?,
            span_kind: members.parsed("span_kind", SpanKind::read)?.unwrap_or_default(),
            span_name: owned(members.text("span_name")?).unwrap_or_else(|| defaults.name.clone()),
            start_time,
            end_time,
            status_code: members.parsed("status_code", StatusCode::read)?.unwrap_or_default(),
            status_message: members.text("status_message")?.map(str::to_owned),
            session_id: owned(members.text("session_id")?),
            user_id: owned(members.text("user_id")?),
            agent_id: owned(members.text("agent_id")?),
            attributes: Object::new(),
            references: objects(&members, "references")?,
            links: objects(&members, "links")?,
            hashes: objects(&members, "hashes")?,
            events: objects(&members, "events")?,
            lifecycle: Lifecycle { created_at: defaults.now, created_by_id: defaults.actor, ..Lifecycle::default() },
        };
        span.take_exception(members.get("exception"));
        let names = value.as_object().into_iter().flatten();
        let unknown = names.filter(|(name, _)| !MEMBERS.contains(&name.as_str()) && !ANSWERED.contains(&name.as_str()));
        let unknown: Object = unknown.map(|(name, value)| (name.clone(), value.clone())).collect();
        vocabulary::settle(&mut span, attributes, unknown);
        Ok(span)
    }

    /// An exception is an event; a span of ours that comes back has both.
    fn take_exception(&mut self, exception: Option<&Json>) {
        if let (Some(Json::Object(exception)), 0) = (exception, self.exceptions().count()) {
            let mut event = exception.clone();
            event.insert("name".to_owned(), Json::text("exception"));
            event.entry("timestamp".to_owned()).or_insert_with(|| Json::text(self.end_time.to_string()));
            self.events.push(Json::Object(event));
        }
    }
}

/// A span that says nothing of its times was now, and one that says one of them took no time.
fn times(start: Option<UnixNanos>, end: Option<UnixNanos>, now: UnixNanos) -> (UnixNanos, UnixNanos) {
    let start_known = start.or(end).unwrap_or(now);
    (start_known, end.unwrap_or(if start.is_some() { now.max(start_known) } else { start_known }))
}

fn owned(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn objects(members: &Members<'_>, name: &str) -> Result<Vec<Json>, Invalid> {
    let list = members.list(name)?;
    for (index, element) in list.iter().enumerate() {
        Members::of(element, &format!("{}[{index}]", members.place_of(name)))?;
    }
    let known = list.iter().map(|element| canonical(name, element, &members.place_of(name)));
    known.collect()
}

/// Ids of links and hashes are written in one way, so that they are found in whichever they are asked for.
fn canonical(list: &str, element: &Json, place: &str) -> Result<Json, Invalid> {
    let Json::Object(members) = element else { return Ok(element.clone()) };
    let mut members = members.clone();
    for (name, read) in ids_of(list) {
        if let Some(Json::Text(text)) = members.get(*name) {
            let id = read(text, &format!("{place}.{name}"))?;
            members.insert((*name).to_owned(), Json::Text(id));
        }
    }
    Ok(Json::Object(members))
}

pub(crate) type ReadId = fn(&str, &str) -> Result<String, Invalid>;

/// The ids of a link, and how they are written.
const LINK_IDS: &[(&str, ReadId)] = &[
    ("trace_id", |text, place| TraceId::read(text, place).map(|id| id.to_string())),
    ("span_id", |text, place| SpanId::read(text, place).map(|id| id.to_string())),
];

/// That of a hash; it may be no UUID.
const HASH_IDS: &[(&str, ReadId)] =
    &[("id", |text, place| Ok(Uuid::read(text, place).map_or_else(|_| text.to_owned(), |id| id.to_string())))];

/// Returns the ids that elements of a list have, and how they are written.
pub(crate) fn ids_of(list: &str) -> &'static [(&'static str, ReadId)] {
    match list {
        "links" => LINK_IDS,
        "hashes" => HASH_IDS,
        _ => &[],
    }
}
