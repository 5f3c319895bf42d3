//! The queue: what was collected and not yet delivered, on disk; and how far every source was read (its **mark**).
//!
//! A source's rows and its mark are one frame under one checksum: a crash keeps both or neither, so no line is lost and
//! none is read twice. Requests are handed out in their order, only after their frame is synced, each under a retry key
//! that no other content ever had ([`Request::key`]): of a crash between "sent" and "known to be delivered" a second
//! sending under the same key remains, which the server recognises.
//!
//! On disk: segments `NNNNNNNNNNNNNNNN.queue`, each a header, a snapshot of all marks, then frames. A segment goes when
//! all its requests are delivered; the snapshot of the next one carries its marks. After a start nothing is appended to
//! an old segment: a torn end stays where it is, and the next segment says where the count goes on.
//!
//! After a failed write or sync nothing more is taken: what the file has is known again after [`Queue::open`].
//!
//! | file | holds |
//! |---|---|
//! | `frame.rs` | the bytes of headers, frames and marks |
//! | `segment.rs` | one file |
//! | `recovery.rs` | what a start finds |

mod frame;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_model::{Disk, Signal};

use frame::{FRAME_HEADER_BYTES, FrameHeader, Kind, SEGMENT_HEADER_BYTES, SegmentHeader};
use segment::Segment;

/// How far each source was read, by the source's name.
pub type Marks = BTreeMap<String, String>;

/// A change of marks: the source's name, and how far it was read or `None` when it is gone.
pub type MarkChange = (String, Option<String>);

/// Why the queue did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue, or the disk, is full; nothing was written.
    #[error("the queue is full ({used} of {max} bytes)")]
    Full {
        /// Bytes that its segments take.
        used: u64,
        /// Bytes that they may take.
        max: u64,
    },
    /// The disk failed.
    #[error("{step} {path}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// Another process has the folder.
    #[error("another agent works in {0}: give each its own `data`")]
    InUse(PathBuf),
    /// An earlier write failed.
    #[error("the queue took no more after a failed write")]
    Closed,
}

/// One export request as the queue takes it.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Logs or metrics.
    pub signal: Signal,
    /// How many rows are in it.
    pub rows: u32,
    /// The protobuf message, as it will be sent.
    pub body: &'a [u8],
    /// The body is compressed (zstd).
    pub is_packed: bool,
    /// How far sources were read for it.
    pub marks: &'a [MarkChange],
}

/// One export request as the queue hands it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number: requests count from 1.
    pub number: u64,
    /// The retry key: the same for the same content, also after a restart, and never given to another.
    pub key: String,
    /// Logs or metrics.
    pub signal: Signal,
    /// How many rows are in it.
    pub rows: u32,
    /// The protobuf message.
    pub body: Vec<u8>,
    /// The body is compressed (zstd).
    pub is_packed: bool,
}

/// How the queue is told to be.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// Its folder, made when absent.
    pub dir: PathBuf,
    /// What its segments may take on the disk.
    pub bytes_max: u64,
    /// The queue's identity when the folder is new: any number drawn by chance.
    pub fresh_id: u64,
}

/// The queue; see the module's head.
#[derive(Debug)]
pub struct Queue {
    disk: Arc<dyn Disk>,
    options: QueueOptions,
    id: u64,
    segments: VecDeque<Segment>,
    marks: Marks,
    /// The last request appended.
    last: u64,
    /// The last request on the disk for sure.
    synced: u64,
    /// The last request delivered.
    delivered: u64,
    /// Where the search for the next request to deliver begins: a segment's number and an offset.
    cursor: (u64, u64),
    next_segment: u64,
    is_closed: bool,
    /// Marks moved without a request, and are not synced.
    is_noted: bool,
    /// Requests that were in the queue and cannot be read any more, since this start.
    lost: u64,
    waiting_rows: u64,
    _lock: Arc<dyn tidegate_model::DiskFile>,
}

impl Queue {
    /// Appends a request with the marks that it moves; it is neither durable nor handed out before [`Queue::sync`].
    pub fn append(&mut self, entry: &Entry<'_>) -> Result<u64, QueueError> {
        self.check_open()?;
        let kind = match entry.signal {
            Signal::Metrics => Kind::Metrics,
            _ => Kind::Logs,
        };
        let marks = encode(entry.marks);
        let bytes = (FRAME_HEADER_BYTES + marks.len() + entry.body.len()) as u64;
        self.make_room(bytes)?;
        self.last += 1;
        let header = self.header(kind, entry.is_packed, entry.rows, &marks, entry.body);
        self.write_frame(header, &marks, entry.body)?;
        self.apply(entry.marks);
        self.waiting_rows += u64::from(entry.rows);
        Ok(self.last)
    }

    /// Moves marks without a request, as if with the last one; not durable before [`Queue::sync`].
    pub fn note(&mut self, changes: &[MarkChange]) -> Result<(), QueueError> {
        self.check_open()?;
        let marks = encode(changes);
        self.make_room((FRAME_HEADER_BYTES + marks.len()) as u64)?;
        let header = self.header(Kind::Delivered, false, 0, &marks, &[]);
        self.write_frame(header, &marks, &[])?;
        self.is_noted = true;
        self.apply(changes);
        Ok(())
    }

    /// Makes durable what was appended.
    pub fn sync(&mut self) -> Result<(), QueueError> {
        self.check_open()?;
        if self.synced == self.last && !self.is_noted {
            return Ok(());
        }
        if let Some(active) = self.segments.back() {
            let outcome = active.file.sync().map_err(io_error("sync", &active.path));
            self.closing(outcome)?;
        }
        self.synced = self.last;
        self.is_noted = false;
        Ok(())
    }

    /// Returns the oldest request that is durable and not delivered.
    pub fn next_request(&mut self) -> Result<Option<Request>, QueueError> {
        while self.delivered < self.synced {
            let Some(segment) = self.segments.iter().find(|segment| segment.number == self.cursor.0) else {
                break;
            };
            let offset = self.cursor.1;
            let found = if offset < segment.end {
                segment.read(offset).map_err(io_error("read", &segment.path))?
            } else {
                None
            };
            let Some(frame) = found else {
                if !self.step_over() {
                    break;
                }
                continue;
            };
            let header = frame.header;
            if matches!(header.kind, Kind::Logs | Kind::Metrics) && header.number > self.delivered {
                return Ok(Some(self.request(self.cursor.0, frame)));
            }
            self.cursor.1 = offset + header.bytes();
        }
        Ok(None)
    }

    /// Notes that a request is delivered, or given up: it is never handed out again. Segments that are done go.
    pub fn delivered(&mut self, request: &Request) -> Result<(), QueueError> {
        self.check_open()?;
        self.delivered = self.delivered.max(request.number);
        self.waiting_rows = self.waiting_rows.saturating_sub(u64::from(request.rows));
        let room = self.segments.back().map_or(0, |active| active.bytes - active.end);
        if room >= FRAME_HEADER_BYTES as u64 {
            let header = self.header(Kind::Delivered, false, 0, &[], &[]);
            self.write_frame(header, &[], &[])?;
        }
        self.trim()
    }

    /// Returns how far each source was read.
    #[must_use]
    pub const fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Returns requests that are appended and not delivered.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.last - self.delivered
    }

    /// Returns rows in requests that are appended and not delivered.
    #[must_use]
    pub const fn waiting_rows(&self) -> u64 {
        self.waiting_rows
    }

    /// Returns the bytes that the queue takes on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Returns requests of which damaged files kept nothing, as found at the start.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the queue's identity, the same for as long as its folder lives.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    fn apply(&mut self, changes: &[MarkChange]) {
        for (name, value) in changes {
            match value {
                Some(value) => self.marks.insert(name.clone(), value.clone()),
                None => self.marks.remove(name),
            };
        }
    }

    fn request(&self, segment: u64, frame: segment::Frame) -> Request {
        let header = frame.header;
        Request {
            number: header.number,
            // A torn end may have had the same number; its segment is another.
            key: format!("agent-{:016x}-{segment}-{}", self.id, header.number),
            signal: if header.kind == Kind::Metrics { Signal::Metrics } else { Signal::Logs },
            rows: header.rows,
            body: frame.body,
            is_packed: header.is_packed,
        }
    }

    /// Moves the cursor to the next segment; says whether there is one.
    fn step_over(&mut self) -> bool {
        let next = self.segments.iter().map(|segment| segment.number).find(|number| *number > self.cursor.0);
        if let Some(number) = next {
            self.cursor = (number, SEGMENT_HEADER_BYTES as u64);
        }
        next.is_some()
    }

    fn header(&self, kind: Kind, is_packed: bool, rows: u32, marks: &[u8], body: &[u8]) -> FrameHeader {
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
        let (marks_bytes, body_bytes) = (length(marks), length(body));
        let (number, delivered) = (self.last, self.delivered);
        FrameHeader { kind, is_packed, number, delivered, rows, marks_bytes, body_bytes, crc: 0 }
    }

    fn write_frame(&mut self, header: FrameHeader, marks: &[u8], body: &[u8]) -> Result<(), QueueError> {
        let fixed = header.encode(marks, body);
        let Some(active) = self.segments.back_mut() else { return Err(QueueError::Closed) };
        active.last = header.number;
        let outcome = active.write(&[&fixed, marks, body]).map_err(io_error("write", &active.path));
        self.closing(outcome)
    }

    /// Makes sure that the active segment has so much room.
    fn make_room(&mut self, bytes: u64) -> Result<(), QueueError> {
        if self.segments.back().is_some_and(|active| active.end + bytes <= active.bytes) {
            return Ok(());
        }
        self.sync()?;
        self.start_segment(bytes)
    }

    /// Makes the next segment: its header and its snapshot are durable before anything else goes into it.
    fn start_segment(&mut self, room: u64) -> Result<(), QueueError> {
        let marks = frame::encode_marks(self.marks.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))));
        let needed = (SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES + marks.len()) as u64 + room;
        let bytes = needed.max(segment_bytes(self.options.bytes_max));
        let (used, max) = (self.bytes(), self.options.bytes_max);
        if used + bytes > max && !self.segments.is_empty() {
            return Err(QueueError::Full { used, max });
        }
        let number = self.next_segment;
        let path = Segment::path(&self.options.dir, number);
        let file = match self.disk.create(&path, bytes) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                // The name may be there without its bytes; when it stays, a start removes it.
                let _ = self.disk.remove(&path);
                return Err(QueueError::Full { used, max: used });
            }
            Err(error) => return self.closing(Err(io_error("create", &path)(error))),
        };
        self.next_segment += 1;
        let first = self.last + 1;
        let mut segment = Segment { number, path, first, last: self.last, end: 0, bytes, file };
        let header = SegmentHeader { queue: self.id, segment: number, first }.encode();
        let snapshot = self.header(Kind::Snapshot, false, 0, &marks, &[]).encode(&marks, &[]);
        let written = segment
            .write(&[&header, &snapshot, &marks])
            .and_then(|()| segment.file.sync())
            .and_then(|()| self.disk.sync_dir(&self.options.dir))
            .map_err(io_error("write", &segment.path));
        self.segments.push_back(segment);
        self.closing(written)?;
        self.trim()
    }

    /// Removes segments whose requests are all delivered; the last one stays.
    fn trim(&mut self) -> Result<(), QueueError> {
        while self.segments.len() > 1 && self.segments[0].last <= self.delivered {
            let outcome = self.remove_first();
            self.closing(outcome)?;
            self.segments.pop_front();
        }
        let first = self.segments.front().map_or(0, |segment| segment.number);
        if self.cursor.0 < first {
            self.cursor = (first, SEGMENT_HEADER_BYTES as u64);
        }
        Ok(())
    }

    /// Removes the first segment for good: what says that it is delivered is durable before, its going is after.
    fn remove_first(&self) -> Result<(), QueueError> {
        let (first, active) = (&self.segments[0], &self.segments[self.segments.len() - 1]);
        active.file.sync().map_err(io_error("sync", &active.path))?;
        self.disk.remove(&first.path).map_err(io_error("remove", &first.path))?;
        self.disk.sync_dir(&self.options.dir).map_err(io_error("sync", &self.options.dir))
    }

    /// Closes the queue when a step failed: what the disk has is then not known.
    fn closing<T>(&mut self, outcome: Result<T, QueueError>) -> Result<T, QueueError> {
        self.is_closed |= outcome.is_err();
        outcome
    }

    const fn check_open(&self) -> Result<(), QueueError> {
        if self.is_closed { Err(QueueError::Closed) } else { Ok(()) }
    }
}

fn encode(changes: &[MarkChange]) -> Vec<u8> {
    frame::encode_marks(changes.iter().map(|(name, value)| (name.as_str(), value.as_deref())))
}

/// A segment is an eighth of the queue, so that delivered ones make room soon, within bounds.
fn segment_bytes(bytes_max: u64) -> u64 {
    use crate::limits::{AGENT_SEGMENT_BYTES_MAX, AGENT_SEGMENT_BYTES_MIN};
    (bytes_max / 8).clamp(AGENT_SEGMENT_BYTES_MIN, AGENT_SEGMENT_BYTES_MAX)
}

fn io_error(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> QueueError {
    let path = path.to_owned();
    move |source| QueueError::Io { step, path, source }
}
