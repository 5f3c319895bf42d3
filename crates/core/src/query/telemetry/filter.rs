use arrow_cast::parse::string_to_timestamp_nanos;
use serde::Serialize;
use tidegate_model::limits::SEARCH_WORDS_MAX;
use tidegate_model::tables::{EVENTS, LOGS};
use tidegate_model::{TableSpec, UnixNanos};

use crate::query::QueryError;
use crate::query::dataset::Bound;
use crate::query::parameter_text;
use crate::store::pairs_of;

/// Reads a time: ISO 8601, or a Unix time in seconds, by its length in milliseconds or nanoseconds.
#[must_use]
pub fn moment(text: &str) -> Option<UnixNanos> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return string_to_timestamp_nanos(text).ok().map(UnixNanos);
    }
    let number: i64 = text.parse().ok()?;
    let unit = match text.len() {
        0..=11 => 1_000_000_000,
        12..=14 => 1_000_000,
        _ => 1,
    };
    number.checked_mul(unit).map(UnixNanos)
}

/// Which table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RecordKind {
    /// Log records without a name.
    Logs,
    /// Those with one.
    Events,
}

/// Which log records or events are wanted; what is empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RecordFilter {
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<UnixNanos>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<UnixNanos>,
    /// One of these levels, in capitals.
    pub levels: Vec<String>,
    /// From one of these services.
    pub sources: Vec<String>,
    /// One of these kinds of event.
    pub event_types: Vec<String>,
    /// All of these words are in the message: letters and digits, in small letters.
    pub words: Vec<String>,
    /// All of these attributes are the record's own, with these values.
    pub attributes: Vec<(String, String)>,
    /// All of these are its resource's.
    pub resource: Vec<(String, String)>,
    /// Of this trace.
    pub trace_id: Option<String>,
    /// Of this session: an attribute of logs, a column of events.
    pub session_id: Option<String>,
    /// From this agent: an attribute of the resource of logs, a column of events.
    pub agent_id: Option<String>,
}

/// A record's level: its own word, without one that of its number.
pub(super) const LEVEL: &str = "if(severity_text != '', upper(severity_text), multiIf(severity_number = 0, 'UNSET', \
    severity_number < 5, 'TRACE', severity_number < 9, 'DEBUG', severity_number < 13, 'INFO', severity_number < 17, \
    'WARN', severity_number < 21, 'ERROR', 'FATAL'))";

impl RecordKind {
    /// Returns the table.
    #[must_use]
    pub fn spec(self) -> &'static TableSpec {
        match self {
            Self::Logs => &LOGS,
            Self::Events => &EVENTS,
        }
    }

    /// The expression by which the table is ordered before anything else; it rises with time.
    pub(super) const fn bucket(self) -> &'static str {
        match self {
            Self::Logs => "toStartOfFiveMinutes(timestamp)",
            Self::Events => "toStartOfHour(timestamp)",
        }
    }
}

/// Splits a text as the index of messages does: runs of letters, digits and what is not ASCII, in small letters.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

impl RecordFilter {
    /// Looks for records whose message has all words of a text; letters beyond ASCII are compared as they are.
    pub fn with_text(self, text: &str) -> Result<Self, QueryError> {
        let mut found: Vec<String> = words(text).map(str::to_ascii_lowercase).collect();
        found.sort_unstable();
        found.dedup();
        if found.is_empty() || found.len() > SEARCH_WORDS_MAX {
            let shown: String = text.chars().take(100).collect();
            return Err(QueryError::Parameter(format!(
                "`text` has 1 to {SEARCH_WORDS_MAX} words of letters and digits, `{shown}` has {}",
                found.len()
            )));
        }
        Ok(Self { words: found, ..self })
    }

    /// Returns the condition that leaves next to no rows: that of a trace; empty without one.
    pub(super) fn rare(&self, bound: &mut Bound) -> Result<String, QueryError> {
        self.trace_id.as_ref().map_or(Ok(String::new()), |trace| Ok(format!("trace_id = {}", bound.text(trace)?)))
    }

    /// Returns the other conditions, each of which an index or the order of rows can serve.
    pub(super) fn conditions(&self, kind: RecordKind, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
        let mut all = Vec::new();
        for (sign, time) in [(">=", self.from), ("<", self.to)] {
            if let Some(time) = time {
                all.push(format!("timestamp {sign} {}", bound.moment(time)?));
            }
        }
        for (column, wanted) in [("service_name", &self.sources), (LEVEL, &self.levels)] {
            if !wanted.is_empty() {
                all.push(format!("{column} IN {}", list(wanted, bound)?));
            }
        }
        if !self.event_types.is_empty() {
            all.push(format!("event_name IN {}", list(&self.event_types, bound)?));
        }
        if !self.words.is_empty() {
            all.push(format!("hasAllTokens(lower(body), {})", list(&self.words, bound)?));
        }
        for (map, wanted) in [("attributes", &self.attributes), ("resource_attributes", &self.resource)] {
            for (key, value) in wanted {
                all.push(has(map, key, value, bound)?);
            }
        }
        if let Some(session) = &self.session_id {
            all.push(match kind {
                RecordKind::Logs => has("attributes", "session.id", session, bound)?,
                RecordKind::Events => format!("session_id = {}", bound.text(session)?),
            });
        }
        if let Some(agent) = &self.agent_id {
            all.push(match kind {
                RecordKind::Logs => has("resource_attributes", "agent.id", agent, bound)?,
                RecordKind::Events => format!("agent_id = {}", bound.text(agent)?),
            });
        }
        Ok(all)
    }
}

/// Asks for an attribute; the hint, where a table has an index on it, says which rows need not be read. A map has an empty
/// text for a key that it lacks.
pub(super) fn has(map: &str, key: &str, value: &str, bound: &mut Bound) -> Result<String, QueryError> {
    let is_empty = value.is_empty();
    let (key, value) = (bound.text(key)?, bound.text(value)?);
    let lacks = if is_empty { format!(" AND mapContains({map}, {key})") } else { String::new() };
    Ok(format!("{map}[{key}] = {value}{lacks} AND indexHint(has({}, cityHash64({key}, {value})))", pairs_of(map)))
}

/// Binds a list of texts.
pub(super) fn list(values: &[String], bound: &mut Bound) -> Result<String, QueryError> {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{}'", parameter_text(value))).collect();
    bound.bind("Array(String)", format!("[{}]", quoted.join(",")))
}
