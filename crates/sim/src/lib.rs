//! A simulated world for tests: a clock that moves when told, and a disk that fails from a seed. Never shipped.
//!
//! | file | holds |
//! |---|---|
//! | `clock.rs` | [`SimClock`] |
//! | `disk.rs` | [`SimDisk`]: faults, power cuts |
//! | `names.rs` | the names of files: shown and durable |
//! | `file.rs` | one file's bytes: what is cached, what is on the disk |

mod clock;
mod disk;
mod file;
mod names;

pub use clock::SimClock;
pub use disk::{Faults, SimDisk};
