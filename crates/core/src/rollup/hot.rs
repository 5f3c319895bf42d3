use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use hashbrown::HashMap;
use tidegate_model::limits::CATALOG_HOT_BLOCK_ROWS;
use tidegate_model::{Seq, SeqRange, TableName};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::assemble::Part;
use super::reducer::Reducer;
use super::series::Descriptions;

/// The counts of rows that are not stored yet, from one read to the next.
#[derive(Debug, Clone, Default)]
pub(super) struct HotCounts {
    tables: Arc<Mutex<HashMap<TableName, VecDeque<Block>>>>,
}

/// Rows that follow each other, counted together. When some of them are stored the others are counted anew, so a block
/// is not too long; each makes rows of its own, so it is not too short.
#[derive(Debug)]
struct Block {
    range: SeqRange,
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
    tables: OwnedMutexGuard<HashMap<TableName, VecDeque<Block>>>,
}

impl Turn {
    /// Counts a table's hot rows: those that were counted in an earlier turn are not counted again. `pieces` are in
    /// order, `of` tells the numbers of a piece and its rows.
    pub fn count<T, E: From<ArrowError>>(
        &mut self,
        table: &TableName,
        pieces: &[T],
        of: (impl Fn(&T) -> SeqRange, impl Fn(&T) -> Result<RecordBatch, E>),
        reducer: impl Fn() -> Reducer,
    ) -> Result<(), E> {
        // Taken out, so that a failure half-way leaves nothing that is counted in part.
        let mut blocks = self.tables.remove(table).unwrap_or_default();
        let Some(first) = pieces.first().map(|piece| of.0(piece).first) else { return Ok(()) };
        blocks.retain(|block| block.range.last >= first);
        let mut left = pieces;
        if let Some(cut) = blocks.pop_front_if(|block| block.range.first < first) {
            let (again, behind) = left.split_at(left.partition_point(|piece| of.0(piece).last <= cut.range.last));
            if let [head, ..] = again {
                let mut block = Block::new(of.0(head).first, reducer());
                for piece in again {
                    block.count(table, of.0(piece), &of.1(piece)?)?;
                }
                blocks.push_front(block);
            }
            left = behind;
        }
        let counted = blocks.back().map_or(Seq::ZERO, |block| block.range.last);
        for piece in &left[left.partition_point(|piece| of.0(piece).last <= counted)..] {
            let range = of.0(piece);
            if blocks.back().is_none_or(|block| block.range.rows() >= CATALOG_HOT_BLOCK_ROWS) {
                blocks.push_back(Block::new(range.first, reducer()));
            }
            if let Some(block) = blocks.back_mut() {
                block.count(table, range, &of.1(piece)?)?;
            }
        }
        self.tables.insert(table.clone(), blocks);
        Ok(())
    }

    /// Returns the fingerprints of all series that a table's hot rows have.
    pub fn fingerprints(&self, table: &TableName) -> impl Iterator<Item = u64> {
        self.tables.get(table).into_iter().flatten().flat_map(|block| block.reducer.fingerprints())
    }

    /// Returns the rows of the catalogue that a table's hot rows make.
    pub fn made(&mut self, table: &TableName, series: &Descriptions) -> Result<Vec<Part>, ArrowError> {
        let mut all = Vec::new();
        for block in self.tables.get_mut(table).into_iter().flatten() {
            let made = match block.made.take() {
                Some(made) => made,
                None => block.reducer.finish(series, false)?.parts,
            };
            all.extend_from_slice(&made);
            block.made = Some(made);
        }
        Ok(all)
    }
}

impl Block {
    fn new(first: Seq, reducer: Reducer) -> Self {
        Self { range: SeqRange { first, last: first }, reducer, made: None }
    }

    fn count(&mut self, table: &TableName, range: SeqRange, rows: &RecordBatch) -> Result<(), ArrowError> {
        self.reducer.count(table, rows)?;
        self.range.last = range.last;
        self.made = None;
        Ok(())
    }
}
