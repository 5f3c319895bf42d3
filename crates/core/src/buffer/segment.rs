use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::{Buffer as Bytes, MutableBuffer};
use tidegate_model::limits::SPARE_SEGMENTS_MAX;
use tidegate_model::{Disk, DiskFile};

use super::error::BufferError;
use super::frame::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::paths;

/// One file of the log; chunks that are read back hold it, so that it is never written again under them.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    file: Arc<dyn DiskFile>,
}

impl Segment {
    /// Writes all parts at an offset, however many writes it takes.
    pub(super) fn write_all(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        write_all(self.file.as_ref(), parts, offset)
    }

    /// Reads exactly so many bytes; `None` when the file ends before.
    pub(super) fn read(&self, offset: u64, bytes: usize) -> io::Result<Option<Bytes>> {
        if offset.saturating_add(bytes as u64) > self.bytes {
            return Ok(None);
        }
        let mut into = MutableBuffer::from_len_zeroed(bytes);
        let mut filled = 0;
        while filled < bytes {
            match self.file.read_at(&mut into[filled..], offset + filled as u64)? {
                0 => return Ok(None),
                read => filled += read,
            }
        }
        Ok(Some(into.into()))
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Makes what the file shows and what the disk has the same, before it is read in recovery.
    ///
    /// Bytes that a killed process wrote may not be on the disk yet, so they are synced; after a
    /// failed sync Linux shows bytes that are not on the disk and never will be, so the cache is left.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.file.sync()?;
        self.file.forget_cached()
    }
}

/// The folder of the log: makes segments, and takes their files back.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    spares: Mutex<Vec<Spare>>,
    _lock: Arc<dyn DiskFile>,
}

#[derive(Debug)]
struct Spare {
    path: PathBuf,
    bytes: u64,
}

impl Folder {
    /// Makes the folder when absent and locks it; returns it with the numbers of its segments, in order.
    pub(super) fn open(dir: &Path, disk: Arc<dyn Disk>, segment_bytes: u64) -> Result<(Self, Vec<u64>), BufferError> {
        let failed = |step: &str, error| BufferError::io(format!("{step} {}", dir.display()), error);
        disk.create_dir(dir).map_err(|error| failed("make the folder", error))?;
        let lock = disk.lock(&paths::lock(dir)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => BufferError::Locked { dir: dir.display().to_string() },
            _ => failed("lock the folder", error),
        })?;
        let names = disk.list(dir).map_err(|error| failed("list the folder", error))?;
        let mut numbers: Vec<_> = names.iter().filter_map(|name| paths::segment_number(name)).collect();
        numbers.sort_unstable();
        let folder = Self { dir: dir.to_owned(), disk, segment_bytes, spares: Mutex::new(Vec::new()), _lock: lock };
        for number in names.iter().filter_map(|name| paths::spare_number(name)) {
            folder.keep_spare(number).map_err(|error| failed("look through the spare files of", error))?;
        }
        for number in names.iter().filter_map(|name| paths::unfinished_number(name)) {
            let removed = folder.disk.remove(&paths::unfinished(dir, number));
            removed.map_err(|error| failed("remove an unfinished file from", error))?;
        }
        // A killed process may have named a segment and not synced its name: a power cut would take it back.
        folder.disk.sync_dir(dir).map_err(|error| failed("sync the folder", error))?;
        Ok((folder, numbers))
    }

    /// Returns the folder's path.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the bytes that are free on its disk.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes(&self.dir)
    }

    /// Returns the bytes of files that wait to be used again.
    pub(super) fn spare_bytes(&self) -> u64 {
        self.spares().iter().map(|spare| spare.bytes).sum()
    }

    /// Opens a segment that is there.
    pub(super) fn open_segment(&self, number: u64) -> Result<Segment, BufferError> {
        let path = paths::segment(&self.dir, number);
        let opened = self.disk.open(&path).and_then(|file| Ok((file.bytes()?, file)));
        let (bytes, file) = opened.map_err(|error| BufferError::io(format!("open {}", path.display()), error))?;
        Ok(Segment { number, path, bytes, file })
    }

    /// Makes a segment with room for `frame_bytes`; when it returns, its header and its name are durable.
    ///
    /// The header is synced before the file gets its name, so a segment with a bad header was damaged later.
    pub(super) fn create_segment(&self, header: &SegmentHeader, frame_bytes: u64) -> Result<Segment, FileError> {
        let number = header.segment;
        let path = paths::segment(&self.dir, number);
        let needed = frame_bytes + SEGMENT_HEADER_BYTES as u64;
        let (spare, file) = self.take_file(number, needed.max(self.segment_bytes))?;
        write_all(file.as_ref(), &mut [IoSlice::new(&header.encode())], 0)
            .map_err(|error| self.given_up(&spare.path, error))?;
        file.sync().map_err(FileError::Unsynced)?;
        self.disk.rename(&spare.path, &path).map_err(|error| self.given_up(&spare.path, error))?;
        self.disk.sync_dir(&self.dir).map_err(FileError::Unsynced)?;
        Ok(Segment { number, path, bytes: spare.bytes, file })
    }

    /// Gives up a segment whose rows are all stored: its file is kept to be used again, or removed.
    ///
    /// A file that somebody still reads is only removed: its bytes stay until the last reader is done.
    pub(super) fn retire(&self, segment: &Arc<Segment>) -> Result<(), FileError> {
        let keep = segment.bytes == self.segment_bytes
            && Arc::strong_count(segment) == 1
            && self.spares().len() < SPARE_SEGMENTS_MAX;
        if keep {
            self.disk.rename(&segment.path, &paths::spare(&self.dir, segment.number)).map_err(FileError::Unchanged)?;
        } else {
            self.disk.remove(&segment.path).map_err(FileError::Unchanged)?;
        }
        // One at a time, in order: a power cut must not bring back a segment from before one that is gone,
        // and a file must not be written again while its old name may come back.
        self.disk.sync_dir(&self.dir).map_err(FileError::Unsynced)?;
        if keep {
            let path = paths::spare(&self.dir, segment.number);
            self.spares().push(Spare { path, bytes: segment.bytes });
        }
        Ok(())
    }

    fn take_file(&self, number: u64, bytes: u64) -> Result<(Spare, Arc<dyn DiskFile>), FileError> {
        let spare = if bytes == self.segment_bytes { self.spares().pop() } else { None };
        if let Some(spare) = spare {
            let file = self.disk.open(&spare.path).map_err(|error| self.given_up(&spare.path, error))?;
            return Ok((spare, file));
        }
        let path = paths::unfinished(&self.dir, number);
        let file = self.disk.create(&path, bytes).map_err(|error| self.given_up(&path, error))?;
        Ok((Spare { path, bytes }, file))
    }

    /// Removes a file that did not become a segment; best effort, it only takes room until the next start.
    fn given_up(&self, path: &Path, error: io::Error) -> FileError {
        self.disk.remove(path).ok();
        FileError::Unchanged(error)
    }

    fn keep_spare(&self, number: u64) -> io::Result<()> {
        let path = paths::spare(&self.dir, number);
        let bytes = self.disk.open(&path)?.bytes()?;
        let mut spares = self.spares();
        if bytes == self.segment_bytes && spares.len() < SPARE_SEGMENTS_MAX {
            spares.push(Spare { path, bytes });
            return Ok(());
        }
        drop(spares);
        self.disk.remove(&path)
    }

    fn spares(&self) -> std::sync::MutexGuard<'_, Vec<Spare>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a file did not become a segment, or did not cease to be one.
#[derive(Debug)]
pub(super) enum FileError {
    /// Nothing has changed; a later try may succeed.
    Unchanged(io::Error),
    /// What is on the disk now is not known.
    Unsynced(io::Error),
}

fn write_all(file: &dyn DiskFile, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match file.write_at(parts, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
