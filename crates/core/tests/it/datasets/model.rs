use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tidegate_core::ingest::rows::Mended;
use tidegate_model::ErrorKind;

use super::place::Place;

/// A kind of column: its type, values as JSON and as ClickHouse shows them, one that has no place in it.
struct Kind {
    word: &'static str,
    values: &'static [(&'static str, &'static str)],
    misfit: Option<&'static str>,
    /// Rows that bring such values make such a column without a schema.
    is_inferred: bool,
    /// What a row has that brings nothing.
    nothing: &'static str,
}

const NULL: &str = "\\N";
const UUID: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
const HUGE: &str = "-9007199254740993";

const INTEGER: usize = 0;
const DOUBLE: usize = 1;
const KINDS: [Kind; 11] = [
    kind("integer", &[("5", "5"), ("-71", "-71"), (HUGE, HUGE)], Some("\"x\""), true),
    kind("double", &[("1.5", "1.5"), ("-0.25", "-0.25")], Some("[1]"), true),
    kind("string", &[("\"a\\tb\"", "a\\tb"), ("\"\"", "")], None, true),
    kind("boolean", &[("true", "true"), ("false", "false")], Some("1"), true),
    kind("uint64", &[("18446744073709551615", "18446744073709551615"), ("0", "0")], Some("-1"), false),
    kind("decimal(10,2)", &[("12345678.91", "12345678.91"), ("-0.01", "-0.01")], Some("0.001"), false),
    kind("date", &[("\"2026-11-21\"", "2026-11-21")], Some("\"soon\""), false),
    kind("uuid", &[("\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"", UUID)], Some("7"), false),
    kind("json", &[("{\"b\":1.10}", "{\"b\":1.10}"), ("[1]", "[1]")], None, false),
    several("array(integer)", &[("[1,null,-3]", "[1,NULL,-3]"), ("[]", "[]")], Some("{}"), "[]"),
    several("map(string)", &[("{\"k\":\"v\"}", "{'k':'v'}")], Some("{\"k\":1,\"k\":2}"), "{}"),
];

const fn kind(
    word: &'static str,
    values: &'static [(&'static str, &'static str)],
    misfit: Option<&'static str>,
    is_inferred: bool,
) -> Kind {
    Kind { word, values, misfit, is_inferred, nothing: NULL }
}

const fn several(
    word: &'static str,
    values: &'static [(&'static str, &'static str)],
    misfit: Option<&'static str>,
    nothing: &'static str,
) -> Kind {
    Kind { word, values, misfit, is_inferred: false, nothing }
}

/// A dataset as a plain list of rows.
#[derive(Default)]
struct Model {
    /// Name, kind, and what rows have that bring nothing.
    columns: Vec<(String, usize, &'static str)>,
    rows: Vec<BTreeMap<String, &'static str>>,
    versions: usize,
    /// Refused rows: as they were sent, mended, and what the mended row is.
    held: Vec<Held>,
    /// Bodies with refused rows; the same one again brings none of them twice.
    refused_before: BTreeSet<String>,
}

struct Held {
    sent: String,
    mended: String,
    brought: BTreeMap<String, &'static str>,
}

impl Model {
    fn add(&mut self, name: &str, kind: usize, default: Option<(&'static str, bool)>) {
        let before = default.filter(|(_, backfilled)| *backfilled).map_or(KINDS[kind].nothing, |(text, _)| text);
        for row in &mut self.rows {
            row.insert(name.to_owned(), before);
        }
        self.columns.push((name.to_owned(), kind, default.map_or(KINDS[kind].nothing, |(text, _)| text)));
    }

    fn take(&mut self, brought: &BTreeMap<String, &'static str>) {
        let cells = self.columns.iter();
        let row = cells.map(|(name, _, nothing)| (name.clone(), brought.get(name).copied().unwrap_or(nothing)));
        self.rows.push(row.collect());
    }

    /// Says whether a row's values have a place in columns as they are now.
    fn fits(&self, brought: &BTreeMap<String, &'static str>) -> bool {
        let is_huge = |(name, kind, _): &(String, usize, &str)| *kind == DOUBLE && brought.get(name) == Some(&HUGE);
        !self.columns.iter().any(is_huge)
    }

    fn shown(&self) -> String {
        let line = |row: &BTreeMap<String, &str>| row.values().copied().collect::<Vec<_>>().join("\t");
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

struct Run {
    place: Place,
    model: Model,
    random: StdRng,
    steps: String,
}

impl Run {
    async fn step(mut self) -> Self {
        match self.random.random_range(0..12) {
            0..=3 => self.ingest_inferred().await,
            4..=6 => self.declare().await,
            7 => self.break_it().await,
            8 => self.widen().await,
            9 => self.replay().await,
            10 => {
                self.steps.push_str("flush\n");
                self.place.flush().await;
            }
            _ => {
                self.steps.push_str("restart\n");
                self.place = self.place.restarted().await;
            }
        }
        self.check().await;
        self
    }

    /// Makes a few rows: JSON, and what becomes of each in the model.
    fn rows(&mut self) -> (String, Vec<Held>) {
        let (mut text, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..self.random.random_range(0..5) {
            let (mut json, mut good, mut brought) = (Vec::new(), Vec::new(), BTreeMap::new());
            for (name, kind, _) in &self.model.columns {
                let misfit = KINDS[*kind].misfit.filter(|_| self.random.random_bool(0.05));
                if let Some(misfit) = misfit {
                    json.push(format!("\"{name}\":{misfit}"));
                } else if self.random.random_bool(0.6) {
                    let (value, shown) = KINDS[*kind].values.choose(&mut self.random).expect("a value");
                    json.push(format!("\"{name}\":{value}"));
                    good.push(format!("\"{name}\":{value}"));
                    brought.insert(name.clone(), *shown);
                }
            }
            let sent = format!("{{{}}}", json.join(","));
            text.push(sent.clone());
            // A widened column takes only those integers that are doubles.
            if json.len() == good.len() && self.model.fits(&brought) {
                self.model.take(&brought);
            } else {
                refused.push(Held { sent, mended: format!("{{{}}}", good.join(",")), brought });
            }
        }
        (text.join(","), refused)
    }

    async fn send(&mut self, body: String, refused: Vec<Held>) {
        let _ = writeln!(self.steps, "{body}");
        let taken = self.place.taken(&body).await;
        assert_eq!(taken.admitted.rejected.total(), refused.len() as u64, "{:?}\n{}", taken.admitted, self.steps);
        if !refused.is_empty() && self.model.refused_before.insert(body) {
            self.model.held.extend(refused);
        }
    }

    /// Mends some of the refused rows and sends others as they are.
    async fn replay(&mut self) {
        let held = self.place.states.catalog.held("visits", None, 0, 1_000).await.expect("refused rows");
        let texts: Vec<_> = held.iter().map(|row| row.row.as_str()).collect();
        let expected: Vec<_> = self.model.held.iter().map(|row| row.sent.as_str()).collect();
        assert_eq!(texts, expected, "{}", self.steps);
        let (mut wanted, mut gone) = (Vec::new(), Vec::new());
        for (at, row) in held.iter().enumerate() {
            let own = &self.model.held[at];
            let is_mended = self.random.random_bool(0.5);
            if is_mended && self.model.fits(&own.brought) {
                wanted.push(Mended { id: row.id, row: Some(own.mended.clone()) });
                gone.push(at);
            } else if self.random.random_bool(0.5) {
                wanted.push(Mended { id: row.id, row: None });
            }
        }
        let _ = writeln!(self.steps, "replay {wanted:?}");
        let replayed = self.place.ingest.replay("visits", &wanted, "me").await.expect("a replay");
        assert_eq!(replayed.taken.len(), gone.len(), "{replayed:?}\n{}", self.steps);
        for at in &gone {
            let brought = self.model.held[*at].brought.clone();
            self.model.take(&brought);
        }
        for at in gone.iter().rev() {
            self.model.held.remove(*at);
        }
    }

    /// Rows without a schema; one of them may bring a column.
    async fn ingest_inferred(&mut self) {
        let (mut rows, refused) = self.rows();
        if self.random.random_bool(0.3) {
            let inferred: Vec<usize> = (0..KINDS.len()).filter(|kind| KINDS[*kind].is_inferred).collect();
            let kind = *inferred.choose(&mut self.random).expect("a kind");
            let name = format!("c{}", self.model.columns.len());
            let (value, shown) = KINDS[kind].values[0];
            rows = [rows, format!("{{\"{name}\":{value}}}")]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(",");
            self.model.add(&name, kind, None);
            self.model.versions += 1;
            self.model.take(&BTreeMap::from([(name, shown)]));
        }
        self.send(format!("{{\"rows\":[{rows}]}}"), refused).await;
    }

    /// A schema with all columns, a further one, and rows.
    async fn declare(&mut self) {
        let mut evolution = String::new();
        if self.model.versions == 0 || self.random.random_bool(0.7) {
            let kind = self.random.random_range(0..KINDS.len());
            let name = format!("c{}", self.model.columns.len());
            let may_default = KINDS[kind].nothing == NULL && self.random.random_bool(0.5);
            let backfilled = self.random.random_bool(0.5);
            let default = may_default.then(|| KINDS[kind].values[0]);
            if let Some((value, _)) = default {
                evolution = format!("\"defaults\":{{\"{name}\":{value}}},\"backfill\":{backfilled}");
            }
            self.model.add(&name, kind, default.map(|(_, shown)| (shown, backfilled)));
            self.model.versions += 1;
        }
        let fields = self.fields(None);
        let (rows, refused) = self.rows();
        let schema = format!("{{\"fields\":[{fields}],\"evolution\":{{{evolution}}}}}");
        self.send(format!("{{\"schema\":{schema},\"rows\":[{rows}]}}"), refused).await;
    }

    fn fields(&self, other: Option<(usize, &str)>) -> String {
        let fields = self.model.columns.iter().enumerate().map(|(at, (name, kind, _))| {
            let word = other.filter(|(changed, _)| *changed == at).map_or(KINDS[*kind].word, |(_, word)| word);
            format!("{{\"name\":\"{name}\",\"type\":\"{word}\"}}")
        });
        fields.collect::<Vec<_>>().join(",")
    }

    /// A schema that lacks a column or changes one; nothing of it is written.
    async fn break_it(&mut self) {
        let Some(at) = (0..self.model.columns.len()).collect::<Vec<_>>().choose(&mut self.random).copied() else {
            return;
        };
        let word = if KINDS[self.model.columns[at].1].word == "date" { "uuid" } else { "date" };
        let fields = if self.random.random_bool(0.5) {
            self.fields(Some((at, word)))
        } else {
            "{\"name\":\"other\",\"type\":\"string\"}".to_owned()
        };
        let body = format!("{{\"schema\":{{\"fields\":[{fields}]}},\"rows\":[{{\"other\":\"x\"}}]}}");
        let _ = writeln!(self.steps, "refused: {body}");
        let error = self.place.send(&body).await.expect_err("a change that breaks readers");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }

    /// A schema that makes doubles of integers: done where each is one.
    async fn widen(&mut self) {
        let is_integer = |at: &usize| self.model.columns[*at].1 == INTEGER;
        let Some(at) = (0..self.model.columns.len()).find(is_integer) else { return };
        let name = self.model.columns[at].0.clone();
        let holds_huge = self.model.rows.iter().any(|row| row[&name] == HUGE);
        let body = format!("{{\"schema\":{{\"fields\":[{}]}},\"rows\":[]}}", self.fields(Some((at, "double"))));
        let _ = writeln!(self.steps, "widen, holds huge {holds_huge}: {body}");
        match self.place.send(&body).await {
            Ok(taken) => {
                assert!(!holds_huge, "a huge integer became a double");
                assert_eq!(taken.change.expect("a change").widened, [name]);
                self.model.columns[at].1 = DOUBLE;
                self.model.versions += 1;
            }
            Err(error) => assert!(holds_huge && error.kind() == ErrorKind::Conflict, "{error}"),
        }
    }

    async fn check(&self) {
        if self.model.versions == 0 {
            return;
        }
        let columns: BTreeMap<&String, ()> = self.model.columns.iter().map(|(name, ..)| (name, ())).collect();
        let columns: Vec<_> = columns.keys().map(|name| name.as_str()).collect();
        let sql = format!("SELECT {} FROM visits ORDER BY _seq", columns.join(", "));
        let answer = self.place.read(&sql).await.unwrap_or_else(|error| panic!("{error}: {sql}\n{}", self.steps));
        assert_eq!(answer, self.model.shown(), "{sql}\n{}", self.steps);
        let versions = self.place.states.catalog.schema_versions("visits", "records").await.expect("versions");
        assert_eq!(versions.len(), self.model.versions, "{}", self.steps);
        let status = self.place.states.buffer.status();
        let held = self.place.states.catalog.held_count("visits").await.expect("a count");
        assert_eq!(held, self.model.held.len() as u64, "{}", self.steps);
        let own = status.iter().find(|tail| tail.table.as_str() == "visits");
        assert_eq!(own.map_or(0, |tail| tail.head.0), self.model.rows.len() as u64, "{}", self.steps);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_of_rows_and_schemas_reads_as_a_plain_list_does() {
    for seed in 0..4 {
        let mut run = Run {
            place: Place::new().await,
            model: Model::default(),
            random: StdRng::seed_from_u64(seed),
            steps: format!("seed {seed}\n"),
        };
        run.declare().await;
        for _ in 0..35 {
            run = run.step().await;
        }
    }
}
