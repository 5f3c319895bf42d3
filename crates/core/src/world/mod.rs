//! The real forms of the doors to the outside: the machine's clocks and its disks.

mod disk;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_model::{Clock, UnixNanos};

pub use disk::SystemDisk;

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixNanos {
        #[expect(clippy::disallowed_methods, reason = "this is the real clock behind `Clock`")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        UnixNanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
