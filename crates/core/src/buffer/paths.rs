//! Every name that the buffer gives on disk.

use std::path::{Path, PathBuf};

/// The file whose lock keeps a second process out.
pub(super) fn lock(dir: &Path) -> PathBuf {
    dir.join("lock")
}

/// The segment with this number; names sort as numbers do.
pub(super) fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segment-{number:020}.wal"))
}

/// A file that waits to become a segment; its content means nothing.
pub(super) fn spare(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("spare-{number:020}.wal"))
}

/// A file that is being made for the segment with this number.
pub(super) fn unfinished(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("unfinished-{number:020}.wal"))
}

/// Returns the number of a segment's file name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    number_between(name, "segment-")
}

/// Returns the number of a spare's file name.
pub(super) fn spare_number(name: &str) -> Option<u64> {
    number_between(name, "spare-")
}

/// Returns the number of an unfinished file's name.
pub(super) fn unfinished_number(name: &str) -> Option<u64> {
    number_between(name, "unfinished-")
}

fn number_between(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(".wal")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}
