use std::sync::LazyLock;

use crate::tables::{
    CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES, LOG_TEMPLATE_MERGES, LOG_TEMPLATES,
    METRIC_EXPONENTIAL_HISTOGRAMS, METRIC_HISTOGRAMS, METRIC_SERIES, METRIC_SUMMARIES,
};
use crate::{ColumnSpec, TableSpec};

/// A table of which a saved session of the catalogue keeps rows, and the columns that it keeps.
#[derive(Debug)]
pub struct SavedTable {
    /// The table.
    pub spec: &'static TableSpec,
    /// The columns, in the order in which a session has them.
    pub columns: Vec<&'static ColumnSpec>,
}

impl SavedTable {
    /// The column of a copy that says which session a row is of.
    pub const SESSION: &'static str = "session";

    /// Returns the name of the table in which ClickHouse has the rows of sessions that are read.
    #[must_use]
    pub fn copy_name(&self) -> String {
        format!("session_{}", self.spec.name)
    }

    /// Returns the names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name.as_str())
    }
}

/// The tables that make a session: the catalogue whole, and of metrics what their series and points declare.
pub static SAVED: LazyLock<Vec<SavedTable>> = LazyLock::new(|| {
    let roll_ups =
        [&CATALOG_SIGNALS, &CATALOG_ATTRIBUTES, &CATALOG_VALUES, &LOG_TEMPLATES, &LOG_TEMPLATE_MERGES].map(|spec| {
            let own = spec.columns.iter().filter(|column| column.name != TableSpec::PARTITION);
            SavedTable { spec, columns: own.collect() }
        });
    let declared: [(&'static TableSpec, &[&str]); 4] = [
        (
            &METRIC_SERIES,
            &[
                "metric_name",
                "unit",
                "description",
                "aggregation_temporality",
                "is_monotonic",
                "metadata",
                "fingerprint",
            ],
        ),
        (&METRIC_HISTOGRAMS, &["metric_name", "explicit_bounds", "fingerprint"]),
        (&METRIC_EXPONENTIAL_HISTOGRAMS, &["metric_name", "scale", "fingerprint"]),
        (&METRIC_SUMMARIES, &["metric_name", "quantiles", "fingerprint"]),
    ];
    let declared = declared.map(|(spec, names)| {
        let column = |name: &&str| spec.column(name).expect("a column: `every_saved_column_is_there` looks");
        SavedTable { spec, columns: names.iter().map(column).collect() }
    });
    roll_ups.into_iter().chain(declared).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_saved_column_is_there() {
        assert_eq!(SAVED.len(), 9);
        for saved in SAVED.iter() {
            let whole = saved.spec.roll_up.is_none_or(|roll_up| {
                saved.names().all(|name| roll_up.keys.contains(&name) || roll_up.rule(name).is_some())
            });
            assert!(whole, "{} has a column that is no key and has no rule", saved.spec.name);
        }
    }
}
