//! Which series have their row in `metric_series`: each gets exactly one, ever.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The fingerprints of all series that have a row, and of those whose row is on its way; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct SeriesRegistry {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a reservation ends, either way.
    ended: Notify,
}

/// Invariant: no fingerprint is in both sets.
#[derive(Debug, Default)]
struct State {
    known: HashSet<u64>,
    reserved: HashSet<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves both sets whole: each change is a single call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeriesRegistry {
    /// Begins with the series whose rows are durable.
    pub(super) fn of(known: HashSet<u64>) -> Self {
        let state = Mutex::new(State { known, reserved: HashSet::new() });
        Self { shared: Arc::new(Shared { state, ended: Notify::new() }) }
    }

    /// Says whether a series has its row.
    pub(super) fn is_known(&self, fingerprint: u64) -> bool {
        self.shared.lock().known.contains(&fingerprint)
    }

    /// Reserves those of `wanted` that have no row yet; their rows must be written by the holder.
    ///
    /// Waits while another request has one of them on its way, for it may fail. Nothing is held while waiting, so
    /// two requests never wait for each other.
    pub(super) async fn reserve(&self, wanted: &[u64]) -> Reservation {
        loop {
            let ended = self.shared.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(reservation) = self.try_reserve(wanted) {
                return reservation;
            }
            ended.await;
        }
    }

    fn try_reserve(&self, wanted: &[u64]) -> Option<Reservation> {
        let mut state = self.shared.lock();
        if wanted.iter().any(|fingerprint| state.reserved.contains(fingerprint)) {
            return None;
        }
        let mine: HashSet<u64> = wanted.iter().filter(|wanted| !state.known.contains(wanted)).copied().collect();
        state.reserved.extend(&mine);
        Some(Reservation { shared: Arc::clone(&self.shared), mine })
    }
}

/// Series whose rows are on their way; dropped without [`Reservation::commit`], they are anybody's again.
#[derive(Debug)]
pub(super) struct Reservation {
    shared: Arc<Shared>,
    mine: HashSet<u64>,
}

impl Reservation {
    /// Says whether the row of a series is to be written by this holder.
    pub(super) fn has(&self, fingerprint: u64) -> bool {
        self.mine.contains(&fingerprint)
    }

    /// Declares the rows durable.
    pub(super) fn commit(mut self) {
        let mine = std::mem::take(&mut self.mine);
        let mut state = self.shared.lock();
        for fingerprint in mine {
            state.reserved.remove(&fingerprint);
            state.known.insert(fingerprint);
        }
        drop(state);
        self.shared.ended.notify_waiters();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.mine.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        for fingerprint in &self.mine {
            state.reserved.remove(fingerprint);
        }
        drop(state);
        self.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_series_is_written_by_one_request_only() {
        let registry = SeriesRegistry::of(HashSet::from([1]));
        let first = registry.reserve(&[1, 2, 3]).await;
        assert_eq!([1, 2, 3].map(|fingerprint| first.has(fingerprint)), [false, true, true]);
        let second = registry.reserve(&[3, 4]);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none(), "series 3 is on its way");
        first.commit();
        let second = second.await;
        assert_eq!([3, 4].map(|fingerprint| second.has(fingerprint)), [false, true]);
        assert!(registry.is_known(3) && !registry.is_known(4));
    }

    #[tokio::test]
    async fn a_series_whose_request_failed_is_written_by_the_next() {
        let registry = SeriesRegistry::default();
        let first = registry.reserve(&[7]).await;
        let second = registry.reserve(&[7]);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.await.has(7));
    }
}
