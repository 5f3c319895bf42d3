use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use tidegate_core::rollup::totals::SAMPLES;

use super::answer::{Exact, OVERFLOW};
use super::read::{Filter, Reader, Sql};
use crate::errors::Failure;

/// Values whose text is looked for: some of a key's values may have no text stored, so more than are shown.
pub(super) const HASHES: u32 = 24;

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
    pub(super) samples: Vec<Arc<str>>,
}

/// The same, to be told.
#[derive(Debug)]
pub(super) struct KeyView<'a> {
    pub(super) place: &'a str,
    pub(super) label: &'a str,
    pub(super) n: u64,
    pub(super) size: u64,
    pub(super) cardinality: u64,
    pub(super) unlisted: u64,
    pub(super) samples: Vec<&'a str>,
}

/// Keys of one place, told as `{key → …}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyMap<'a> {
    keys: &'a [KeyView<'a>],
    place: &'static str,
    /// How many may have them.
    of: u64,
}

/// Keys of one place, told as `[{name, cardinality, …}]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyList<'a> {
    keys: &'a [KeyView<'a>],
    place: &'static str,
}

/// Texts, told as a list of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Samples<'a>(pub(super) &'a [Arc<str>]);

#[derive(Debug, Serialize)]
struct KeyTold<'a> {
    count: u64,
    percentage: f64,
    estimated_cardinality: u64,
    value_samples: &'a [&'a str],
    bytes: u64,
    #[serde(flatten)]
    exact: Exact,
}

#[derive(Debug, Serialize)]
struct KeyInShort<'a> {
    name: &'a str,
    cardinality: u64,
    sample_values: &'a [&'a str],
    #[serde(flatten)]
    exact: Exact,
}

impl Key {
    /// Returns it as it is told.
    pub(super) fn view(&self) -> KeyView<'_> {
        KeyView {
            place: &self.place,
            label: &self.label,
            n: self.n,
            size: self.size,
            cardinality: self.cardinality,
            unlisted: self.unlisted,
            samples: self.samples.iter().map(|text| &**text).collect(),
        }
    }
}

impl KeyView<'_> {
    fn exact(&self) -> Exact {
        Exact::distinct(self.label == OVERFLOW, self.unlisted)
    }
}

impl<'a> KeyMap<'a> {
    pub(super) const fn of(keys: &'a [KeyView<'a>], place: &'static str, of: u64) -> Self {
        Self { keys, place, of }
    }
}

impl Serialize for KeyMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.keys.iter().filter(|key| key.place == self.place).map(|key| {
            let told = KeyTold {
                count: key.n,
                percentage: percentage(key.n, self.of),
                estimated_cardinality: key.cardinality,
                value_samples: &key.samples,
                bytes: key.size,
                exact: key.exact(),
            };
            (key.label, told)
        }))
    }
}

impl<'a> KeyList<'a> {
    pub(super) const fn of(keys: &'a [KeyView<'a>], place: &'static str) -> Self {
        Self { keys, place }
    }
}

impl Serialize for KeyList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.keys.iter().filter(|key| key.place == self.place).map(|key| KeyInShort {
            name: key.label,
            cardinality: key.cardinality,
            sample_values: &key.samples,
            exact: key.exact(),
        }))
    }
}

impl Serialize for Samples<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|text| &**text))
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
    label: String,
    hash: u64,
    text_of: String,
}

impl Reader {
    /// Returns the attributes of some names of a signal, as the tables have them.
    pub(super) async fn keys(&self, signal: &str, names: &[String], filter: &Filter) -> Result<Vec<Key>, Failure> {
        if names.is_empty() {
            return Ok(Vec::new());
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
            "SELECT toString(key) AS label, value_hash AS hash, min(value) AS text_of \
             FROM catalog_values WHERE key IN {labels:Array(String)} AND value_hash IN {hashes:Array(UInt64)} \
             GROUP BY label, hash",
        );
        let found: Vec<ValueText> = self.rows(sql.texts("labels", labels).numbers("hashes", hashes)).await?;
        let mut texts: HashMap<(String, u64), Arc<str>> = HashMap::new();
        for value in found {
            texts.insert((value.label, value.hash), value.text_of.into());
        }
        for key in keys.iter_mut().filter(|key| !key.hashes.is_empty()) {
            let known = key.hashes.iter().filter_map(|hash| texts.get(&(key.label.clone(), *hash)));
            let samples: BTreeSet<&Arc<str>> = known.collect();
            key.samples = samples.into_iter().take(SAMPLES).cloned().collect();
        }
        Ok(())
    }
}

/// Groups keys by their item.
pub(super) fn by_item(keys: &[Key]) -> BTreeMap<&str, Vec<KeyView<'_>>> {
    let mut grouped: BTreeMap<&str, Vec<KeyView<'_>>> = BTreeMap::new();
    for key in keys {
        grouped.entry(&key.item).or_default().push(key.view());
    }
    grouped
}

/// Returns a share in percent.
#[expect(clippy::cast_precision_loss, reason = "a share is shown to a person; counts are given beside it")]
pub(super) fn percentage(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 }
}
