use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_model::limits::DISK_FREE_CHECK_MS;
use tidegate_model::{Clock, StoredRetry};
use tokio::sync::{Notify, watch};

use super::error::{BufferError, RETRY_AFTER_MS};
use super::segment::{FileError, Folder};
use super::state::{Ack, Phase, Queued, State};

/// What the handles and the commit thread share: the state behind its lock, and the world.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Rings when a request is queued, or the phase changes.
    pub(super) arrived: Condvar,
    /// Holds a permit when rows came in since the last `grown`.
    pub(super) grown: Notify,
    /// Becomes true when the commit thread is gone.
    pub(super) ended: watch::Sender<bool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) folder: Folder,
    /// `None`: every ack waits for its sync.
    pub(super) sync_interval: Option<Duration>,
    pub(super) disk_free_bytes_min: u64,
    /// When the free space was last asked for, and what it was.
    pub(super) free: Mutex<Option<(Duration, u64)>>,
    /// Held by the one trim that runs.
    pub(super) trimming: Mutex<()>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not make the counts wrong: `Ending` poisons the buffer where it would.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_for<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.arrived.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lets no more requests in; the commit thread ends when those that wait are written.
    pub(super) fn begin_close(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.arrived.notify_all();
    }

    /// Refuses requests that were not written.
    pub(super) fn fail(&self, failed: impl IntoIterator<Item = Queued>, error: &BufferError) {
        let acks = self.lock().fail(failed, error);
        tracing::warn!(requests = acks.len(), error = %error, "refused requests that could not be written");
        acks.into_iter().for_each(Ack::send);
    }

    /// Ends all writing.
    ///
    /// After a failed fsync the kernel may have dropped the pages and reports success next time, so no
    /// later sync proves anything about what was written before ("Can Applications Recover from fsync
    /// Failures?", Rebello et al., USENIX ATC 2020). Only reading the disk itself, in a restart, tells.
    pub(super) fn poison(&self, cause: &str) {
        tracing::error!(cause, "a sync of the write-ahead log failed; nothing is acknowledged until a restart");
        let acks = self.lock().poison(cause);
        self.arrived.notify_all();
        acks.into_iter().for_each(Ack::send);
    }

    /// Says that the disk is too full, by an answer not older than [`DISK_FREE_CHECK_MS`].
    pub(super) fn low_disk(&self) -> Option<BufferError> {
        let now = self.clock.monotonic();
        let mut known = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let free = match *known {
            Some((at, free)) if now.saturating_sub(at) < Duration::from_millis(DISK_FREE_CHECK_MS) => free,
            _ => {
                let free = self.free_bytes();
                *known = Some((now, free));
                free
            }
        };
        self.too_little(free, 0)
    }

    /// Says that the disk is too full for so many bytes more, by a fresh answer.
    pub(super) fn low_disk_for(&self, bytes: u64) -> Option<BufferError> {
        self.too_little(self.free_bytes(), bytes)
    }

    /// Frees segments, oldest first, until one is still needed; returns the bytes freed.
    pub(super) fn trim(&self, kept: &[StoredRetry]) -> Result<u64, BufferError> {
        let kept: HashSet<_> = kept.iter().map(|retry| retry.retry.key).collect();
        let _one_at_a_time = self.trimming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut freed = 0;
        loop {
            let now = self.clock.now();
            let Some(holds) = self.lock().take_trimmable(&kept, now) else { return Ok(freed) };
            match self.folder.retire(&holds.segment) {
                Ok(()) => freed += holds.segment.bytes,
                Err(FileError::Unchanged(error)) => {
                    let step = format!("free {}", holds.segment.path.display());
                    self.lock().segments.push_front(holds);
                    return Err(BufferError::io(step, error));
                }
                Err(FileError::Unsynced(error)) => {
                    let cause = format!("{}: {error}", self.folder.dir().display());
                    self.poison(&cause);
                    return Err(BufferError::Poisoned { cause });
                }
            }
        }
    }

    fn free_bytes(&self) -> u64 {
        // A file system that does not tell is not held against the writer: a full one still fails the write.
        self.folder.free_bytes().unwrap_or(u64::MAX)
    }

    fn too_little(&self, free: u64, wanted: u64) -> Option<BufferError> {
        let least = self.disk_free_bytes_min;
        let dir = Path::display(self.folder.dir());
        (free < least.saturating_add(wanted)).then(|| BufferError::Full {
            what: format!("the disk of {dir} is nearly full: {free} bytes are free, {least} are kept in reserve"),
            retry_after_ms: RETRY_AFTER_MS,
        })
    }
}
