use std::sync::atomic::{AtomicU64, Ordering};

/// What the agent did since its start; nothing is dropped without being counted here.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) collected_rows: AtomicU64,
    pub(crate) sent_rows: AtomicU64,
    pub(crate) sent_requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    /// Rows of metrics that found the queue full.
    pub(crate) dropped_rows: AtomicU64,
    /// Rows that the server refused for good.
    pub(crate) refused_rows: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
