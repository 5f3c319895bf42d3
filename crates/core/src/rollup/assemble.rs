use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{
    ListBuilder, StringBuilder, StringDictionaryBuilder, TimestampNanosecondBuilder, UInt16Builder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field};
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES};
use tidegate_model::{PartitionDay, TableSpec};

use super::reducer::{Attribute, Dropped, Group, Key, Reducer, ValueText};
use super::registry::{Learned, hash_of};
use super::series::{Description, Descriptions};

/// What a batch's rows make.
#[derive(Debug, Default)]
pub struct Counted {
    /// The rows, a part for each table and partition.
    pub parts: Vec<Part>,
    /// To be noted when they are stored.
    pub learned: Learned,
}

/// Rows of one table of the catalogue, all of one partition.
#[derive(Debug, Clone)]
pub struct Part {
    /// The table.
    pub spec: &'static TableSpec,
    /// The partition.
    pub partition: PartitionDay,
    /// The rows, in the form of the table's own.
    pub rows: RecordBatch,
}

impl Reducer {
    /// Returns the rows that were counted. `is_sealed`: they are about to be stored.
    pub(super) fn finish(&mut self, series: &Descriptions, is_sealed: bool) -> Result<Counted, ArrowError> {
        let signal = self.signal.as_str();
        let (mut signals, mut attributes) = (BTreeMap::new(), BTreeMap::new());
        for at in 0..self.groups.len() {
            self.add_series(at, series);
            let group = &mut self.groups[at];
            signals.entry(group.partition).or_insert_with(Signals::default).push(signal, group);
            let rows = attributes.entry(group.partition).or_insert_with(Attributes::default);
            let mut own = std::mem::take(&mut group.attributes);
            for attribute in &mut own {
                let (group, key) = (&self.groups[at], &self.keys[attribute.key]);
                let row = hash_of(&[&group.name, &group.service]) ^ group.template_id ^ group.hour.cast_unsigned();
                let row = (row ^ key.id).wrapping_add(u64::from(group.partition));
                let takes = !is_sealed || self.registry.admit_hashes(row, attribute.values.sorted());
                rows.push((signal, group, key), attribute, takes);
            }
            // Those of series were put there for this moment only.
            if self.groups[at].series.is_empty() {
                self.groups[at].attributes = own;
            }
        }
        let mut counted = Counted::default();
        let values = self.values(signal, &mut counted.learned);
        for (partition, rows) in signals {
            counted.parts.push(Part { spec: &CATALOG_SIGNALS, partition, rows: rows.finish(partition)? });
        }
        for (partition, rows) in attributes {
            counted.parts.push(Part { spec: &CATALOG_ATTRIBUTES, partition, rows: rows.finish(partition)? });
        }
        for (partition, rows) in values {
            counted.parts.push(Part { spec: &CATALOG_VALUES, partition, rows: rows.finish(partition)? });
        }
        counted.parts.retain(|part| part.rows.num_rows() > 0);
        Ok(counted)
    }

    /// Counts the attributes of a group's series, as often as each of them came.
    fn add_series(&mut self, group: usize, series: &Descriptions) {
        if self.groups[group].series.is_empty() {
            return;
        }
        let tallies: Vec<_> = self.groups[group].series.iter().map(|(id, tally)| (*id, *tally)).collect();
        let none = Arc::new(Description::default());
        let mut bytes = 0;
        for (fingerprint, tally) in tallies {
            let description = series.get(&fingerprint).unwrap_or(&none);
            for (name, value) in &description.facets {
                self.groups[group].facet(name, value);
            }
            let mut at = 0;
            for attribute in &description.attributes {
                let key = self.key(attribute.key.0, &attribute.key.1);
                let value = (attribute.hash, attribute.bytes);
                at = self.count_attribute((group, at), key, value, &tally).0 + 1;
                bytes += tally.records * (attribute.key.1.len() + attribute.bytes) as u64;
            }
        }
        self.groups[group].attribute_bytes = bytes;
        self.forget_places(group);
    }

    fn values(&self, signal: &'static str, learned: &mut Learned) -> BTreeMap<PartitionDay, Values> {
        let mut values = BTreeMap::new();
        for key in &self.keys {
            for text in &key.texts {
                let rows: &mut Values = values.entry(text.partition).or_default();
                rows.push((signal, key), text, &self.text[text.text.clone()]);
                learned.0.push((key.id, text.hash));
            }
        }
        values
    }
}

type Words = StringDictionaryBuilder<Int32Type>;

#[derive(Default)]
struct Signals {
    signal: Words,
    name: Words,
    template_id: UInt64Builder,
    service_name: Words,
    hour: TimestampNanosecondBuilder,
    records: UInt64Builder,
    bytes: UInt64Builder,
    first_timestamp: TimestampNanosecondBuilder,
    last_timestamp: TimestampNanosecondBuilder,
    series: ListBuilder<UInt64Builder>,
    facets: ListBuilder<StringBuilder>,
    example: StringBuilder,
    dropped: [[UInt64Builder; 3]; 3],
}

impl Signals {
    fn push(&mut self, signal: &str, group: &Group) {
        self.signal.append_value(signal);
        self.name.append_value(&group.name);
        self.template_id.append_value(group.template_id);
        self.service_name.append_value(&group.service);
        self.hour.append_value(group.hour);
        self.records.append_value(group.tally.records);
        self.bytes.append_value(group.bytes + group.attribute_bytes);
        self.first_timestamp.append_value(group.tally.first);
        self.last_timestamp.append_value(group.tally.last);
        group.series.keys().for_each(|series| self.series.values().append_value(*series));
        self.series.append(true);
        group.facets.iter().for_each(|(name, value)| self.facets.values().append_value(format!("{name}:{value}")));
        self.facets.append(true);
        self.example.append_value(&group.example);
        for (columns, Dropped { total, max, records }) in self.dropped.iter_mut().zip(group.dropped) {
            columns.iter_mut().zip([total, max, records]).for_each(|(column, number)| column.append_value(number));
        }
    }

    fn finish(mut self, partition: PartitionDay) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.signal.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.template_id.finish()),
            Arc::new(self.service_name.finish()),
            times(self.hour),
            Arc::new(self.records.finish()),
            Arc::new(self.bytes.finish()),
            times(self.first_timestamp),
            times(self.last_timestamp),
            Arc::new(self.series.with_field(item(DataType::UInt64)).finish()),
            Arc::new(self.facets.with_field(item(DataType::Utf8)).finish()),
            Arc::new(self.example.finish()),
        ];
        columns.extend(self.dropped.iter_mut().flatten().map(|column| Arc::new(column.finish()) as ArrayRef));
        rows(&CATALOG_SIGNALS, partition, columns)
    }
}

#[derive(Default)]
struct Attributes {
    signal: Words,
    scope: Words,
    key: Words,
    name: Words,
    template_id: UInt64Builder,
    service_name: Words,
    hour: TimestampNanosecondBuilder,
    records: UInt64Builder,
    bytes: UInt64Builder,
    first_timestamp: TimestampNanosecondBuilder,
    last_timestamp: TimestampNanosecondBuilder,
    value_hashes: ListBuilder<UInt64Builder>,
    unlisted: UInt64Builder,
}

impl Attributes {
    fn push(&mut self, (signal, group, key): (&str, &Group, &Key), attribute: &mut Attribute, takes_hashes: bool) {
        self.signal.append_value(signal);
        self.scope.append_value(key.place.name());
        self.key.append_value(&key.text);
        self.name.append_value(&group.name);
        self.template_id.append_value(group.template_id);
        self.service_name.append_value(&group.service);
        self.hour.append_value(group.hour);
        self.records.append_value(attribute.tally.records);
        self.bytes.append_value(attribute.bytes);
        self.first_timestamp.append_value(attribute.tally.first);
        self.last_timestamp.append_value(attribute.tally.last);
        if takes_hashes {
            self.value_hashes.values().append_slice(attribute.values.sorted());
        }
        self.value_hashes.append(true);
        self.unlisted.append_value(if takes_hashes { 0 } else { attribute.tally.records });
    }

    fn finish(mut self, partition: PartitionDay) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.signal.finish()),
            Arc::new(self.scope.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.template_id.finish()),
            Arc::new(self.service_name.finish()),
            times(self.hour),
            Arc::new(self.records.finish()),
            Arc::new(self.bytes.finish()),
            times(self.first_timestamp),
            times(self.last_timestamp),
            Arc::new(self.value_hashes.with_field(item(DataType::UInt64)).finish()),
            Arc::new(self.unlisted.finish()),
        ];
        rows(&CATALOG_ATTRIBUTES, partition, columns)
    }
}

#[derive(Default)]
struct Values {
    signal: Words,
    scope: Words,
    key: Words,
    value_hash: UInt64Builder,
    value: StringBuilder,
    first_timestamp: TimestampNanosecondBuilder,
}

impl Values {
    fn push(&mut self, (signal, key): (&str, &Key), noted: &ValueText, text: &str) {
        self.signal.append_value(signal);
        self.scope.append_value(key.place.name());
        self.key.append_value(&key.text);
        self.value_hash.append_value(noted.hash);
        self.value.append_value(text);
        self.first_timestamp.append_value(noted.time);
    }

    fn finish(mut self, partition: PartitionDay) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.signal.finish()),
            Arc::new(self.scope.finish()),
            Arc::new(self.key.finish()),
            Arc::new(self.value_hash.finish()),
            Arc::new(self.value.finish()),
            times(self.first_timestamp),
        ];
        rows(&CATALOG_VALUES, partition, columns)
    }
}

fn times(mut column: TimestampNanosecondBuilder) -> ArrayRef {
    Arc::new(column.finish().with_timezone("UTC"))
}

fn item(kind: DataType) -> Field {
    Field::new("item", kind, false)
}

fn rows(spec: &TableSpec, partition: PartitionDay, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut days = UInt16Builder::with_capacity(rows);
    days.append_value_n(partition, rows);
    let partition: ArrayRef = Arc::new(days.finish());
    RecordBatch::try_new(spec.row_schema(), std::iter::once(partition).chain(columns).collect())
}
