//! Searches in log records read the granules that an index leaves, and no others; records from before the indexes are
//! found as well.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray, TimestampNanosecondArray};
use tidegate_core::query::telemetry::{Asking, Paging, RecordFilter, RecordKind};
use tidegate_model::tables;

use crate::query::Reads;
use crate::rows::{DAY, append, maps, rows, words};
use crate::world::{LIMIT, World};

const ROWS: u64 = 60_000;
/// The granules of so many rows, at least: a short last one may be part of the one before.
const GRANULES: u64 = ROWS / 8_192;
/// The one record that searches look for.
const WANTED: u64 = 41_007;

/// Returns the records from one number on. `open` is `true` in some and `admin` in all of them, so a search for the value
/// of one of them alone would read everything.
async fn append_records(reads: &Reads, from: u64, count: u64) {
    let numbers = || from..from + count;
    let times = numbers().map(|n| i64::from(DAY) * 86_400_000_000_000 + i64::try_from(n).expect("few"));
    let own = |n: u64| {
        vec![("id", n.to_string()), ("open", n.is_multiple_of(2).to_string()), ("admin", (n == WANTED).to_string())]
    };
    let host = |n: u64| vec![("host.name", if n == WANTED { "odd" } else { "even" }.to_owned())];
    let given: [(&str, ArrayRef); 5] = [
        ("timestamp", Arc::new(TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("service_name", words(&vec!["a"; usize::try_from(count).expect("few")])),
        ("body", Arc::new(StringArray::from_iter_values(numbers().map(|n| format!("Request R{n}x is done"))))),
        ("attributes", maps(numbers().map(own))),
        ("resource_attributes", shared(maps(numbers().map(host)))),
    ];
    let days = vec![DAY; usize::try_from(count).expect("few")];
    append(&reads.states.buffer, &tables::LOGS, rows(&tables::LOGS, &days, &given)).await;
}

/// Each record has a resource of its own.
fn shared(maps: ArrayRef) -> ArrayRef {
    let keys = arrow_array::Int32Array::from_iter_values(0..i32::try_from(maps.len()).expect("few"));
    Arc::new(arrow_array::DictionaryArray::new(keys, maps))
}

/// What is asked for: all of it means the one record.
fn searches() -> Vec<(&'static str, RecordFilter)> {
    let has = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    let id = WANTED.to_string();
    vec![
        ("a word", RecordFilter::default().with_text(&format!("r{WANTED}X request")).expect("words")),
        ("an attribute", RecordFilter { attributes: has("id", &id), ..RecordFilter::default() }),
        ("a value that others have, too", RecordFilter { attributes: has("admin", "true"), ..RecordFilter::default() }),
        ("an attribute of the resource", RecordFilter { resource: has("host.name", "odd"), ..RecordFilter::default() }),
    ]
}

/// Asks for a page, and counts; returns what was found, and how many granules each of both read.
async fn search(reads: &Reads, filter: &RecordFilter) -> (Vec<u64>, [u64; 2]) {
    static IDS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let asking = || Asking {
        query_id: format!("search-{}", IDS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
        ..Asking::default()
    };
    let paging = Paging { limit: 10, ..Paging::default() };
    forget(&reads.world).await;
    let before = granules(&reads.world).await;
    let page = reads.query.records(RecordKind::Logs, filter, (&paging, &asking())).await.expect("a page");
    let between = granules(&reads.world).await;
    forget(&reads.world).await;
    let stats = reads.query.record_stats(RecordKind::Logs, filter, &asking()).await.expect("a count");
    let after = granules(&reads.world).await;
    let found: Vec<_> = page.rows.iter().filter_map(|row| row["context"]["id"].as_str()?.parse().ok()).collect();
    assert_eq!(stats.total, found.len() as u64);
    (found, [between - before, after - between])
}

/// Lets the engine forget where it found nothing: it would not look there again, with an index or without.
async fn forget(world: &World) {
    world.store.execute("SYSTEM DROP QUERY CONDITION CACHE").await.expect("it forgets");
}

/// How many granules the engine has read for queries since it began.
async fn granules(world: &World) -> u64 {
    world.number("SELECT sum(value) FROM system.events WHERE event = 'SelectedMarks'").await
}

#[tokio::test]
async fn a_search_reads_what_its_index_leaves_also_beside_hot_rows() {
    let reads = Reads::new().await;
    append_records(&reads, 0, ROWS).await;
    reads.store_all(&tables::LOGS).await;
    for is_hot in [false, true] {
        if is_hot {
            append_records(&reads, ROWS, 100).await;
        }
        for (what, filter) in searches() {
            let (found, read) = search(&reads, &filter).await;
            assert_eq!(found, [WANTED], "{what}, beside hot rows: {is_hot}");
            assert!(
                read.iter().all(|read| *read <= 2),
                "{what} reads {read:?} of {GRANULES}, beside hot rows: {is_hot}"
            );
        }
    }
    let none = RecordFilter { attributes: vec![("open".to_owned(), WANTED.to_string())], ..RecordFilter::default() };
    let (found, read) = search(&reads, &none).await;
    assert!(found.is_empty() && read.iter().all(|read| *read <= 2), "{found:?} {read:?}");
    reads.world.engine.stop().await;
}

#[tokio::test]
async fn records_from_before_the_indexes_are_found_and_indexed_later() {
    let reads = Reads::new().await;
    let store = &reads.world.store;
    for index in ["body_words", "attribute_pairs", "resource_pairs"] {
        store.execute(&format!("ALTER TABLE tidegate.logs DROP INDEX {index}")).await.expect("an earlier table");
    }
    let earlier = "ALTER TABLE tidegate.tidegate_schema DELETE WHERE version >= 7 SETTINGS mutations_sync = 2";
    store.execute(earlier).await.expect("an earlier version");
    append_records(&reads, 0, ROWS).await;
    reads.store_all(&tables::LOGS).await;
    for (what, filter) in searches() {
        let (found, read) = search(&reads, &filter).await;
        assert_eq!(found, [WANTED], "{what}");
        // A value that no other record has is found by its older index.
        let is_read = what == "an attribute" || read.iter().all(|read| *read >= GRANULES);
        assert!(is_read, "{what} has no index and reads {read:?}");
    }
    store.migrate().await.expect("the indexes");
    for (what, filter) in searches() {
        assert_eq!(search(&reads, &filter).await.0, [WANTED], "{what}, while they are made");
    }
    let open = "SELECT count() FROM system.mutations WHERE database = 'tidegate' AND NOT is_done";
    let done = async { while reads.world.number(open).await > 0 {} };
    tokio::time::timeout(LIMIT, done).await.expect("the indexes are made");
    for (what, filter) in searches() {
        let (found, read) = search(&reads, &filter).await;
        assert_eq!(found, [WANTED], "{what}");
        assert!(read.iter().all(|read| *read <= 2), "{what} reads {read:?} of {GRANULES}");
    }
    reads.world.engine.stop().await;
}
