use super::WireType;

/// Bytes that are no protobuf message: what is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {offset}")]
pub struct WireError {
    /// The offset in the body.
    pub offset: usize,
    /// What is wrong there.
    pub fault: WireFault,
}

/// What can be wrong with protobuf bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// A value reaches past the end of its message.
    #[error("the message ends in the middle of a value")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("a number is longer than 64 bits")]
    LongVarint,
    /// Field number 0, or one past the largest allowed.
    #[error("a field number is out of range")]
    FieldNumber,
    /// A group, which OTLP never has, or a wire type that does not exist.
    #[error("a field has a wire type that OTLP does not use")]
    WireType,
    /// A known field with another type than its own.
    #[error("field {0} has another wire type than OTLP gives it")]
    WrongType(u32),
    /// Packed numbers that do not fill their length.
    #[error("packed numbers do not fill their length")]
    Packed,
}

/// Walks the fields of one message.
///
/// Invariant: `at <= end <= body.len()`; offsets are those of the whole body, also in nested messages.
///
/// The smallest steps are always inlined: left to itself the compiler passes readers through memory, which costs a
/// fifth of a log record's decoding.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// Reads a whole body as one message.
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, end: body.len() }
    }

    /// Says whether the message has no further field.
    #[inline]
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.at >= self.end
    }

    /// Returns the offset of the next byte.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Returns the next tag, or `None` at the end of the message.
    #[inline]
    pub fn tag(&mut self) -> Result<Option<u32>, WireError> {
        if self.is_done() {
            return Ok(None);
        }
        let first = self.body[self.at];
        if (8..0x80).contains(&first) {
            self.at += 1;
            return Ok(Some(u32::from(first)));
        }
        self.long_tag().map(Some)
    }

    #[cold]
    fn long_tag(&mut self) -> Result<u32, WireError> {
        let start = self.at;
        let fault = WireError { offset: start, fault: WireFault::FieldNumber };
        let tag = u32::try_from(self.varint()?).map_err(|_| fault)?;
        if tag < 8 { Err(fault) } else { Ok(tag) }
    }

    /// Reads a varint.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        if self.at < self.end && self.body[self.at] < 0x80 {
            self.at += 1;
            return Ok(u64::from(self.body[self.at - 1]));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let start = self.at;
        let mut value = 0_u64;
        for (i, &byte) in self.body[self.at..self.end].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if i == 9 && byte > 1 {
                    break;
                }
                self.at += i + 1;
                return Ok(value);
            }
        }
        let fault = if self.end - start < 10 { WireFault::Truncated } else { WireFault::LongVarint };
        Err(WireError { offset: start, fault })
    }

    /// Reads a varint as protobuf reads `uint32`, `int32` and enums: its low 32 bits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "protobuf defines that the upper bits are dropped")]
    pub fn varint32(&mut self) -> Result<u32, WireError> {
        Ok(self.varint()? as u32)
    }

    /// Reads a bool: any number but 0 is true.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, WireError> {
        Ok(self.varint()? != 0)
    }

    /// Reads eight bytes.
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads four bytes.
    #[inline]
    pub fn fixed32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads a double.
    #[inline]
    pub fn double(&mut self) -> Result<f64, WireError> {
        self.fixed64().map(f64::from_bits)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        match self.body[self.at..self.end].first_chunk::<N>() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.truncated()),
        }
    }

    /// Reads a length and as many bytes.
    #[inline(always)]
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let end = self.value_end()?;
        let bytes = &self.body[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// Reads a length and returns a reader of as many bytes.
    #[inline(always)]
    pub fn message(&mut self) -> Result<Self, WireError> {
        let end = self.value_end()?;
        let message = Self { body: self.body, at: self.at, end };
        self.at = end;
        Ok(message)
    }

    #[inline(always)]
    fn value_end(&mut self) -> Result<usize, WireError> {
        let start = self.at;
        let length = self.varint()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.end - self.at => Ok(self.at + length),
            _ => Err(WireError { offset: start, fault: WireFault::Truncated }),
        }
    }

    /// Skips the value behind `tag`, a field that the caller does not know; `known` has a bit for each field
    /// number that it does know, and finding one of them here means that it has a wrong wire type.
    #[cold]
    pub fn skip(&mut self, tag: u32, known: u64) -> Result<(), WireError> {
        let (field, offset) = (tag >> 3, self.at);
        if field < 64 && known >> field & 1 == 1 {
            return Err(WireError { offset, fault: WireFault::WrongType(field) });
        }
        match tag & 7 {
            0 => self.varint().map(drop),
            1 => self.fixed64().map(drop),
            2 => self.bytes().map(drop),
            5 => self.fixed32().map(drop),
            _ => Err(WireError { offset, fault: WireFault::WireType }),
        }
    }

    /// Reads one number, or packed ones, of a repeated field of eight-byte values.
    pub fn repeated_fixed64(&mut self, tag: u32, mut each: impl FnMut(u64)) -> Result<(), WireError> {
        if tag & 7 == WireType::Fixed64 as u32 {
            each(self.fixed64()?);
            return Ok(());
        }
        let offset = self.at;
        let packed = self.bytes()?;
        let (values, rest) = packed.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(WireError { offset, fault: WireFault::Packed });
        }
        values.iter().for_each(|value| each(u64::from_le_bytes(*value)));
        Ok(())
    }

    /// Reads one number, or packed ones, of a repeated field of varints.
    pub fn repeated_varint(&mut self, tag: u32, mut each: impl FnMut(u64)) -> Result<(), WireError> {
        if tag & 7 == WireType::Varint as u32 {
            each(self.varint()?);
            return Ok(());
        }
        let mut packed = self.message()?;
        while !packed.is_done() {
            each(packed.varint()?);
        }
        Ok(())
    }

    /// Returns the bytes that were not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        &self.body[self.at..self.end]
    }

    fn truncated(&self) -> WireError {
        WireError { offset: self.at, fault: WireFault::Truncated }
    }
}

/// A singular nested message, which may come in several pieces: protobuf then merges them, and merging two
/// encodings is the same as putting one behind the other.
#[derive(Debug, Clone, Default)]
pub enum Nested<'a> {
    /// The message did not come.
    #[default]
    Absent,
    /// It came in one piece, as every producer sends it.
    Whole(Reader<'a>),
    /// It came in pieces; offsets in it are its own.
    Merged(Vec<u8>),
}

impl<'a> Nested<'a> {
    /// Takes a further piece.
    #[inline]
    pub fn push(&mut self, piece: Reader<'a>) {
        *self = match std::mem::take(self) {
            Self::Absent => Self::Whole(piece),
            Self::Whole(first) => Self::Merged([first.rest(), piece.rest()].concat()),
            Self::Merged(mut bytes) => {
                bytes.extend_from_slice(piece.rest());
                Self::Merged(bytes)
            }
        };
    }

    /// Says whether the message came at all.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Returns a reader of the message; of an empty one where it did not come.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        match self {
            Self::Absent => Reader::new(&[]),
            Self::Whole(reader) => reader.clone(),
            Self::Merged(bytes) => Reader::new(bytes),
        }
    }
}
