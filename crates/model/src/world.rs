//! The doors to the world outside: time. Each has a real form in `core` and a simulated one in `sim`.

use std::time::Duration;

use crate::UnixNanos;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the wall-clock time; it may jump.
    fn now(&self) -> UnixNanos;

    /// Returns the time since some fixed moment of this process; it never goes back.
    fn monotonic(&self) -> Duration;
}
