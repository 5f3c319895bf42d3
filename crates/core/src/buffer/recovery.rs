//! Opening: what the segments hold becomes tails, retry keys, and the place to write on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arrow_buffer::Buffer as Bytes;
use arrow_schema::SchemaRef;
use tidegate_model::{BufferId, Seq, StoredRetry, TableName, UnixNanos};

use super::error::BufferError;
use super::frame::{SEGMENT_HEADER_BYTES, SectionHead, SegmentHeader};
use super::leftovers::cut_off;
use super::reader::{self, Cursor, Next, ReadFrame};
use super::retries::Retries;
use super::segment::{FileError, Folder, Segment};
use super::state::SegmentUse;
use super::tail::{Chunk, Tail, WalRows};
use super::write;

/// What other states remember for the buffer across a restart.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The stored watermark per table.
    pub stored: HashMap<TableName, Seq>,
    /// Retry keys whose segments are gone.
    pub retries: Vec<StoredRetry>,
    /// Rejected and duplicate rows per table, as last saved.
    pub counts: Vec<(TableName, u64, u64)>,
}

/// What was found at opening.
#[derive(Debug, Clone, Default)]
pub struct Recovery {
    /// Rows read back into the hot tail.
    pub rows: u64,
    /// Frames read back.
    pub frames: u64,
    /// Bytes cut off behind the last good frame.
    pub torn_bytes: u64,
}

/// Everything that the buffer begins with.
pub(super) struct Recovered {
    pub(super) found: Recovery,
    pub(super) cursor: Cursor,
    pub(super) segments: VecDeque<SegmentUse>,
    pub(super) tails: HashMap<TableName, Tail>,
    pub(super) retries: Retries,
    pub(super) hot_bytes: u64,
    schemas: HashMap<TableName, SchemaRef>,
    limits: Limits,
}

/// What recovery is told from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) fresh_id: BufferId,
    pub(super) hot_bytes_max: u64,
    pub(super) dedup_window_seconds: u64,
    pub(super) now: UnixNanos,
    pub(super) monotonic: Duration,
}

/// Reads all segments of the folder, or makes the first one.
pub(super) fn recover(
    folder: &Folder,
    numbers: &[u64],
    remembered: Remembered,
    limits: Limits,
) -> Result<Recovered, BufferError> {
    let mut recovered = Recovered::begin(remembered, limits);
    let mut next = match numbers.first() {
        Some(number) => Some(open_segment(folder, *number)?),
        None => {
            recovered.make_first(folder)?;
            None
        }
    };
    for number in numbers.iter().skip(1).map(Some).chain([None]) {
        let Some((segment, header)) = next else { break };
        next = number.map(|number| open_segment(folder, *number)).transpose()?;
        let end = next.as_ref().map(|(_, header)| header.first_frame);
        recovered.read(folder, segment, &header, end)?;
    }
    for tail in recovered.tails.values_mut() {
        tail.synced = tail.head;
    }
    Ok(recovered)
}

impl Recovered {
    fn begin(remembered: Remembered, limits: Limits) -> Self {
        let mut tails: HashMap<_, _> =
            remembered.stored.into_iter().map(|(table, stored)| (table, Tail::behind(stored))).collect();
        for (table, rejected, duplicate) in remembered.counts {
            let tail = tails.entry(table).or_default();
            (tail.rejected, tail.duplicate) = (rejected, duplicate);
        }
        let mut retries = Retries::new(limits.dedup_window_seconds);
        let mut kept = remembered.retries;
        kept.sort_unstable_by_key(|retry| retry.at);
        for retry in kept {
            retries.remember(retry.retry, retry.at, &retry.answer, limits.now);
        }
        let cursor = Cursor { buffer: limits.fresh_id, number: 1, chain: 0, offset: SEGMENT_HEADER_BYTES as u64 };
        Self {
            found: Recovery::default(),
            cursor,
            segments: VecDeque::new(),
            tails,
            retries,
            hot_bytes: 0,
            schemas: HashMap::new(),
            limits,
        }
    }

    fn make_first(&mut self, folder: &Folder) -> Result<(), BufferError> {
        let header = SegmentHeader {
            buffer: self.cursor.buffer,
            segment: 1,
            first_frame: self.cursor.number,
            chain: self.cursor.chain,
        };
        let made = folder.create_segment(&header, 0).map_err(|error| match error {
            FileError::Unchanged(error) | FileError::Unsynced(error) => {
                BufferError::io(format!("make the first segment in {}", folder.dir().display()), error)
            }
        })?;
        self.segments.push_back(SegmentUse::of(made, self.cursor.offset));
        Ok(())
    }

    /// Reads a segment up to the frame that the next one begins with; the last one up to its last good frame.
    ///
    /// Behind the end of a segment may be whole frames: of a write that failed, and whose place was then not needed.
    fn read(
        &mut self,
        folder: &Folder,
        segment: Segment,
        header: &SegmentHeader,
        end: Option<u64>,
    ) -> Result<(), BufferError> {
        let path = segment.path.display().to_string();
        let failed = |error| BufferError::io(format!("read {path}"), error);
        if end.is_none() {
            segment.settle().map_err(failed)?;
        }
        self.enter(folder, &path, header)?;
        let segment = Arc::new(segment);
        let mut holds = SegmentUse::of_shared(Arc::clone(&segment), self.cursor.offset);
        let mut read = |offset, length| segment.read(offset, length);
        while end.is_none_or(|end| self.cursor.number < end) {
            match reader::next_frame(&mut read, &self.cursor).map_err(failed)? {
                Next::Frame(frame) => self.take(frame, &mut holds)?,
                Next::Torn { damage, frame_bytes } => {
                    tracing::warn!(
                        segment = path,
                        offset = self.cursor.offset,
                        frame_bytes,
                        damage,
                        "found a torn frame"
                    );
                    break;
                }
                Next::End => break,
            }
        }
        if end.is_none() {
            self.found.torn_bytes = cut_off(&segment, &self.cursor, folder)?;
        }
        holds.used = if end.is_none() { self.cursor.offset } else { segment.bytes };
        self.segments.push_back(holds);
        Ok(())
    }

    /// Checks that a segment goes on where the one before it ended.
    fn enter(&mut self, folder: &Folder, path: &str, header: &SegmentHeader) -> Result<(), BufferError> {
        let begin = Cursor::at_start_of(header);
        if let Some(before) = self.segments.back() {
            if header.buffer != self.cursor.buffer || header.segment != before.segment.number + 1 {
                return Err(damaged(folder, &format!("a segment is missing before {path}")));
            }
            if (begin.number, begin.chain) != (self.cursor.number, self.cursor.chain) {
                let (frame, offset, file) = (self.cursor.number, self.cursor.offset, before.segment.path.display());
                let what = format!("frame {frame}, at byte {offset} of {file}, is not what was written");
                return Err(damaged(folder, &format!("{what}, and frames after it were acknowledged")));
            }
        }
        self.cursor = begin;
        Ok(())
    }

    fn take(&mut self, frame: ReadFrame, holds: &mut SegmentUse) -> Result<(), BufferError> {
        let ReadFrame { header, head, ipc } = frame;
        self.cursor.step_over(&header);
        self.found.frames += 1;
        for (section, (offset, ipc)) in head.sections.iter().zip(ipc) {
            holds.lasts.insert(section.table.clone(), section.range.last);
            self.take_section(section, offset, ipc, &holds.segment)?;
        }
        if let Some(retry) = head.retry {
            holds.keys.push(retry.key);
            self.retries.remember(retry, head.received_at, &head.answer, self.limits.now);
        }
        Ok(())
    }

    fn take_section(
        &mut self,
        section: &SectionHead,
        offset: u64,
        ipc: Bytes,
        segment: &Arc<Segment>,
    ) -> Result<(), BufferError> {
        let tail = self.tails.entry(section.table.clone()).or_default();
        let range = section.range;
        if range.last <= tail.stored {
            return Ok(());
        }
        if range.first.max(tail.stored.next()) != tail.head.next() {
            return Err(BufferError::Corrupt(format!(
                "rows {} to {} of table {} are missing before byte {offset} of {}: the catalog and the log are not of one time; restore both from one backup, or move the log's folder aside to go on without its rows",
                tail.head.next(),
                Seq(range.first.0 - 1),
                section.table,
                segment.path.display()
            )));
        }
        let stored = tail.stored;
        let place = WalRows {
            segment: Arc::clone(segment),
            offset,
            ipc_bytes: section.ipc_bytes,
            ipc_crc: section.ipc_crc,
            rows: range.rows(),
        };
        let chunk = self.load(section, ipc, place)?.above(stored);
        self.found.rows += chunk.range.rows();
        self.hot_bytes += chunk.hot_bytes();
        self.tails.entry(section.table.clone()).or_default().push(chunk);
        Ok(())
    }

    /// Loads rows into memory while there is room; the rest stays in the log.
    fn load(&mut self, section: &SectionHead, ipc: Bytes, place: WalRows) -> Result<Chunk, BufferError> {
        let received = self.limits.monotonic;
        let room = self.limits.hot_bytes_max.saturating_sub(self.hot_bytes);
        if section.ipc_bytes > room {
            return Ok(Chunk::in_wal(section.range, place, received));
        }
        let rows = reader::decode(ipc, section.range.rows()).map_err(|damage| {
            BufferError::Corrupt(format!("byte {} of {}: {damage}", place.offset, place.segment.path.display()))
        })?;
        // A schema of forty columns is larger than a small request's rows: frames share it.
        let schema = self.schemas.entry(section.table.clone()).or_insert_with(|| rows.schema());
        let is_same = *schema == rows.schema();
        let rows = if is_same { rows.with_schema(Arc::clone(schema)).expect("it is the same schema") } else { rows };
        let bytes = write::memory_bytes(&rows);
        if bytes > room {
            return Ok(Chunk::in_wal(section.range, place, received));
        }
        Ok(Chunk::in_memory(section.range, rows, bytes, received))
    }
}

fn open_segment(folder: &Folder, number: u64) -> Result<(Segment, SegmentHeader), BufferError> {
    let segment = folder.open_segment(number)?;
    let path = segment.path.display().to_string();
    let bytes =
        segment.read(0, SEGMENT_HEADER_BYTES).map_err(|error| BufferError::io(format!("read {path}"), error))?;
    let header = SegmentHeader::decode(bytes.as_deref().unwrap_or_default());
    let header = header.map_err(|bad| reader::bad_segment(&path, bad))?;
    if header.segment != number {
        return Err(damaged(folder, &format!("{path} holds segment {}", header.segment)));
    }
    Ok((segment, header))
}

pub(super) fn damaged(folder: &Folder, what: &str) -> BufferError {
    BufferError::Corrupt(format!(
        "{what}; restore {dir} from a backup, or move it aside to go on without those of its rows that are not in ClickHouse yet",
        dir = folder.dir().display()
    ))
}
