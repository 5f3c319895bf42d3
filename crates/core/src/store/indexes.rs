//! The indexes of a table's rows: what ClickHouse looks at instead of reading them.
//!
//! What each costs and brings is measured in `docs/performance.md`, "Engine cost of the schema" and "Searching logs".

use tidegate_model::{ColumnKind, TableSpec};

use super::client::identifier;
use super::schema::Ddl;

/// Those that `logs` got after its first version.
const OF_SEARCHES: [&str; 3] = ["body_words", "attribute_pairs", "resource_pairs"];

/// Returns an expression over a map column: a hash of each key with its value, in one list.
///
/// An index serves a condition only where both have the same text.
#[must_use]
pub fn pairs_of(map: &str) -> String {
    format!("arrayMap((_k, _v) -> cityHash64(_k, _v), mapKeys({map}), mapValues({map}))")
}

/// Returns the name of each index, and what is behind it in the DDL.
pub(super) fn indexes(spec: &TableSpec) -> Vec<(&'static str, String)> {
    // Every query of ours asks for `_seq <= W`, `verify` for a batch's range.
    let mut indexes = vec![("seq_range", "_seq TYPE minmax".to_owned())];
    let built_in = spec.column("timestamp").is_some_and(|column| column.kind == ColumnKind::Timestamp);
    if built_in {
        indexes.push(("time_range", "timestamp TYPE minmax".into()));
    }
    if spec.name.as_str() == "spans" {
        indexes.push(("duration_range", "duration_ns TYPE minmax".into()));
    }
    if matches!(spec.name.as_str(), "logs" | "events" | "spans") {
        indexes.push(("trace_ids", "trace_id TYPE bloom_filter(0.01)".into()));
        // Serves `attributes['key'] = 'value'` of users' SQL, for any key; a finer filter costs more than twice the CPU.
        indexes.push(("attribute_values", "mapValues(attributes) TYPE bloom_filter(0.05)".into()));
    }
    if spec.name.as_str() == "ai_spans" && spec.column("attribute_items").is_some() {
        indexes.push(("trace_ids", "trace_id TYPE bloom_filter(0.01)".into()));
        // Rows with further versions are few, and in few parts.
        indexes.push(("versions", "row_version TYPE minmax".into()));
        // What a filter for an attribute asks for: the index alone answers it, however many rows have it.
        indexes.push(("items", "attribute_items TYPE text(tokenizer = 'array')".into()));
    }
    if spec.name.as_str() == "logs" {
        // What `RecordFilter` asks for, in its words.
        indexes.push(("body_words", "lower(body) TYPE text(tokenizer = splitByNonAlpha)".into()));
        // A value alone is no proof: `true` is everywhere, under other keys.
        let pairs = |map: &str| format!("{} TYPE bloom_filter(0.01)", pairs_of(map));
        indexes.push(("attribute_pairs", pairs("attributes")));
        indexes.push(("resource_pairs", pairs("resource_attributes")));
    }
    indexes
}

impl Ddl<'_> {
    /// Renders what gives a table of an earlier version the indexes that searches use; ClickHouse makes them for the
    /// rows that are there in its background, and reads those meanwhile.
    pub(super) fn add_search_indexes(&self, spec: &TableSpec) -> Vec<String> {
        let table = self.qualified(&self.stored_name(spec.name.as_str()));
        let alter = format!("ALTER TABLE {table}{}", self.on_cluster());
        let added = indexes(spec).into_iter().filter(|(name, _)| OF_SEARCHES.contains(name));
        let statements = added.flat_map(|(name, index)| {
            let name = identifier(name);
            [
                format!("{alter} ADD INDEX IF NOT EXISTS {name} {index}"),
                format!("{alter} MATERIALIZE INDEX {name} SETTINGS mutations_sync = 0"),
            ]
        });
        statements.collect()
    }
}
