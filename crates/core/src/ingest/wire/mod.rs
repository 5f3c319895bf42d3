//! The protobuf wire format, read from a slice and written to a vector; it knows nothing of OTLP.
//!
//! A [`Reader`] walks one message. Unknown fields are skipped, groups are refused (no version of OTLP has
//! one), and every error carries the offset in the whole body at which the bytes stopped making sense.
//!
//! | file | holds |
//! |---|---|
//! | `reader.rs` | [`Reader`]: tags, varints, fixed numbers, nested messages; [`Nested`] |
//! | `writer.rs` | [`Writer`]: the same, outwards |

mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use reader::{Nested, Reader, WireError, WireFault};
pub use writer::Writer;

/// How a field's value is laid out: the low three bits of its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum WireType {
    /// A number of one to ten bytes.
    Varint = 0,
    /// Eight bytes.
    Fixed64 = 1,
    /// A length, then as many bytes.
    Len = 2,
    /// Four bytes.
    Fixed32 = 5,
}

/// Returns the tag of a field: its number and the layout of its value.
#[must_use]
pub const fn tag(field: u32, wire_type: WireType) -> u32 {
    field << 3 | wire_type as u32
}

/// Returns the tag of a varint field.
#[must_use]
pub const fn varint(field: u32) -> u32 {
    tag(field, WireType::Varint)
}

/// Returns the tag of a field of eight bytes.
#[must_use]
pub const fn fixed64(field: u32) -> u32 {
    tag(field, WireType::Fixed64)
}

/// Returns the tag of a field of four bytes.
#[must_use]
pub const fn fixed32(field: u32) -> u32 {
    tag(field, WireType::Fixed32)
}

/// Returns the tag of text, bytes, a nested message or packed numbers.
#[must_use]
pub const fn len(field: u32) -> u32 {
    tag(field, WireType::Len)
}

/// Maps a signed number to one whose varint is short when the number is near zero.
#[must_use]
pub const fn zigzag(n: i32) -> u32 {
    ((n << 1) ^ (n >> 31)).cast_unsigned()
}

/// Undoes [`zigzag`].
#[must_use]
pub const fn unzigzag(n: u32) -> i32 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}
