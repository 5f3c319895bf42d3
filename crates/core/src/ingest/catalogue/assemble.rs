use std::sync::LazyLock;

use arrow_array::types::{UInt16Type, UInt64Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use tidegate_model::TableSpec;
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES};

use super::reducer::{Attribute, Dropped, Group, Reducer};
use super::registry::Learned;
use crate::buffer::Rows;
use crate::ingest::columns::{Column, List, Numbers, Text, Times, Word, columns};
use crate::ingest::rejection::Fault;

columns! {
    /// The columns of `catalog_signals`, in their order.
    SignalColumns {
        partition: Numbers<UInt16Type>,
        signal: Word,
        name: Word,
        template_id: Numbers<UInt64Type>,
        service_name: Word,
        hour: Times,
        records: Numbers<UInt64Type>,
        bytes: Numbers<UInt64Type>,
        first_timestamp: Times,
        last_timestamp: Times,
        series: List<Numbers<UInt64Type>>,
        facets: List<Text>,
        example: Text,
        attributes: DroppedColumns,
        events: DroppedColumns,
        links: DroppedColumns,
    }
}

columns! {
    /// What producers left out.
    DroppedColumns {
        total: Numbers<UInt64Type>,
        max: Numbers<UInt64Type>,
        records: Numbers<UInt64Type>,
    }
}

columns! {
    /// The columns of `catalog_attributes`, in their order.
    AttributeColumns {
        partition: Numbers<UInt16Type>,
        signal: Word,
        scope: Word,
        key: Word,
        name: Word,
        template_id: Numbers<UInt64Type>,
        service_name: Word,
        hour: Times,
        records: Numbers<UInt64Type>,
        bytes: Numbers<UInt64Type>,
        first_timestamp: Times,
        last_timestamp: Times,
        value_hashes: List<Numbers<UInt64Type>>,
    }
}

columns! {
    /// The columns of `catalog_values`, in their order.
    ValueColumns {
        partition: Numbers<UInt16Type>,
        signal: Word,
        scope: Word,
        key: Word,
        value_hash: Numbers<UInt64Type>,
        value: Text,
        first_timestamp: Times,
    }
}

static SCHEMAS: LazyLock<[SchemaRef; 3]> =
    LazyLock::new(|| [&*CATALOG_SIGNALS, &*CATALOG_ATTRIBUTES, &*CATALOG_VALUES].map(TableSpec::row_schema));

impl Reducer<'_> {
    /// Returns the rows that were counted, and the values whose text is among them.
    pub(crate) fn finish(mut self) -> Result<(Vec<Rows>, Learned), ArrowError> {
        let (values, learned) = self.new_values()?;
        let (mut signals, mut attributes) = (SignalColumns::new(), AttributeColumns::new());
        self.groups.iter().try_for_each(|group| signals.push(group)).map_err(odd)?;
        for attribute in &self.attributes {
            attributes.push(attribute, &self.groups[attribute.group]).map_err(odd)?;
        }
        let [signal_schema, attribute_schema, value_schema] = &*SCHEMAS;
        let rows = [
            assembled(&CATALOG_SIGNALS, signal_schema, signals)?,
            assembled(&CATALOG_ATTRIBUTES, attribute_schema, attributes)?,
            assembled(&CATALOG_VALUES, value_schema, values)?,
        ];
        Ok((rows.into_iter().flatten().collect(), learned))
    }

    fn new_values(&mut self) -> Result<(ValueColumns, Learned), ArrowError> {
        let (mut columns, mut learned) = (ValueColumns::new(), Learned::default());
        for attribute in &mut self.attributes {
            if attribute.texts.is_empty() {
                continue;
            }
            self.registry.retain_new(attribute.id, &mut attribute.texts, |(hash, _)| *hash);
            let group = &self.groups[attribute.group];
            for (hash, place) in &attribute.texts {
                columns.push(attribute, group, *hash, &self.text[place.clone()]).map_err(odd)?;
                learned.0.push((attribute.id, *hash));
            }
        }
        Ok((columns, learned))
    }
}

/// The text was checked when its record was decoded.
pub(super) fn odd(fault: Fault) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("the catalogue was given bad text: {fault:?}"))
}

pub(super) fn assembled(
    spec: &TableSpec,
    schema: &SchemaRef,
    columns: impl Column,
) -> Result<Option<Rows>, ArrowError> {
    if columns.len() == 0 {
        return Ok(None);
    }
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    columns.finish(&mut arrays)?;
    Ok(Some(Rows { table: spec.name.clone(), rows: RecordBatch::try_new(schema.clone(), arrays)? }))
}

impl SignalColumns {
    fn new() -> Self {
        Self {
            partition: Numbers::new(),
            signal: Word::new("signal"),
            name: Word::new("name"),
            template_id: Numbers::new(),
            service_name: Word::new("service_name"),
            hour: Times::new(),
            records: Numbers::new(),
            bytes: Numbers::new(),
            first_timestamp: Times::new(),
            last_timestamp: Times::new(),
            series: List::of(Numbers::new()),
            facets: List::of(Text::new("facets", false)),
            example: Text::new("example", false),
            attributes: DroppedColumns::new(),
            events: DroppedColumns::new(),
            links: DroppedColumns::new(),
        }
    }

    fn push(&mut self, group: &Group) -> Result<(), Fault> {
        self.partition.push(group.partition);
        self.signal.push(group.signal.as_str().as_bytes())?;
        self.name.push(&group.name)?;
        self.template_id.push(group.template_id);
        self.service_name.push(&group.service)?;
        self.hour.push(group.hour);
        self.records.push(group.records);
        self.bytes.push(group.bytes);
        self.first_timestamp.push(group.times.first);
        self.last_timestamp.push(group.times.last);
        sorted(&group.series).into_iter().for_each(|series| self.series.items.push(series));
        self.series.end_row();
        for (name, value) in &group.facets {
            self.facets.items.open_row().extend([name.as_bytes(), b":", value].concat());
            self.facets.items.end_row();
        }
        self.facets.end_row();
        self.example.push(&group.example)?;
        let [attributes, events, links] = group.dropped;
        self.attributes.push(attributes);
        self.events.push(events);
        self.links.push(links);
        Ok(())
    }
}

impl DroppedColumns {
    const fn new() -> Self {
        Self { total: Numbers::new(), max: Numbers::new(), records: Numbers::new() }
    }

    fn push(&mut self, dropped: Dropped) {
        self.total.push(dropped.total);
        self.max.push(dropped.max);
        self.records.push(dropped.records);
    }
}

impl AttributeColumns {
    fn new() -> Self {
        Self {
            partition: Numbers::new(),
            signal: Word::new("signal"),
            scope: Word::new("scope"),
            key: Word::new("key"),
            name: Word::new("name"),
            template_id: Numbers::new(),
            service_name: Word::new("service_name"),
            hour: Times::new(),
            records: Numbers::new(),
            bytes: Numbers::new(),
            first_timestamp: Times::new(),
            last_timestamp: Times::new(),
            value_hashes: List::of(Numbers::new()),
        }
    }

    fn push(&mut self, attribute: &Attribute, group: &Group) -> Result<(), Fault> {
        self.partition.push(group.partition);
        self.signal.push(group.signal.as_str().as_bytes())?;
        self.scope.push(attribute.scope.name().as_bytes())?;
        self.key.push(&attribute.key)?;
        self.name.push(&group.name)?;
        self.template_id.push(group.template_id);
        self.service_name.push(&group.service)?;
        self.hour.push(group.hour);
        self.records.push(attribute.records);
        self.bytes.push(attribute.bytes);
        self.first_timestamp.push(attribute.times.first);
        self.last_timestamp.push(attribute.times.last);
        sorted(&attribute.hashes).into_iter().for_each(|hash| self.value_hashes.items.push(hash));
        self.value_hashes.end_row();
        Ok(())
    }
}

impl ValueColumns {
    fn new() -> Self {
        Self {
            partition: Numbers::new(),
            signal: Word::new("signal"),
            scope: Word::new("scope"),
            key: Word::new("key"),
            value_hash: Numbers::new(),
            value: Text::new("value", false),
            first_timestamp: Times::new(),
        }
    }

    fn push(&mut self, attribute: &Attribute, group: &Group, hash: u64, value: &[u8]) -> Result<(), Fault> {
        self.partition.push(group.partition);
        self.signal.push(group.signal.as_str().as_bytes())?;
        self.scope.push(attribute.scope.name().as_bytes())?;
        self.key.push(&attribute.key)?;
        self.value_hash.push(hash);
        self.value.push(value)?;
        self.first_timestamp.push(attribute.times.first);
        Ok(())
    }
}

/// Equal requests have equal rows.
fn sorted(hashes: &hashbrown::HashSet<u64>) -> Vec<u64> {
    let mut sorted: Vec<u64> = hashes.iter().copied().collect();
    sorted.sort_unstable();
    sorted
}
