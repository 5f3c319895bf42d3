//! Series: the identity of data points, its fingerprint, and the rows of `metric_series`.

use std::collections::HashSet;
use std::sync::LazyLock;

use arrow_array::types::{UInt16Type, UInt64Type};
use arrow_schema::SchemaRef;
use tidegate_model::tables::METRIC_SERIES;
use twox_hash::{XxHash3_64, XxHash3_128};

use super::origin::{Origin, OriginColumns};
use super::{Budget, Context, DecodeError, Stop, assemble};
use crate::buffer::Rows;
use crate::ingest::columns::{Attributes, Bools, Column, EntryList, Numbers, Times, Word, columns};

columns! {
    /// The columns of `metric_series`, in their order.
    SeriesColumns {
        partition: Numbers<UInt16Type>,
        fingerprint: Numbers<UInt64Type>,
        first_timestamp: Times,
        metric_name: Word,
        metric_type: Word,
        unit: Word,
        description: Word,
        temporality: Word,
        is_monotonic: Bools,
        metadata: Attributes,
        service_name: Word,
        attributes: Attributes,
        origin: OriginColumns,
    }
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| METRIC_SERIES.row_schema());

/// What the points of one metric share.
#[derive(Debug)]
pub(super) struct Metric<'a> {
    pub(super) name: &'a [u8],
    pub(super) description: &'a [u8],
    pub(super) unit: &'a [u8],
    pub(super) kind: &'static str,
    pub(super) temporality: &'a [u8],
    pub(super) is_monotonic: bool,
    pub(super) metadata: EntryList,
}

/// The bytes of an identity; every part has its length before it, so that no two identities have the same bytes.
#[derive(Default)]
struct Canonical(Vec<u8>);

impl Canonical {
    fn put(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
    }

    fn put_entries(&mut self, entries: &EntryList) {
        self.0.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        for (key, value, letter) in entries.sorted() {
            self.put(key);
            self.put(value);
            self.0.push(letter);
        }
    }
}

/// Hashes all of an identity but the attributes of the point.
pub(super) fn metric_digest(metric: &Metric<'_>, origin: &Origin<'_>) -> u128 {
    let (resource, scope) = (origin.resource, origin.scope);
    let mut bytes = Canonical::default();
    for part in [metric.name, metric.kind.as_bytes(), metric.unit, metric.description, metric.temporality] {
        bytes.put(part);
    }
    bytes.put(&[u8::from(metric.is_monotonic), origin.presence()]);
    bytes.put_entries(&metric.metadata);
    bytes.put_entries(&resource.attributes);
    bytes.put(&resource.dropped.to_le_bytes());
    bytes.put(&resource.entity_refs);
    bytes.put(resource.schema_url);
    for part in [scope.name, scope.version, scope.schema_url] {
        bytes.put(part);
    }
    bytes.put_entries(&scope.attributes);
    bytes.put(&scope.dropped.to_le_bytes());
    XxHash3_128::oneshot(&bytes.0)
}

/// The series of one request.
pub(super) struct Series<'k> {
    columns: SeriesColumns,
    found: HashSet<u64>,
    is_known: &'k dyn Fn(u64) -> bool,
    scratch: Canonical,
}

impl<'k> Series<'k> {
    pub(super) fn new(strict: bool, is_known: &'k dyn Fn(u64) -> bool) -> Self {
        let (columns, scratch) = (SeriesColumns::new(strict), Canonical::default());
        Self { columns, found: HashSet::new(), is_known, scratch }
    }

    /// Returns the fingerprint of a point's series, and notes the series if it is new.
    pub(super) fn fingerprint(
        &mut self,
        metric: (&Metric<'_>, u128, &Origin<'_>),
        attributes: &EntryList,
        time: i64,
        (context, budget): (Context, &mut Budget),
    ) -> Result<u64, Stop> {
        let (metric, digest, origin) = metric;
        self.scratch.0.clear();
        self.scratch.0.extend_from_slice(&digest.to_le_bytes());
        self.scratch.put_entries(attributes);
        let fingerprint = XxHash3_64::oneshot(&self.scratch.0);
        if (self.is_known)(fingerprint) || self.found.contains(&fingerprint) {
            return Ok(fingerprint);
        }
        let rows = self.columns.len();
        let pushed = self.columns.push(fingerprint, time, metric, attributes).and_then(|()| {
            self.columns.origin.repeat(origin, 1, budget)?;
            self.columns.service_name.push(&origin.resource.service_name)?;
            self.columns.partition.push(context.partition(time));
            Ok(())
        });
        if let Err(stop) = pushed {
            self.columns.truncate(rows);
            return Err(stop);
        }
        self.found.insert(fingerprint);
        Ok(fingerprint)
    }

    pub(super) fn finish(self) -> Result<Option<Rows>, DecodeError> {
        assemble(&METRIC_SERIES, &SCHEMA, self.columns)
    }
}

impl SeriesColumns {
    fn new(strict: bool) -> Self {
        Self {
            partition: Numbers::new(),
            fingerprint: Numbers::new(),
            first_timestamp: Times::new(),
            metric_name: Word::new("metric name"),
            metric_type: Word::new("metric type"),
            unit: Word::new("unit"),
            description: Word::new("description"),
            temporality: Word::new("aggregation_temporality"),
            is_monotonic: Bools::new(),
            metadata: Attributes::new("metadata", strict),
            service_name: Word::new("service.name"),
            attributes: Attributes::new("attributes", strict),
            origin: OriginColumns::new(strict),
        }
    }

    fn push(&mut self, fingerprint: u64, time: i64, metric: &Metric<'_>, attributes: &EntryList) -> Result<(), Stop> {
        self.fingerprint.push(fingerprint);
        self.first_timestamp.push(time);
        self.metric_name.push(metric.name)?;
        self.metric_type.push(metric.kind.as_bytes())?;
        self.unit.push(metric.unit)?;
        self.description.push(metric.description)?;
        self.temporality.push(metric.temporality)?;
        self.is_monotonic.push(metric.is_monotonic);
        self.metadata.push(&metric.metadata)?;
        self.attributes.push(attributes)?;
        Ok(())
    }
}
