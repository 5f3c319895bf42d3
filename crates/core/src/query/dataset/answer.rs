use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use serde_json::json;
use tidegate_model::limits::DATASET_ANSWER_PIECE_BYTES;
use tidegate_model::{Seq, UnixNanos};

use super::cells::Cells;
use super::cursor::Cursor;
use super::select::{Shown, Statement};
use super::statement::Form;
use crate::query::QueryError;
use crate::store::StoreError;

/// Turns ClickHouse's blocks into the rows of an answer, as they come; one block is in memory at a time.
#[derive(Debug)]
pub(super) struct Rows {
    /// Names as JSON with what stands before them, and forms.
    shown: Vec<(String, Form)>,
    is_downsampled: bool,
    limit: usize,
    /// The newest row that was read from ClickHouse.
    stored: Seq,
    cursor: Cursor,
    decoder: StreamDecoder,
    /// What came and is not decoded yet.
    left: Buffer,
    /// A block, and how many of its rows are written.
    block: Option<(RecordBatch, usize)>,
    written: usize,
    has_more: bool,
    published: u64,
    hot: u64,
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
            decoder: StreamDecoder::new(),
            left: Buffer::default(),
            block: None,
            written: 0,
            has_more: false,
            published: 0,
            hot: 0,
        }
    }

    /// Takes what came next, once nothing more can be made of what was there.
    pub(super) fn push(&mut self, piece: Bytes) {
        debug_assert!(self.left.is_empty(), "a piece came before the last one was decoded");
        self.left = Buffer::from(piece);
    }

    /// Writes the next rows; `None`: more must come first.
    pub(super) fn next_piece(&mut self) -> Result<Option<Bytes>, QueryError> {
        while self.block.is_none() {
            let decoded = self.decoder.decode(&mut self.left).map_err(|error| broken(&error.to_string()))?;
            let Some(block) = decoded else { return Ok(None) };
            self.block = Some((block, 0)).filter(|(block, _)| block.num_rows() > 0);
        }
        let Some((block, first)) = self.block.take() else { return Ok(None) };
        let (out, next) = self.write_block(&block, first)?;
        self.block = Some((block, next)).filter(|(block, next)| *next < block.num_rows());
        Ok(Some(Bytes::from(out)))
    }

    /// Ends the rows; returns what stands behind them. `partitions` may hold rows of the time that was asked for.
    pub(super) fn finish(mut self, partitions: u64) -> Result<Bytes, QueryError> {
        self.decoder.finish().map_err(|error| broken(&error.to_string()))?;
        let next = self.has_more.then(|| self.cursor.encode());
        let sources = json!({
            "published": { "rows": self.published, "partitions": partitions },
            "hotBuffer": { "rows": self.hot },
        });
        Ok(Bytes::from(format!("],\"nextCursor\":{},\"sources\":{sources}}}", json!(next))))
    }

    /// Writes rows of a block from one on, about a piece of them; returns the first that is not written.
    fn write_block(&mut self, block: &RecordBatch, first: usize) -> Result<(Vec<u8>, usize), QueryError> {
        let [place, count, shown @ ..] = block.columns() else { return Err(broken("a block has no columns")) };
        if shown.len() != self.shown.len() {
            return Err(broken("a block has other columns"));
        }
        let cells: Result<Vec<_>, _> =
            shown.iter().zip(&self.shown).map(|(column, (_, form))| Cells::of(column, *form)).collect();
        let (cells, mut out, mut row) = (cells?, Vec::with_capacity(DATASET_ANSWER_PIECE_BYTES), first);
        while row < block.num_rows() && out.len() < DATASET_ANSWER_PIECE_BYTES {
            if self.written == self.limit {
                self.has_more = true;
                return Ok((out, block.num_rows()));
            }
            self.note(whole(place, row)?, whole(count, row)?);
            if self.is_downsampled {
                let begin = shown.first().map(|begin| whole(begin, row)).transpose()?.unwrap_or_default();
                self.cursor.time = Some(UnixNanos(begin));
            }
            out.extend_from_slice(if self.written == 0 { b"{" } else { b",{" });
            for ((name, _), cells) in self.shown.iter().zip(&cells) {
                out.extend_from_slice(name.as_bytes());
                cells.write(row, &mut out)?;
            }
            out.push(b'}');
            self.written += 1;
            row += 1;
        }
        Ok((out, row))
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
fn whole(column: &ArrayRef, row: usize) -> Result<i64, QueryError> {
    let signed = column.as_primitive_opt::<Int64Type>().map(|numbers| numbers.value(row));
    let unsigned = || column.as_primitive_opt::<UInt64Type>().map(|numbers| numbers.value(row).cast_signed());
    let found = signed.or_else(unsigned).filter(|_| column.is_valid(row));
    found.ok_or_else(|| broken(&format!("a row's place comes as {}", column.data_type())))
}

/// Says that what ClickHouse sent is not what was asked for.
pub(super) fn broken(why: &str) -> QueryError {
    QueryError::Store(StoreError::CutOff(format!("the rows of a dataset cannot be read: {why}")))
}
