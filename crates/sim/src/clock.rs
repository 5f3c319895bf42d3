use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_model::{Clock, UnixNanos};

/// The wall-clock time at which simulations begin: 2026-11-21T05:00:00Z.
const BEGIN: i64 = 1_795_237_200_000_000_000;

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct SimClock {
    passed_nanos: AtomicU64,
}

impl SimClock {
    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.passed_nanos.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(BEGIN.saturating_add_unsigned(self.passed_nanos.load(Ordering::SeqCst)))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.passed_nanos.load(Ordering::SeqCst))
    }
}
