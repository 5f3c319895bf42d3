use tidegate_model::UnixNanos;

use super::{Lifecycle, Span, SpanKind, SpanType, StatusCode, TraceType};
use crate::members::Members;
use crate::{Amounts, Derived, Invalid, Json, Object, SpanId, TraceId, Uuid, json};

/// The column that orders the rows, and whose day is their partition.
pub const TIME_COLUMN: &str = "created_at";

/// The columns of the table of spans, each with its type in the words of a dataset.
///
/// The first timestamp is the time column.
pub const COLUMNS: &[(&str, &str)] = &[
    ("created_at", "timestamp"),
    ("project_id", "keyword"),
    ("trace_id", "uuid"),
    ("span_id", "uuid"),
    ("parent_id", "uuid"),
    ("trace_type", "keyword"),
    ("span_type", "keyword"),
    ("span_kind", "keyword"),
    ("span_name", "string"),
    ("start_time", "timestamp"),
    ("end_time", "timestamp"),
    ("status_code", "keyword"),
    ("status_message", "string"),
    ("session_id", "string"),
    ("user_id", "string"),
    ("agent_id", "string"),
    ("attributes", "json"),
    ("references", "json"),
    ("links", "json"),
    ("hashes", "json"),
    ("events", "json"),
    ("updated_at", "timestamp"),
    ("deleted_at", "timestamp"),
    ("created_by_id", "uuid"),
    ("updated_by_id", "uuid"),
    ("deleted_by_id", "uuid"),
    ("row_version", "uint64"),
    ("row_deleted", "boolean"),
    ("duration_ms", "double"),
    ("tokens_prompt", "double"),
    ("tokens_completion", "double"),
    ("tokens_total", "double"),
    ("cost_prompt", "double"),
    ("cost_completion", "double"),
    ("cost_total", "double"),
    ("errors", "int64"),
    ("model", "keyword"),
    ("attribute_items", "array(string)"),
];

/// Those of them that a span has wherever it is stored, also in PostgreSQL: all before its version and what is worked out.
pub const OWN_COLUMNS: &[(&str, &str)] = COLUMNS.split_at(26).0;

/// Returns a span's row, as a dataset takes it.
#[must_use]
pub fn row(span: &Span, derived: &Derived, project: Uuid, (version, is_deleted): (u64, bool)) -> Json {
    let text = |text: &Option<String>| text.as_deref().map_or(Json::Null, Json::text);
    let uuid = |id: Option<Uuid>| id.map_or(Json::Null, |id| Json::text(id.to_string()));
    let time = |time: Option<UnixNanos>| time.map_or(Json::Null, |time| Json::text(time.to_string()));
    let double = |value: Option<f64>| value.map_or(Json::Null, Json::number);
    let list = |list: &[Json]| if list.is_empty() { Json::Null } else { Json::List(list.to_vec()) };
    let life = &span.lifecycle;
    Json::object([
        ("project_id", uuid(Some(project))),
        ("trace_id", uuid(Some(span.trace_id.uuid()))),
        ("span_id", uuid(Some(span.span_id.uuid()))),
        ("parent_id", uuid(span.parent_id.map(SpanId::uuid))),
        ("trace_type", span.trace_type.map_or(Json::Null, |word| Json::text(word.as_str()))),
        ("span_type", span.span_type.map_or(Json::Null, |word| Json::text(word.as_str()))),
        ("span_kind", Json::text(span.span_kind.as_str())),
        ("span_name", Json::text(span.span_name.as_str())),
        ("start_time", time(Some(span.start_time))),
        ("end_time", time(Some(span.end_time))),
        ("status_code", Json::text(span.status_code.as_str())),
        ("status_message", text(&span.status_message)),
        ("session_id", text(&span.session_id)),
        ("user_id", text(&span.user_id)),
        ("agent_id", text(&span.agent_id)),
        ("attributes", Json::Object(span.attributes.clone())),
        ("references", list(&span.references)),
        ("links", list(&span.links)),
        ("hashes", list(&span.hashes)),
        ("events", list(&span.events)),
        ("created_at", time(Some(life.created_at))),
        ("updated_at", time(life.updated_at)),
        ("deleted_at", time(life.deleted_at)),
        ("created_by_id", uuid(life.created_by_id)),
        ("updated_by_id", uuid(life.updated_by_id)),
        ("deleted_by_id", uuid(life.deleted_by_id)),
        ("row_version", Json::from(version)),
        ("row_deleted", Json::Bool(is_deleted)),
        ("duration_ms", Json::number(derived.duration_ms)),
        ("tokens_prompt", double(derived.tokens.prompt)),
        ("tokens_completion", double(derived.tokens.completion)),
        ("tokens_total", double(derived.tokens.total)),
        ("cost_prompt", double(derived.costs.prompt)),
        ("cost_completion", double(derived.costs.completion)),
        ("cost_total", double(derived.costs.total)),
        ("errors", Json::from(derived.errors)),
        ("model", text(&derived.model)),
        ("attribute_items", Json::List(derived.attribute_items.iter().map(Json::text).collect())),
    ])
}

impl Span {
    /// Reads a row of the table: an object of its columns, times and ids as text, JSON as the text that was stored.
    pub fn from_row(row: &Json) -> Result<Self, Invalid> {
        let members = Members::of(row, "row")?;
        let lacks = |name: &str| Invalid::at(members.place_of(name), "it is missing", "check how the row came in");
        let time = |name: &str| members.moment(name)?.ok_or_else(|| lacks(name));
        Ok(Self {
            trace_id: members.parsed("trace_id", TraceId::read)?.ok_or_else(|| lacks("trace_id"))?,
            span_id: members.parsed("span_id", SpanId::read)?.ok_or_else(|| lacks("span_id"))?,
            parent_id: members.parsed("parent_id", SpanId::read)?,
            trace_type: members.parsed("trace_type", TraceType::read)?,
            span_type: members.parsed("span_type", SpanType::read)?,
            span_kind: members.parsed("span_kind", SpanKind::read)?.unwrap_or_default(),
            span_name: members.text("span_name")?.unwrap_or_default().to_owned(),
            start_time: time("start_time")?,
            end_time: time("end_time")?,
            status_code: members.parsed("status_code", StatusCode::read)?.unwrap_or_default(),
            status_message: members.text("status_message")?.map(str::to_owned),
            session_id: members.text("session_id")?.map(str::to_owned),
            user_id: members.text("user_id")?.map(str::to_owned),
            agent_id: members.text("agent_id")?.map(str::to_owned),
            attributes: stored(&members, "attributes")?.as_object().cloned().unwrap_or_default(),
            references: stored_list(&members, "references")?,
            links: stored_list(&members, "links")?,
            hashes: stored_list(&members, "hashes")?,
            events: stored_list(&members, "events")?,
            lifecycle: Lifecycle {
                created_at: time("created_at")?,
                updated_at: members.moment("updated_at")?,
                deleted_at: members.moment("deleted_at")?,
                created_by_id: members.parsed("created_by_id", Uuid::read)?,
                updated_by_id: members.parsed("updated_by_id", Uuid::read)?,
                deleted_by_id: members.parsed("deleted_by_id", Uuid::read)?,
            },
        })
    }
}

fn stored(members: &Members<'_>, name: &str) -> Result<Json, Invalid> {
    let Some(text) = members.text(name)? else { return Ok(Json::Object(Object::new())) };
    json::parse(text)
        .map_err(|error| Invalid { place: format!("{}: {}", members.place_of(name), error.place), ..error })
}

fn stored_list(members: &Members<'_>, name: &str) -> Result<Vec<Json>, Invalid> {
    Ok(if let Json::List(list) = stored(members, name)? { list } else { Vec::new() })
}

/// Returns what was worked out of a span when its row was written.
#[must_use]
pub fn derived_of_row(row: &Json, span: &Span) -> Derived {
    let number = |name: &str| row.at(name).and_then(Json::as_number);
    let amounts = |of: &str| Amounts {
        prompt: number(&format!("{of}_prompt")),
        completion: number(&format!("{of}_completion")),
        total: number(&format!("{of}_total")),
    };
    let errors = row.at("errors").and_then(|errors| errors.to_string().trim_matches('"').parse().ok());
    let nanos = i128::from(span.end_time.0) - i128::from(span.start_time.0);
    Derived {
        duration_ms: nanos.max(0) as f64 / 1e6,
        tokens: amounts("tokens"),
        costs: amounts("cost"),
        errors: errors.unwrap_or(0),
        model: row.at("model").and_then(Json::as_text).map(str::to_owned),
        attribute_items: Vec::new(),
    }
}
