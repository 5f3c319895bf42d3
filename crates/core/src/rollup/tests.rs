//! Every number of the catalogue must be what a plain recount over the raw rows gives.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType, UInt16Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ops::Range;

use arrow_schema::ArrowError;
use tidegate_model::limits::{CATALOG_HIGH_CARDINALITY, CATALOG_KEYS_MAX, CATALOG_SERVICES_MAX};
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES, LOGS, METRIC_SERIES};
use tidegate_model::{Seq, SeqRange, Signal, TableSpec, UnixNanos};
use twox_hash::XxHash3_64;

use super::reducer::{Place, Tally, Who};
use super::totals::{self, Catalogue, Hashes, Item, Word, by_table, distinct};
use super::{Descriptions, OVERFLOW, Reducer, Rollup, signal_of};
use crate::buffer::{Rows, merge};
use crate::ingest::events;
use crate::ingest::otlp::tests::generate::Generator;
use crate::ingest::otlp::{Decoded, decode};

/// 2026-11-21T05:00:00Z.
const RECEIVED: UnixNanos = UnixNanos(1_795_237_200_000_000_000);
const HOUR: i64 = 3_600_000_000_000;
/// Services, or items, taken together.
const ALL: &str = "*";

/// Signal, name, service, hour, partition.
type Group = (String, String, String, i64, u16);

#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    records: u64,
    bytes: u64,
    times: BTreeSet<i64>,
    distinct: BTreeSet<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    signals: BTreeMap<Group, Counted>,
    /// By scope and key beside.
    attributes: BTreeMap<(Group, String, String), Counted>,
}

#[test]
fn every_number_is_that_of_a_recount() {
    for seed in 0..150 {
        let mut draw = StdRng::seed_from_u64(seed);
        let rollup = Rollup::default();
        let (mut counts, mut counted) = (Counts::default(), BTreeMap::<String, Vec<RecordBatch>>::new());
        let (mut decoded, mut catalogue) = (Vec::new(), Catalogue::default());
        for (at, signal) in Signal::ALL.into_iter().cycle().take(7).enumerate() {
            let request = request(signal, seed * 10 + at as u64);
            decoded.push(decode(signal, &request, RECEIVED, &|_| false).expect("a request"));
            counts.recount(signal, &decoded[at]);
            events::part(&mut decoded[at].rows).expect("events are told from other log records");
        }
        let learned = draw.random_bool(0.5);
        let mut by_signal = BTreeMap::<Signal, Reducer>::new();
        for cut in cuts(&decoded, &mut draw) {
            let mut reducer = rollup.reducer();
            for rows in &cut {
                let at_once = by_signal.entry(signal_of(&rows.table)).or_insert_with(|| rollup.reducer());
                for reducer in [&mut reducer, at_once] {
                    reducer.count(&rows.table, &rows.rows).expect("rows that can be counted");
                }
            }
            let (series, unknown) = rollup.describe(reducer.fingerprints());
            assert_eq!(unknown, Vec::<u64>::new(), "their rows came before them");
            let made = rollup.seal(&mut reducer, &series).expect("the rows of the catalogue");
            if learned {
                rollup.stored(made.learned);
            }
            by_table(&made.parts).for_each(|(table, rows)| catalogue.add(table, rows).expect("rows of the catalogue"));
            made.parts
                .into_iter()
                .for_each(|part| counted.entry(part.spec.name.to_string()).or_default().push(part.rows));
            for rows in cut.iter().filter(|rows| rows.table == METRIC_SERIES.name) {
                let range = SeqRange::starting_at(rollup.series_learned().next(), rows.rows.num_rows() as u64);
                rollup.learn_series(range, &rows.rows).expect("series");
            }
        }
        let texts = texts_of(counted.get("catalog_values").map_or(&[], Vec::as_slice));
        let merged = |spec: &TableSpec, draw: &mut StdRng| {
            let batches = counted.get(spec.name.as_str()).cloned().unwrap_or_default();
            merge_in_pieces(batches, spec, draw)
        };
        let signals = merged(&CATALOG_SIGNALS, &mut draw);
        let attributes = merged(&CATALOG_ATTRIBUTES, &mut draw);
        compare(&counts, signals.as_ref(), attributes.as_ref(), &texts);
        compare_in_memory(&counts, &catalogue);
        // A reader counts the rows of all tables of a signal at once.
        let mut at_once = Catalogue::default();
        for mut all in by_signal.into_values() {
            let series = rollup.describe(all.fingerprints()).0;
            let parts = rollup.look(&mut all, &series).expect("the rows of the catalogue");
            by_table(&parts).for_each(|(table, rows)| at_once.add(table, rows).expect("rows of the catalogue"));
        }
        compare_in_memory(&counts, &at_once);
        catalogue.items().for_each(|(signal, name, item)| summary_agrees(&catalogue, [signal, name], item));
        assert!(catalogue.fits(usize::MAX) && !catalogue.fits(0), "names alone take room");
        let spilled =
            |item: &Item| item.attributes.iter().all(|own| own.counted.values.count().is_none_or(|few| few <= 32));
        assert!(catalogue.items().all(|(_, _, item)| spilled(item)), "large sets give way first");
    }
}

/// In memory the hours are one: of each service, of all services, and of all items.
fn compare_in_memory(counts: &Counts, catalogue: &Catalogue) {
    type By<'a> = [&'a str; 5];
    type Sum<'a> = (u64, u64, i64, i64, Vec<&'a Hashes>);
    let mut found: BTreeMap<By<'_>, Sum<'_>> = BTreeMap::new();
    let mut add = |by, (records, bytes, first, last, set)| {
        let all = found.entry(by).or_insert_with(|| (0, 0, i64::MAX, i64::MIN, Vec::new()));
        *all = (all.0 + records, all.1 + bytes, all.2.min(first), all.3.max(last), std::mem::take(&mut all.4));
        all.4.push(set);
    };
    let word = |word| catalogue.text(word);
    for (signal, name, item) in catalogue.items() {
        for own in &item.sources {
            let by = [word(signal), word(name), word(own.service), "", ""];
            add(by, (own.records, own.bytes, own.first, own.last, &own.series));
        }
        for own in &item.attributes {
            let by = [word(signal), word(name), word(own.service), word(own.scope), word(own.key)];
            add(by, numbers_of(&own.counted));
        }
        for (scope, key, counted) in item.places() {
            add([word(signal), word(name), ALL, word(scope), word(key)], numbers_of(counted));
        }
    }
    for ([signal, scope, key], counted) in catalogue.keys() {
        add([word(signal), ALL, ALL, word(scope), word(key)], numbers_of(counted));
    }
    let mut expected: BTreeMap<By<'_>, Counted> = BTreeMap::new();
    let mut series = BTreeSet::new();
    let mut expect = |by, counted: &Counted| {
        let all = expected.entry(by).or_default();
        all.records += counted.records;
        all.bytes += counted.bytes;
        all.times.extend(&counted.times);
        all.distinct.extend(counted.distinct.iter().cloned());
    };
    for ((signal, name, service, ..), counted) in &counts.signals {
        expect([signal, name, service, "", ""], counted);
        series.extend(&counted.distinct);
    }
    for (((signal, name, service, ..), scope, key), counted) in &counts.attributes {
        let [signal, name, service] = [signal, name, service].map(String::as_str);
        for by in [[signal, name, service], [signal, name, ALL], [signal, ALL, ALL]] {
            expect([by[0], by[1], by[2], scope, key], counted);
        }
    }
    assert_eq!(catalogue.series().count(), Some(series.len() as u64));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (by, counted) in expected {
        let (records, bytes, first, last, sets) = &found[&by];
        assert_eq!(*records, counted.records, "{by:?}");
        assert!(by[3].is_empty() || *bytes == counted.bytes, "{by:?}: {bytes} bytes, {counted:?}");
        assert_eq!((Some(first), Some(last)), (counted.times.first(), counted.times.last()), "{by:?}");
        assert_eq!(distinct(sets.iter().copied()), Some(counted.distinct.len() as u64), "{by:?}");
    }
}

/// What an item's summary says is what its places and sources come to.
fn summary_agrees(catalogue: &Catalogue, [signal, name]: [Word; 2], item: &Item) {
    let summary = &item.summary;
    let count = |own: &totals::Counted| own.values.count().expect("nothing was given up");
    let most = |scopes: &[&str], of: &dyn Fn(&totals::Counted) -> u64| {
        let own = item.places().filter(|(scope, ..)| scopes.contains(&catalogue.text(*scope)));
        own.map(|(_, _, own)| of(own)).max().unwrap_or(0)
    };
    let scopes = ["attribute", "resource", "event", "link"];
    let keys = scopes.map(|scope| item.places().filter(|(own, ..)| catalogue.text(*own) == scope).count() as u64);
    assert_eq!((summary.keys, summary.is_spilled), (keys, false));
    assert_eq!(summary.top, item.places().map(|(_, _, own)| count(own)).max().unwrap_or(0));
    assert_eq!((summary.key_top, summary.key_records), (most(&scopes, &count), most(&scopes, &|own| own.records)));
    let high = item
        .places()
        .filter(|(scope, _, own)| scopes.contains(&catalogue.text(*scope)) && count(own) > CATALOG_HIGH_CARDINALITY);
    assert_eq!((summary.label_top, summary.high), (most(&scopes[..1], &count), high.count() as u64));
    let sources = &item.sources;
    assert_eq!(summary.records, sources.iter().map(|source| source.records).sum::<u64>());
    let times = (sources.iter().map(|source| source.first).min(), sources.iter().map(|source| source.last).max());
    assert_eq!((Some(summary.first), Some(summary.last)), times);
    let names = catalogue.names(catalogue.text(signal)).expect("names of the signal");
    assert!(names.has(catalogue.text(name)) && names.sorted().is_sorted());
    assert_eq!(names.sorted().len(), catalogue.items().filter(|(own, ..)| *own == signal).count());
}

fn numbers_of(own: &totals::Counted) -> (u64, u64, i64, i64, &Hashes) {
    (own.records, own.bytes, own.first, own.last, &own.values)
}

/// Cuts requests as batches do: each of one table, of whole requests; series before their points.
fn cuts(decoded: &[Decoded], draw: &mut StdRng) -> Vec<Vec<Rows>> {
    let mut cuts = Vec::new();
    let mut sources = Rollup::sources();
    sources.sort_by_key(|spec| spec.name != METRIC_SERIES.name);
    for spec in sources {
        let mut cut = Vec::new();
        let all = decoded.iter().flat_map(|decoded| decoded.rows.iter().chain(&decoded.series));
        for rows in all.filter(|rows| rows.table == spec.name) {
            cut.push(rows.clone());
            if draw.random_bool(0.4) {
                cuts.push(std::mem::take(&mut cut));
            }
        }
        cuts.extend((!cut.is_empty()).then_some(cut));
    }
    cuts
}

#[test]
fn hot_rows_are_counted_once_however_often_they_are_asked_for() {
    let rollup = Rollup::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let rows_of = |seed| {
        let decoded = decode(Signal::Logs, &request(Signal::Logs, seed), RECEIVED, &|_| true).expect("a request");
        decoded.rows.into_iter().find(|rows| rows.table == LOGS.name).map(|rows| rows.rows)
    };
    let pieces: Vec<(SeqRange, RecordBatch)> = (0..)
        .filter_map(rows_of)
        .scan(Seq::ZERO, |last, rows| {
            let range = SeqRange::starting_at(last.next(), rows.num_rows() as u64);
            *last = range.last;
            Some((range, rows))
        })
        .take(6)
        .collect();
    let records = |hot: Range<usize>| {
        let hot = &pieces[hot];
        let made = runtime.block_on(async {
            let mut turn = rollup.turn().await;
            let of = (|piece: &(SeqRange, RecordBatch)| piece.0, |piece: &(SeqRange, RecordBatch)| Ok(piece.1.clone()));
            turn.count::<_, ArrowError>(&LOGS.name, hot, of, || rollup.reducer()).expect("counted");
            turn.made(&LOGS.name, &Descriptions::new()).expect("rows")
        });
        let signals = made.iter().filter(|part| part.spec.name == CATALOG_SIGNALS.name);
        signals.flat_map(|part| numbers(&part.rows, "records")).sum::<u64>()
    };
    let rows = |hot: Range<usize>| pieces[hot].iter().map(|piece| piece.0.rows()).sum::<u64>();
    // Rows come, a batch is stored, rows come, everything is stored, rows come.
    for hot in [0..2, 0..2, 0..4, 2..4, 2..6, 6..6, 5..6] {
        assert_eq!(records(hot.clone()), rows(hot));
    }
}

#[test]
fn an_example_survives_empty_bodies_before_and_behind_it() {
    let of = |bodies: &[&str]| {
        let mut reducer = Rollup::default().reducer();
        let who = Who { signal: Signal::Logs, name: "INFO", template_id: 1, service: "shop", hour: 0, partition: 1 };
        let group = reducer.group(&who);
        bodies.iter().for_each(|body| reducer.groups[group].example(body));
        let made = reducer.finish(&Descriptions::new(), false).expect("the rows of the catalogue");
        made.parts.into_iter().find(|part| part.spec.name == CATALOG_SIGNALS.name).expect("a row").rows
    };
    let example =
        |rows: &RecordBatch| rows.column_by_name("example").expect("the column").as_string::<i32>().value(0).to_owned();
    let one = of(&["", "b", "a", ""]);
    assert_eq!(example(&one), "b");
    let merged = merge(&[of(&[""]), one, of(&["", ""])], &CATALOG_SIGNALS).expect("rows that merge");
    assert_eq!((merged.num_rows(), example(&merged)), (1, "b".to_owned()));
}

#[test]
fn what_is_past_a_limit_is_counted_together() {
    let rollup = Rollup::default();
    let mut reducer = rollup.reducer();
    let names = 3 * CATALOG_SERVICES_MAX;
    for n in 0..names {
        let service = format!("service-{n}");
        let who = Who { signal: Signal::Logs, name: "INFO", template_id: 0, service: &service, hour: 0, partition: 1 };
        let group = reducer.group(&who);
        let key = reducer.key(Place::Attribute, &format!("key-{n}"));
        reducer.attribute((group, 0), key, "value", &Tally::once(1));
    }
    let made = rollup.seal(&mut reducer, &Descriptions::new()).expect("the rows of the catalogue");
    let rows =
        |name: &str| made.parts.iter().find(|part| part.spec.name.as_str() == name).map(|part| part.rows.clone());
    let (signals, attributes) = (rows("catalog_signals").expect("rows"), rows("catalog_attributes").expect("rows"));
    assert_eq!(signals.num_rows(), CATALOG_SERVICES_MAX + 1);
    assert_eq!(numbers(&attributes, "records").iter().sum::<u64>(), names as u64);
    let overflow = (0..attributes.num_rows()).filter(|row| word(&attributes, "key", *row) == OVERFLOW);
    assert!(overflow.map(|row| numbers(&attributes, "records")[row]).sum::<u64>() >= (names - CATALOG_KEYS_MAX) as u64);
}

#[test]
fn a_value_is_told_once_and_again_when_its_batch_failed() {
    let rollup = Rollup::default();
    let values_of = |fails: bool| {
        let decoded = decode(Signal::Logs, &request(Signal::Logs, 3), RECEIVED, &|_| false).expect("a request");
        let mut reducer = rollup.reducer();
        decoded.rows.iter().for_each(|rows| reducer.count(&rows.table, &rows.rows).expect("rows"));
        let made = rollup.seal(&mut reducer, &Descriptions::new()).expect("the rows of the catalogue");
        if !fails {
            rollup.stored(made.learned);
        }
        made.parts.iter().filter(|part| part.spec.name == CATALOG_VALUES.name).map(|part| part.rows.num_rows()).sum()
    };
    let first: usize = values_of(true);
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

fn who(rows: &RecordBatch, row: usize) -> Group {
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
