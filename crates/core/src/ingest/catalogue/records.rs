use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{ArrayRef, DictionaryArray, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use tidegate_model::Signal;
use tidegate_model::tables::{LOGS, SPANS};

use super::reducer::{Place, Reducer, Who};
use crate::buffer::Rows;

/// The name of a log record without a severity's text.
const UNSET: &[u8] = b"UNSET";

/// Counts log records and spans; data points were counted while they were decoded, as their attributes are in no row.
pub(crate) fn count(reducer: &mut Reducer<'_>, rows: &[Rows]) -> Result<(), ArrowError> {
    for Rows { table, rows } in rows {
        match table {
            table if *table == LOGS.name => log_records(reducer, rows)?,
            table if *table == SPANS.name => spans(reducer, rows)?,
            _ => {}
        }
    }
    Ok(())
}

/// Counts the rows of `logs`.
fn log_records(reducer: &mut Reducer<'_>, rows: &RecordBatch) -> Result<(), ArrowError> {
    let common = RecordColumns::of(rows)?;
    let severity = Words::of(column(rows, "severity_text")?);
    let severity_number = numbers::<UInt8Type>(rows, "severity_number")?;
    let event_name = Words::of(column(rows, "event_name")?);
    let (body, trace_id, span_id) = (text(rows, "body")?, text(rows, "trace_id")?, text(rows, "span_id")?);
    let dropped = numbers::<UInt32Type>(rows, "dropped_attributes_count")?;
    let template_id = numbers::<UInt64Type>(rows, "template_id")?;
    let mut digits = itoa::Buffer::new();
    for row in 0..rows.num_rows() {
        let (level, body) = (severity.get(row), body.value(row));
        let name = if level.is_empty() { UNSET } else { level };
        common.begin(reducer, (Signal::Logs, name, template_id.value(row)), row, level.len() + body.len());
        reducer.facet("severity_number", digits.format(severity_number.value(row)).as_bytes());
        for (is_there, facet) in [(!trace_id.value(row).is_empty(), "trace"), (!span_id.value(row).is_empty(), "span")]
        {
            if is_there {
                reducer.facet(facet, b"yes");
            }
        }
        let event = event_name.get(row);
        if !event.is_empty() {
            reducer.facet("event", event);
        }
        reducer.example(body.as_bytes());
        reducer.dropped([dropped.value(row), 0, 0]);
        common.attributes(reducer, row);
    }
    Ok(())
}

/// Counts the rows of `spans`.
fn spans(reducer: &mut Reducer<'_>, rows: &RecordBatch) -> Result<(), ArrowError> {
    let common = RecordColumns::of(rows)?;
    let (name, kind) = (Words::of(column(rows, "name")?), Words::of(column(rows, "kind")?));
    let status = Words::of(column(rows, "status_code")?);
    let (parent, state) = (text(rows, "parent_span_id")?, text(rows, "trace_state")?);
    let dropped = ["dropped_attributes_count", "dropped_events_count", "dropped_links_count"];
    let dropped: Vec<_> = dropped.iter().map(|name| numbers::<UInt32Type>(rows, name)).collect::<Result<_, _>>()?;
    let (events, event_names) = (Nested::of(rows, "event_attributes")?, list(rows, "event_names")?);
    let event_words = Words::of(event_names.values());
    let links = Nested::of(rows, "link_attributes")?;
    for row in 0..rows.num_rows() {
        common.begin(reducer, (Signal::Traces, name.get(row), 0), row, name.get(row).len());
        reducer.facet("kind", kind.get(row));
        reducer.facet("status", status.get(row));
        let present = [("parent", parent.value(row)), ("trace_state", state.value(row))];
        for (facet, _) in present.iter().filter(|(_, text)| !text.is_empty()) {
            reducer.facet(facet, b"yes");
        }
        for event in range(event_names.value_offsets(), row) {
            reducer.facet("event", event_words.get(event));
        }
        reducer.dropped([dropped[0].value(row), dropped[1].value(row), dropped[2].value(row)]);
        common.attributes(reducer, row);
        events.attributes(reducer, Place::Event, row);
        links.attributes(reducer, Place::Link, row);
    }
    Ok(())
}

/// The columns that log records and spans share.
struct RecordColumns<'a> {
    partition: &'a PrimitiveArray<UInt16Type>,
    timestamp: &'a PrimitiveArray<TimestampNanosecondType>,
    service: Words<'a>,
    scope_name: Words<'a>,
    scope_version: Words<'a>,
    own: Maps<'a>,
    resource: Maps<'a>,
    scope: Maps<'a>,
}

impl<'a> RecordColumns<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Self, ArrowError> {
        Ok(Self {
            partition: numbers::<UInt16Type>(rows, tidegate_model::TableSpec::PARTITION)?,
            timestamp: numbers::<TimestampNanosecondType>(rows, "timestamp")?,
            service: Words::of(column(rows, "service_name")?),
            scope_name: Words::of(column(rows, "scope_name")?),
            scope_version: Words::of(column(rows, "scope_version")?),
            own: Maps::of(column(rows, "attributes")?),
            resource: Maps::of(column(rows, "resource_attributes")?),
            scope: Maps::of(column(rows, "scope_attributes")?),
        })
    }

    fn begin(
        &self,
        reducer: &mut Reducer<'_>,
        (signal, name, template_id): (Signal, &[u8], u64),
        row: usize,
        bytes: usize,
    ) {
        let who = Who {
            signal,
            name,
            template_id,
            service: self.service.get(row),
            timestamp: self.timestamp.value(row),
            partition: self.partition.value(row),
        };
        reducer.begin(&who, bytes);
    }

    fn attributes(&self, reducer: &mut Reducer<'_>, row: usize) {
        let scope_name = self.scope_name.get(row);
        if !scope_name.is_empty() {
            reducer.facet("scope", scope_name);
            reducer.facet("scope_version", self.scope_version.get(row));
        }
        for (maps, scope) in
            [(&self.own, Place::Attribute), (&self.resource, Place::Resource), (&self.scope, Place::Scope)]
        {
            maps.each(row, |key, value| reducer.attribute(scope, key, value));
        }
    }
}

/// A list of maps in each row: the attributes of events or links.
struct Nested<'a> {
    offsets: &'a [i32],
    maps: Maps<'a>,
}

impl<'a> Nested<'a> {
    fn of(rows: &'a RecordBatch, name: &str) -> Result<Self, ArrowError> {
        let lists = list(rows, name)?;
        Ok(Self { offsets: lists.value_offsets(), maps: Maps::of(lists.values()) })
    }

    fn attributes(&self, reducer: &mut Reducer<'_>, scope: Place, row: usize) {
        for item in range(self.offsets, row) {
            self.maps.each(item, |key, value| reducer.attribute(scope, key, value));
        }
    }
}

/// A map column; rows may share maps.
struct Maps<'a> {
    /// Which map each row has, where they are shared.
    numbers: Option<&'a [i32]>,
    map: &'a MapArray,
    keys: Words<'a>,
    values: &'a StringArray,
}

impl<'a> Maps<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        let shared = column.as_dictionary_opt::<Int32Type>();
        let map = shared.map_or(column, |shared| shared.values()).as_map();
        let numbers = shared.map(|shared| shared.keys().values().as_ref());
        Self { numbers, map, keys: Words::of(map.keys()), values: map.values().as_string() }
    }

    fn each(&self, row: usize, mut each: impl FnMut(&[u8], &[u8])) {
        let map = self.numbers.map_or(row, |numbers| usize::try_from(numbers[row]).unwrap_or_default());
        for entry in range(self.map.value_offsets(), map) {
            each(self.keys.get(entry), self.values.value(entry).as_bytes());
        }
    }
}

/// A column of few distinct texts.
struct Words<'a> {
    words: &'a DictionaryArray<Int32Type>,
    texts: &'a StringArray,
}

impl<'a> Words<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        let words = column.as_dictionary::<Int32Type>();
        Self { words, texts: words.values().as_string() }
    }

    fn get(&self, row: usize) -> &'a [u8] {
        let number = usize::try_from(self.words.keys().value(row)).unwrap_or_default();
        self.texts.value(number).as_bytes()
    }
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    rows.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("the rows have no column `{name}`")))
}

fn text<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringArray, ArrowError> {
    column(rows, name).map(|column| column.as_string())
}

fn numbers<'a, T: arrow_array::ArrowPrimitiveType>(
    rows: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, ArrowError> {
    column(rows, name).map(|column| column.as_primitive())
}

fn list<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ListArray, ArrowError> {
    column(rows, name).map(|column| column.as_list())
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let place = |offset: i32| usize::try_from(offset).unwrap_or_default();
    place(offsets[row])..place(offsets[row + 1])
}
