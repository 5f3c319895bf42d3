use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{OVERFLOW, say_distinct};
use super::read::{Filter, Reader, Sql};
use super::totals;
use crate::errors::Failure;

/// Values whose text is looked for: some of a key's values may have no text stored, so more than are shown.
pub(super) const HASHES: u32 = 24;
/// Values that are shown.
pub(super) const SAMPLES: usize = 10;

/// One attribute of one item.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Key {
    pub(super) item: String,
    pub(super) place: String,
    pub(super) label: String,
    pub(super) n: u64,
    pub(super) size: u64,
    pub(super) cardinality: u64,
    /// Records whose value is not among them.
    pub(super) unlisted: u64,
    pub(super) hashes: Vec<u64>,
    #[serde(skip)]
    pub(super) samples: Vec<String>,
}

impl Key {
    /// Tells the key; `of` is the count of what may have it.
    pub(super) fn told(&self, of: u64) -> Value {
        let mut value = json!({
            "count": self.n,
            "percentage": percentage(self.n, of),
            "estimated_cardinality": self.cardinality,
            "value_samples": self.samples,
            "bytes": self.size,
        });
        say_distinct(&mut value, self.label == OVERFLOW, self.unlisted);
        value
    }
}

/// Which rows of `catalog_attributes` are read, and by what they are grouped.
#[derive(Debug)]
pub(super) struct KeysOf<'a> {
    /// An expression over their columns.
    pub(super) item: &'a str,
    /// A condition beside the filter's.
    pub(super) condition: &'a str,
    pub(super) filter: &'a Filter,
}

#[derive(Debug, Deserialize)]
struct ValueText {
    place: String,
    label: String,
    hash: u64,
    text_of: String,
}

impl Reader {
    /// Returns the attributes of some names of a signal.
    pub(super) async fn keys(&self, signal: &str, names: &[String], filter: &Filter) -> Result<Vec<Key>, Failure> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let (word, asked) = (signal.to_owned(), names.to_vec());
        if let Some(keys) = self.recall(filter, move |seen| totals::keys(seen, &word, &asked)).await? {
            return Ok(keys);
        }
        let of = KeysOf {
            item: "toString(name)",
            condition: "signal = {signal:String} AND name IN {names:Array(String)}",
            filter,
        };
        let bind = |sql: Sql| sql.text("signal", signal).texts("names", names.iter().map(String::as_str));
        self.keys_of(of, bind).await
    }

    /// Returns attributes with some of their values.
    pub(super) async fn keys_of(&self, of: KeysOf<'_>, bind: impl Fn(Sql) -> Sql) -> Result<Vec<Key>, Failure> {
        let sql = Sql::new(format!(
            "SELECT {} AS item, toString(scope) AS place, toString(key) AS label, sum(records) AS n, \
             sum(bytes) AS size, uniqExactArray(value_hashes) AS cardinality, sum(unlisted) AS unlisted, \
             groupUniqArrayArray({HASHES})(value_hashes) AS hashes FROM catalog_attributes WHERE {}{} \
             GROUP BY item, place, label ORDER BY item, place, label",
            of.item,
            of.condition,
            of.filter.condition()
        ));
        let mut keys: Vec<Key> = self.rows(bind(sql).filtered(of.filter)).await?;
        self.add_samples(&mut keys).await?;
        Ok(keys)
    }

    /// Looks up the text of some values of each key.
    pub(super) async fn add_samples(&self, keys: &mut [Key]) -> Result<(), Failure> {
        let hashes: BTreeSet<u64> = keys.iter().flat_map(|key| key.hashes.iter().copied()).collect();
        if hashes.is_empty() {
            return Ok(());
        }
        let labels: BTreeSet<&str> = keys.iter().map(|key| key.label.as_str()).collect();
        let sql = Sql::new(
            "SELECT toString(scope) AS place, toString(key) AS label, value_hash AS hash, min(value) AS text_of \
             FROM catalog_values WHERE key IN {labels:Array(String)} AND value_hash IN {hashes:Array(UInt64)} \
             GROUP BY place, label, hash",
        );
        let found: Vec<ValueText> = self.rows(sql.texts("labels", labels).numbers("hashes", hashes)).await?;
        let mut texts: HashMap<(String, u64), Vec<(String, String)>> = HashMap::new();
        for value in found {
            texts.entry((value.label, value.hash)).or_default().push((value.place, value.text_of));
        }
        for key in keys.iter_mut().filter(|key| !key.hashes.is_empty()) {
            let mut samples = BTreeSet::new();
            for hash in &key.hashes {
                let known = texts.get(&(key.label.clone(), *hash)).map(Vec::as_slice).unwrap_or_default();
                // A key of several places asks with an empty one: the same hash is the same text anywhere.
                let own = known.iter().find(|(place, _)| *place == key.place).or(known.first());
                samples.extend(own.map(|(_, text)| text.clone()));
            }
            key.samples = samples.into_iter().take(SAMPLES).collect();
        }
        Ok(())
    }
}

/// Groups keys by their item.
pub(super) fn by_item(keys: Vec<Key>) -> BTreeMap<String, Vec<Key>> {
    let mut grouped: BTreeMap<String, Vec<Key>> = BTreeMap::new();
    for key in keys {
        grouped.entry(key.item.clone()).or_default().push(key);
    }
    grouped
}

/// Returns `{key → Key}` of one place.
pub(super) fn map_of(keys: &[Key], place: &str, of: u64) -> Map<String, Value> {
    keys.iter().filter(|key| key.place == place).map(|key| (key.label.clone(), key.told(of))).collect()
}

/// Returns `[{name, cardinality, sample_values}]` of one place.
pub(super) fn short_list(keys: &[Key], place: &str) -> Vec<Value> {
    let short = |key: &Key| {
        let mut value = json!({ "name": key.label, "cardinality": key.cardinality, "sample_values": key.samples });
        say_distinct(&mut value, key.label == OVERFLOW, key.unlisted);
        value
    };
    keys.iter().filter(|key| key.place == place).map(short).collect()
}

/// Returns a share in percent.
#[expect(clippy::cast_precision_loss, reason = "a share is shown to a person; counts are given beside it")]
pub(super) fn percentage(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 }
}
