use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_model::{Disk, DiskFile};

use super::frame::{FRAME_HEADER_BYTES, FrameHeader};

const NAME_END: &str = ".queue";

/// One file of the queue.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// The number of the first request in it.
    pub(super) first: u64,
    /// The number of the last request in it; below `first` when there is none.
    pub(super) last: u64,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// What the file takes on the disk.
    pub(super) bytes: u64,
    pub(super) file: Arc<dyn DiskFile>,
}

/// A frame as it was read back.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) header: FrameHeader,
    pub(super) marks: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Segment {
    pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
        dir.join(format!("{number:016}{NAME_END}"))
    }

    /// Writes all parts behind what is there.
    pub(super) fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        let mut at = self.end;
        while !rest.is_empty() {
            match self.file.write_at(rest, at)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                taken => {
                    at += taken as u64;
                    IoSlice::advance_slices(&mut rest, taken);
                }
            }
        }
        self.end = at;
        Ok(())
    }

    /// Reads the frame at an offset; `None` when no whole one is there.
    pub(super) fn read(&self, offset: u64) -> io::Result<Option<Frame>> {
        let Some(fixed) = self.bytes_at(offset, FRAME_HEADER_BYTES as u64)? else { return Ok(None) };
        let Some(header) = FrameHeader::decode(&fixed) else { return Ok(None) };
        let marks_at = offset + FRAME_HEADER_BYTES as u64;
        let marks_bytes = u64::from(header.marks_bytes);
        let Some(marks) = self.bytes_at(marks_at, marks_bytes)? else { return Ok(None) };
        let Some(body) = self.bytes_at(marks_at + marks_bytes, u64::from(header.body_bytes))? else { return Ok(None) };
        Ok(header.matches(&marks, &body).then_some(Frame { header, marks, body }))
    }

    /// Reads exactly so many bytes; `None` when the file ends before.
    pub(super) fn bytes_at(&self, offset: u64, bytes: u64) -> io::Result<Option<Vec<u8>>> {
        if offset.saturating_add(bytes) > self.bytes {
            return Ok(None);
        }
        let mut into = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        let mut filled = 0;
        while filled < into.len() {
            match self.file.read_at(&mut into[filled..], offset + filled as u64)? {
                0 => return Ok(None),
                read => filled += read,
            }
        }
        Ok(Some(into))
    }
}

/// Returns the numbers of the segments in a folder, lowest first.
pub(super) fn numbers(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(dir)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(NAME_END)?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
