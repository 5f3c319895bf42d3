//! A simulated world for tests: a clock that moves when told, and a disk that fails from a seed. Never shipped.
//!
//! | file | holds |
//! |---|---|
//! | `clock.rs` | [`SimClock`] |
//! | `disk.rs` | [`SimDisk`]: names, faults, power cuts |
//! | `file.rs` | one file's bytes: what is cached, what is on the disk |

mod clock;
mod disk;
mod file;

pub use clock::SimClock;
pub use disk::{Faults, SimDisk};
