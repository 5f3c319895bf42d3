//! Every number of the catalogue must be what a plain recount over the raw rows gives.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType, UInt16Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES};
use tidegate_model::{Signal, TableSpec, UnixNanos};
use twox_hash::XxHash3_64;

use tidegate_templates::{Miner, Settings};

use super::{OVERFLOW, Reducer, Registry, Templates, count};
use crate::buffer::{Rows, merge};
use crate::ingest::otlp::tests::generate::Generator;
use crate::ingest::otlp::{Decoded, decode_counted};

/// 2026-11-21T05:00:00Z.
const RECEIVED: UnixNanos = UnixNanos(1_795_237_200_000_000_000);
const HOUR: i64 = 3_600_000_000_000;

/// Signal, name, service, hour, partition.
type Who = (String, String, String, i64, u16);

#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    records: u64,
    bytes: u64,
    times: BTreeSet<i64>,
    distinct: BTreeSet<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    signals: BTreeMap<Who, Counted>,
    /// By scope and key beside.
    attributes: BTreeMap<(Who, String, String), Counted>,
}

#[test]
fn every_number_is_that_of_a_recount() {
    for seed in 0..150 {
        let mut draw = StdRng::seed_from_u64(seed);
        let registry = Registry::default();
        let (mut counts, mut counted) = (Counts::default(), BTreeMap::<String, Vec<RecordBatch>>::new());
        for (at, signal) in Signal::ALL.into_iter().cycle().take(7).enumerate() {
            let request = request(signal, seed * 10 + at as u64);
            let mut reducer = Some(Reducer::new(&registry));
            let decoded = decode_counted(signal, &request, RECEIVED, &|_| false, &mut reducer).expect("a request");
            let mut reducer = reducer.expect("it is there");
            count(&mut reducer, &decoded.rows).expect("rows that can be counted");
            let (rows, learned) = reducer.finish().expect("the rows of the catalogue");
            registry.learn(learned);
            counts.recount(signal, &decoded);
            rows.into_iter().for_each(|rows| counted.entry(rows.table.to_string()).or_default().push(rows.rows));
        }
        let texts = texts_of(counted.get("catalog_values").map_or(&[], Vec::as_slice));
        let merged = |spec: &TableSpec, draw: &mut StdRng| {
            let batches = counted.get(spec.name.as_str()).cloned().unwrap_or_default();
            merge_in_pieces(batches, spec, draw)
        };
        let signals = merged(&CATALOG_SIGNALS, &mut draw);
        let attributes = merged(&CATALOG_ATTRIBUTES, &mut draw);
        compare(&counts, signals.as_ref(), attributes.as_ref(), &texts);
    }
}

#[test]
fn what_is_past_a_limit_is_counted_together() {
    let registry = Registry::default();
    let mut reducer = Reducer::new(&registry);
    let names = 3 * tidegate_model::limits::CATALOG_GROUPS_PER_REQUEST;
    for n in 0..names {
        let name = format!("name-{n}");
        let who = super::Who {
            signal: Signal::Logs,
            name: name.as_bytes(),
            template_id: 0,
            service: b"attacker",
            timestamp: RECEIVED.0,
            partition: 20_778,
        };
        reducer.begin(&who, 0);
        for key in 0..20 {
            reducer.attribute(super::Place::Attribute, format!("{name}-{key}").as_bytes(), b"value");
        }
    }
    let (rows, _) = reducer.finish().expect("the rows of the catalogue");
    let table = |name: &str| rows.iter().find(|rows| rows.table.as_str() == name).map(|rows| rows.rows.clone());
    let (signals, attributes) = (table("catalog_signals").expect("rows"), table("catalog_attributes").expect("rows"));
    assert!(signals.num_rows() <= tidegate_model::limits::CATALOG_GROUPS_PER_REQUEST + 1);
    assert!(attributes.num_rows() <= 2 * tidegate_model::limits::CATALOG_ATTRIBUTES_PER_REQUEST);
    let sum = |rows: &RecordBatch| numbers(rows, "records").iter().sum::<u64>();
    assert_eq!((sum(&signals), sum(&attributes)), (names as u64, 20 * names as u64));
    let overflow = (0..signals.num_rows()).find(|row| word(&signals, "name", *row) == OVERFLOW).expect("an overflow");
    assert!(numbers(&signals, "records")[overflow] > 1);
}

#[test]
fn an_example_survives_empty_bodies_before_and_behind_it() {
    let registry = Registry::default();
    let request = |bodies: &[&str]| {
        let mut reducer = Reducer::new(&registry);
        for body in bodies {
            let who = super::Who {
                signal: Signal::Logs,
                name: b"INFO",
                template_id: 1,
                service: b"shop",
                timestamp: RECEIVED.0,
                partition: 20_778,
            };
            reducer.begin(&who, body.len());
            reducer.example(body.as_bytes());
        }
        let (rows, _) = reducer.finish().expect("the rows of the catalogue");
        rows.into_iter().find(|rows| rows.table == CATALOG_SIGNALS.name).expect("a row").rows
    };
    let example =
        |rows: &RecordBatch| rows.column_by_name("example").expect("the column").as_string::<i32>().value(0).to_owned();
    let one = request(&["", "b", "a", ""]);
    assert_eq!(example(&one), "b");
    let merged = merge(&[request(&[""]), one, request(&["", ""])], &CATALOG_SIGNALS).expect("rows that merge");
    assert_eq!((merged.num_rows(), example(&merged)), (1, "b".to_owned()));
}

#[test]
fn a_value_is_told_once_and_again_when_its_request_failed() {
    let registry = Registry::default();
    let values_of = |fails: bool| {
        let request = request(Signal::Logs, 3);
        let mut reducer = Some(Reducer::new(&registry));
        let decoded = decode_counted(Signal::Logs, &request, RECEIVED, &|_| false, &mut reducer).expect("a request");
        let mut reducer = reducer.expect("it is there");
        count(&mut reducer, &decoded.rows).expect("rows that can be counted");
        let (rows, learned) = reducer.finish().expect("the rows of the catalogue");
        if !fails {
            registry.learn(learned);
        }
        rows.iter().find(|rows| rows.table == CATALOG_VALUES.name).map_or(0, |rows| rows.rows.num_rows())
    };
    let first = values_of(true);
    assert!(first > 0);
    assert_eq!([values_of(false), values_of(false)], [first, 0]);
}

fn request(signal: Signal, seed: u64) -> Vec<u8> {
    let mut generator = Generator::new(seed);
    match signal {
        Signal::Logs => generator.logs().encode_to_vec(),
        Signal::Traces => generator.traces().encode_to_vec(),
        Signal::Metrics => generator.metrics().encode_to_vec(),
    }
}

/// Merges some of the batches before the others, as batches and ClickHouse's own merges do.
fn merge_in_pieces(mut batches: Vec<RecordBatch>, spec: &TableSpec, draw: &mut StdRng) -> Option<RecordBatch> {
    while batches.len() > 1 {
        let at = draw.random_range(0..batches.len() - 1);
        let pair = [batches.remove(at), batches.remove(at)];
        batches.push(merge(&pair, spec).expect("rows that merge"));
    }
    batches.pop().map(|rows| merge(&[rows], spec).expect("rows that merge"))
}

fn compare(
    counts: &Counts,
    signals: Option<&RecordBatch>,
    attributes: Option<&RecordBatch>,
    texts: &HashMap<u64, String>,
) {
    let mut rows = 0;
    for (batch, row) in signals.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row))) {
        rows += 1;
        let who = who(batch, row);
        let counted = &counts.signals[&who];
        assert_eq!(numbers(batch, "records")[row], counted.records, "{who:?}");
        assert_eq!(span(batch, row), (counted.times.first().copied(), counted.times.last().copied()), "{who:?}");
        assert_eq!(hashes(batch, "series", row).len(), counted.distinct.len(), "{who:?}");
    }
    assert_eq!(rows, counts.signals.len());
    rows = 0;
    for (batch, row) in attributes.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row))) {
        rows += 1;
        let key = (who(batch, row), word(batch, "scope", row), word(batch, "key", row));
        let counted = &counts.attributes[&key];
        assert_eq!(numbers(batch, "records")[row], counted.records, "{key:?}");
        assert_eq!(numbers(batch, "bytes")[row], counted.bytes, "{key:?}");
        assert_eq!(span(batch, row), (counted.times.first().copied(), counted.times.last().copied()), "{key:?}");
        let known: BTreeSet<u64> = hashes(batch, "value_hashes", row).into_iter().collect();
        let values = counted.distinct.iter().map(|value| (XxHash3_64::oneshot(value.as_bytes()), value));
        assert_eq!(known, values.clone().map(|(hash, _)| hash).collect(), "{key:?}");
        for (hash, value) in values {
            let text = &texts[&hash];
            assert!(
                value.starts_with(text.as_str()) && text.len() >= value.len().min(1_000),
                "{value} is told as {text}"
            );
        }
    }
    assert_eq!(rows, counts.attributes.len());
}

impl Counts {
    fn recount(&mut self, signal: Signal, decoded: &Decoded) {
        let series = decoded.series.as_ref().map(|series| &series.rows);
        let places: HashMap<u64, usize> = series
            .map(|series| numbers(series, "fingerprint").into_iter().enumerate().map(|(row, id)| (id, row)).collect())
            .unwrap_or_default();
        for Rows { rows, .. } in &decoded.rows {
            for row in 0..rows.num_rows() {
                let name = match signal {
                    Signal::Logs => Some(word(rows, "severity_text", row)).filter(|name| !name.is_empty()),
                    Signal::Traces => Some(word(rows, "name", row)),
                    Signal::Metrics => Some(word(rows, "metric_name", row)),
                };
                let name = name.unwrap_or_else(|| "UNSET".into());
                let time = column(rows, "timestamp").as_primitive::<TimestampNanosecondType>().value(row);
                let partition = column(rows, TableSpec::PARTITION).as_primitive::<UInt16Type>().value(row);
                let hour = if partition == 0 { 0 } else { time - time.rem_euclid(HOUR) };
                let service = word(rows, "service_name", row);
                let who = (signal.to_string(), name, service, hour, partition);
                let (origin, at) = match series {
                    Some(series) => (series, places[&numbers(rows, "fingerprint")[row]]),
                    None => (rows, row),
                };
                let counted = self.signals.entry(who.clone()).or_default();
                counted.records += 1;
                counted.times.insert(time);
                if signal == Signal::Metrics {
                    counted.distinct.insert(numbers(rows, "fingerprint")[row].to_string());
                }
                let mut entries = entries(column(origin, "attributes"), at, "attribute");
                entries.extend(entries_of(origin, "resource_attributes", at, "resource"));
                entries.extend(entries_of(origin, "scope_attributes", at, "scope"));
                if signal == Signal::Traces {
                    entries.extend(nested(rows, "event_attributes", row, "event"));
                    entries.extend(nested(rows, "link_attributes", row, "link"));
                }
                for (scope, key, value) in entries {
                    let counted = self.attributes.entry((who.clone(), scope.to_owned(), key.clone())).or_default();
                    counted.records += 1;
                    counted.bytes += (key.len() + value.len()) as u64;
                    counted.times.insert(time);
                    counted.distinct.insert(value);
                }
            }
        }
    }
}

fn texts_of(values: &[RecordBatch]) -> HashMap<u64, String> {
    let of = |batch: &RecordBatch| -> Vec<(u64, String)> {
        let texts = column(batch, "value").as_string::<i32>().clone();
        let texts = texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect::<Vec<_>>();
        numbers(batch, "value_hash").into_iter().zip(texts).collect()
    };
    values.iter().flat_map(of).collect()
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    rows.column_by_name(name).expect("a column")
}

fn numbers(rows: &RecordBatch, name: &str) -> Vec<u64> {
    column(rows, name).as_primitive::<UInt64Type>().values().to_vec()
}

fn word(rows: &RecordBatch, name: &str, row: usize) -> String {
    let words = column(rows, name).as_dictionary::<Int32Type>();
    words.values().as_string::<i32>().value(words.key(row).expect("a word")).to_owned()
}

fn hashes(rows: &RecordBatch, name: &str, row: usize) -> Vec<u64> {
    column(rows, name).as_list::<i32>().value(row).as_primitive::<UInt64Type>().values().to_vec()
}

fn span(rows: &RecordBatch, row: usize) -> (Option<i64>, Option<i64>) {
    let at = |name| Some(column(rows, name).as_primitive::<TimestampNanosecondType>().value(row));
    (at("first_timestamp"), at("last_timestamp"))
}

fn who(rows: &RecordBatch, row: usize) -> Who {
    let hour = column(rows, "hour").as_primitive::<TimestampNanosecondType>().value(row);
    let partition = column(rows, TableSpec::PARTITION).as_primitive::<UInt16Type>().value(row);
    (word(rows, "signal", row), word(rows, "name", row), word(rows, "service_name", row), hour, partition)
}

type Entry = (&'static str, String, String);

fn entries_of(rows: &RecordBatch, name: &str, row: usize, scope: &'static str) -> Vec<Entry> {
    entries(column(rows, name), row, scope)
}

fn entries(maps: &ArrayRef, row: usize, scope: &'static str) -> Vec<Entry> {
    let (maps, row) = match maps.as_dictionary_opt::<Int32Type>() {
        Some(shared) => (shared.values(), shared.key(row).expect("a map")),
        None => (maps, row),
    };
    let map = maps.as_map().value(row);
    let keys = map.column(0).as_dictionary::<Int32Type>();
    let (texts, values) = (keys.values().as_string::<i32>(), map.column(1).as_string::<i32>());
    let entry = |at: usize| (scope, texts.value(keys.key(at).expect("a key")).to_owned(), values.value(at).to_owned());
    (0..map.len()).map(entry).collect()
}

fn nested(rows: &RecordBatch, name: &str, row: usize, scope: &'static str) -> Vec<Entry> {
    let maps = column(rows, name).as_list::<i32>().value(row);
    (0..maps.len()).flat_map(|item| entries(&maps, item, scope)).collect()
}

#[test]
fn a_template_is_told_until_somebody_who_told_it_is_durable() {
    let templates = Templates::new(Miner::new(Settings::default()).expect("a miner"));
    let mine = |seed| {
        let request = request(Signal::Logs, seed);
        let mut decoded = decode_counted(Signal::Logs, &request, RECEIVED, &|_| true, &mut None).expect("a request");
        let told = templates.mine(&mut decoded.rows, RECEIVED).expect("rows with bodies");
        let table = |name: &str| decoded.rows.iter().find(|rows| rows.table.as_str() == name).map(|rows| &rows.rows);
        let used: BTreeSet<u64> =
            table("logs").map(|logs| numbers(logs, "template_id")).into_iter().flatten().collect();
        let texts = table("log_templates").map(|rows| numbers(rows, "template_id")).unwrap_or_default();
        (told, used, texts.into_iter().collect::<BTreeSet<u64>>())
    };
    let (_failed, used, texts) = mine(3);
    assert!(!used.is_empty() && used.is_subset(&texts));
    let (durable, _, again) = mine(3);
    assert!(texts.is_subset(&again), "the first request may fail: the second one tells the same");
    assert!(templates.export().is_none(), "a restart would take as told what may be lost");
    templates.learn(&durable);
    assert!(templates.export().is_some());
    assert_eq!(mine(3).2, BTreeSet::new());
}
