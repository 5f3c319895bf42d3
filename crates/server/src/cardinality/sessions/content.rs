use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::read::{Reader, Sql};
use super::super::v1::attributes::signal_type;
use super::super::window::rfc3339;
use crate::errors::Failure;

/// The layout of the file.
pub(super) const FORMAT: u32 = 1;

/// What the catalogue told at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    pub(super) format: u32,
    pub(super) id: String,
    pub(super) description: String,
    pub(super) created: String,
    /// Signals and services that were asked for; empty: all.
    pub(super) signals: Vec<String>,
    pub(super) services: Vec<String>,
    pub(super) items: Vec<Item>,
    pub(super) attributes: BTreeMap<String, Counted>,
}

/// A metric, a span name or a severity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    /// `metric`, `span` or `log`.
    pub(super) signal_type: String,
    pub(super) name: String,
    pub(super) sample_count: u64,
    pub(super) bytes: u64,
    pub(super) active_series: u64,
    pub(super) services: Vec<String>,
    /// By scope and key, with a slash between.
    pub(super) keys: BTreeMap<String, Counted>,
}

/// How often a key came and how many values it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) cardinality: u64,
}

/// What a session is asked to hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) signals: Vec<String>,
    #[serde(default)]
    pub(super) services: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct ItemRow {
    signal_of: String,
    item: String,
    n: u64,
    size: u64,
    active: u64,
    spread: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct KeyRow {
    signal_of: String,
    item: String,
    place: String,
    label: String,
    n: u64,
    cardinality: u64,
}

impl Session {
    /// Reads a session from the catalogue as it is now.
    pub(super) async fn of_now(reader: &Reader, wanted: Wanted) -> Result<Self, Failure> {
        let signals = wanted.signals.iter().map(|signal| catalog_signal(signal)).collect::<Result<Vec<_>, _>>()?;
        let signal_is = if signals.is_empty() { "" } else { " AND signal IN {signals:Array(String)}" };
        let service_is = if wanted.services.is_empty() { "" } else { " AND service_name IN {services:Array(String)}" };
        let bind = |sql: String| {
            let sql = Sql::new(sql).texts("signals", signals.iter().copied());
            sql.texts("services", wanted.services.iter().map(String::as_str))
        };
        let items = format!(
            "SELECT toString(signal) AS signal_of, toString(name) AS item, sum(records) AS n, sum(bytes) AS size, \
             uniqExactArray(series) AS active, arraySort(groupUniqArray(toString(service_name))) AS spread \
             FROM catalog_signals WHERE 1{signal_is}{service_is} GROUP BY signal_of, item ORDER BY signal_of, item"
        );
        let keys = |item: &str, place: &str| {
            format!(
                "SELECT toString(signal) AS signal_of, {item} AS item, {place} AS place, toString(key) AS label, \
                 sum(records) AS n, uniqExactArray(value_hashes) AS cardinality FROM catalog_attributes \
                 WHERE 1{signal_is}{service_is} GROUP BY signal_of, item, place, label"
            )
        };
        let (items, keys, attributes) = tokio::try_join!(
            reader.rows::<ItemRow>(bind(items)),
            reader.rows::<KeyRow>(bind(keys("toString(name)", "toString(scope)"))),
            reader.rows::<KeyRow>(bind(keys("''", "''").replacen("toString(signal)", "''", 1))),
        )?;
        let mut keys_of: BTreeMap<(String, String), BTreeMap<String, Counted>> = BTreeMap::new();
        for key in keys {
            let counted = Counted { count: key.n, cardinality: key.cardinality };
            let own = keys_of.entry((key.signal_of, key.item)).or_default();
            own.insert(format!("{}/{}", key.place, key.label), counted);
        }
        let items = items.into_iter().map(|row| Item {
            signal_type: signal_type(&row.signal_of).to_owned(),
            sample_count: row.n,
            bytes: row.size,
            active_series: row.active,
            services: row.spread,
            keys: keys_of.remove(&(row.signal_of, row.item.clone())).unwrap_or_default(),
            name: row.item,
        });
        let attributes =
            attributes.into_iter().map(|key| (key.label, Counted { count: key.n, cardinality: key.cardinality }));
        Ok(Self {
            format: FORMAT,
            id: wanted.name,
            description: wanted.description,
            created: rfc3339(reader.stages.clock.now().0),
            signals: wanted.signals,
            services: wanted.services,
            items: items.collect(),
            attributes: attributes.collect(),
        })
    }

    /// Tells the session without its content.
    pub(super) fn metadata(&self, size_bytes: u64) -> Value {
        let count = |signal: &str| self.items.iter().filter(|item| item.signal_type == signal).count();
        let mut services: Vec<&str> =
            self.items.iter().flat_map(|item| item.services.iter().map(String::as_str)).collect();
        services.sort_unstable();
        services.dedup();
        json!({
            "id": self.id,
            "description": self.description,
            "created": self.created,
            "signals": self.signals,
            "size_bytes": size_bytes,
            "stats": {
                "metrics_count": count("metric"),
                "spans_count": count("span"),
                "logs_count": count("log"),
                "attributes_count": self.attributes.len(),
                "services": services,
            },
        })
    }
}

fn catalog_signal(word: &str) -> Result<&'static str, Failure> {
    match word {
        "metrics" | "metric" => Ok("metrics"),
        "spans" | "span" | "traces" => Ok("traces"),
        "logs" | "log" => Ok("logs"),
        _ => Err(Failure::invalid(format!("`signals` are of metrics, spans and logs, there is `{word}`"))),
    }
}
