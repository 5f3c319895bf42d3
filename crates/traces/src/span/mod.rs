//! A span as its clients know it, and as the table has it.

mod hash;
mod read;
mod row;
mod words;
mod write;

#[cfg(test)]
mod tests;

use tidegate_model::UnixNanos;

use crate::{Json, Object, SpanId, TraceId, Uuid};
pub(crate) use hash::key_of;
pub use hash::made_ids;
pub use read::Defaults;
pub(crate) use read::ids_of;
pub use row::{COLUMNS, OWN_COLUMNS, TIME_COLUMN, derived_of_row, row};
pub use words::{SpanKind, SpanType, StatusCode, TraceType};

/// A step of an application, with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// The span that it is a part of.
    pub parent_id: Option<SpanId>,
    /// What its trace is.
    pub trace_type: Option<TraceType>,
    /// What it does.
    pub span_type: Option<SpanType>,
    /// OpenTelemetry's kind.
    pub span_kind: SpanKind,
    /// Its name.
    pub span_name: String,
    /// When it began.
    pub start_time: UnixNanos,
    /// When it ended.
    pub end_time: UnixNanos,
    /// How it ended.
    pub status_code: StatusCode,
    /// What was said of that.
    pub status_message: Option<String>,
    /// The session, at the root of a trace.
    pub session_id: Option<String>,
    /// The user, at the root of a trace.
    pub user_id: Option<String>,
    /// The agent, at the root of a trace.
    pub agent_id: Option<String>,
    /// All that was said of it.
    pub attributes: Object,
    /// What it was made with: `{id, slug, version, attributes: {key}}`.
    pub references: Vec<Json>,
    /// The spans that it is about: `{trace_id, span_id, attributes}`.
    pub links: Vec<Json>,
    /// What it is known by: `{id, attributes}`; without any it is worked out of references and links.
    pub hashes: Vec<Json>,
    /// What happened meanwhile: `{name, timestamp, attributes}`.
    pub events: Vec<Json>,
    /// Who made, changed and deleted it, and when.
    pub lifecycle: Lifecycle,
}

/// Who made, changed and deleted something, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// When it was made.
    pub created_at: UnixNanos,
    /// When it was last changed.
    pub updated_at: Option<UnixNanos>,
    /// When it was deleted.
    pub deleted_at: Option<UnixNanos>,
    /// Who made it.
    pub created_by_id: Option<Uuid>,
    /// Who changed it last.
    pub updated_by_id: Option<Uuid>,
    /// Who deleted it.
    pub deleted_by_id: Option<Uuid>,
}

impl Span {
    /// Returns the events that tell of an exception.
    pub fn exceptions(&self) -> impl Iterator<Item = &Json> {
        self.events.iter().filter(|event| event.at("name").and_then(Json::as_text) == Some("exception"))
    }

    /// Says what it is known by, where it does not itself.
    pub(crate) fn tell_hashes(&mut self) {
        if self.hashes.is_empty() {
            self.hashes = hash::hashes(&self.references, &self.links);
        }
    }

    /// Returns what a path says of it, as filters and analytics name it: a field, or a path into the attributes, with or
    /// without `attributes.` before it.
    #[must_use]
    pub fn attribute(&self, path: &str) -> Option<&Json> {
        crate::json::at(&self.attributes, path.strip_prefix("attributes.").unwrap_or(path))
    }
}
