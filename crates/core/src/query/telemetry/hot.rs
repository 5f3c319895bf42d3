use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType, UInt8Type};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use tidegate_model::{Seq, UnixNanos};

use super::entry::{Entries, Record};
use super::filter::{RecordFilter, RecordKind, words};

/// Returns the rows that a filter wants, as [`super::super::Query::records`] would; the first row has the number `first`.
pub fn matching(
    kind: RecordKind,
    filter: &RecordFilter,
    (first, rows): (Seq, &RecordBatch),
) -> Result<Vec<Record>, ArrowError> {
    let columns = Columns::of(kind, rows)?;
    let wanted = (0..rows.num_rows()).filter(|row| columns.is_wanted(*row, filter));
    Ok(wanted.map(|row| columns.record(row, first.0 + row as u64)).collect())
}

/// The columns of a batch of log records or events.
struct Columns<'a> {
    kind: RecordKind,
    time: &'a [i64],
    number: &'a [u8],
    level: Words<'a>,
    source: Words<'a>,
    name: Words<'a>,
    body: &'a StringArray,
    body_type: Words<'a>,
    attributes: Maps<'a>,
    attribute_types: Words<'a>,
    resource: Maps<'a>,
    resource_types: Words<'a>,
    trace: &'a StringArray,
    span: &'a StringArray,
    /// Of events.
    agent: Option<Words<'a>>,
    session: Option<&'a StringArray>,
}

impl<'a> Columns<'a> {
    fn of(kind: RecordKind, rows: &'a RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &str| {
            let found = rows.column_by_name(name);
            found.ok_or_else(|| ArrowError::SchemaError(format!("the rows have no column `{name}`")))
        };
        let word = |name: &str| column(name).map(Words::of);
        let is_event = kind == RecordKind::Events;
        Ok(Self {
            kind,
            time: column("timestamp")?.as_primitive::<TimestampNanosecondType>().values(),
            number: column("severity_number")?.as_primitive::<UInt8Type>().values(),
            level: word("severity_text")?,
            source: word("service_name")?,
            name: word("event_name")?,
            body: column("body")?.as_string(),
            body_type: word("body_type")?,
            attributes: Maps::of(column("attributes")?),
            attribute_types: word("attribute_types")?,
            resource: Maps::of(column("resource_attributes")?),
            resource_types: word("resource_attribute_types")?,
            trace: column("trace_id")?.as_string(),
            span: column("span_id")?.as_string(),
            agent: is_event.then(|| word("agent_id")).transpose()?,
            session: is_event.then(|| column("session_id").map(|column| column.as_string())).transpose()?,
        })
    }

    fn is_wanted(&self, row: usize, filter: &RecordFilter) -> bool {
        let time = UnixNanos(self.time[row]);
        let is_one = |list: &[String], text: &str| list.is_empty() || list.iter().any(|own| own == text);
        filter.from.is_none_or(|from| time >= from)
            && filter.to.is_none_or(|to| time < to)
            && is_one(&filter.sources, self.source.get(row))
            && is_one(&filter.event_types, self.name.get(row))
            && (filter.levels.is_empty() || is_one(&filter.levels, &self.level_of(row)))
            && filter.trace_id.as_ref().is_none_or(|trace| trace == self.trace.value(row))
            && filter.attributes.iter().all(|(key, value)| self.attributes.get(row, key) == Some(value))
            && filter.resource.iter().all(|(key, value)| self.resource.get(row, key) == Some(value))
            && filter.agent_id.as_ref().is_none_or(|agent| agent == self.agent_of(row))
            && filter.session_id.as_ref().is_none_or(|session| Some(session.as_str()) == self.session_of(row))
            && self.has_words(row, &filter.words)
    }

    fn has_words(&self, row: usize, wanted: &[String]) -> bool {
        let body = self.body.value(row);
        wanted.iter().all(|wanted| words(body).any(|word| word.eq_ignore_ascii_case(wanted)))
    }

    fn level_of(&self, row: usize) -> String {
        let own = self.level.get(row);
        if !own.is_empty() {
            return own.to_ascii_uppercase();
        }
        let word = match self.number[row] {
            0 => "UNSET",
            1..5 => "TRACE",
            5..9 => "DEBUG",
            9..13 => "INFO",
            13..17 => "WARN",
            17..21 => "ERROR",
            _ => "FATAL",
        };
        word.to_owned()
    }

    fn agent_of(&self, row: usize) -> &'a str {
        match &self.agent {
            Some(agent) => agent.get(row),
            None => self.resource.get(row, "agent.id").unwrap_or_default(),
        }
    }

    fn session_of(&self, row: usize) -> Option<&'a str> {
        match self.session {
            Some(session) => Some(session.value(row)),
            None => self.attributes.get(row, "session.id"),
        }
    }

    fn record(&self, row: usize, seq: u64) -> Record {
        let is_event = self.kind == RecordKind::Events;
        Record {
            time: self.time[row],
            seq,
            level: self.level_of(row),
            source: self.source.get(row).to_owned(),
            event_type: if is_event { self.name.get(row).to_owned() } else { String::new() },
            body: (self.body.value(row).to_owned(), self.body_type.get(row).to_owned()),
            attributes: self.attributes.entries(row, &self.attribute_types),
            resource: self.resource.entries(row, &self.resource_types),
            trace_id: self.trace.value(row).to_owned(),
            span_id: self.span.value(row).to_owned(),
            agent_id: self.agent_of(row).to_owned(),
            session_id: self.session.map_or_else(String::new, |session| session.value(row).to_owned()),
        }
    }
}

/// A column of few distinct texts.
struct Words<'a> {
    numbers: &'a [i32],
    texts: &'a StringArray,
}

impl<'a> Words<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        let words = column.as_dictionary::<Int32Type>();
        Self { numbers: words.keys().values(), texts: words.values().as_string() }
    }

    fn get(&self, row: usize) -> &'a str {
        self.texts.value(place(self.numbers[row]))
    }
}

/// A map column; rows may share maps.
struct Maps<'a> {
    shared: Option<&'a [i32]>,
    offsets: &'a [i32],
    keys: Words<'a>,
    values: &'a StringArray,
}

impl<'a> Maps<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        let shared = column.as_dictionary_opt::<Int32Type>();
        let map = shared.map_or(column, |shared| shared.values()).as_map();
        Self {
            shared: shared.map(|shared| shared.keys().values().as_ref()),
            offsets: map.value_offsets(),
            keys: Words::of(map.keys()),
            values: map.values().as_string(),
        }
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let map = self.shared.map_or(row, |shared| place(shared[row]));
        place(self.offsets[map])..place(self.offsets[map + 1])
    }

    /// Returns the first value of a key, as ClickHouse does.
    fn get(&self, row: usize, key: &str) -> Option<&'a str> {
        self.range(row).find(|at| self.keys.get(*at) == key).map(|at| self.values.value(at))
    }

    fn entries(&self, row: usize, types: &Words<'_>) -> Entries {
        let range = self.range(row);
        let keys = range.clone().map(|at| self.keys.get(at).to_owned()).collect();
        let values = range.map(|at| self.values.value(at).to_owned()).collect();
        (keys, values, types.get(row).to_owned())
    }
}

fn place(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}
