use arrow_array::{ListArray, RecordBatch};
use arrow_schema::ArrowError;
use hashbrown::HashMap;
use tidegate_model::TableName;
use tidegate_model::tables::SPANS;

use super::columns::{Maps, list, maps, numbers, range};
use super::records::is_of_records;

/// How often each value of one key came. Data points have their values from their series.
#[derive(Debug, Default)]
pub struct Observed {
    /// By value.
    pub values: HashMap<String, u64>,
    /// Data points, by the fingerprints of their series.
    pub series: HashMap<u64, u64>,
}

impl Observed {
    /// Counts rows of one table that is counted for the catalogue, but not of `metric_series`.
    pub fn add(&mut self, table: &TableName, rows: &RecordBatch, key: &str) -> Result<(), ArrowError> {
        let is_span = *table == SPANS.name;
        if !is_span && !is_of_records(table) {
            let fingerprints = numbers::<arrow_array::types::UInt64Type>(rows, "fingerprint")?;
            for fingerprint in fingerprints.values() {
                *self.series.entry(*fingerprint).or_default() += 1;
            }
            return Ok(());
        }
        for name in ["attributes", "resource_attributes", "scope_attributes"] {
            let column = Of::key(maps(rows, name)?, key);
            (0..rows.num_rows()).for_each(|row| column.count(column.maps.number(row), &mut self.values));
        }
        let nested = if is_span { &["event_attributes", "link_attributes"][..] } else { &[] };
        for name in nested {
            let lists: &ListArray = list(rows, name)?;
            let column = Of::key(Maps::of(lists.values()), key);
            for row in 0..rows.num_rows() {
                range(lists.value_offsets(), row).for_each(|map| column.count(map, &mut self.values));
            }
        }
        Ok(())
    }
}

/// A column of maps, and which of its words are the key.
struct Of<'a> {
    maps: Maps<'a>,
    is_key: Vec<bool>,
}

impl<'a> Of<'a> {
    fn key(maps: Maps<'a>, key: &str) -> Self {
        let is_key = maps.keys.texts.iter().map(|text| text == Some(key)).collect();
        Self { maps, is_key }
    }

    fn count(&self, map: usize, values: &mut HashMap<String, u64>) {
        for (key, value) in self.maps.entries(map) {
            if self.is_key[key] {
                *values.entry_ref(value).or_default() += 1;
            }
        }
    }
}
