//! The doors to the world outside: time and disk. Each has a real form in `core` and a simulated one in `sim`.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::UnixNanos;

/// Tells the time.
pub trait Clock: Send + Sync + Debug {
    /// Returns the wall-clock time; it may jump.
    fn now(&self) -> UnixNanos;

    /// Returns the time since some fixed moment of this process; it never goes back.
    fn monotonic(&self) -> Duration;
}

/// Keeps files. What is not synced may be gone, or half there, after a power cut.
pub trait Disk: Send + Sync + Debug {
    /// Makes a folder and those above it; an existing one is fine.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Returns the names of the files in a folder, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes a file of `bytes` zeros with its room on the disk taken; fails when the name is taken.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens or makes a file and locks it until the handle goes; `WouldBlock` when another holds the lock.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file within a folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name; handles that are open still read it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Returns the bytes that may still be taken on the disk of a folder.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// One open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Returns the file's length.
    fn bytes(&self) -> io::Result<u64>;

    /// Reads at an offset; may read less than asked for, and 0 at the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes the parts one after the other at an offset; may write less than asked for.
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Makes the content durable.
    fn sync(&self) -> io::Result<()>;

    /// Forgets what is cached and not dirty, so that the next read tells what the disk has.
    ///
    /// After a failed sync the cache may show bytes that never reached the disk.
    fn forget_cached(&self) -> io::Result<()>;
}
