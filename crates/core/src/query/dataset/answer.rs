use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tidegate_model::limits::{DATASET_ANSWER_BLOCK_PARTS, DATASET_ANSWER_PIECE_BYTES};
use tidegate_model::{Seq, UnixNanos};

use super::blocks::{Block, Blocks, Column};
use super::cells::Cells;
use super::cursor::Cursor;
use super::select::{Shown, Statement};
use super::statement::Form;
use crate::query::QueryError;
use crate::store::StoreError;

/// Columns before those that clients see.
const NOT_SHOWN: usize = 2;

/// Cuts ClickHouse's blocks into parts of the answer, as they come, and counts what is in them.
#[derive(Debug)]
pub(super) struct Rows {
    shown: Arc<[Named]>,
    is_downsampled: bool,
    limit: usize,
    /// The newest row that was read from ClickHouse.
    stored: Seq,
    cursor: Cursor,
    blocks: Blocks,
    /// A block, and how many of its rows are taken.
    block: Option<(Arc<Block>, usize)>,
    taken: usize,
    has_more: bool,
    published: u64,
    hot: u64,
}

/// A column's name as JSON with what stands before it, and its form.
type Named = (String, Form);

/// Rows that are counted and not yet written: parts are written beside each other, on several cores.
#[derive(Debug)]
pub(super) struct Part {
    shown: Arc<[Named]>,
    block: Arc<Block>,
    rows: Range<usize>,
    is_first: bool,
}

impl Part {
    /// Writes the rows, with a comma before those that follow others.
    pub(super) fn text(&self) -> Result<Bytes, QueryError> {
        let columns = self.block.columns.iter().skip(NOT_SHOWN);
        let cells: Result<Vec<_>, _> =
            columns.zip(self.shown.iter()).map(|(column, (_, form))| Cells::of(column, *form)).collect();
        let (mut cells, mut out) = (cells?, Vec::with_capacity(DATASET_ANSWER_PIECE_BYTES));
        for row in self.rows.clone() {
            out.extend_from_slice(if self.is_first && row == self.rows.start { b"{" } else { b",{" });
            for ((name, _), cells) in self.shown.iter().zip(&mut cells) {
                out.extend_from_slice(name.as_bytes());
                cells.write(row, &mut out)?;
            }
            out.push(b'}');
        }
        Ok(Bytes::from(out))
    }
}

impl Rows {
    /// Begins an answer whose snapshot has these watermarks.
    pub(super) fn new(statement: &Statement, (fingerprint, watermark, stored): (u64, Seq, Seq)) -> Self {
        let named = |(at, shown): (usize, &Shown)| {
            (format!("{}{}:", if at == 0 { "" } else { "," }, json!(shown.name)), shown.form)
        };
        // All pages are of the first one's snapshot.
        let watermark = statement.cursor.map_or(watermark, |cursor| cursor.watermark);
        Self {
            shown: statement.shown.iter().enumerate().map(named).collect(),
            is_downsampled: statement.is_downsampled,
            limit: statement.limit,
            stored,
            cursor: Cursor { fingerprint, watermark, time: None, seq: Seq::ZERO },
            blocks: Blocks::default(),
            block: None,
            taken: 0,
            has_more: false,
            published: 0,
            hot: 0,
        }
    }

    /// Takes what came next.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.blocks.push(piece);
    }

    /// Takes the next rows; `None`: more must come first.
    pub(super) fn next_part(&mut self) -> Result<Option<Part>, QueryError> {
        let (block, first) = match self.block.take() {
            Some(begun) => begun,
            None => match self.blocks.next()? {
                Some(block) => (Arc::new(block), 0),
                None => return Ok(None),
            },
        };
        let wanted = block.rows.div_ceil(DATASET_ANSWER_BLOCK_PARTS).min(block.rows - first);
        let count = wanted.min(self.limit - self.taken);
        self.has_more |= count < wanted;
        let rows = first..first + count;
        self.count(&block, rows.clone())?;
        let next = if count < wanted { block.rows } else { rows.end };
        self.block = (next < block.rows).then(|| (Arc::clone(&block), next));
        let part = Part { shown: Arc::clone(&self.shown), block, rows, is_first: self.taken == 0 };
        self.taken += count;
        Ok(Some(part))
    }

    /// Ends the rows; returns what stands behind them. `partitions` may hold rows of the time that was asked for.
    pub(super) fn finish(self, partitions: u64) -> Result<Bytes, QueryError> {
        self.blocks.finish()?;
        let next = self.has_more.then(|| self.cursor.encode());
        let sources = json!({
            "published": { "rows": self.published, "partitions": partitions },
            "hotBuffer": { "rows": self.hot },
        });
        Ok(Bytes::from(format!("],\"nextCursor\":{},\"sources\":{sources}}}", json!(next))))
    }

    fn count(&mut self, block: &Block, rows: Range<usize>) -> Result<(), QueryError> {
        let [place, count, shown @ ..] = &block.columns[..] else { return Err(broken("a block has no columns")) };
        if shown.len() != self.shown.len() {
            return Err(broken("a block has other columns"));
        }
        for row in rows.clone() {
            self.note(whole(place, row)?, whole(count, row)?);
        }
        let last = rows.last().filter(|_| self.is_downsampled);
        if let (Some(row), Some(begin)) = (last, shown.first()) {
            self.cursor.time = Some(UnixNanos(whole(begin, row)?));
        }
        Ok(())
    }

    /// Remembers the place of a row, and counts where rows came from: of a row its `_seq` says it, of a bucket its
    /// counts.
    fn note(&mut self, first: i64, second: i64) {
        let (count, seq) = (first.cast_unsigned(), second.cast_unsigned());
        if self.is_downsampled {
            self.hot += seq;
            self.published += count - seq.min(count);
            return;
        }
        self.cursor.time = Some(UnixNanos(first));
        self.cursor.seq = Seq(seq);
        *(if Seq(seq) > self.stored { &mut self.hot } else { &mut self.published }) += 1;
    }
}

/// Returns a whole number, with or without a sign: those without one are bit by bit the same.
fn whole(column: &Column, row: usize) -> Result<i64, QueryError> {
    let found = column.bits(row).map(u64::cast_signed);
    found.ok_or_else(|| broken(&format!("a row's place comes as {}", column.values.name())))
}

/// Says that what ClickHouse sent is not what was asked for.
pub(super) fn broken(why: &str) -> QueryError {
    QueryError::Store(StoreError::CutOff(format!("the rows of a dataset cannot be read: {why}")))
}
