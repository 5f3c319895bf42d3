use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use tidegate_model::{Seq, TableName};

use super::error::BufferError;
use super::paths;
use super::segment::Segment;
use super::shared::Shared;

/// Bytes that are copied at once.
const PIECE_BYTES: u64 = 1 << 20;

/// How far a table was when the log was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTail {
    /// The table.
    pub table: TableName,
    /// Its last row that the store has.
    pub stored: Seq,
    /// Its last row that was acknowledged: the copy holds those between the two.
    pub head: Seq,
}

/// Copies every segment up to its last acknowledged frame.
///
/// What is behind it is being written: a copy of half of it could look like damage, so it is left out. A segment may
/// end anywhere behind a frame, the next frame then begins another one.
pub(super) fn copy_log(shared: &Shared, into: &Path) -> Result<Vec<CopiedTail>, BufferError> {
    // No segment is given up meanwhile, and its file written again.
    let _no_trim = shared.trimming.lock().unwrap_or_else(PoisonError::into_inner);
    let state = shared.lock();
    let segments: Vec<_> = state.segments.iter().map(|holds| (Arc::clone(&holds.segment), holds.used)).collect();
    let tails = state.tails.iter();
    let mut tables: Vec<_> =
        tails.map(|(table, tail)| CopiedTail { table: table.clone(), stored: tail.stored, head: tail.head }).collect();
    drop(state);
    tables.sort_unstable_by(|a, b| a.table.cmp(&b.table));
    fs::create_dir_all(into).map_err(|error| BufferError::io(format!("make the folder {}", into.display()), error))?;
    for (segment, used) in segments {
        copy_segment(&segment, used, into)
            .map_err(|error| BufferError::io(format!("copy {}", segment.path.display()), error))?;
    }
    Ok(tables)
}

fn copy_segment(segment: &Segment, used: u64, into: &Path) -> io::Result<()> {
    let mut copy = File::create_new(paths::segment(into, segment.number))?;
    let mut at = 0;
    while at < used {
        let length = PIECE_BYTES.min(used - at);
        let whole = usize::try_from(length).map_err(io::Error::other)?;
        let piece = segment.read(at, whole)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        copy.write_all(&piece)?;
        at += length;
    }
    copy.sync_all()
}
