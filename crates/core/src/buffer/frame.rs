//! The bytes of a frame and of a segment's header; `docs/wal-format.md` draws them.

use tidegate_model::limits::{ANSWER_BYTES_MAX, FRAME_BYTES_MAX};
use tidegate_model::{BufferId, RetryKey, Seq, SeqRange, TableName, UnixNanos};

/// The version of the format that this program writes, and the only one it reads.
pub(super) const FORMAT_VERSION: u32 = 1;

/// Bytes of a segment's header; the first frame begins behind it.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;

/// Bytes of a frame's fixed part; its head begins behind it.
pub(super) const FRAME_HEADER_BYTES: usize = 56;

/// Everything in a segment begins at a multiple of this.
pub(super) const ALIGNMENT: usize = 8;

const SEGMENT_MAGIC: [u8; 8] = *b"TIDEWAL\0";
const FRAME_MAGIC: [u8; 4] = *b"TGfr";
const FRAME_CRC_AT: usize = 52;
const SEGMENT_CRC_AT: usize = 60;
const HAS_RETRY_KEY: u8 = 1;

/// What every segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) buffer: BufferId,
    pub(super) segment: u64,
    pub(super) first_frame: u64,
    /// The crc of the frame before the first one.
    pub(super) chain: u32,
}

/// Why bytes are not a segment's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadSegment {
    Header(&'static str),
    Version(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.chain.to_le_bytes());
        out[16..24].copy_from_slice(&self.buffer.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.segment.to_le_bytes());
        out[32..40].copy_from_slice(&self.first_frame.to_le_bytes());
        let crc = crc32c::crc32c(&out[..SEGMENT_CRC_AT]);
        out[SEGMENT_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadSegment> {
        let mut fields = Fields::new(bytes.get(..SEGMENT_HEADER_BYTES).ok_or(BadSegment::Header("it is too short"))?);
        if fields.array() != Some(SEGMENT_MAGIC) {
            return Err(BadSegment::Header("it does not begin as a segment does"));
        }
        let version = fields.u32().unwrap_or_default();
        if version != FORMAT_VERSION {
            return Err(BadSegment::Version(version));
        }
        let crc = u32::from_le_bytes(bytes[SEGMENT_CRC_AT..SEGMENT_HEADER_BYTES].try_into().unwrap_or_default());
        if crc != crc32c::crc32c(&bytes[..SEGMENT_CRC_AT]) {
            return Err(BadSegment::Header("its header's checksum is wrong"));
        }
        let read = (|| {
            let chain = fields.u32()?;
            let buffer = BufferId(fields.u64()?);
            Some(Self { chain, buffer, segment: fields.u64()?, first_frame: fields.u64()? })
        })();
        read.ok_or(BadSegment::Header("it is too short"))
    }
}

/// A frame's fixed part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) buffer: BufferId,
    pub(super) number: u64,
    /// The highest frame known to be synced when this one was written.
    pub(super) synced: u64,
    /// The crc of the frame before this one: a stale frame in a recycled segment never continues the chain.
    pub(super) chain: u32,
    pub(super) head_bytes: u32,
    pub(super) frame_bytes: u64,
    /// The crc of the fixed part and the head; sections bring their own in the head.
    pub(super) crc: u32,
}

impl FrameHeader {
    /// Reads the fixed part; `None` when the bytes do not look like one. The crc is not checked yet.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes.get(..FRAME_HEADER_BYTES)?);
        if fields.array() != Some(FRAME_MAGIC) || fields.u32()? != 0 {
            return None;
        }
        let header = Self {
            buffer: BufferId(fields.u64()?),
            number: fields.u64()?,
            synced: fields.u64()?,
            chain: fields.u32()?,
            head_bytes: fields.u32()?,
            frame_bytes: fields.u64()?,
            crc: {
                fields.u32()?;
                fields.u32()?
            },
        };
        let fits = header.frame_bytes <= FRAME_BYTES_MAX as u64
            && header.frame_bytes.is_multiple_of(ALIGNMENT as u64)
            && FRAME_HEADER_BYTES as u64 + u64::from(header.head_bytes) <= header.frame_bytes;
        fits.then_some(header)
    }

    /// Says whether the fixed part and the head are what was written.
    pub(super) fn matches(&self, fixed: &[u8], head: &[u8]) -> bool {
        fixed.len() == FRAME_HEADER_BYTES
            && self.crc == crc32c::crc32c_append(crc32c::crc32c(&fixed[..FRAME_CRC_AT]), head)
    }

    /// Encodes the fixed part, the head and the padding up to the first section; returns them and the crc.
    pub(super) fn encode_with(mut self, head: &Head) -> (Vec<u8>, u32) {
        let mut out = vec![0; FRAME_HEADER_BYTES];
        head.encode(&mut out);
        self.head_bytes = u32::try_from(out.len() - FRAME_HEADER_BYTES).expect("a head is far below FRAME_BYTES_MAX");
        out[..4].copy_from_slice(&FRAME_MAGIC);
        out[8..16].copy_from_slice(&self.buffer.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..32].copy_from_slice(&self.synced.to_le_bytes());
        out[32..36].copy_from_slice(&self.chain.to_le_bytes());
        out[36..40].copy_from_slice(&self.head_bytes.to_le_bytes());
        out[40..48].copy_from_slice(&self.frame_bytes.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&out[..FRAME_CRC_AT]), &out[FRAME_HEADER_BYTES..]);
        out[FRAME_CRC_AT..FRAME_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        out.resize(aligned(out.len()), 0);
        (out, crc)
    }
}

/// What a frame says about its request, before the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) received_at: UnixNanos,
    pub(super) retry: Option<RetryKey>,
    pub(super) answer: Vec<u8>,
    pub(super) sections: Vec<SectionHead>,
}

/// One table's rows in a frame: numbers, and where their Arrow IPC bytes are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SectionHead {
    pub(super) table: TableName,
    pub(super) range: SeqRange,
    pub(super) ipc_bytes: u64,
    pub(super) ipc_crc: u32,
}

impl Head {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.received_at.0.to_le_bytes());
        out.push(if self.retry.is_some() { HAS_RETRY_KEY } else { 0 });
        if let Some(retry) = self.retry {
            out.extend_from_slice(&retry.key.to_le_bytes());
            out.extend_from_slice(&retry.content.to_le_bytes());
        }
        let length = |bytes: usize| u16::try_from(bytes).expect("`Write::new` checked the limits").to_le_bytes();
        out.extend_from_slice(&length(self.answer.len()));
        out.extend_from_slice(&self.answer);
        out.extend_from_slice(&length(self.sections.len()));
        for section in &self.sections {
            out.extend_from_slice(&length(section.table.as_str().len()));
            out.extend_from_slice(section.table.as_str().as_bytes());
            out.extend_from_slice(&section.range.first.0.to_le_bytes());
            out.extend_from_slice(&section.range.rows().to_le_bytes());
            out.extend_from_slice(&section.ipc_bytes.to_le_bytes());
            out.extend_from_slice(&section.ipc_crc.to_le_bytes());
        }
    }

    /// Reads a head whose crc was right; `None` when it is not one nevertheless.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let received_at = UnixNanos(i64::from_le_bytes(fields.array()?));
        let retry = match fields.array::<1>()? {
            [0] => None,
            [HAS_RETRY_KEY] => Some(RetryKey {
                key: u128::from_le_bytes(fields.array()?),
                content: u128::from_le_bytes(fields.array()?),
            }),
            _ => return None,
        };
        let answer_bytes = usize::from(fields.u16()?);
        if answer_bytes > ANSWER_BYTES_MAX {
            return None;
        }
        let answer = fields.take(answer_bytes)?.to_vec();
        let sections = (0..fields.u16()?).map(|_| SectionHead::decode(&mut fields)).collect::<Option<Vec<_>>>()?;
        fields.rest.is_empty().then_some(Self { received_at, retry, answer, sections })
    }
}

impl SectionHead {
    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let name_bytes = usize::from(fields.u16()?);
        let table = std::str::from_utf8(fields.take(name_bytes)?).ok()?.parse().ok()?;
        let (first, rows) = (fields.u64()?, fields.u64()?);
        let fits = first > 0 && rows > 0 && first.checked_add(rows).is_some();
        let (ipc_bytes, ipc_crc) = (fields.u64()?, fields.u32()?);
        fits.then(|| Self { table, range: SeqRange::starting_at(Seq(first), rows), ipc_bytes, ipc_crc })
    }
}

/// Returns the bytes of a frame with such a head and sections.
pub(super) fn frame_bytes(head_bytes: usize, ipc_bytes: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut total = u64::try_from(aligned(FRAME_HEADER_BYTES + head_bytes)).ok()?;
    for bytes in ipc_bytes {
        total = total.checked_add(bytes.checked_next_multiple_of(ALIGNMENT as u64)?)?;
    }
    Some(total)
}

/// Returns the bytes of a head, without encoding it.
pub(super) fn head_bytes(answer: usize, has_retry: bool, tables: impl IntoIterator<Item = usize>) -> usize {
    let retry_bytes = if has_retry { 32 } else { 0 };
    8 + 1 + retry_bytes + 2 + answer + 2 + tables.into_iter().map(|name| 2 + name + 28).sum::<usize>()
}

pub(super) const fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// Little-endian fields, one after the other.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
