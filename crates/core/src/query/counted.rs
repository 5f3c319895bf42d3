//! What hot rows are, counted for a read of the catalogue: rows that go beside the stored ones of its tables.

use std::collections::{BTreeMap, HashMap};

use arrow_array::RecordBatch;
use tidegate_model::limits::{COUNTED_INLINE_ROWS, QUERY_HOT_BYTES_MAX};
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES, METRIC_SERIES};
use tidegate_model::{Seq, Signal, TableName, TableSpec};

use super::error::QueryError;
use crate::buffer::{Chunk, TableTail};
use crate::rollup::{Descriptions, Part, Reducer, Rollup, Turn, signal_of};
use crate::store::Store;

/// The rows that each table of the catalogue gets.
pub(super) type Counted = HashMap<TableName, Vec<RecordBatch>>;

/// Says whether a table has no rows of its own: they are counted from others' when a batch of those is stored.
pub(super) fn is_counted(spec: &TableSpec) -> bool {
    [&*CATALOG_SIGNALS, &*CATALOG_ATTRIBUTES, &*CATALOG_VALUES].into_iter().any(|counted| counted.name == spec.name)
}

/// Counts the hot rows of all tables that are counted.
pub(super) async fn count(
    (rollup, store): (&Rollup, &Store),
    turn: Turn,
    sources: Vec<TableTail>,
) -> Result<Counted, QueryError> {
    let bytes: u64 = sources.iter().flat_map(|tail| &tail.chunks).map(|chunk| chunk.bytes).sum();
    if bytes > QUERY_HOT_BYTES_MAX {
        return Err(QueryError::TailTooLarge(QUERY_HOT_BYTES_MAX));
    }
    let learning = rollup.clone();
    let counting = blocking(move || {
        let mut turn = turn;
        for tail in &sources {
            let rows = |chunk: &Chunk| chunk.rows().map_err(QueryError::from);
            turn.count(&tail.table, &tail.chunks, (|chunk: &Chunk| chunk.range, rows), || learning.reducer())?;
        }
        let fingerprints = sources.iter().flat_map(|tail| turn.fingerprints(&tail.table)).collect();
        Ok::<_, QueryError>((turn, sources, fingerprints))
    });
    let (mut turn, sources, fingerprints) = counting.await?;
    let (sources, known) = described((rollup, store), sources, fingerprints).await?;
    blocking(move || {
        let mut counted = Counted::new();
        for tail in &sources {
            for part in turn.made(&tail.table, &known)? {
                counted.entry(part.spec.name.clone()).or_default().push(part.rows);
            }
        }
        Ok(counted)
    })
    .await
}

/// What came of rows: up to which row of each table, and what they are, all tables of a signal together.
pub(super) type Came = (Vec<(TableName, Seq)>, Vec<Part>);

/// Counts the rows of some tails that are above these numbers, each once.
pub(super) async fn count_above(
    (rollup, store): (&Rollup, &Store),
    sources: Vec<(TableTail, Seq)>,
) -> Result<Came, QueryError> {
    let rows: u64 = sources.iter().map(|(tail, counted)| tail.head.0.saturating_sub(counted.0)).sum();
    let counting = rollup.clone();
    let reduce = move || {
        let (mut reducers, mut heads, mut tails) = (Reducers::new(), Vec::new(), Vec::new());
        for (tail, counted) in sources {
            let reducer = reducers.entry(signal_of(&tail.table)).or_insert_with(|| counting.reducer());
            for chunk in tail.chunks.iter().filter(|chunk| chunk.range.last > counted) {
                reducer.count(&tail.table, &chunk.clone().above(counted).rows()?)?;
            }
            heads.push((tail.table.clone(), tail.head));
            tails.push(tail);
        }
        let fingerprints = reducers.values().flat_map(Reducer::fingerprints).collect();
        let (known, unknown) = remembered(&counting, &tails, fingerprints)?;
        if !unknown.is_empty() {
            return Ok((Reduced::Waiting(reducers, heads), known, unknown));
        }
        let parts = made(&counting, reducers, &known)?;
        Ok::<_, QueryError>((Reduced::Made((heads, parts)), known, unknown))
    };
    // Handing a few rows over to another thread takes longer than counting them.
    let (reduced, known, unknown) = if rows <= COUNTED_INLINE_ROWS { reduce()? } else { blocking(reduce).await? };
    match reduced {
        Reduced::Made(came) => Ok(came),
        Reduced::Waiting(reducers, heads) => {
            let known = looked_up((rollup, store), known, &unknown).await?;
            let rollup = rollup.clone();
            blocking(move || Ok((heads, made(&rollup, reducers, &known)?))).await
        }
    }
}

type Reducers = BTreeMap<Signal, Reducer>;

enum Reduced {
    Made(Came),
    /// Series are to be looked up first.
    Waiting(Reducers, Vec<(TableName, Seq)>),
}

fn made(rollup: &Rollup, reducers: Reducers, known: &Descriptions) -> Result<Vec<Part>, QueryError> {
    let mut parts = Vec::new();
    for mut reducer in reducers.into_values() {
        parts.extend(rollup.look(&mut reducer, known)?);
    }
    Ok(parts)
}

/// Returns what is known of series: remembered, hot among these tails, or looked up.
async fn described(
    (rollup, store): (&Rollup, &Store),
    tails: Vec<TableTail>,
    fingerprints: Vec<u64>,
) -> Result<(Vec<TableTail>, Descriptions), QueryError> {
    if fingerprints.is_empty() {
        return Ok((tails, Descriptions::new()));
    }
    let learning = rollup.clone();
    let (tails, known, unknown) = blocking(move || {
        let (known, unknown) = remembered(&learning, &tails, fingerprints)?;
        Ok::<_, QueryError>((tails, known, unknown))
    })
    .await?;
    Ok((tails, looked_up((rollup, store), known, &unknown).await?))
}

/// Returns what is known of series without asking the store, and those of which nothing is.
fn remembered(
    rollup: &Rollup,
    tails: &[TableTail],
    fingerprints: Vec<u64>,
) -> Result<(Descriptions, Vec<u64>), QueryError> {
    if fingerprints.is_empty() {
        return Ok((Descriptions::new(), Vec::new()));
    }
    let series = tails.iter().filter(|tail| tail.table == METRIC_SERIES.name).flat_map(|tail| &tail.chunks);
    for chunk in series.filter(|chunk| chunk.range.last > rollup.series_learned()) {
        rollup.learn_series(chunk.range, &chunk.rows()?)?;
    }
    Ok(rollup.describe(fingerprints.into_iter()))
}

/// Adds what the store knows of series.
async fn looked_up(
    (rollup, store): (&Rollup, &Store),
    mut known: Descriptions,
    unknown: &[u64],
) -> Result<Descriptions, QueryError> {
    for sql in Rollup::lookups(store.database(), unknown) {
        let found = store.rows(&sql, &[]).await.map_err(QueryError::of_store)?;
        rollup.add_series(found, &mut known).map_err(QueryError::Series)?;
    }
    Ok(known)
}

async fn blocking<T, F>(work: F) -> Result<T, QueryError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, QueryError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await?
}
