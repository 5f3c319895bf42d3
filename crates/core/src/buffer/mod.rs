//! The write-ahead log and the hot tail: rows are durable here before they are acknowledged, and are read from here
//! until ClickHouse has them.
//!
//! It owns the row numbers, the folder of the log, the retry keys of the dedup window, and the hot rows.
//!
//! Invariants:
//! - A row is acknowledged after its frame is synced (or written, where `sync_always` is off and says so), and is
//!   in every snapshot taken after its ack.
//! - Row numbers are gap-free per table, in the order of the log. A number that was acknowledged is never given again.
//! - After a failed sync nothing is acknowledged any more. After a failed write the frame's place and numbers are
//!   given to the next one.
//! - A segment goes only when all its rows are stored and its retry keys are kept elsewhere; from the oldest on.
//!
//! It never inserts, never talks to ClickHouse or the catalog, and never decides when to seal.
//!
//! On disk (`docs/wal-format.md`): a folder of segments, each a header and frames; a frame is one request.
//!
//! ```text
//! append ─▶ queue ─▶ commit thread: number, write, sync ─▶ tail, retry keys ─▶ ack
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `write.rs` | [`Write`]: a request's rows, encoded off the commit thread |
//! | `frame.rs` | the bytes of frames and segment headers |
//! | `paths.rs` | every name on disk |
//! | `segment.rs` | one file; the folder that makes and recycles them |
//! | `writer.rs` | the commit thread |
//! | `reader.rs` | frames from bytes: [`read_segment`], rows read back |
//! | `open.rs` | [`BufferOptions`], [`Site`]; a folder becomes a running buffer |
//! | `recovery.rs` | segments become tails, retry keys and the place to write on |
//! | `leftovers.rs` | what is behind the last good frame: a torn tail, or damage |
//! | `tail.rs` | [`Chunk`], one table's hot rows and watermarks |
//! | `merge.rs` | [`merge`]: rows of a roll-up with equal keys become one |
//! | `sent.rs` | [`sent`]: rows that share a resource get it each, on their way out |
//! | `lacking.rs` | [`lacking`]: what rows from before a column have in it |
//! | `unify.rs` | [`unify`]: small batches become one, dictionaries included |
//! | `copy.rs` | [`CopiedTail`]: the log, copied as far as it is acknowledged |
//! | `retries.rs` | the dedup window |
//! | `state.rs` | what is under the one lock |
//! | `shared.rs` | the lock, the world, trimming, free disk |
//! | `error.rs` | [`BufferError`] |

mod copy;
mod error;
mod frame;
mod lacking;
mod leftovers;
mod merge;
mod open;
mod paths;
mod reader;
mod recovery;
mod retries;
mod segment;
mod sent;
mod shared;
mod state;
mod tail;
mod unify;
mod write;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::{BufferId, Seq, SeqRange, TableName};

pub use copy::CopiedTail;
pub use error::BufferError;
pub use lacking::{lacking, nothing, repeated};
pub use merge::{merge, with_seq};
pub use open::{BufferOptions, Site};
pub use reader::{FrameReading, SegmentReading, read_segment};
pub use recovery::{Recovery, Remembered};
pub use sent::sent;
pub use tail::{Chunk, Cut, TableTail, TailStatus};
pub use tidegate_model::{RetryKey, StoredRetry};
pub use unify::unify;
pub use write::{Appended, Rows, Write};

use open::CommitThread;
use shared::Shared;
use state::{Admission, Phase};
use tail::{Chunks, Tail};

/// The buffer; clones share it.
#[derive(Clone)]
pub struct Buffer {
    id: BufferId,
    shared: Arc<Shared>,
    _thread: Arc<CommitThread>,
}

impl Buffer {
    /// Returns the buffer's identity.
    #[must_use]
    pub fn id(&self) -> BufferId {
        self.id
    }

    /// Makes the rows durable; resolves after the sync. The rows are in every snapshot taken afterwards.
    pub async fn append(&self, write: Write) -> Result<Appended, BufferError> {
        let mut write = write.checked()?;
        loop {
            let moment = (self.shared.clock.now(), self.shared.clock.monotonic());
            let low_disk = self.shared.low_disk();
            let admission = self.shared.lock().admit(write, moment, low_disk)?;
            match admission {
                Admission::Retry(answer) => return Ok(Appended::Retry(answer)),
                Admission::Queued(outcome) => {
                    self.shared.arrived.notify_one();
                    return outcome.await.unwrap_or(Err(BufferError::Closed));
                }
                Admission::Wait(outcome, again) => {
                    // It resolves by being dropped, when the first request's outcome is known.
                    outcome.await.ok();
                    write = again;
                }
            }
        }
    }

    /// Counts rows that were refused before they got here.
    pub fn count_rejected(&self, table: &TableName, rows: u64) {
        self.shared.lock().tails.entry(table.clone()).or_default().rejected += rows;
    }

    /// Takes the tails of several tables at one moment. An unknown table has an empty tail.
    #[must_use]
    pub fn snapshot(&self, tables: &[TableName]) -> Vec<TableTail> {
        self.taken(tables.iter().map(|table| (table, Tail::chunks)))
    }

    /// Does the same with only the chunks that have a row above a number of each table: for who has seen the rest.
    #[must_use]
    pub fn snapshot_above(&self, tables: &[(TableName, Seq)]) -> Vec<TableTail> {
        self.taken(tables.iter().map(|(table, seen)| (table, |tail: &Tail| tail.chunks_above(*seen))))
    }

    fn taken<'t>(&self, wanted: impl Iterator<Item = (&'t TableName, impl Fn(&Tail) -> Chunks)>) -> Vec<TableTail> {
        let state = self.shared.lock();
        let tails: Vec<_> = wanted
            .map(|(table, chunks)| {
                let tail = state.tails.get(table);
                let told = |tail: &Tail| (tail.stored, tail.sealed, tail.head, tail.shows, tail.oldest(), chunks(tail));
                (table, tail.map(told).unwrap_or_default())
            })
            .collect();
        drop(state);
        let now = self.shared.clock.monotonic();
        let taken = tails.into_iter().map(|(table, (stored, sealed, head, shows, oldest, chunks))| {
            let oldest_ms = oldest.map(|received| age_ms(now, received));
            let (in_flight, chunks) = (sealed > stored, chunks.into_vec());
            TableTail { table: table.clone(), stored, head, in_flight, shows, oldest_ms, chunks }
        });
        taken.collect()
    }

    /// Returns the status of every table that ever had a row.
    #[must_use]
    pub fn status(&self) -> Vec<TailStatus> {
        let now = self.shared.clock.monotonic();
        let state = self.shared.lock();
        let mut all: Vec<_> = state
            .tails
            .iter()
            .map(|(table, tail)| TailStatus {
                table: table.clone(),
                stored: tail.stored,
                sealed: tail.sealed,
                head: tail.head,
                oldest_ms: tail.oldest().map(|received| age_ms(now, received)),
                unsealed_bytes: tail.unsealed_bytes,
                oldest_unsealed_ms: tail.oldest_unsealed().map(|received| age_ms(now, received)),
                rejected: tail.rejected,
                duplicate: tail.duplicate,
            })
            .collect();
        drop(state);
        all.sort_unstable_by(|a, b| a.table.cmp(&b.table));
        all
    }

    /// Closes the next cut of a table: whole requests, at least one, up to these limits; `None` when nothing is unsealed.
    #[must_use]
    pub fn seal(&self, table: &TableName, rows_max: u64, bytes_max: u64) -> Option<Cut> {
        let mut state = self.shared.lock();
        if state.holds_all > 0 || state.holds.contains_key(table) {
            return None;
        }
        let (range, chunks) = state.tails.get_mut(table)?.seal(rows_max, bytes_max)?;
        Some(Cut { table: table.clone(), range, chunks })
    }

    /// Says before what was counted of a table's open cut goes to the store: until the watermark moves nobody can tell
    /// whether it is in an answer.
    pub fn show(&self, table: &TableName) {
        if let Some(tail) = self.shared.lock().tails.get_mut(table) {
            tail.shows = true;
        }
    }

    /// Keeps the next cuts of these tables from being closed until the hold is dropped; a cut that is open goes on.
    #[must_use]
    pub fn hold(&self, tables: Vec<TableName>) -> Hold {
        let mut state = self.shared.lock();
        for table in &tables {
            *state.holds.entry(table.clone()).or_default() += 1;
        }
        drop(state);
        Hold { shared: Arc::clone(&self.shared), tables, is_all: false }
    }

    /// Keeps every next cut from being closed, also of tables that come later, until the hold is dropped.
    #[must_use]
    pub fn hold_all(&self) -> Hold {
        self.shared.lock().holds_all += 1;
        Hold { shared: Arc::clone(&self.shared), tables: Vec::new(), is_all: true }
    }

    /// Says whether rows of a closed cut are on their way to the store.
    #[must_use]
    pub fn has_open_cut(&self) -> bool {
        self.shared.lock().tails.values().any(|tail| tail.sealed > tail.stored)
    }

    /// Copies the log, as far as it is acknowledged, into an empty folder; returns what the copy holds of each table.
    pub async fn copy_log(&self, into: PathBuf) -> Result<Vec<CopiedTail>, BufferError> {
        let shared = Arc::clone(&self.shared);
        let copied = tokio::task::spawn_blocking(move || copy::copy_log(&shared, &into)).await;
        copied.unwrap_or(Err(BufferError::Closed))
    }

    /// Repeats a cut that the catalog knows from before a crash. `None`: its rows are stored already.
    pub fn reseal(&self, table: &TableName, range: SeqRange) -> Result<Option<Cut>, BufferError> {
        let mut state = self.shared.lock();
        let tail = state.tails.entry(table.clone()).or_default();
        if range.last <= tail.stored {
            return Ok(None);
        }
        let (stored, head) = (tail.stored, tail.head);
        if range.first <= stored || range.last > head || range.first > tail.sealed.next() {
            return Err(BufferError::Corrupt(format!(
                "the catalog knows a batch of rows {range} of table {table}, the log has rows {} to {head}: restore both from one backup",
                stored.next()
            )));
        }
        let chunks = tail.reseal(range);
        Ok(Some(Cut { table: table.clone(), range, chunks }))
    }

    /// Declares rows up to `stored` visible and synced in the store; they leave the hot tail.
    pub fn advance(&self, table: &TableName, stored: Seq) {
        let mut state = self.shared.lock();
        let Some(tail) = state.tails.get_mut(table) else { return };
        let gone = tail.advance(stored);
        state.hot_bytes -= gone.iter().map(Chunk::hot_bytes).sum::<u64>();
        drop(state);
        // Freeing the rows takes longer than forgetting them: not under the lock.
        drop(gone);
    }

    /// Returns the retry keys that the next trim would lose, for the catalog.
    #[must_use]
    pub fn retries_to_keep(&self) -> Vec<StoredRetry> {
        self.shared.lock().retries_to_keep(self.shared.clock.now())
    }

    /// Frees the segments whose rows are all stored, given that `kept` (from `retries_to_keep`) is safe elsewhere.
    pub async fn trim(&self, kept: &[StoredRetry]) -> Result<u64, BufferError> {
        let (shared, kept) = (Arc::clone(&self.shared), kept.to_vec());
        let trimmed = tokio::task::spawn_blocking(move || shared.trim(&kept)).await;
        trimmed.unwrap_or(Err(BufferError::Closed))
    }

    /// Waits until rows came in since the last call, for the batch mover.
    pub async fn grown(&self) {
        self.shared.grown.notified().await;
    }

    /// Says why writes are refused now, if they are.
    #[must_use]
    pub fn refusal(&self) -> Option<BufferError> {
        let low_disk = self.shared.low_disk();
        let state = self.shared.lock();
        state.refuse_unless_open().and_then(|()| state.refuse_when_full(0, low_disk)).err()
    }

    /// Bytes of the WAL on disk.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        self.shared.lock().allocated_bytes() + self.shared.folder.spare_bytes()
    }

    /// Bytes of hot rows in memory.
    #[must_use]
    pub fn hot_bytes(&self) -> u64 {
        self.shared.lock().hot_bytes
    }

    /// Retry keys that were forgotten within their window, for want of room.
    #[must_use]
    pub fn retries_evicted(&self) -> u64 {
        self.shared.lock().retries.evicted
    }

    /// Refuses further appends, syncs, and ends the commit thread.
    pub async fn close(&self) -> Result<(), BufferError> {
        self.shared.begin_close();
        let mut ended = self.shared.ended.subscribe();
        ended.wait_for(|ended| *ended).await.ok();
        match &self.shared.lock().phase {
            Phase::Poisoned(cause) => Err(BufferError::Poisoned { cause: cause.clone() }),
            Phase::Open | Phase::Closing => Ok(()),
        }
    }
}

/// Tables whose next cut waits; see [`Buffer::hold`].
#[derive(Debug)]
pub struct Hold {
    shared: Arc<Shared>,
    tables: Vec<TableName>,
    is_all: bool,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if self.is_all {
            state.holds_all -= 1;
        }
        for table in &self.tables {
            if let Some(holds) = state.holds.get_mut(table) {
                *holds -= 1;
                if *holds == 0 {
                    state.holds.remove(table);
                }
            }
        }
    }
}

fn age_ms(now: Duration, received: Duration) -> u64 {
    u64::try_from(now.saturating_sub(received).as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("id", &self.id).finish_non_exhaustive()
    }
}
