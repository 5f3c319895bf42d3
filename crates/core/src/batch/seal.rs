use tidegate_model::{BatchId, UnixNanos};

use super::{BatchError, BatchOptions};
use crate::buffer::{Buffer, Cut, TailStatus};
use crate::catalog::{BatchRow, Catalog, Stored};

/// A cut with its place in the catalog.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    pub(super) cut: Cut,
    pub(super) row: BatchRow,
}

/// Says whether a table's next batch is to be sealed now.
pub(super) fn is_due(tail: &TailStatus, options: &BatchOptions) -> bool {
    let unsealed = tail.head.0 - tail.sealed.0;
    unsealed > 0
        && (unsealed >= options.rows
            || tail.unsealed_bytes >= options.bytes
            || tail.oldest_unsealed_ms.is_some_and(|age| age >= options.age_ms))
}

/// Closes a table's next cut, if it has unsealed rows.
pub(super) fn seal(buffer: &Buffer, tail: &TailStatus, options: &BatchOptions, now: UnixNanos) -> Option<Sealed> {
    let cut = buffer.seal(&tail.table, options.rows, options.bytes)?;
    let row = BatchRow {
        id: BatchId::of(buffer.id(), &cut.table, cut.range),
        table: cut.table.clone(),
        range: cut.range,
        sealed_at: now,
        stored_at: None,
        bytes: cut.chunks.iter().map(|chunk| chunk.bytes).sum(),
        partitions: 0,
    };
    Some(Sealed { cut, row })
}

/// Repeats the cuts that were open when the program ended last.
pub(super) async fn reseal(buffer: &Buffer, catalog: &Catalog, now: UnixNanos) -> Result<Vec<Sealed>, BatchError> {
    let mut sealed = Vec::new();
    for row in catalog.open_batches().await? {
        if row.id != BatchId::of(buffer.id(), &row.table, row.range) {
            tracing::error!(batch = %row.id, rows = row.range.rows(), "an unfinished batch is of another buffer, whose folder is gone; its rows are stored only if its insert was done");
            continue;
        }
        match buffer.reseal(&row.table, row.range)? {
            Some(cut) => sealed.push(Sealed { cut, row }),
            None => {
                let stored = Stored { partitions: row.partitions.max(1), ..Stored::default() };
                catalog.store_batch(&row.id, now, &stored).await?;
            }
        }
    }
    Ok(sealed)
}
