//! The bytes of a segment's header and of a frame; `docs/agent.md` says what they mean.

use super::Marks;

/// The version of the format that this program writes, and the only one it reads.
const FORMAT_VERSION: u32 = 1;
/// Bytes of a segment's header; the first frame begins behind it.
pub(super) const SEGMENT_HEADER_BYTES: usize = 40;
/// Bytes of a frame's fixed part; its marks and its body follow.
pub(super) const FRAME_HEADER_BYTES: usize = 40;

const SEGMENT_MAGIC: [u8; 8] = *b"TIDEAGT\0";
const FRAME_MAGIC: [u8; 4] = *b"TGaf";
const CRC_AT: usize = 36;

/// What every segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The queue that the segment belongs to.
    pub(super) queue: u64,
    /// The segment's own number.
    pub(super) segment: u64,
    /// The number of the first request in it.
    pub(super) first: u64,
}

impl SegmentHeader {
    pub(super) fn encode(self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..20].copy_from_slice(&self.queue.to_le_bytes());
        out[20..28].copy_from_slice(&self.segment.to_le_bytes());
        out[28..36].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header; `None` when it was never written whole.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..SEGMENT_HEADER_BYTES)?;
        let is_whole = bytes[..8] == SEGMENT_MAGIC
            && word(bytes, 8)? == FORMAT_VERSION
            && word(bytes, CRC_AT)? == crc32c::crc32c(&bytes[..CRC_AT]);
        is_whole.then_some(())?;
        Some(Self { queue: long(bytes, 12)?, segment: long(bytes, 20)?, first: long(bytes, 28)? })
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All marks as of here; every segment begins with one, so that older segments may go.
    Snapshot,
    /// One export request of log records, and the marks that it moves.
    Logs,
    /// One export request of metrics, and the marks that it moves.
    Metrics,
    /// The number of the last delivered request, and marks that moved without one.
    Delivered,
}

/// A frame's fixed part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: Kind,
    pub(super) is_packed: bool,
    /// The request's number; of other frames that of the request before them.
    pub(super) number: u64,
    /// The last request that was delivered when the frame was written.
    pub(super) delivered: u64,
    pub(super) rows: u32,
    pub(super) marks_bytes: u32,
    pub(super) body_bytes: u32,
    pub(super) crc: u32,
}

impl FrameHeader {
    /// Returns the bytes of the fixed part, with the checksum of the whole frame.
    pub(super) fn encode(mut self, marks: &[u8], body: &[u8]) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = self.fixed();
        self.crc = checksum(&out, marks, body);
        out[CRC_AT..].copy_from_slice(&self.crc.to_le_bytes());
        out
    }

    /// Reads a fixed part; `None` when there is none. The checksum is not checked yet.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        (bytes[..4] == FRAME_MAGIC).then_some(())?;
        let kind = match bytes[4] {
            0 => Kind::Snapshot,
            1 => Kind::Logs,
            2 => Kind::Metrics,
            3 => Kind::Delivered,
            _ => return None,
        };
        Some(Self {
            kind,
            is_packed: bytes[5] == 1,
            number: long(bytes, 8)?,
            delivered: long(bytes, 16)?,
            rows: word(bytes, 24)?,
            marks_bytes: word(bytes, 28)?,
            body_bytes: word(bytes, 32)?,
            crc: word(bytes, CRC_AT)?,
        })
    }

    /// Says whether marks and body are what was written.
    pub(super) fn matches(&self, marks: &[u8], body: &[u8]) -> bool {
        self.crc == checksum(&self.fixed(), marks, body)
    }

    pub(super) const fn bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + self.marks_bytes as u64 + self.body_bytes as u64
    }

    fn fixed(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[..4].copy_from_slice(&FRAME_MAGIC);
        out[4] = match self.kind {
            Kind::Snapshot => 0,
            Kind::Logs => 1,
            Kind::Metrics => 2,
            Kind::Delivered => 3,
        };
        out[5] = u8::from(self.is_packed);
        out[8..16].copy_from_slice(&self.number.to_le_bytes());
        out[16..24].copy_from_slice(&self.delivered.to_le_bytes());
        out[24..28].copy_from_slice(&self.rows.to_le_bytes());
        out[28..32].copy_from_slice(&self.marks_bytes.to_le_bytes());
        out[32..36].copy_from_slice(&self.body_bytes.to_le_bytes());
        out
    }
}

/// Writes changes of marks: for each its name, and its value or nothing when it goes.
pub(super) fn encode_marks<'a>(changes: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |text: &str| {
        out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    for (name, value) in changes {
        put(name);
        match value {
            Some(value) => put(&format!("={value}")),
            None => put(""),
        }
    }
    out
}

/// Applies written changes; `None` when they are not what [`encode_marks`] writes.
pub(super) fn apply_marks(marks: &mut Marks, mut bytes: &[u8]) -> Option<()> {
    let mut take = || -> Option<Option<String>> {
        if bytes.is_empty() {
            return Some(None);
        }
        let (length, rest) = bytes.split_at_checked(4)?;
        let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(Some(String::from_utf8(text.to_vec()).ok()?))
    };
    while let Some(name) = take()? {
        let value = take()??;
        match value.strip_prefix('=') {
            Some(value) => marks.insert(name, value.to_owned()),
            None => marks.remove(&name),
        };
    }
    Some(())
}

fn checksum(fixed: &[u8; FRAME_HEADER_BYTES], marks: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&fixed[..CRC_AT]), marks), body)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
