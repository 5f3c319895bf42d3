use arrow_array::RecordBatch;
use tidegate_model::tables::METRIC_SERIES;
use tidegate_model::{BatchId, Seq, Signal, TableName, TableSpec};

use super::encode::constant_seq;
use super::mover::States;
use super::{BatchError, blocking};
use crate::buffer::{Chunk, Cut};
use crate::rollup::totals::{TotalsTurn, by_table};
use crate::rollup::{Counted, Descriptions, Learned, Reducer, Rollup, signal_of};

/// What a batch's rows make of the catalogue, ready to be inserted under the batch's tokens.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) inserts: Vec<BesideInsert>,
    pub(super) learned: Learned,
}

/// One insert: one table, one partition.
#[derive(Debug, Clone)]
pub(super) struct BesideInsert {
    pub(super) token: String,
    pub(super) spec: &'static TableSpec,
    /// With their `_seq`, which is the batch's last.
    pub(super) rows: RecordBatch,
}

impl BesideInsert {
    /// Returns what tells it apart: tokens are a table's own.
    pub(super) fn place(&self) -> String {
        format!("{} {}", self.spec.name, self.token)
    }
}

/// Counts a cut's rows.
pub(super) async fn count(rollup: &Rollup, states: &States, cut: Cut, id: BatchId) -> Result<Beside, BatchError> {
    let last = cut.range.last;
    let (mut reducer, series) = reduced(rollup, states, cut.table, cut.chunks).await?;
    let rollup = rollup.clone();
    let Counted { parts, learned } = blocking(move || rollup.seal(&mut reducer, &series)).await?;
    let inserts = parts.into_iter().map(|part| {
        let token = format!("{id}:{}", part.partition);
        Ok(BesideInsert { token, spec: part.spec, rows: constant_seq(part.rows, last)? })
    });
    Ok(Beside { inserts: inserts.collect::<Result<_, BatchError>>()?, learned })
}

/// Brings the totals in memory up to the end of a cut that is stored now; where that fails they are read anew.
pub(super) async fn settle(rollup: &Rollup, states: &States, cut: &Cut, beside: &Beside) {
    let Some(totals) = rollup.totals() else { return };
    let mut turn = totals.turn().await;
    turn.forget_if_unread();
    let Some(counted) = turn.counted(&cut.table) else { return };
    let added = async {
        let (table, last) = (&cut.table, cut.range.last);
        if counted >= last {
            return Ok(());
        }
        if *table != METRIC_SERIES.name && signal_of(table) == Signal::Metrics {
            // The texts of points' values come with their series, which may still be hot.
            for tail in states.buffer.snapshot(std::slice::from_ref(&METRIC_SERIES.name)) {
                rest(rollup, states, &mut turn, (&tail.table, tail.head), tail.chunks).await?;
            }
        }
        if counted.next() == cut.range.first {
            let rows = beside.inserts.iter().map(|insert| (&insert.spec.name, &insert.rows));
            return Ok(turn.add([(table.clone(), last)], rows)?);
        }
        rest(rollup, states, &mut turn, (table, last), cut.chunks.clone()).await
    };
    if let Err(error) = added.await {
        let table = &cut.table;
        tracing::warn!(%table, error = &error as &dyn std::error::Error, "the totals in memory are dropped and read anew");
        turn.forget();
    }
}

/// Adds what nobody has counted yet of some rows, up to the last of their table.
async fn rest(
    rollup: &Rollup,
    states: &States,
    turn: &mut TotalsTurn,
    (table, last): (&TableName, Seq),
    chunks: Vec<Chunk>,
) -> Result<(), BatchError> {
    let Some(counted) = turn.counted(table).filter(|counted| *counted < last) else { return Ok(()) };
    let chunks = chunks.into_iter().filter(|chunk| chunk.range.last > counted);
    let chunks = chunks.map(|chunk| chunk.above(counted)).collect();
    let (mut reducer, series) = reduced(rollup, states, table.clone(), chunks).await?;
    let rollup = rollup.clone();
    let parts = blocking(move || rollup.look(&mut reducer, &series)).await?;
    Ok(turn.add([(table.clone(), last)], by_table(&parts))?)
}

async fn reduced(
    rollup: &Rollup,
    states: &States,
    table: TableName,
    chunks: Vec<Chunk>,
) -> Result<(Reducer, Descriptions), BatchError> {
    let mut reducer = rollup.reducer();
    let reducer = blocking(move || {
        for chunk in &chunks {
            reducer.count(&table, &chunk.rows()?)?;
        }
        Ok::<_, BatchError>(reducer)
    });
    let reducer = reducer.await?;
    let series = described(rollup, states, reducer.fingerprints().collect()).await?;
    Ok((reducer, series))
}

/// Returns what is known of series: remembered, hot, or looked up.
async fn described(rollup: &Rollup, states: &States, fingerprints: Vec<u64>) -> Result<Descriptions, BatchError> {
    if fingerprints.is_empty() {
        return Ok(Descriptions::new());
    }
    // After the cut: a series' row comes with its first point, so by now it is hot, or it is stored.
    let tails = states.buffer.snapshot(std::slice::from_ref(&METRIC_SERIES.name));
    let learning = rollup.clone();
    let (mut known, unknown) = blocking(move || {
        for chunk in tails.iter().flat_map(|tail| &tail.chunks) {
            if chunk.range.last > learning.series_learned() {
                learning.learn_series(chunk.range, &chunk.rows()?)?;
            }
        }
        Ok::<_, BatchError>(learning.describe(fingerprints.into_iter()))
    })
    .await?;
    for sql in Rollup::lookups(states.store.database(), &unknown) {
        rollup.add_series(states.store.rows(&sql, &[]).await?, &mut known)?;
    }
    Ok(known)
}
