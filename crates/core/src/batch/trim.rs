use tidegate_model::{TableName, UnixNanos};

use super::BatchError;
use crate::buffer::Buffer;
use crate::catalog::Catalog;

/// Lets the buffer forget what is stored; what it must not forget goes to the catalog first.
pub(super) async fn trim(buffer: &Buffer, catalog: &Catalog, expired: UnixNanos) -> Result<(), BatchError> {
    let kept = buffer.retries_to_keep();
    catalog.keep_retries(&kept, expired).await?;
    let freed = buffer.trim(&kept).await?;
    if freed > 0 {
        tracing::debug!(freed, kept = kept.len(), "log segments were freed");
    }
    Ok(())
}

/// The ledger's counts as they were saved last.
#[derive(Debug, Default)]
pub(super) struct SavedCounts {
    counts: Vec<(TableName, u64, u64)>,
}

impl SavedCounts {
    /// Saves the counts of rejected and duplicate rows, if they changed.
    pub(super) async fn save(&mut self, buffer: &Buffer, catalog: &Catalog) -> Result<(), BatchError> {
        let counts: Vec<_> =
            buffer.status().into_iter().map(|tail| (tail.table, tail.rejected, tail.duplicate)).collect();
        if counts != self.counts {
            catalog.save_counts(&counts).await?;
            self.counts = counts;
        }
        Ok(())
    }
}
