use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::limits::AGENT_FINGERPRINT_BYTES;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

/// How far a file was read, and what it looked like there; the queue keeps it under the file's device and inode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The path at which the file was first seen.
    pub(super) path: String,
    /// Where the next row begins.
    pub(super) offset: u64,
    /// Files are read in the order of this number.
    pub(super) born: u64,
    /// The file's first bytes, of those that were read.
    pub(super) head: Print,
    /// The bytes before the offset.
    pub(super) tail: Print,
}

/// Some bytes of a file, as a hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    bytes: u64,
    hash: u64,
}

/// What a file is in comparison with a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It has all that was read, and perhaps more.
    Same,
    /// It holds something else.
    Other,
}

impl Print {
    fn read(file: &File, offset: u64, bytes: u64) -> io::Result<Self> {
        let mut buffer = [0; AGENT_FINGERPRINT_BYTES];
        let want = usize::try_from(bytes).map_or(buffer.len(), |bytes| bytes.min(buffer.len()));
        let filled = read_up_to(file, &mut buffer[..want], offset)?;
        Ok(Self { bytes: filled as u64, hash: XxHash3_64::oneshot(&buffer[..filled]) })
    }

    fn matches(self, file: &File, offset: u64) -> io::Result<bool> {
        Ok(self.bytes == 0 || Self::read(file, offset, self.bytes)? == self)
    }
}

impl Mark {
    /// The mark of a file of which nothing was read.
    pub(super) fn begin(path: String, born: u64) -> Self {
        Self { path, offset: 0, born, head: Print::default(), tail: Print::default() }
    }

    pub(super) fn key(device: u64, inode: u64) -> String {
        format!("{}{device}:{inode}", super::KEY_PREFIX)
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and text are JSON")
    }

    /// Moves the offset, and takes the prints of what is before it.
    pub(super) fn move_to(&mut self, file: &File, offset: u64) -> io::Result<()> {
        const PRINT: u64 = AGENT_FINGERPRINT_BYTES as u64;
        self.offset = offset;
        if self.head.bytes < PRINT {
            self.head = Print::read(file, 0, offset.min(PRINT))?;
        }
        let tail = offset.min(PRINT);
        self.tail = Print::read(file, offset - tail, tail)?;
        Ok(())
    }

    /// Says whether the file's first bytes are still those that were read.
    pub(super) fn begins(&self, file: &File) -> io::Result<bool> {
        self.head.matches(file, 0)
    }

    /// Compares a file with what was read.
    pub(super) fn compare(&self, file: &File) -> io::Result<Likeness> {
        let is_long_enough = file.metadata()?.len() >= self.offset;
        let is_same = is_long_enough && self.begins(file)? && self.tail.matches(file, self.offset - self.tail.bytes)?;
        Ok(if is_same { Likeness::Same } else { Likeness::Other })
    }
}

/// Says whether two files have the same first bytes, as far as both go.
pub(super) fn begin_alike(one: &File, other: &File) -> io::Result<bool> {
    let (mut left, mut right) = ([0; AGENT_FINGERPRINT_BYTES], [0; AGENT_FINGERPRINT_BYTES]);
    let bytes = read_up_to(one, &mut left, 0)?.min(read_up_to(other, &mut right, 0)?);
    Ok(bytes > 0 && left[..bytes] == right[..bytes])
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_up_to(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
