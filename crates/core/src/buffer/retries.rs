use std::collections::hash_map::{Entry, HashMap};
use std::collections::{HashSet, VecDeque};

use tidegate_model::limits::DEDUP_KEYS_MAX;
use tidegate_model::{RetryKey, StoredRetry, UnixNanos};
use tokio::sync::oneshot;

use super::error::BufferError;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The requests that a retry is recognised by, for a window of time.
#[derive(Debug)]
pub(super) struct Retries {
    window_nanos: i64,
    known: HashMap<u128, Known>,
    /// Durable keys, oldest first.
    order: VecDeque<(UnixNanos, u128)>,
    /// Keys that were forgotten within the window, for want of room.
    pub(super) evicted: u64,
}

#[derive(Debug)]
enum Known {
    /// The first request is on its way into the log; others with its key wait for its outcome.
    InFlight(Vec<oneshot::Sender<()>>),
    Durable {
        content: u128,
        at: UnixNanos,
        answer: Box<[u8]>,
    },
}

/// What a key says about a request.
#[derive(Debug)]
pub(super) enum Seen {
    /// No request with this key is known.
    Never,
    /// One is being written; ask again when this resolves.
    InFlight(oneshot::Receiver<()>),
    /// It was written, and told this.
    Before(Vec<u8>),
}

impl Retries {
    pub(super) fn new(window_seconds: u64) -> Self {
        let window_nanos = i64::try_from(window_seconds).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SECOND);
        Self { window_nanos, known: HashMap::new(), order: VecDeque::new(), evicted: 0 }
    }

    /// Looks a request up.
    pub(super) fn look_up(&mut self, retry: RetryKey, now: UnixNanos) -> Result<Seen, BufferError> {
        let earliest = self.earliest(now);
        match self.known.get_mut(&retry.key) {
            None => Ok(Seen::Never),
            Some(Known::InFlight(waiting)) => {
                let (outcome, waits) = oneshot::channel();
                waiting.push(outcome);
                Ok(Seen::InFlight(waits))
            }
            Some(Known::Durable { at, .. }) if *at < earliest => Ok(Seen::Never),
            Some(Known::Durable { content, answer, .. }) if *content == retry.content => {
                Ok(Seen::Before(answer.to_vec()))
            }
            Some(Known::Durable { .. }) => Err(BufferError::KeyConflict),
        }
    }

    /// Marks a key as being written; the caller saw that it is not known.
    pub(super) fn claim(&mut self, retry: RetryKey) {
        self.known.insert(retry.key, Known::InFlight(Vec::new()));
    }

    /// Forgets a claim whose write failed; those who waited try for themselves.
    pub(super) fn release(&mut self, retry: RetryKey) {
        if let Entry::Occupied(entry) = self.known.entry(retry.key)
            && matches!(entry.get(), Known::InFlight(_))
        {
            entry.remove();
        }
    }

    /// Remembers a request that is durable; those who waited get its answer.
    pub(super) fn remember(&mut self, retry: RetryKey, at: UnixNanos, answer: &[u8], now: UnixNanos) {
        self.forget_expired(now);
        if at < self.earliest(now) {
            self.known.remove(&retry.key);
            return;
        }
        if self.order.len() >= DEDUP_KEYS_MAX {
            self.forget_oldest();
            self.evicted += 1;
        }
        self.known.insert(retry.key, Known::Durable { content: retry.content, at, answer: answer.into() });
        self.order.push_back((at, retry.key));
    }

    /// Returns those of the keys that are known and within the window.
    pub(super) fn stored(&self, keys: &[u128], now: UnixNanos) -> Vec<StoredRetry> {
        keys.iter().filter_map(|key| self.stored_one(*key, now)).collect()
    }

    /// Says whether nothing would be lost if the keys were known only to `kept`.
    pub(super) fn are_kept(&self, keys: &[u128], kept: &HashSet<u128>, now: UnixNanos) -> bool {
        keys.iter().all(|key| kept.contains(key) || self.stored_one(*key, now).is_none())
    }

    fn stored_one(&self, key: u128, now: UnixNanos) -> Option<StoredRetry> {
        match self.known.get(&key)? {
            Known::Durable { content, at, answer } if *at >= self.earliest(now) => {
                Some(StoredRetry { retry: RetryKey { key, content: *content }, at: *at, answer: answer.to_vec() })
            }
            _ => None,
        }
    }

    fn forget_expired(&mut self, now: UnixNanos) {
        let earliest = self.earliest(now);
        while self.order.front().is_some_and(|(at, _)| *at < earliest) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((forgotten, key)) = self.order.pop_front() else { return };
        // The key may have come again since, after its window: then it is the later request's.
        if matches!(self.known.get(&key), Some(Known::Durable { at, .. }) if *at == forgotten) {
            self.known.remove(&key);
        }
    }

    const fn earliest(&self, now: UnixNanos) -> UnixNanos {
        UnixNanos(now.0.saturating_sub(self.window_nanos))
    }
}
