use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{ListArray, PrimitiveArray, RecordBatch};
use arrow_schema::ArrowError;
use hashbrown::HashMap;
use tidegate_model::tables::{EVENTS, LOGS, METRIC_SERIES, SPANS};
use tidegate_model::{PartitionDay, Signal, TableName, TableSpec};

use super::columns::{Maps, Words, list, maps, numbers, range, text, words};
use super::points::{points, series};
use super::reducer::{Group, Place, Reducer, Tally, Who, hour_of};

/// The name of a log record without a severity's text.
const UNSET: &str = "UNSET";

impl Reducer {
    /// Counts rows of the tables of one signal, always the same.
    pub fn count(&mut self, table: &TableName, rows: &RecordBatch) -> Result<(), ArrowError> {
        self.batches += 1;
        self.signal = signal_of(table);
        match table {
            table if is_of_records(table) => log_records(self, rows),
            table if *table == SPANS.name => spans(self, rows),
            table if *table == METRIC_SERIES.name => series(self, rows),
            _ => points(self, table, rows),
        }
    }
}

/// Says whether the rows of a table are log records; events are, with a table of their own.
pub(super) fn is_of_records(table: &TableName) -> bool {
    *table == LOGS.name || *table == EVENTS.name
}

/// Returns what the rows of a table are.
pub fn signal_of(table: &TableName) -> Signal {
    match table {
        table if is_of_records(table) => Signal::Logs,
        table if *table == SPANS.name => Signal::Traces,
        _ => Signal::Metrics,
    }
}

fn log_records(reducer: &mut Reducer, rows: &RecordBatch) -> Result<(), ArrowError> {
    let mut records = Records::of(rows, "severity_text")?;
    let severity_number = numbers::<UInt8Type>(rows, "severity_number")?;
    let event_name = words(rows, "event_name")?;
    let (body, trace_id, span_id) = (text(rows, "body")?, text(rows, "trace_id")?, text(rows, "span_id")?);
    let dropped = numbers::<UInt32Type>(rows, "dropped_attributes_count")?;
    let template_id = numbers::<UInt64Type>(rows, "template_id")?;
    let batch = reducer.batches;
    for row in 0..rows.num_rows() {
        let place = records.begin(reducer, row, template_id.value(row));
        let group = &mut reducer.groups[place];
        let has = [!trace_id.value(row).is_empty(), !span_id.value(row).is_empty()];
        let flags = u32::from(has[0]) | u32::from(has[1]) << 1;
        let severity = severity_number.value(row);
        let [event, scope, version] =
            [&event_name, &records.scope_name, &records.scope_version].map(|words| number(words, row));
        group.note([batch, flags, severity.into(), event, scope, version], |group| {
            group.facet("severity_number", &severity.to_string());
            if has[0] {
                group.facet("trace", "yes");
            }
            if has[1] {
                group.facet("span", "yes");
            }
            if !event_name.get(row).is_empty() {
                group.facet("event", event_name.get(row));
            }
            records.note_scope(group, row);
        });
        group.bytes += (records.name.get(row).len() + body.value(row).len()) as u64;
        group.example(body.value(row));
        group.dropped([dropped.value(row), 0, 0]);
        records.own_attributes(reducer, place, row);
    }
    records.end(reducer);
    Ok(())
}

fn spans(reducer: &mut Reducer, rows: &RecordBatch) -> Result<(), ArrowError> {
    let mut records = Records::of(rows, "name")?;
    let (kind, status) = (words(rows, "kind")?, words(rows, "status_code")?);
    let (parent, state) = (text(rows, "parent_span_id")?, text(rows, "trace_state")?);
    let dropped = ["dropped_attributes_count", "dropped_events_count", "dropped_links_count"];
    let dropped: Vec<_> = dropped.iter().map(|name| numbers::<UInt32Type>(rows, name)).collect::<Result<_, _>>()?;
    let event_names = list(rows, "event_names")?;
    let event_words = Words::of(event_names.values());
    let mut nested = [(Place::Event, "event_attributes"), (Place::Link, "link_attributes")]
        .into_iter()
        .map(|(place, name)| {
            list(rows, name).map(|lists| Nested { place, lists, own: Own::of(Maps::of(lists.values())) })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let batch = reducer.batches;
    for row in 0..rows.num_rows() {
        let place = records.begin(reducer, row, 0);
        let group = &mut reducer.groups[place];
        let has = [!parent.value(row).is_empty(), !state.value(row).is_empty()];
        let flags = u32::from(has[0]) | u32::from(has[1]) << 1;
        let [kind_number, status_number, scope, version] =
            [&kind, &status, &records.scope_name, &records.scope_version].map(|words| number(words, row));
        group.note([batch, flags, kind_number, status_number, scope, version], |group| {
            group.facet("kind", kind.get(row));
            group.facet("status", status.get(row));
            if has[0] {
                group.facet("parent", "yes");
            }
            if has[1] {
                group.facet("trace_state", "yes");
            }
            records.note_scope(group, row);
        });
        for event in range(event_names.value_offsets(), row) {
            group.facet("event", event_words.get(event));
        }
        group.bytes += records.name.get(row).len() as u64;
        group.dropped([dropped[0].value(row), dropped[1].value(row), dropped[2].value(row)]);
        let mut at = records.own_attributes(reducer, place, row);
        let tally = Tally::once(records.timestamp.value(row));
        for nested in &mut nested {
            for item in range(nested.lists.value_offsets(), row) {
                at = nested.own.count(reducer, (place, at), nested.place, item, &tally);
            }
        }
    }
    records.end(reducer);
    Ok(())
}

/// What tells groups apart within one batch: the numbers of the name and the service, template, hour and day.
type By = (usize, usize, u64, i64, PartitionDay);

/// The columns that say where a row is counted.
pub(super) struct Groups<'a> {
    partition: &'a PrimitiveArray<UInt16Type>,
    pub(super) timestamp: &'a PrimitiveArray<TimestampNanosecondType>,
    service: Words<'a>,
    pub(super) name: Words<'a>,
    known: HashMap<By, usize>,
    last: Option<(By, usize)>,
}

impl<'a> Groups<'a> {
    pub(super) fn of(rows: &'a RecordBatch, name: &str) -> Result<Self, ArrowError> {
        Ok(Self {
            partition: numbers::<UInt16Type>(rows, TableSpec::PARTITION)?,
            timestamp: numbers::<TimestampNanosecondType>(rows, "timestamp")?,
            service: words(rows, "service_name")?,
            name: words(rows, name)?,
            known: HashMap::new(),
            last: None,
        })
    }

    /// Counts a row in its group.
    pub(super) fn begin(&mut self, reducer: &mut Reducer, row: usize, template_id: u64) -> usize {
        let (time, partition) = (self.timestamp.value(row), self.partition.value(row));
        let hour = hour_of(time, partition);
        let by = (self.name.number(row), self.service.number(row), template_id, hour, partition);
        let place = match self.last {
            Some((last, place)) if last == by => place,
            _ => *self.known.entry(by).or_insert_with(|| {
                let signal = reducer.signal;
                let name = self.name.get(row);
                let name = if signal == Signal::Logs && name.is_empty() { UNSET } else { name };
                let service = self.service.get(row);
                reducer.group(&Who { signal, name, template_id, service, hour, partition })
            }),
        };
        self.last = Some((by, place));
        reducer.groups[place].tally.add(&Tally::once(time));
        place
    }
}

/// The columns that log records and spans share.
struct Records<'a> {
    groups: Groups<'a>,
    scope_name: Words<'a>,
    scope_version: Words<'a>,
    own: Own<'a>,
    resource: Own<'a>,
    scope: Own<'a>,
    /// How often a group has a resource and a scope, by the numbers of their maps: they are counted at the end.
    shared: HashMap<(usize, usize, usize), Tally>,
}

impl<'a> std::ops::Deref for Records<'a> {
    type Target = Groups<'a>;

    fn deref(&self) -> &Groups<'a> {
        &self.groups
    }
}

impl<'a> Records<'a> {
    fn of(rows: &'a RecordBatch, name: &str) -> Result<Self, ArrowError> {
        Ok(Self {
            groups: Groups::of(rows, name)?,
            scope_name: words(rows, "scope_name")?,
            scope_version: words(rows, "scope_version")?,
            own: Own::of(maps(rows, "attributes")?),
            resource: Own::of(maps(rows, "resource_attributes")?),
            scope: Own::of(maps(rows, "scope_attributes")?),
            shared: HashMap::new(),
        })
    }

    fn begin(&mut self, reducer: &mut Reducer, row: usize, template_id: u64) -> usize {
        let place = self.groups.begin(reducer, row, template_id);
        let tally = Tally::once(self.timestamp.value(row));
        let by = (place, self.resource.maps.number(row), self.scope.maps.number(row));
        self.shared.entry(by).and_modify(|all| all.add(&tally)).or_insert(tally);
        place
    }

    fn own_attributes(&mut self, reducer: &mut Reducer, place: usize, row: usize) -> usize {
        let tally = Tally::once(self.timestamp.value(row));
        let map = self.own.maps.number(row);
        self.own.count(reducer, (place, 0), Place::Attribute, map, &tally)
    }

    fn note_scope(&self, group: &mut Group, row: usize) {
        let name = self.scope_name.get(row);
        if !name.is_empty() {
            group.facet("scope", name);
            group.facet("scope_version", self.scope_version.get(row));
        }
    }

    /// Counts the attributes that rows share.
    fn end(mut self, reducer: &mut Reducer) {
        for ((group, resource, scope), tally) in std::mem::take(&mut self.shared) {
            let at = self.resource.count(reducer, (group, 0), Place::Resource, resource, &tally);
            self.scope.count(reducer, (group, at), Place::Scope, scope, &tally);
        }
    }
}

/// A map column whose entries are counted.
struct Own<'a> {
    maps: Maps<'a>,
    keys: KeyNumbers,
}

impl<'a> Own<'a> {
    fn of(maps: Maps<'a>) -> Self {
        Self { maps, keys: KeyNumbers::default() }
    }

    /// Counts the entries of one map in a group; the first is expected at `at` among its attributes.
    fn count(
        &mut self,
        reducer: &mut Reducer,
        (group, mut at): (usize, usize),
        place: Place,
        map: usize,
        tally: &Tally,
    ) -> usize {
        for (key, value) in self.maps.entries(map) {
            let key = self.keys.of(reducer, place, key, &self.maps.keys);
            at = reducer.attribute((group, at), key, value, tally) + 1;
        }
        at
    }
}

/// The attributes of a span's events or links.
struct Nested<'a> {
    place: Place,
    lists: &'a ListArray,
    own: Own<'a>,
}

/// The reducer's numbers of the keys of one column.
#[derive(Default)]
pub(super) struct KeyNumbers {
    known: Vec<Option<usize>>,
}

impl KeyNumbers {
    pub(super) fn of(&mut self, reducer: &mut Reducer, place: Place, key: usize, words: &Words<'_>) -> usize {
        if let Some(Some(known)) = self.known.get(key) {
            return *known;
        }
        if self.known.len() <= key {
            self.known.resize(key + 1, None);
        }
        let number = reducer.key(place, words.texts.value(key));
        self.known[key] = Some(number);
        number
    }
}

fn number(words: &Words<'_>, row: usize) -> u32 {
    u32::try_from(words.number(row)).unwrap_or_default()
}
