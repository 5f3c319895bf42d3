use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{BooleanArray, RecordBatch, cast::AsArray};
use arrow_select::filter::filter_record_batch;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::target::{RANGES, Shape, Sum, day_of, range_of};
use crate::migrate::files::Range;
use crate::migrate::postgres::Moving;
use crate::migrate::postgres::link::Link;
use crate::migrate::postgres::map::Map;
use crate::migrate::postgres::table::{Leaf, Table};
use crate::migrate::progress::Progress;

/// What one reading is for.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// Sums of all ranges, and about so many rows to be looked at.
    All { spots: u64 },
    /// The rows of ranges.
    Of(HashSet<usize>),
}

/// What the source's rows came to.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) sums: Vec<Sum>,
    pub(super) rows: u64,
    /// Rows that a dataset cannot hold.
    pub(super) rejected: u64,
    /// Rows by day since 1970.
    pub(super) days: BTreeMap<i64, u64>,
    pub(super) kept: Vec<Kept>,
}

/// Rows that are to be compared by their values.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) rows: RecordBatch,
    pub(super) keys: Vec<u64>,
    pub(super) hashes: Vec<u64>,
}

struct Work {
    table: Table,
    map: Map,
    snapshot: String,
    wanted: Wanted,
    /// Rows of each piece that are looked at.
    spots_each: usize,
    seed: u64,
    pieces: Mutex<VecDeque<(Leaf, Range)>>,
}

/// Reads every row in one snapshot.
pub(super) async fn read(moving: &Moving, shape: &Arc<Shape>, (workers, wanted): (usize, Wanted)) -> Result<Tally> {
    let mut link = moving.address.clone().link();
    let snapshot = link.snapshot().await?;
    // Sizes from inside of the snapshot: what is in it is in these blocks.
    let table = Table::find(&mut moving.address.clone().link(), &moving.origin.table, &moving.origin.key).await?;
    let mut pieces = VecDeque::new();
    for leaf in &table.leaves {
        let (blocks, at_once) = (leaf.blocks, leaf.blocks_at_once);
        let ranges = (0..blocks.div_ceil(at_once))
            .map(|at| Range { first: at * at_once, rows: at_once.min(blocks - at * at_once) });
        pieces.extend(ranges.map(|range| (leaf.clone(), range)));
    }
    let mut progress = Progress::of("blocks", "compared", (table.leaves.iter().map(|leaf| leaf.blocks).sum(), 0));
    let spots = if let Wanted::All { spots } = wanted { spots } else { 0 };
    let spots_each = usize::try_from(spots.div_ceil(pieces.len().max(1) as u64))?;
    let map = moving.origin.map.clone();
    let work = Work { table, map, snapshot, wanted, spots_each, seed: rand::random(), pieces: Mutex::new(pieces) };
    let work = Arc::new(work);
    let mut all = Tally::new();
    let (outlet, mut inlet) = tokio::sync::mpsc::channel(workers.max(1));
    let mut tasks = JoinSet::new();
    for _ in 0..workers.max(1) {
        tasks.spawn(worker(moving.address.clone().link(), Arc::clone(&work), Arc::clone(shape), outlet.clone()));
    }
    drop(outlet);
    while let Some((tally, blocks)) = inlet.recv().await {
        all.add(tally);
        progress.add(blocks);
    }
    progress.end();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    link.close().await;
    Ok(all)
}

async fn worker(
    mut link: Link,
    work: Arc<Work>,
    shape: Arc<Shape>,
    outlet: tokio::sync::mpsc::Sender<(Tally, u64)>,
) -> Result<()> {
    loop {
        let Some((leaf, range)) = work.pieces.lock().await.pop_front() else { break };
        let mut reading = work.table.blocks(&work.map, &leaf, (range.first, range.rows), &shape.apart.source);
        reading.before = format!("SET TRANSACTION SNAPSHOT '{}'", work.snapshot);
        reading.after = None;
        let (decoded, _) = link.read(&reading).await?;
        let (own_work, own_shape) = (Arc::clone(&work), Arc::clone(&shape));
        let refused = decoded.refused.len() as u64;
        let tally = tokio::task::spawn_blocking(move || Tally::of(&own_work, &own_shape, &decoded.rows)).await??;
        let tally = Tally { rejected: tally.rejected + refused, ..tally };
        if outlet.send((tally, range.rows)).await.is_err() {
            break;
        }
    }
    link.close().await;
    Ok(())
}

impl Tally {
    fn new() -> Self {
        Self { sums: vec![Sum::default(); RANGES], rows: 0, rejected: 0, days: BTreeMap::new(), kept: Vec::new() }
    }

    fn of(work: &Work, shape: &Shape, batch: &RecordBatch) -> Result<Self> {
        let turned = shape.whole.turned(batch)?;
        let hashes = shape.whole.hashes(&turned.rows)?;
        let keys = shape.keys(&turned.rows)?;
        let mut tally = Self::new();
        tally.rows = keys.len() as u64;
        tally.rejected = turned.rejected.total();
        for (key, hash) in keys.iter().zip(&hashes) {
            let sum = &mut tally.sums[range_of(*key)];
            sum.rows += 1;
            sum.hash = sum.hash.wrapping_add(*hash);
        }
        let time = shape.whole.time_column.as_ref().and_then(|time| turned.rows.column_by_name(time));
        if let Some(times) = time.and_then(|times| times.as_primitive_opt::<TimestampNanosecondType>()) {
            for nanos in times.iter().flatten() {
                *tally.days.entry(day_of(nanos)).or_default() += 1;
            }
        }
        tally.keep(work, (turned.rows, keys, hashes))?;
        Ok(tally)
    }

    fn keep(&mut self, work: &Work, (rows, keys, hashes): (RecordBatch, Vec<u64>, Vec<u64>)) -> Result<()> {
        let kept: Vec<bool> = match &work.wanted {
            Wanted::All { .. } => chosen(&keys, work),
            Wanted::Of(ranges) => keys.iter().map(|key| ranges.contains(&range_of(*key))).collect(),
        };
        if !kept.contains(&true) {
            return Ok(());
        }
        let only =
            |all: Vec<u64>| all.into_iter().zip(&kept).filter(|(_, is_kept)| **is_kept).map(|(one, _)| one).collect();
        let (keys, hashes) = (only(keys), only(hashes));
        let rows = filter_record_batch(&rows, &BooleanArray::from(kept)).context("keep rows")?;
        self.kept.push(Kept { rows, keys, hashes });
        Ok(())
    }

    fn add(&mut self, other: Self) {
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            sum.rows += more.rows;
            sum.hash = sum.hash.wrapping_add(more.hash);
        }
        self.rows += other.rows;
        self.rejected += other.rejected;
        for (day, rows) in other.days {
            *self.days.entry(day).or_default() += rows;
        }
        self.kept.extend(other.kept);
    }
}

/// Chooses a few rows, other ones each time.
fn chosen(keys: &[u64], work: &Work) -> Vec<bool> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    let few = work.spots_each.min(order.len());
    if few < order.len() {
        order.select_nth_unstable_by_key(few, |at| mixed(keys[*at] ^ work.seed));
    }
    let mut kept = vec![false; keys.len()];
    order.into_iter().take(few).for_each(|at| kept[at] = true);
    kept
}

/// Spreads the bits of a number (the end of SplitMix64).
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
