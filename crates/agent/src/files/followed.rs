use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits::{AGENT_LINE_BYTES_MAX, AGENT_READ_BYTES};

use super::lines;
use super::mark::{Mark, read_up_to};
use super::source::Source;
use crate::queue::MarkChange;
use crate::rows::Piece;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) id: FileId,
    pub(super) file: File,
    pub(super) mark: Mark,
    /// Which of the sources it belongs to.
    pub(super) source: usize,
    /// Where it was found last; `None` when no pattern finds it any more.
    pub(super) found_at: Option<PathBuf>,
    /// Everything that was there has been read.
    pub(super) is_read: bool,
    /// When a pattern found it last: a look into a folder that changes meanwhile may miss a file.
    pub(super) found_last: Duration,
    bytes: u64,
    grown_at: Duration,
}

/// A file's device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64, pub(super) u64);

/// What reading came to.
#[derive(Debug)]
pub(super) enum Read {
    /// Rows, and the mark behind them.
    Rows(Piece),
    /// Nothing more for now.
    Nothing,
    /// The file holds something else than it did: it was truncated or written over.
    Replaced,
}

impl FileId {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    pub(super) fn key(self) -> String {
        Mark::key(self.0, self.1)
    }
}

impl Followed {
    pub(super) fn new(id: FileId, file: File, mark: Mark, source: usize, now: Duration) -> Self {
        Self { id, file, mark, source, found_at: None, is_read: false, found_last: now, bytes: 0, grown_at: now }
    }

    /// Reads the next rows into a piece.
    pub(super) fn read(&mut self, source: &Source, buffer: &mut Vec<u8>, now: Duration) -> io::Result<Read> {
        let bytes = self.file.metadata()?.len();
        if bytes < self.mark.offset {
            return Ok(Read::Replaced);
        }
        if bytes != self.bytes {
            (self.bytes, self.grown_at) = (bytes, now);
        }
        if bytes == self.mark.offset {
            self.is_read = true;
            return Ok(Read::Nothing);
        }
        buffer.resize(AGENT_READ_BYTES, 0);
        let filled = read_up_to(&self.file, buffer, self.mark.offset)?;
        // Looked at after the read: had the file been written over before it, these bytes would not be its next ones.
        if !self.mark.begins(&self.file)? {
            return Ok(Read::Replaced);
        }
        let at_end = self.mark.offset + filled as u64 >= bytes;
        let is_quiet = now.saturating_sub(self.grown_at) >= source.flush_after;
        // An open row of joined lines ends when nothing came for a while; half a line only when its file is done with.
        let may_join = is_quiet && source.first_line.is_some() && buffer[..filled].ends_with(b"\n");
        let is_last = at_end && (may_join || (is_quiet && self.is_done_with(source.flush_after, now)));
        let bytes = &buffer[..filled];
        let spans = lines::cut(bytes, source.first_line.as_ref(), is_last);
        self.is_read = at_end;
        let Some(end) = spans.last().map(|span| span.end) else {
            assert!(filled <= 2 * AGENT_LINE_BYTES_MAX || at_end, "a full buffer holds a row");
            return Ok(Read::Nothing);
        };
        let offset = self.mark.offset;
        let piece = source.rows(&self.mark.path, bytes, &spans, offset);
        self.mark.move_to(&self.file, offset + end as u64)?;
        Ok(Read::Rows(Piece { marks: vec![self.change()], ..piece }))
    }

    /// Says whether nobody writes to the file under its name any more: it was renamed, or is gone for a while.
    fn is_done_with(&self, wait: Duration, now: Duration) -> bool {
        match &self.found_at {
            Some(path) => path.as_os_str() != self.mark.path.as_str(),
            None => now.saturating_sub(self.found_last) >= wait,
        }
    }

    /// Says whether the file is read to its end and no pattern finds it any more, for a while.
    pub(super) fn is_finished(&self, keep: Duration, now: Duration) -> bool {
        self.is_read && self.found_at.is_none() && now.saturating_sub(self.grown_at.max(self.found_last)) >= keep
    }

    pub(super) fn change(&self) -> MarkChange {
        (self.id.key(), Some(self.mark.to_json()))
    }

    /// Bytes that are there and not yet read.
    pub(super) const fn behind(&self) -> u64 {
        self.bytes.saturating_sub(self.mark.offset)
    }
}
