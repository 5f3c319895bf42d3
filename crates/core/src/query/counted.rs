//! What hot rows are, counted for a read of the catalogue: rows that go beside the stored ones of its tables.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use tidegate_model::limits::QUERY_HOT_BYTES_MAX;
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES, METRIC_SERIES};
use tidegate_model::{Seq, TableName, TableSpec};

use super::error::QueryError;
use crate::buffer::{Chunk, TableTail};
use crate::rollup::{Descriptions, Part, Rollup, Turn};
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

/// What came of the rows of one table, up to one of them.
pub(super) type Came = (TableName, Seq, Vec<Part>);

/// Counts the rows of some tails that are above these numbers, each once.
pub(super) async fn count_above(
    (rollup, store): (&Rollup, &Store),
    sources: Vec<(TableTail, Seq)>,
) -> Result<Vec<Came>, QueryError> {
    let learning = rollup.clone();
    let reducing = blocking(move || {
        let (mut reducers, mut fingerprints) = (Vec::new(), Vec::new());
        for (tail, counted) in &sources {
            let mut reducer = learning.reducer();
            for chunk in tail.chunks.iter().filter(|chunk| chunk.range.last > *counted) {
                reducer.count(&tail.table, &chunk.clone().above(*counted).rows()?)?;
            }
            fingerprints.extend(reducer.fingerprints());
            reducers.push((tail.table.clone(), tail.head, reducer));
        }
        Ok::<_, QueryError>((reducers, sources.into_iter().map(|(tail, _)| tail).collect(), fingerprints))
    });
    let (reducers, sources, fingerprints) = reducing.await?;
    let (_, known) = described((rollup, store), sources, fingerprints).await?;
    let rollup = rollup.clone();
    blocking(move || {
        let made = reducers.into_iter().map(|(table, head, mut reducer)| {
            let parts = rollup.look(&mut reducer, &known)?;
            Ok((table, head, parts))
        });
        made.collect()
    })
    .await
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
    let (tails, mut known, unknown) = blocking(move || {
        let series = tails.iter().filter(|tail| tail.table == METRIC_SERIES.name).flat_map(|tail| &tail.chunks);
        for chunk in series.filter(|chunk| chunk.range.last > learning.series_learned()) {
            learning.learn_series(chunk.range, &chunk.rows()?)?;
        }
        let (known, unknown) = learning.describe(fingerprints.into_iter());
        Ok::<_, QueryError>((tails, known, unknown))
    })
    .await?;
    for sql in Rollup::lookups(store.database(), &unknown) {
        let found = store.rows(&sql, &[]).await.map_err(QueryError::of_store)?;
        rollup.add_series(found, &mut known).map_err(QueryError::Series)?;
    }
    Ok((tails, known))
}

async fn blocking<T, F>(work: F) -> Result<T, QueryError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, QueryError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await?
}
