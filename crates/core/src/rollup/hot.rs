use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use hashbrown::HashMap;
use tidegate_model::{Seq, SeqRange, TableName};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::assemble::Part;
use super::reducer::Reducer;
use super::series::Descriptions;

/// The counts of rows that are not stored yet, from one read to the next.
#[derive(Debug, Clone, Default)]
pub(super) struct HotCounts {
    tables: Arc<Mutex<HashMap<TableName, Hot>>>,
}

/// One table's counted rows.
#[derive(Debug)]
struct Hot {
    first: Seq,
    last: Seq,
    reducer: Reducer,
    /// What came of them, until further rows come.
    made: Option<Vec<Part>>,
}

impl HotCounts {
    pub(super) async fn turn(&self) -> Turn {
        Turn { tables: Arc::clone(&self.tables).lock_owned().await }
    }
}

/// One reader's turn. It begins before the reader takes its snapshot, so no snapshot is older than what is counted.
#[derive(Debug)]
pub struct Turn {
    tables: OwnedMutexGuard<HashMap<TableName, Hot>>,
}

impl Turn {
    /// Counts a table's hot rows: those that were counted in an earlier turn are not counted again. `pieces` are in
    /// order, `of` tells the numbers of a piece and its rows.
    pub fn count<T, E: From<ArrowError>>(
        &mut self,
        table: &TableName,
        pieces: &[T],
        of: (impl Fn(&T) -> SeqRange, impl Fn(&T) -> Result<RecordBatch, E>),
        reducer: impl FnOnce() -> Reducer,
    ) -> Result<(), E> {
        let (Some(first), Some(last)) = (pieces.first().map(&of.0), pieces.last().map(&of.0)) else {
            self.tables.remove(table);
            return Ok(());
        };
        // Taken out, so that a failure half-way leaves nothing that is counted in part.
        let kept = self.tables.remove(table);
        let kept = kept.filter(|hot| hot.first == first.first && hot.last <= last.last);
        let mut hot =
            kept.unwrap_or_else(|| Hot { first: first.first, last: Seq::ZERO, reducer: reducer(), made: None });
        for piece in pieces.iter().skip(pieces.partition_point(|piece| of.0(piece).last <= hot.last)) {
            hot.reducer.count(table, &of.1(piece)?)?;
            hot.made = None;
        }
        hot.last = last.last;
        self.tables.insert(table.clone(), hot);
        Ok(())
    }

    /// Returns the fingerprints of all series that a table's hot rows have.
    pub fn fingerprints(&self, table: &TableName) -> impl Iterator<Item = u64> {
        self.tables.get(table).into_iter().flat_map(|hot| hot.reducer.fingerprints())
    }

    /// Returns the rows of the catalogue that a table's hot rows make.
    pub fn made(&mut self, table: &TableName, series: &Descriptions) -> Result<Vec<Part>, ArrowError> {
        let Some(hot) = self.tables.get_mut(table) else { return Ok(Vec::new()) };
        if let Some(made) = &hot.made {
            return Ok(made.clone());
        }
        let made = hot.reducer.finish(series, false)?.parts;
        hot.made = Some(made.clone());
        Ok(made)
    }
}
