use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer as Bytes;
use arrow_ipc::reader::StreamDecoder;
use tidegate_model::{BufferId, RetryKey, SeqRange, TableName, UnixNanos};

use super::error::BufferError;
use super::frame::{self, BadSegment, FRAME_HEADER_BYTES, FrameHeader, Head, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::tail::WalRows;

/// What a segment's bytes say, up to the first that are not a frame.
#[derive(Debug)]
pub struct SegmentReading {
    /// The buffer that wrote it.
    pub buffer: BufferId,
    /// Its number.
    pub segment: u64,
    /// Its frames, in order.
    pub frames: Vec<FrameReading>,
    /// Bytes up to the end of the last good frame.
    pub good_bytes: u64,
    /// What is wrong with the frame behind them; `None` when nothing claims to be one.
    pub damage: Option<&'static str>,
}

/// What a frame says.
#[derive(Debug)]
pub struct FrameReading {
    /// Its number.
    pub number: u64,
    /// When its request came.
    pub received_at: UnixNanos,
    /// How a retry of the request is known.
    pub retry: Option<RetryKey>,
    /// What the requester was told.
    pub answer: Vec<u8>,
    /// The rows of each table, with their numbers.
    pub sections: Vec<(TableName, SeqRange, RecordBatch)>,
}

/// Reads a segment from its bytes, whatever they are; needs no more memory than a few times theirs.
pub fn read_segment(bytes: &[u8]) -> Result<SegmentReading, BufferError> {
    let header = SegmentHeader::decode(bytes).map_err(|bad| bad_segment("the segment", bad))?;
    let mut read = |offset: u64, length: usize| Ok(slice(bytes, offset, length).map(Bytes::from));
    let mut cursor = Cursor::at_start_of(&header);
    let mut reading = SegmentReading {
        buffer: header.buffer,
        segment: header.segment,
        frames: Vec::new(),
        good_bytes: 0,
        damage: None,
    };
    while reading.damage.is_none() {
        match next_frame(&mut read, &cursor).map_err(|error| BufferError::io("read the segment", error))? {
            Next::Frame(frame) => match frame.decoded() {
                Ok(decoded) => {
                    cursor.step_over(&frame.header);
                    reading.frames.push(decoded);
                }
                Err(damage) => reading.damage = Some(damage),
            },
            Next::Torn { damage, .. } => reading.damage = Some(damage),
            Next::End => break,
        }
    }
    reading.good_bytes = cursor.offset;
    Ok(reading)
}

/// Reads rows back from where they are in the log.
pub(super) fn read_rows(rows: &WalRows) -> Result<RecordBatch, BufferError> {
    let place = || format!("the rows at byte {} of {}", rows.offset, rows.segment.path.display());
    let length = usize::try_from(rows.ipc_bytes).unwrap_or(usize::MAX);
    let bytes =
        rows.segment.read(rows.offset, length).map_err(|error| BufferError::io(format!("read {}", place()), error))?;
    match bytes {
        Some(bytes) if crc32c::crc32c(&bytes) == rows.ipc_crc => {
            decode(bytes, rows.rows).map_err(|damage| BufferError::Corrupt(format!("{}: {damage}", place())))
        }
        _ => Err(BufferError::Corrupt(format!("{} are not what was written", place()))),
    }
}

/// Decodes the Arrow IPC bytes of one section.
pub(super) fn decode(bytes: Bytes, rows: u64) -> Result<RecordBatch, &'static str> {
    // The checksum was right, so only a bug or an attacker gets here with bytes that arrow-ipc (60.1) panics on:
    // it slices by offsets that it did not check. One bad section must not keep the buffer from saying so.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_stream(bytes)));
    match decoded {
        Ok(Some(batch)) if batch.num_rows() as u64 == rows => Ok(batch),
        Ok(Some(_)) => Err("its rows are not as many as it says"),
        Ok(None) | Err(_) => Err("its rows are not Arrow IPC"),
    }
}

fn decode_stream(mut bytes: Bytes) -> Option<RecordBatch> {
    let batch = StreamDecoder::new().decode(&mut bytes).ok()??;
    bytes.is_empty().then_some(batch)
}

/// Where the next frame is, and what makes it the next one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    pub(super) buffer: BufferId,
    pub(super) number: u64,
    pub(super) chain: u32,
    pub(super) offset: u64,
}

impl Cursor {
    pub(super) const fn at_start_of(header: &SegmentHeader) -> Self {
        Self {
            buffer: header.buffer,
            number: header.first_frame,
            chain: header.chain,
            offset: SEGMENT_HEADER_BYTES as u64,
        }
    }

    pub(super) const fn step_over(&mut self, frame: &FrameHeader) {
        self.number += 1;
        self.chain = frame.crc;
        self.offset += frame.frame_bytes;
    }
}

/// What is at a cursor.
pub(super) enum Next {
    Frame(ReadFrame),
    /// Something claims to be the next frame and is not whole.
    Torn {
        damage: &'static str,
        frame_bytes: u64,
    },
    /// Nothing claims to be the next frame: zeros, or what a recycled file held before.
    End,
}

/// A frame whose checksums are right, its rows not decoded.
pub(super) struct ReadFrame {
    pub(super) header: FrameHeader,
    pub(super) head: Head,
    /// Offset and bytes of each section.
    pub(super) ipc: Vec<(u64, Bytes)>,
}

impl ReadFrame {
    fn decoded(&self) -> Result<FrameReading, &'static str> {
        let mut sections = Vec::with_capacity(self.ipc.len());
        for (section, (_, ipc)) in self.head.sections.iter().zip(&self.ipc) {
            let rows = decode(ipc.clone(), section.range.rows())?;
            sections.push((section.table.clone(), section.range, rows));
        }
        Ok(FrameReading {
            number: self.header.number,
            received_at: self.head.received_at,
            retry: self.head.retry,
            answer: self.head.answer.clone(),
            sections,
        })
    }
}

/// Reads the frame at the cursor; `read` returns `None` for bytes beyond the end.
pub(super) fn next_frame(
    read: &mut impl FnMut(u64, usize) -> io::Result<Option<Bytes>>,
    cursor: &Cursor,
) -> io::Result<Next> {
    let Some(fixed) = read(cursor.offset, FRAME_HEADER_BYTES)? else { return Ok(Next::End) };
    let Some(header) = FrameHeader::decode(&fixed) else { return Ok(Next::End) };
    if (header.buffer, header.number, header.chain) != (cursor.buffer, cursor.number, cursor.chain) {
        return Ok(Next::End);
    }
    let torn = |damage| Ok(Next::Torn { damage, frame_bytes: header.frame_bytes });
    let head_at = cursor.offset + FRAME_HEADER_BYTES as u64;
    let head = read(head_at, usize_of(u64::from(header.head_bytes)))?.filter(|head| header.matches(&fixed, head));
    let Some(head) = head else { return torn("its head's checksum is wrong") };
    let Some(head) = Head::decode(&head) else { return torn("its head says nothing sensible") };
    let sizes = head.sections.iter().map(|section| section.ipc_bytes);
    if frame::frame_bytes(usize_of(u64::from(header.head_bytes)), sizes) != Some(header.frame_bytes) {
        return torn("its length is not that of its parts");
    }
    let mut offset = cursor.offset + frame::aligned(FRAME_HEADER_BYTES + usize_of(u64::from(header.head_bytes))) as u64;
    let mut ipc = Vec::with_capacity(head.sections.len());
    for section in &head.sections {
        match read(offset, usize_of(section.ipc_bytes))? {
            Some(bytes) if crc32c::crc32c(&bytes) == section.ipc_crc => ipc.push((offset, bytes)),
            _ => return torn("its rows' checksum is wrong"),
        }
        offset += section.ipc_bytes.next_multiple_of(frame::ALIGNMENT as u64);
    }
    Ok(Next::Frame(ReadFrame { header, head, ipc }))
}

pub(super) fn bad_segment(file: &str, bad: BadSegment) -> BufferError {
    match bad {
        BadSegment::Version(found) => {
            BufferError::Version { file: file.to_owned(), found, known: frame::FORMAT_VERSION }
        }
        BadSegment::Header(why) => BufferError::Corrupt(format!("{file} is not a segment: {why}")),
    }
}

fn slice(bytes: &[u8], offset: u64, length: usize) -> Option<&[u8]> {
    bytes.get(usize::try_from(offset).ok()?..)?.get(..length)
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
