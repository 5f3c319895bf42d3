use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use tidegate_model::{Seq, SeqRange, TableName};

use super::error::BufferError;
use super::reader;
use super::segment::Segment;

/// Chunks per block: a snapshot copies one pointer per block, an append after it copies at most one block.
const BLOCK_CHUNKS: usize = 64;

/// Hot rows of one request: in memory, or read back from the WAL.
#[derive(Clone)]
pub struct Chunk {
    /// The rows' numbers.
    pub range: SeqRange,
    /// Bytes in memory when loaded.
    pub bytes: u64,
    /// The number of the first row in `place`; above it when this is a slice.
    whole_first: Seq,
    received: Duration,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Memory(Arc<RecordBatch>),
    Wal(Arc<WalRows>),
}

/// Where rows are in the log.
#[derive(Debug)]
pub(super) struct WalRows {
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
    pub(super) ipc_bytes: u64,
    pub(super) ipc_crc: u32,
    pub(super) rows: u64,
}

impl Chunk {
    pub(super) fn in_memory(range: SeqRange, rows: RecordBatch, bytes: u64, received: Duration) -> Self {
        Self { range, bytes, whole_first: range.first, received, place: Place::Memory(Arc::new(rows)) }
    }

    pub(super) fn in_wal(range: SeqRange, rows: WalRows, received: Duration) -> Self {
        Self { range, bytes: rows.ipc_bytes, whole_first: range.first, received, place: Place::Wal(Arc::new(rows)) }
    }

    /// Returns the rows, without `_seq`; reads them from the WAL when they are not in memory (blocking I/O).
    pub fn rows(&self) -> Result<RecordBatch, BufferError> {
        let whole = match &self.place {
            Place::Memory(rows) => RecordBatch::clone(rows),
            Place::Wal(rows) => reader::read_rows(rows)?,
        };
        let index = |rows: u64| usize::try_from(rows).expect("a frame's rows fit in memory");
        let skipped = index(self.range.first.0 - self.whole_first.0);
        let wanted = index(self.range.rows());
        if (skipped, wanted) == (0, whole.num_rows()) {
            return Ok(whole);
        }
        Ok(whole.slice(skipped, wanted))
    }

    /// Returns the part of the chunk above `stored`.
    #[must_use]
    pub fn above(self, stored: Seq) -> Self {
        let range = SeqRange { first: stored.next(), last: self.range.last };
        if self.range.first > stored { self } else { self.within(range) }
    }

    /// Returns the bytes that it holds in memory now.
    pub(super) const fn hot_bytes(&self) -> u64 {
        match self.place {
            Place::Memory(_) => self.bytes,
            Place::Wal(_) => 0,
        }
    }

    /// Returns the part of the chunk within a range that overlaps it.
    fn within(&self, range: SeqRange) -> Self {
        let range = SeqRange { first: self.range.first.max(range.first), last: self.range.last.min(range.last) };
        Self { range, ..self.clone() }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Memory(_) => "memory",
            Place::Wal(_) => "wal",
        };
        f.debug_struct("Chunk").field("range", &self.range).field("bytes", &self.bytes).field("in", &place).finish()
    }
}

/// One table in a snapshot.
#[derive(Debug, Clone)]
pub struct TableTail {
    /// The table.
    pub table: TableName,
    /// Rows up to here are read from the store.
    pub stored: Seq,
    /// The highest number given.
    pub head: Seq,
    /// A cut is open: some rows above `stored` may be visible in the store already.
    pub in_flight: bool,
    /// What was counted of an open cut may be visible in the store already; see [`super::Buffer::show`].
    pub shows: bool,
    /// How long the oldest row above `stored` has waited.
    pub oldest_ms: Option<u64>,
    /// Rows above `stored`, in order.
    pub chunks: Vec<Chunk>,
}

/// A closed range of one table, to be inserted as one batch.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The table.
    pub table: TableName,
    /// Its numbers.
    pub range: SeqRange,
    /// Its rows, in order.
    pub chunks: Vec<Chunk>,
}

/// How much of a table waits.
#[derive(Debug, Clone)]
pub struct TailStatus {
    /// The table.
    pub table: TableName,
    /// Rows up to here are in the store.
    pub stored: Seq,
    /// Rows up to here belong to a cut.
    pub sealed: Seq,
    /// The highest number given.
    pub head: Seq,
    /// Age of the oldest row above `stored`.
    pub oldest_ms: Option<u64>,
    /// Bytes of rows above `sealed`.
    pub unsealed_bytes: u64,
    /// Age of the oldest row above `sealed`.
    pub oldest_unsealed_ms: Option<u64>,
    /// Rows refused since the buffer was made.
    pub rejected: u64,
    /// Rows that came again in a retry.
    pub duplicate: u64,
}

/// One table's hot rows and watermarks. Invariant: `stored <= sealed <= head`, and the chunks are `stored+1..=head`.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) stored: Seq,
    pub(super) sealed: Seq,
    pub(super) head: Seq,
    /// Rows up to here survive a power cut; below `head` only where acks do not wait for the sync.
    pub(super) synced: Seq,
    pub(super) unsealed_bytes: u64,
    pub(super) rejected: u64,
    pub(super) duplicate: u64,
    /// What was counted of the open cut may be visible in the store.
    pub(super) shows: bool,
    chunks: Chunks,
}

impl Tail {
    /// Begins behind rows that are stored already.
    pub(super) fn behind(stored: Seq) -> Self {
        Self { stored, sealed: stored, head: stored, synced: stored, ..Self::default() }
    }

    /// Adds the next rows.
    pub(super) fn push(&mut self, chunk: Chunk) {
        assert_eq!(chunk.range.first, self.head.next(), "rows enter the tail in the order of their numbers");
        self.head = chunk.range.last;
        self.unsealed_bytes += chunk.bytes;
        self.chunks.push(chunk);
    }

    /// Closes the next cut; see [`super::Buffer::seal`].
    pub(super) fn seal(&mut self, rows_max: u64, bytes_max: u64) -> Option<(SeqRange, Vec<Chunk>)> {
        let mut chunks = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        for chunk in self.chunks.above(self.sealed).take_while(|chunk| chunk.range.last <= self.synced) {
            rows += chunk.range.rows();
            bytes += chunk.bytes;
            if !chunks.is_empty() && (rows > rows_max || bytes > bytes_max) {
                break;
            }
            chunks.push(chunk.clone());
        }
        let range = SeqRange { first: chunks.first()?.range.first, last: chunks.last()?.range.last };
        self.seal_up_to(range.last);
        Some((range, chunks))
    }

    /// Repeats a cut; the range lies above `stored` and not above `head`.
    pub(super) fn reseal(&mut self, range: SeqRange) -> Vec<Chunk> {
        let from = Seq(range.first.0 - 1);
        let touching = self.chunks.above(from).take_while(|chunk| chunk.range.first <= range.last);
        let chunks = touching.map(|chunk| chunk.within(range)).collect();
        self.seal_up_to(self.sealed.max(range.last));
        // A crash may have come at any moment of the first try.
        self.shows = true;
        chunks
    }

    /// Lets go of rows up to `stored`; returns their chunks, for the caller to free outside the lock.
    pub(super) fn advance(&mut self, stored: Seq) -> Vec<Chunk> {
        let stored = stored.min(self.head);
        if stored <= self.stored {
            return Vec::new();
        }
        self.stored = stored;
        self.shows = false;
        self.seal_up_to(self.sealed.max(stored));
        self.chunks.drop_up_to(stored)
    }

    /// Returns the age reference of the oldest row that is not stored.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.chunks.above(self.stored).next().map(|chunk| chunk.received)
    }

    /// Returns the age reference of the oldest row that no cut has.
    pub(super) fn oldest_unsealed(&self) -> Option<Duration> {
        self.chunks.above(self.sealed).next().map(|chunk| chunk.received)
    }

    /// Returns the chunks as they are now, for pointers only.
    pub(super) fn chunks(&self) -> Chunks {
        self.chunks.clone()
    }

    /// Returns those with a row above `seq`.
    pub(super) fn chunks_above(&self, seq: Seq) -> Chunks {
        let above: Vec<Chunk> = self.chunks.above(seq).cloned().collect();
        Chunks { blocks: [Arc::new(above)].into() }
    }

    fn seal_up_to(&mut self, sealed: Seq) {
        let newly = self.chunks.above(self.sealed).take_while(|chunk| chunk.range.last <= sealed);
        self.unsealed_bytes -= newly.map(|chunk| chunk.bytes).sum::<u64>();
        self.sealed = sealed;
    }
}

/// Chunks in order, in blocks that snapshots share.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    blocks: VecDeque<Arc<Vec<Chunk>>>,
}

impl Chunks {
    pub(super) fn into_vec(self) -> Vec<Chunk> {
        let mut all = Vec::with_capacity(self.blocks.iter().map(|block| block.len()).sum());
        for block in &self.blocks {
            all.extend_from_slice(block);
        }
        all
    }

    fn push(&mut self, chunk: Chunk) {
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK_CHUNKS => Arc::make_mut(block).push(chunk),
            _ => self.blocks.push_back(Arc::new(vec![chunk])),
        }
    }

    /// Returns the chunks with a row above `seq`.
    fn above(&self, seq: Seq) -> impl Iterator<Item = &Chunk> {
        let is_below = |chunk: &Chunk| chunk.range.last <= seq;
        let block = self.blocks.partition_point(|block| block.last().is_some_and(is_below));
        let skipped = self.blocks.get(block).map_or(0, |block| block.partition_point(is_below));
        self.blocks.range(block..).flat_map(|block| block.iter()).skip(skipped)
    }

    fn drop_up_to(&mut self, seq: Seq) -> Vec<Chunk> {
        let mut dropped = Vec::new();
        while let Some(block) = self.blocks.front_mut() {
            let gone = block.partition_point(|chunk| chunk.range.last <= seq);
            if gone == block.len() {
                dropped.extend_from_slice(block);
                self.blocks.pop_front();
                continue;
            }
            let block = Arc::make_mut(block);
            dropped.extend(block.drain(..gone));
            if let Some(first) = block.first_mut() {
                *first = first.clone().above(seq);
            }
            break;
        }
        dropped
    }
}
