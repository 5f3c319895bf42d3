//! What hot rows are, counted for a read of the catalogue: rows that go beside the stored ones of its tables.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use tidegate_model::limits::QUERY_HOT_BYTES_MAX;
use tidegate_model::tables::{CATALOG_ATTRIBUTES, CATALOG_SIGNALS, CATALOG_VALUES, METRIC_SERIES};
use tidegate_model::{TableName, TableSpec};

use super::error::QueryError;
use crate::buffer::{Chunk, TableTail};
use crate::rollup::{Rollup, Turn};
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
        let series = sources.iter().filter(|tail| tail.table == METRIC_SERIES.name).flat_map(|tail| &tail.chunks);
        for chunk in series.filter(|chunk| chunk.range.last > learning.series_learned()) {
            learning.learn_series(chunk.range, &chunk.rows()?)?;
        }
        let fingerprints = sources.iter().flat_map(|tail| turn.fingerprints(&tail.table));
        let (known, unknown) = learning.describe(fingerprints);
        Ok::<_, QueryError>((turn, sources, known, unknown))
    });
    let (mut turn, sources, mut known, unknown) = counting.await?;
    for sql in Rollup::lookups(store.database(), &unknown) {
        let found = store.rows(&sql, &[]).await.map_err(QueryError::of_store)?;
        rollup.add_series(found, &mut known).map_err(QueryError::Series)?;
    }
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

async fn blocking<T, F>(work: F) -> Result<T, QueryError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, QueryError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await?
}
