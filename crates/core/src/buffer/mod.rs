//! The write-ahead log and the hot tail. (Signatures agreed between the stages; bodies by the buffer's author.)

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tidegate_model::{BufferId, Clock, ErrorKind, Seq, SeqRange, TableName};
pub use tidegate_model::{RetryKey, StoredRetry};

/// Rows of one table, as ingest makes them: with `_partition`, without `_seq`.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The table.
    pub table: TableName,
    /// At least one row.
    pub rows: RecordBatch,
}

/// One request's rows, encoded for the WAL; making it costs CPU, so it is made off the async workers.
#[derive(Debug)]
pub struct Write {
    /// Encoded by [`Write::new`].
    pub rows: Vec<Rows>,
    /// How a retry of this request is known; `None`: it is not.
    pub retry: Option<RetryKey>,
    /// What the requester was told, kept to be told again to a retry; at most 4 KiB.
    pub answer: Vec<u8>,
}

impl Write {
    /// Encodes the rows of one request; they become durable together or not at all.
    pub fn new(rows: Vec<Rows>, retry: Option<RetryKey>, answer: Vec<u8>) -> Self {
        Self { rows, retry, answer }
    }
}

/// The outcome of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The rows are durable, with these numbers.
    Rows(Vec<(TableName, SeqRange)>),
    /// The request was seen before: what it was told then. Nothing was written.
    Retry(Vec<u8>),
}

/// Why the buffer refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BufferError {
    /// The retry key is known with other content.
    #[error("the idempotency key was used before with other content")]
    KeyConflict,
    /// A budget is spent (`what`: WAL bytes, free disk); retry after so many milliseconds.
    #[error("{what}")]
    Full {
        /// Which budget, and its numbers.
        what: String,
        /// When to try again.
        retry_after_ms: u64,
    },
    /// A sync failed; nothing is acknowledged until a restart has recovered.
    #[error("a sync of the write-ahead log failed ({cause}); restart to recover, nothing is acknowledged until then")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The buffer is shutting down.
    #[error("the buffer is shutting down")]
    Closed,
    /// Stored bytes are not what was written.
    #[error("the write-ahead log is damaged: {0}")]
    Corrupt(String),
    /// The disk failed otherwise.
    #[error("{step}")]
    Io {
        /// What was tried.
        step: String,
        /// Why it failed.
        source: Arc<std::io::Error>,
    },
}

impl BufferError {
    /// Says what the caller does next.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::KeyConflict => ErrorKind::Conflict,
            Self::Full { .. } => ErrorKind::Overloaded,
            Self::Poisoned { .. } | Self::Closed => ErrorKind::Closed,
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Io { .. } => ErrorKind::Unavailable,
        }
    }
}

/// Settings of the buffer.
#[derive(Debug, Clone)]
pub struct BufferOptions {
    /// The folder of the WAL; made when absent.
    pub dir: PathBuf,
    /// `true`: acknowledge after `fdatasync`; `false`: sync every `sync_interval_ms`.
    pub sync_always: bool,
    /// The interval of the other form.
    pub sync_interval_ms: u64,
    /// Hot rows in memory; past it they stay on disk only and are read back.
    pub hot_tail_bytes: u64,
    /// Past it writes are refused.
    pub wal_bytes: u64,
    /// Below it writes are refused.
    pub disk_free_bytes_min: u64,
    /// How long a retry is known.
    pub dedup_window_seconds: u64,
}

/// What other states remember for the buffer across a restart.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The stored watermark per table.
    pub stored: HashMap<TableName, Seq>,
    /// Retry keys whose segments are gone.
    pub retries: Vec<StoredRetry>,
}

/// What was found at opening.
#[derive(Debug, Clone, Default)]
pub struct Recovery {
    /// Rows read back into the hot tail.
    pub rows: u64,
    /// Frames read back.
    pub frames: u64,
    /// Bytes cut off behind the last good frame.
    pub torn_bytes: u64,
}

/// Hot rows of one request: in memory, or read back from the WAL.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The rows' numbers.
    pub range: SeqRange,
    /// Bytes in memory when loaded.
    pub bytes: u64,
}

impl Chunk {
    /// Returns the rows, without `_seq`; reads them from the WAL when they are not in memory (blocking I/O).
    pub fn rows(&self) -> Result<RecordBatch, BufferError> {
        unimplemented!()
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
    /// Bytes of rows above `sealed`.
    pub unsealed_bytes: u64,
    /// Age of the oldest row above `sealed`.
    pub oldest_unsealed_ms: Option<u64>,
    /// Rows refused since the buffer was made.
    pub rejected: u64,
    /// Rows that came again in a retry.
    pub duplicate: u64,
}

/// The buffer; clones share it.
#[derive(Debug, Clone)]
pub struct Buffer {}

#[allow(unused_variables)]
impl Buffer {
    /// Opens the folder, recovers what is in it, and starts the commit thread.
    pub fn open(
        options: BufferOptions,
        clock: Arc<dyn Clock>,
        remembered: Remembered,
    ) -> Result<(Self, Recovery), BufferError> {
        unimplemented!()
    }
    /// Returns the buffer's identity.
    pub fn id(&self) -> BufferId {
        unimplemented!()
    }
    /// Makes the rows durable; resolves after the sync. The rows are in every snapshot taken afterwards.
    pub async fn append(&self, write: Write) -> Result<Appended, BufferError> {
        unimplemented!()
    }
    /// Counts rows that were refused before they got here.
    pub fn count_rejected(&self, table: &TableName, rows: u64) {
        unimplemented!()
    }
    /// Takes the tails of several tables at one moment. An unknown table has an empty tail.
    pub fn snapshot(&self, tables: &[TableName]) -> Vec<TableTail> {
        unimplemented!()
    }
    /// Returns the status of every table that ever had a row.
    pub fn status(&self) -> Vec<TailStatus> {
        unimplemented!()
    }
    /// Closes the next cut of a table: whole requests, at least one, up to these limits; `None` when nothing is unsealed.
    pub fn seal(&self, table: &TableName, rows_max: u64, bytes_max: u64) -> Option<Cut> {
        unimplemented!()
    }
    /// Repeats a cut that the catalog knows from before a crash. `None`: its rows are stored already.
    pub fn reseal(&self, table: &TableName, range: SeqRange) -> Result<Option<Cut>, BufferError> {
        unimplemented!()
    }
    /// Declares rows up to `stored` visible and synced in the store; they leave the hot tail.
    pub fn advance(&self, table: &TableName, stored: Seq) {
        unimplemented!()
    }
    /// Returns the retry keys that the next trim would lose, for the catalog.
    pub fn retries_to_keep(&self) -> Vec<StoredRetry> {
        unimplemented!()
    }
    /// Frees the segments whose rows are all stored, given that `kept` (from `retries_to_keep`) is safe elsewhere.
    pub async fn trim(&self, kept: &[StoredRetry]) -> Result<u64, BufferError> {
        unimplemented!()
    }
    /// Waits until rows came in since the last call, for the batch mover.
    pub async fn grown(&self) {
        unimplemented!()
    }
    /// Says why writes are refused now, if they are.
    pub fn refusal(&self) -> Option<BufferError> {
        unimplemented!()
    }
    /// Bytes of the WAL on disk.
    pub fn wal_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// Bytes of hot rows in memory.
    pub fn hot_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// Refuses further appends, syncs, and ends the commit thread.
    pub async fn close(&self) -> Result<(), BufferError> {
        unimplemented!()
    }
}
