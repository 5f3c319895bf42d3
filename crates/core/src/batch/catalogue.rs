use arrow_array::RecordBatch;
use tidegate_model::tables::METRIC_SERIES;
use tidegate_model::{BatchId, Seq, TableSpec};

use super::encode::constant_seq;
use super::mover::States;
use super::{BatchError, blocking};
use crate::buffer::Cut;
use crate::rollup::totals::by_table;
use crate::rollup::{Counted, Descriptions, Learned, Part, Reducer, Rollup};

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
    let (mut reducer, series) = reduced(rollup, states, cut).await?;
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
    let (table, last) = (&cut.table, cut.range.last);
    let added = if counted >= last {
        Ok(())
    } else if counted.next() == cut.range.first {
        let rows = beside.inserts.iter().map(|insert| (&insert.spec.name, &insert.rows));
        turn.add([(table.clone(), last)], rows).map_err(BatchError::from)
    } else {
        let parts = rest(rollup, states, cut, counted).await;
        parts.and_then(|parts| Ok(turn.add([(table.clone(), last)], by_table(&parts))?))
    };
    if let Err(error) = added {
        tracing::warn!(%table, error = &error as &dyn std::error::Error, "the totals in memory are dropped and read anew");
        turn.forget();
    }
}

/// Counts what readers have not counted yet of a cut.
async fn rest(rollup: &Rollup, states: &States, cut: &Cut, counted: Seq) -> Result<Vec<Part>, BatchError> {
    let chunks = cut.chunks.iter().filter(|chunk| chunk.range.last > counted);
    let chunks = chunks.map(|chunk| chunk.clone().above(counted)).collect();
    let (mut reducer, series) = reduced(rollup, states, Cut { chunks, ..cut.clone() }).await?;
    let rollup = rollup.clone();
    Ok(blocking(move || rollup.look(&mut reducer, &series)).await?)
}

async fn reduced(rollup: &Rollup, states: &States, cut: Cut) -> Result<(Reducer, Descriptions), BatchError> {
    let (mut reducer, table) = (rollup.reducer(), cut.table.clone());
    let reducer = blocking(move || {
        for chunk in &cut.chunks {
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
