use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_array::types::UInt64Type;
use arrow_schema::ArrowError;
use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::Value;
use tidegate_model::limits::CATALOG_SERIES_KEPT;
use tidegate_model::tables::METRIC_SERIES;
use tidegate_model::{Seq, SeqRange};
use twox_hash::XxHash3_64;

use super::columns::{maps, numbers, words};
use super::reducer::Place;

/// What is known of series, by fingerprint.
pub type Descriptions = HashMap<u64, Arc<Description>>;

/// What a series adds to the catalogue with each of its points.
#[derive(Debug, Default)]
pub struct Description {
    pub(super) facets: Vec<(&'static str, String)>,
    pub(super) attributes: Vec<SeriesAttribute>,
}

impl Description {
    fn new(kind: &str, scope: &str, scope_version: &str) -> Self {
        let mut facets = vec![("type", kind.to_owned())];
        if !scope.is_empty() {
            facets.extend([("scope", scope.to_owned()), ("scope_version", scope_version.to_owned())]);
        }
        Self { facets, attributes: Vec::new() }
    }
}

#[derive(Debug)]
pub(super) struct SeriesAttribute {
    pub(super) key: Arc<(Place, String)>,
    /// Of the value's text.
    pub(super) hash: u64,
    /// Of the value.
    pub(super) bytes: usize,
}

/// Returns the statement that looks series up.
pub(super) fn lookup(database: &str, fingerprints: &[u64]) -> String {
    let list = fingerprints.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let maps = ["attributes", "resource_attributes", "scope_attributes"];
    let maps = maps.map(|map| format!("mapKeys({map}) AS {map}_keys, mapValues({map}) AS {map}_values")).join(", ");
    format!(
        "SELECT toString(fingerprint) AS fingerprint, metric_type, scope_name, scope_version, {maps} \
         FROM `{database}`.`{}` WHERE fingerprint IN ({list}) LIMIT 1 BY fingerprint",
        METRIC_SERIES.name
    )
}

/// A row of that statement's answer.
#[derive(Debug, Deserialize)]
struct Stored {
    fingerprint: String,
    metric_type: String,
    scope_name: String,
    scope_version: String,
    attributes_keys: Vec<String>,
    attributes_values: Vec<String>,
    resource_attributes_keys: Vec<String>,
    resource_attributes_values: Vec<String>,
    scope_attributes_keys: Vec<String>,
    scope_attributes_values: Vec<String>,
}

/// The series seen lately; those before them are looked up again.
#[derive(Debug, Default)]
pub(super) struct SeriesKeys {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Seq,
    young: Descriptions,
    /// What was young before; whoever is asked for becomes young again.
    old: Descriptions,
    keys: HashMap<(Place, String), Arc<(Place, String)>>,
}

impl SeriesKeys {
    /// Returns up to which row of `metric_series` all were learned that were not stored.
    pub(super) fn seen(&self) -> Seq {
        self.lock().seen
    }

    /// Learns rows of `metric_series`, once.
    pub(super) fn learn_numbered(&self, range: SeqRange, rows: &RecordBatch) -> Result<(), ArrowError> {
        let mut state = self.lock();
        if state.seen < range.last {
            for (fingerprint, description) in state.read(rows)? {
                state.keep(fingerprint, description);
            }
            state.seen = range.last;
        }
        Ok(())
    }

    /// Returns what is known of some series, and which are not known.
    pub(super) fn describe(&self, fingerprints: impl Iterator<Item = u64>) -> (Descriptions, Vec<u64>) {
        let (mut known, mut unknown) = (Descriptions::new(), Vec::new());
        let mut state = self.lock();
        for fingerprint in fingerprints {
            if known.contains_key(&fingerprint) {
                continue;
            }
            match state.find(fingerprint) {
                Some(description) => {
                    known.insert(fingerprint, description);
                }
                None => unknown.push(fingerprint),
            }
        }
        unknown.sort_unstable();
        unknown.dedup();
        (known, unknown)
    }

    /// Adds series that were looked up, as [`lookup`] asks for them.
    pub(super) fn add(&self, found: Vec<Value>, known: &mut Descriptions) -> Result<(), serde_json::Error> {
        let mut state = self.lock();
        for row in found {
            let (fingerprint, description) = state.read_stored(serde_json::from_value(row)?);
            state.keep(fingerprint, Arc::clone(&description));
            known.insert(fingerprint, description);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the maps whole: each change is a single call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, fingerprint: u64) -> Option<Arc<Description>> {
        if let Some(young) = self.young.get(&fingerprint) {
            return Some(Arc::clone(young));
        }
        let old = self.old.remove(&fingerprint)?;
        self.keep(fingerprint, Arc::clone(&old));
        Some(old)
    }

    fn keep(&mut self, fingerprint: u64, description: Arc<Description>) {
        if self.young.len() >= CATALOG_SERIES_KEPT / 2 {
            self.old = std::mem::take(&mut self.young);
            // What nobody describes any more is forgotten with them.
            self.keys.retain(|_, key| Arc::strong_count(key) > 1);
        }
        self.young.insert(fingerprint, description);
    }

    fn read_stored(&mut self, stored: Stored) -> (u64, Arc<Description>) {
        let mut description = Description::new(&stored.metric_type, &stored.scope_name, &stored.scope_version);
        let places = [
            (Place::Attribute, stored.attributes_keys, stored.attributes_values),
            (Place::Resource, stored.resource_attributes_keys, stored.resource_attributes_values),
            (Place::Scope, stored.scope_attributes_keys, stored.scope_attributes_values),
        ];
        for (place, keys, values) in places {
            for (key, value) in keys.iter().zip(values) {
                description.attributes.push(self.attribute(place, key, &value));
            }
        }
        // ClickHouse wrote it from a number.
        (stored.fingerprint.parse().unwrap_or_default(), Arc::new(description))
    }

    fn read(&mut self, rows: &RecordBatch) -> Result<Vec<(u64, Arc<Description>)>, ArrowError> {
        let fingerprints = numbers::<UInt64Type>(rows, "fingerprint")?;
        let (kind, scope) = (words(rows, "metric_type")?, words(rows, "scope_name")?);
        let version = words(rows, "scope_version")?;
        let places = [
            (Place::Attribute, maps(rows, "attributes")?),
            (Place::Resource, maps(rows, "resource_attributes")?),
            (Place::Scope, maps(rows, "scope_attributes")?),
        ];
        let mut read = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let mut description = Description::new(kind.get(row), scope.get(row), version.get(row));
            for (place, maps) in &places {
                for (key, value) in maps.entries(maps.number(row)) {
                    description.attributes.push(self.attribute(*place, maps.keys.texts.value(key), value));
                }
            }
            read.push((fingerprints.value(row), Arc::new(description)));
        }
        Ok(read)
    }

    fn attribute(&mut self, place: Place, key: &str, value: &str) -> SeriesAttribute {
        let key = (place, key.to_owned());
        let key = Arc::clone(self.keys.entry_ref(&key).or_insert_with(|| Arc::new(key.clone())));
        SeriesAttribute { key, hash: XxHash3_64::oneshot(value.as_bytes()), bytes: value.len() }
    }
}
