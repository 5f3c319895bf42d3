use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use tidegate_model::Disk;

use super::frame::{self, Kind, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::segment::{self, Segment};
use super::{Marks, Queue, QueueError, QueueOptions, io_error};

const LOCK: &str = "lock";

impl Queue {
    /// Opens a queue with what its folder holds, or a new one.
    pub fn open(disk: Arc<dyn Disk>, options: QueueOptions) -> Result<Self, QueueError> {
        let dir = options.dir.clone();
        disk.create_dir(&dir).map_err(io_error("make the folder", &dir))?;
        let lock = disk.lock(&dir.join(LOCK)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => QueueError::InUse(dir.clone()),
            _ => io_error("lock", &dir)(error),
        })?;
        let mut found = Found::default();
        let numbers = segment::numbers(disk.as_ref(), &dir).map_err(io_error("list", &dir))?;
        let next_segment = numbers.last().map_or(1, |last| last + 1);
        for number in numbers {
            found.take(disk.as_ref(), &options, number)?;
        }
        let first = found.segments.front().map_or(0, |segment| segment.number);
        let mut queue = Self {
            id: found.id.unwrap_or(options.fresh_id),
            disk,
            options,
            segments: found.segments,
            marks: found.marks,
            last: found.last,
            synced: found.last,
            delivered: found.delivered,
            cursor: (first, SEGMENT_HEADER_BYTES as u64),
            next_segment,
            is_closed: false,
            is_noted: false,
            lost: found.lost,
            waiting_rows: 0,
            _lock: lock,
        };
        queue.waiting_rows =
            found.rows.iter().filter(|(number, _)| *number > queue.delivered).map(|(_, rows)| rows).sum();
        queue.start_or_go_on()?;
        Ok(queue)
    }

    /// Starts the segment that this run writes into; a full queue goes on without until there is room.
    fn start_or_go_on(&mut self) -> Result<(), QueueError> {
        match self.start_segment(0) {
            Err(QueueError::Full { .. }) if !self.segments.is_empty() => {
                // Nothing may follow a torn end: the segment counts as used up.
                if let Some(last) = self.segments.back_mut() {
                    last.bytes = last.bytes.min(last.end);
                }
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// What the segments hold, one after the other.
#[derive(Default)]
struct Found {
    id: Option<u64>,
    segments: VecDeque<Segment>,
    marks: Marks,
    last: u64,
    delivered: u64,
    lost: u64,
    /// Requests and their rows that may be waiting.
    rows: Vec<(u64, u64)>,
}

impl Found {
    fn take(&mut self, disk: &dyn Disk, options: &QueueOptions, number: u64) -> Result<(), QueueError> {
        let path = Segment::path(&options.dir, number);
        let file = disk.open(&path).map_err(io_error("open", &path))?;
        // What a killed process wrote is made durable before anyone is told of it; what a failed sync left only in the
        // cache is forgotten.
        file.sync().and_then(|()| file.forget_cached()).map_err(io_error("sync", &path))?;
        let bytes = file.bytes().map_err(io_error("read", &path))?;
        let mut segment = Segment { number, path, first: 0, last: 0, end: 0, bytes, file };
        let Some(header) = self.header(&segment)? else {
            // Its header was never whole, so nothing in it was ever handed out.
            return disk.remove(&segment.path).map_err(io_error("remove", &segment.path));
        };
        self.id = Some(header.queue);
        if self.segments.is_empty() {
            // The segments before this one went because all of theirs was delivered.
            self.last = header.first - 1;
            self.delivered = self.delivered.max(self.last);
        }
        self.lost += (header.first - 1).saturating_sub(self.last);
        self.last = header.first - 1;
        segment.first = header.first;
        segment.end = SEGMENT_HEADER_BYTES as u64;
        self.frames(&mut segment)?;
        segment.last = self.last;
        self.segments.push_back(segment);
        Ok(())
    }

    fn header(&self, segment: &Segment) -> Result<Option<SegmentHeader>, QueueError> {
        let bytes = segment.bytes_at(0, SEGMENT_HEADER_BYTES as u64).map_err(io_error("read", &segment.path))?;
        let header = bytes.and_then(|bytes| SegmentHeader::decode(&bytes));
        let first_frame = segment.read(SEGMENT_HEADER_BYTES as u64).map_err(io_error("read", &segment.path))?;
        let is_whole = first_frame.is_some_and(|frame| frame.header.kind == Kind::Snapshot);
        let is_ours = |header: &SegmentHeader| {
            header.segment == segment.number && header.first > 0 && self.id.is_none_or(|id| id == header.queue)
        };
        Ok(header.filter(|header| is_whole && is_ours(header)))
    }

    /// Walks a segment's frames up to its end, which a crash may have torn.
    fn frames(&mut self, segment: &mut Segment) -> Result<(), QueueError> {
        while let Some(found) = segment.read(segment.end).map_err(io_error("read", &segment.path))? {
            let header = found.header;
            let is_request = matches!(header.kind, Kind::Logs | Kind::Metrics);
            if header.number != self.last + u64::from(is_request) {
                break;
            }
            if header.kind == Kind::Snapshot {
                self.marks.clear();
            }
            if frame::apply_marks(&mut self.marks, &found.marks).is_none() {
                break;
            }
            if is_request {
                self.last = header.number;
                self.rows.push((header.number, u64::from(header.rows)));
            }
            self.delivered = self.delivered.max(header.delivered);
            segment.end += header.bytes();
        }
        Ok(())
    }
}
