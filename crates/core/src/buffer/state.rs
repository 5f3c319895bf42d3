use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::limits::{APPEND_QUEUE_BYTES_MAX, COMMIT_GROUP_BYTES};
use tidegate_model::{Seq, SeqRange, StoredRetry, TableName, UnixNanos};
use tokio::sync::oneshot;

use super::error::{BufferError, RETRY_AFTER_MS};
use super::retries::{Retries, Seen};
use super::segment::Segment;
use super::tail::{Chunk, Tail, WalRows};
use super::write::{Appended, Section, Write};

/// When a queue that is full is worth another try.
const QUEUE_RETRY_AFTER_MS: u64 = 500;

/// Everything that appends, queries and the commit thread share, under one lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) queue: VecDeque<Queued>,
    pub(super) queued_bytes: u64,
    pub(super) tails: HashMap<TableName, Tail>,
    pub(super) retries: Retries,
    pub(super) segments: VecDeque<SegmentUse>,
    pub(super) hot_bytes: u64,
    pub(super) budgets: Budgets,
    /// How many readers keep a table's next cut from being closed.
    pub(super) holds: HashMap<TableName, usize>,
    /// How many keep every table's next cut from being closed.
    pub(super) holds_all: usize,
}

/// What may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budgets {
    pub(super) hot_bytes: u64,
    pub(super) wal_bytes: u64,
}

/// How far the buffer's life is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    Closing,
    Poisoned(String),
}

/// A request on its way to the commit thread.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) write: Write,
    pub(super) at: UnixNanos,
    pub(super) received: Duration,
    pub(super) ack: oneshot::Sender<Result<Appended, BufferError>>,
}

/// A request that is in the log, and where.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) queued: Queued,
    pub(super) segment: Arc<Segment>,
    /// Numbers and offset of each section.
    pub(super) sections: Vec<(SeqRange, u64)>,
}

/// A segment, and what must be stored or kept elsewhere before it may go.
#[derive(Debug)]
pub(super) struct SegmentUse {
    pub(super) segment: Arc<Segment>,
    pub(super) lasts: HashMap<TableName, Seq>,
    pub(super) keys: Vec<u128>,
    pub(super) used: u64,
}

impl SegmentUse {
    pub(super) fn of(segment: Segment, used: u64) -> Self {
        Self::of_shared(Arc::new(segment), used)
    }

    pub(super) fn of_shared(segment: Arc<Segment>, used: u64) -> Self {
        Self { segment, lasts: HashMap::new(), keys: Vec::new(), used }
    }
}

/// What becomes of a request at the door.
pub(super) enum Admission {
    /// It waits for the commit thread; its outcome comes here.
    Queued(oneshot::Receiver<Result<Appended, BufferError>>),
    /// One with its key is being written; ask again when this resolves.
    Wait(oneshot::Receiver<()>, Write),
    /// It was seen before.
    Retry(Vec<u8>),
}

impl State {
    /// Lets a request in, unless it was seen before or a budget is spent (`low_disk`).
    pub(super) fn admit(
        &mut self,
        write: Write,
        (at, received): (UnixNanos, Duration),
        low_disk: Option<BufferError>,
    ) -> Result<Admission, BufferError> {
        self.refuse_unless_open()?;
        if let Some(retry) = write.retry {
            match self.retries.look_up(retry, at)? {
                Seen::Before(answer) => {
                    self.count_duplicates(&write);
                    return Ok(Admission::Retry(answer));
                }
                Seen::InFlight(outcome) => return Ok(Admission::Wait(outcome, write)),
                Seen::Never => {}
            }
        }
        self.refuse_when_full(write.frame_bytes, low_disk)?;
        if let Some(retry) = write.retry {
            self.retries.claim(retry);
        }
        let (ack, outcome) = oneshot::channel();
        self.queued_bytes += write.frame_bytes;
        self.queue.push_back(Queued { write, at, received, ack });
        Ok(Admission::Queued(outcome))
    }

    pub(super) fn refuse_unless_open(&self) -> Result<(), BufferError> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Closing => Err(BufferError::Closed),
            Phase::Poisoned(cause) => Err(BufferError::Poisoned { cause: cause.clone() }),
        }
    }

    pub(super) fn refuse_when_full(&self, frame_bytes: u64, low_disk: Option<BufferError>) -> Result<(), BufferError> {
        if let Some(low_disk) = low_disk {
            return Err(low_disk);
        }
        let (used, most) = (self.used_bytes() + self.queued_bytes, self.budgets.wal_bytes);
        if used + frame_bytes > most {
            let what = format!("the write-ahead log is full: {used} of {most} bytes wait for ClickHouse");
            return Err(BufferError::Full { what, retry_after_ms: RETRY_AFTER_MS });
        }
        if !self.queue.is_empty() && self.queued_bytes + frame_bytes > APPEND_QUEUE_BYTES_MAX {
            let what = format!("{} bytes wait for the disk already", self.queued_bytes);
            return Err(BufferError::Full { what, retry_after_ms: QUEUE_RETRY_AFTER_MS });
        }
        Ok(())
    }

    /// Takes the next requests that share one sync.
    pub(super) fn take_group(&mut self) -> Vec<Queued> {
        let mut bytes = 0;
        let mut group = Vec::new();
        while let Some(next) = self.queue.front() {
            bytes += next.write.frame_bytes;
            if !group.is_empty() && bytes > COMMIT_GROUP_BYTES {
                break;
            }
            self.queued_bytes -= next.write.frame_bytes;
            group.extend(self.queue.pop_front());
        }
        group
    }

    /// Shows a written request to snapshots and to its retries; returns its ack.
    pub(super) fn publish(&mut self, written: Written, now: UnixNanos, is_synced: bool) -> Ack {
        let Written { queued, segment, sections } = written;
        let Queued { write, at, received, ack } = queued;
        let mut numbers = Vec::with_capacity(sections.len());
        for (section, (range, offset)) in write.sections.into_iter().zip(sections) {
            numbers.push((section.table.clone(), range));
            if let Some(holds) = self.segment_use(segment.number) {
                holds.lasts.insert(section.table.clone(), range.last);
            }
            let table = section.table.clone();
            let chunk = self.hot_chunk(section, range, (&segment, offset), received);
            let tail = self.tails.entry(table).or_default();
            tail.push(chunk);
            if is_synced {
                tail.synced = tail.head;
            }
        }
        if let Some(retry) = write.retry {
            if let Some(holds) = self.segment_use(segment.number) {
                holds.keys.push(retry.key);
            }
            self.retries.remember(retry, at, &write.answer, now);
        }
        Ack { to: ack, outcome: Ok(Appended::Rows(numbers)) }
    }

    /// Declares everything shown so far to be synced.
    pub(super) fn all_synced(&mut self) {
        for tail in self.tails.values_mut() {
            tail.synced = tail.head;
        }
    }

    /// Lets go of requests that did not become durable; returns their acks.
    pub(super) fn fail(&mut self, failed: impl IntoIterator<Item = Queued>, error: &BufferError) -> Vec<Ack> {
        let mut acks = Vec::new();
        for queued in failed {
            if let Some(retry) = queued.write.retry {
                self.retries.release(retry);
            }
            acks.push(Ack { to: queued.ack, outcome: Err(error.clone()) });
        }
        acks
    }

    /// Ends all writing; returns the acks of those that wait.
    pub(super) fn poison(&mut self, cause: &str) -> Vec<Ack> {
        if !matches!(self.phase, Phase::Poisoned(_)) {
            self.phase = Phase::Poisoned(cause.to_owned());
        }
        self.queued_bytes = 0;
        let queue = std::mem::take(&mut self.queue);
        self.fail(queue, &BufferError::Poisoned { cause: cause.to_owned() })
    }

    /// Returns the retry keys of the segments that could go.
    pub(super) fn retries_to_keep(&self, now: UnixNanos) -> Vec<StoredRetry> {
        let free = self.segments.iter().take(self.segments.len() - 1).take_while(|holds| self.is_stored(holds));
        free.flat_map(|holds| self.retries.stored(&holds.keys, now)).collect()
    }

    /// Takes the oldest segment out, if nothing would be lost with it.
    pub(super) fn take_trimmable(&mut self, kept: &HashSet<u128>, now: UnixNanos) -> Option<SegmentUse> {
        let oldest = self.segments.front().filter(|_| self.segments.len() > 1)?;
        let may_go = self.is_stored(oldest) && self.retries.are_kept(&oldest.keys, kept, now);
        if may_go { self.segments.pop_front() } else { None }
    }

    /// Returns the bytes of the log's segments on disk.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.segments.iter().map(|holds| holds.segment.bytes).sum()
    }

    /// Returns the bytes that hold frames; a segment that is no longer written to counts whole.
    fn used_bytes(&self) -> u64 {
        let current = self.segments.back().map_or(0, |current| current.segment.bytes - current.used);
        self.allocated_bytes() - current
    }

    fn is_stored(&self, holds: &SegmentUse) -> bool {
        holds.lasts.iter().all(|(table, last)| self.tails.get(table).is_some_and(|tail| *last <= tail.stored))
    }

    pub(super) fn segment_use(&mut self, number: u64) -> Option<&mut SegmentUse> {
        let index = number.checked_sub(self.segments.front()?.segment.number)?;
        self.segments.get_mut(usize::try_from(index).ok()?)
    }

    fn hot_chunk(
        &mut self,
        section: Section,
        range: SeqRange,
        (segment, offset): (&Arc<Segment>, u64),
        received: Duration,
    ) -> Chunk {
        let Section { rows, memory_bytes, ipc_bytes, ipc_crc, .. } = section;
        if self.hot_bytes + memory_bytes <= self.budgets.hot_bytes {
            self.hot_bytes += memory_bytes;
            return Chunk::in_memory(range, rows, memory_bytes, received);
        }
        let place = WalRows { segment: Arc::clone(segment), offset, ipc_bytes, ipc_crc, rows: range.rows() };
        Chunk::in_wal(range, place, received)
    }

    fn count_duplicates(&mut self, write: &Write) {
        for (table, rows) in write.counts() {
            self.tails.entry(table.clone()).or_default().duplicate += rows;
        }
    }
}

/// An outcome and who waits for it; sent when the lock is free again.
#[derive(Debug)]
pub(super) struct Ack {
    to: oneshot::Sender<Result<Appended, BufferError>>,
    outcome: Result<Appended, BufferError>,
}

impl Ack {
    pub(super) fn send(self) {
        // Whoever asked may have gone; the rows are where they are all the same.
        self.to.send(self.outcome).ok();
    }
}
