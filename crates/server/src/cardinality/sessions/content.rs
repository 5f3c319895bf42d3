use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::read::{Filter, Reader, Sql};
use super::super::totals;
use super::super::v1::attributes::signal_type;
use crate::errors::Failure;

/// The numbers of a catalogue that a comparison looks at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Content {
    /// The session's name, or `live`.
    pub(super) id: String,
    pub(super) items: Vec<Item>,
    pub(super) attributes: BTreeMap<String, Counted>,
}

/// A metric, a span name or a severity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    /// `metric`, `span` or `log`.
    pub(super) signal_type: &'static str,
    pub(super) name: String,
    pub(super) sample_count: u64,
    pub(super) bytes: u64,
    pub(super) active_series: u64,
    pub(super) services: Vec<String>,
    /// By scope and key, with a slash between.
    pub(super) keys: BTreeMap<String, Counted>,
}

/// How often a key came and how many values it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) cardinality: u64,
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct ItemRow {
    pub(in super::super) signal_of: String,
    pub(in super::super) item: String,
    pub(in super::super) n: u64,
    pub(in super::super) size: u64,
    pub(in super::super) active: u64,
    pub(in super::super) spread: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(in super::super) struct KeyRow {
    pub(in super::super) signal_of: String,
    pub(in super::super) item: String,
    pub(in super::super) place: String,
    pub(in super::super) label: String,
    pub(in super::super) n: u64,
    pub(in super::super) cardinality: u64,
}

impl Content {
    /// Reads the numbers of what the reader sees.
    pub(super) async fn of(reader: &Reader, id: &str) -> Result<Self, Failure> {
        let recalled = reader.recall(&Filter::default(), totals::content).await?;
        let (items, keys, attributes) = match recalled {
            Some(rows) => rows,
            None => rows(reader).await?,
        };
        let mut keys_of: BTreeMap<(String, String), BTreeMap<String, Counted>> = BTreeMap::new();
        for key in keys {
            let counted = Counted { count: key.n, cardinality: key.cardinality };
            let own = keys_of.entry((key.signal_of, key.item)).or_default();
            own.insert(format!("{}/{}", key.place, key.label), counted);
        }
        let items = items.into_iter().map(|row| Item {
            signal_type: signal_type(&row.signal_of),
            sample_count: row.n,
            bytes: row.size,
            active_series: row.active,
            services: row.spread,
            keys: keys_of.remove(&(row.signal_of, row.item.clone())).unwrap_or_default(),
            name: row.item,
        });
        let attributes =
            attributes.into_iter().map(|key| (key.label, Counted { count: key.n, cardinality: key.cardinality }));
        Ok(Self { id: id.to_owned(), items: items.collect(), attributes: attributes.collect() })
    }
}

async fn rows(reader: &Reader) -> Result<(Vec<ItemRow>, Vec<KeyRow>, Vec<KeyRow>), Failure> {
    let items = "SELECT toString(signal) AS signal_of, toString(name) AS item, sum(records) AS n, \
         sum(bytes) AS size, uniqExactArray(series) AS active, \
         arraySort(groupUniqArray(toString(service_name))) AS spread \
         FROM catalog_signals GROUP BY signal_of, item ORDER BY signal_of, item";
    let keys = |signal: &str, item: &str, place: &str| {
        format!(
            "SELECT {signal} AS signal_of, {item} AS item, {place} AS place, toString(key) AS label, \
             sum(records) AS n, uniqExactArray(value_hashes) AS cardinality FROM catalog_attributes \
             GROUP BY signal_of, item, place, label"
        )
    };
    tokio::try_join!(
        reader.rows::<ItemRow>(Sql::new(items)),
        reader.rows::<KeyRow>(Sql::new(keys("toString(signal)", "toString(name)", "toString(scope)"))),
        reader.rows::<KeyRow>(Sql::new(keys("''", "''", "''"))),
    )
}
