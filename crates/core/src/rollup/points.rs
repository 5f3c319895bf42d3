use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampNanosecondType, UInt16Type, UInt64Type};
use arrow_array::{ListArray, RecordBatch};
use arrow_schema::ArrowError;
use hashbrown::HashMap;
use tidegate_model::tables::{METRIC_EXPONENTIAL_HISTOGRAMS, METRIC_HISTOGRAMS, METRIC_SUMMARIES};
use tidegate_model::{TableName, TableSpec};
use twox_hash::XxHash3_64;

use super::columns::{list, maps, numbers, range};
use super::records::{Groups, KeyNumbers};
use super::reducer::{Group, Place, Reducer, Tally};

/// Counts data points; their attributes are those of their series.
pub(super) fn points(reducer: &mut Reducer, table: &TableName, rows: &RecordBatch) -> Result<(), ArrowError> {
    let mut groups = Groups::of(rows, "metric_name")?;
    let fingerprint = numbers::<UInt64Type>(rows, "fingerprint")?;
    let mut buckets = Buckets::of(table, rows)?;
    for row in 0..rows.num_rows() {
        let place = groups.begin(reducer, row, 0);
        let group = &mut reducer.groups[place];
        group.bytes += groups.name.get(row).len() as u64;
        buckets.note(place, group, row);
        let tally = Tally::once(groups.timestamp.value(row));
        group.series.entry(fingerprint.value(row)).and_modify(|all| all.add(&tally)).or_insert(tally);
    }
    Ok(())
}

/// What a point's buckets are, and what was noted last in each group: mostly the same.
struct Buckets<'a> {
    column: BucketColumn<'a>,
    noted: HashMap<usize, usize>,
}

enum BucketColumn<'a> {
    None,
    Bounds(&'a ListArray, &'a [f64]),
    Scale(&'a [i32]),
    Quantiles(&'a ListArray),
}

impl<'a> Buckets<'a> {
    fn of(table: &TableName, rows: &'a RecordBatch) -> Result<Self, ArrowError> {
        let column = match table {
            table if *table == METRIC_HISTOGRAMS.name => {
                let bounds = list(rows, "explicit_bounds")?;
                BucketColumn::Bounds(bounds, bounds.values().as_primitive::<Float64Type>().values())
            }
            table if *table == METRIC_EXPONENTIAL_HISTOGRAMS.name => {
                BucketColumn::Scale(numbers::<Int32Type>(rows, "scale")?.values())
            }
            table if *table == METRIC_SUMMARIES.name => BucketColumn::Quantiles(list(rows, "quantiles")?),
            _ => BucketColumn::None,
        };
        Ok(Self { column, noted: HashMap::new() })
    }

    fn note(&mut self, place: usize, group: &mut Group, row: usize) {
        if matches!(self.column, BucketColumn::None) {
            return;
        }
        let before = self.noted.insert(place, row);
        match self.column {
            BucketColumn::Bounds(lists, bounds) => {
                let of = |row| &bounds[range(lists.value_offsets(), row)];
                if before.is_none_or(|before| of(before) != of(row)) {
                    // JSON has no infinite numbers: they become null.
                    group.facet("bounds", &serde_json::to_string(of(row)).unwrap_or_default());
                }
            }
            BucketColumn::Scale(scales) if before.is_none_or(|before| scales[before] != scales[row]) => {
                group.facet("scale", &scales[row].to_string());
            }
            BucketColumn::Quantiles(lists) => {
                let of = |row| range(lists.value_offsets(), row).len();
                if before.is_none_or(|before| of(before) != of(row)) {
                    group.facet("quantiles", &of(row).to_string());
                }
            }
            _ => {}
        }
    }
}

/// Notes the texts of the values that series have.
pub(super) fn series(reducer: &mut Reducer, rows: &RecordBatch) -> Result<(), ArrowError> {
    let partition = numbers::<UInt16Type>(rows, TableSpec::PARTITION)?;
    let time = numbers::<TimestampNanosecondType>(rows, "first_timestamp")?;
    let places = [
        (Place::Attribute, "attributes"),
        (Place::Resource, "resource_attributes"),
        (Place::Scope, "scope_attributes"),
    ];
    for (place, name) in places {
        let maps = maps(rows, name)?;
        let mut keys = KeyNumbers::default();
        for row in 0..rows.num_rows() {
            for (key, value) in maps.entries(maps.number(row)) {
                let key = keys.of(reducer, place, key, &maps.keys);
                let hash = XxHash3_64::oneshot(value.as_bytes());
                reducer.note_value(key, (hash, value), (partition.value(row), time.value(row)));
            }
        }
    }
    Ok(())
}
