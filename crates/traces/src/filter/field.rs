use super::read::{Operator, OperatorGroup};

/// What a condition may ask of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// How requests name it; columns have the same names.
    pub name: &'static str,
    pub(super) kind: Kind,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A trace's or a span's id.
    TraceId,
    SpanId,
    /// A UUID.
    Uuid,
    /// A word of a closed set.
    TraceType,
    SpanType,
    Otel,
    StatusCode,
    Text,
    Moment,
    Attributes,
    /// A list of objects.
    List,
    /// The text of attributes and events.
    Content,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

/// All fields.
const FIELDS: &[Field] = &[
    field("trace_id", Kind::TraceId),
    field("trace_type", Kind::TraceType),
    field("span_id", Kind::SpanId),
    field("span_type", Kind::SpanType),
    field("parent_id", Kind::SpanId),
    field("span_name", Kind::Text),
    field("span_kind", Kind::Otel),
    field("start_time", Kind::Moment),
    field("end_time", Kind::Moment),
    field("status_code", Kind::StatusCode),
    field("status_message", Kind::Text),
    field("attributes", Kind::Attributes),
    field("events", Kind::List),
    field("links", Kind::List),
    field("references", Kind::List),
    field("hashes", Kind::List),
    field("created_at", Kind::Moment),
    field("updated_at", Kind::Moment),
    field("deleted_at", Kind::Moment),
    field("created_by_id", Kind::Uuid),
    field("updated_by_id", Kind::Uuid),
    field("deleted_by_id", Kind::Uuid),
    field("session_id", Kind::Text),
    field("user_id", Kind::Text),
    field("agent_id", Kind::Text),
    field("content", Kind::Content),
];

impl Field {
    /// Finds a field by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        FIELDS.iter().copied().find(|field| field.name == name)
    }

    /// Lists the names.
    #[must_use]
    pub fn names() -> String {
        FIELDS.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
    }

    /// Says whether it takes an operator. Every field may be asked whether it is there.
    pub(super) fn takes(self, operator: Operator) -> bool {
        use OperatorGroup as G;
        let groups: &[G] = match self.kind {
            Kind::TraceId | Kind::SpanId | Kind::Uuid => &[G::Comparison, G::List, G::Existence],
            Kind::TraceType | Kind::SpanType | Kind::Otel | Kind::StatusCode => &[G::Comparison, G::List, G::Existence],
            Kind::Text | Kind::Moment | Kind::Attributes => {
                &[G::Comparison, G::Numeric, G::String, G::List, G::Existence]
            }
            Kind::List => &[G::List, G::Dict, G::Existence],
            Kind::Content => return operator == Operator::Contains,
        };
        groups.contains(&operator.group())
    }
}
