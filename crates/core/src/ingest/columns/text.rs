use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;

use super::{Column, make_room, offset, place};
use crate::ingest::rejection::{Fault, Reason};

/// A column of text.
#[derive(Debug)]
pub(crate) struct Text {
    field: &'static str,
    strict: bool,
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

impl Text {
    pub(crate) fn new(field: &'static str, strict: bool) -> Self {
        Self { field, strict, bytes: Vec::new(), offsets: vec![0] }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.append(value)?;
        self.end_row();
        Ok(())
    }

    /// Writes bytes as lower-case hex.
    #[inline]
    pub(crate) fn push_hex(&mut self, value: &[u8]) {
        self.bytes.reserve(2 * value.len());
        for byte in value {
            self.bytes.extend_from_slice(&HEX[usize::from(*byte)]);
        }
        self.end_row();
    }

    /// Appends to the open row text that came from outside.
    #[inline]
    pub(crate) fn append(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.strict && std::str::from_utf8(value).is_err() {
            return Err(Fault::new(Reason::InvalidUtf8, self.field));
        }
        append_short(&mut self.bytes, value);
        Ok(())
    }

    /// Returns the open row, for text that is made here.
    #[inline]
    pub(crate) fn open_row(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    #[inline]
    pub(crate) fn end_row(&mut self) {
        self.offsets.push(offset(self.bytes.len()));
    }

    pub(crate) fn into_array(self) -> Result<StringArray, ArrowError> {
        StringArray::try_new(OffsetBuffer::new(self.offsets.into()), self.bytes.into(), None)
    }
}

impl Column for Text {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.bytes.truncate(self.offsets.last().copied().map_or(0, place));
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.offsets.len());
        sizes.push(self.bytes.len());
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.offsets, sizes);
        make_room(&mut self.bytes, sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        arrays.push(Arc::new(self.into_array()?));
        Ok(())
    }
}

/// Appends without a call to `memcpy` where the value is short, as most are.
#[inline]
pub(crate) fn append_short(out: &mut Vec<u8>, value: &[u8]) {
    let length = out.len() + value.len();
    match value.len() {
        0 => {}
        1..=16 => {
            let mut padded = [0; 16];
            if let (Some(head), Some(tail)) = (value.first_chunk::<8>(), value.last_chunk::<8>()) {
                padded[..8].copy_from_slice(head);
                padded[value.len() - 8..value.len()].copy_from_slice(tail);
            } else {
                padded.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
            }
            out.extend_from_slice(&padded);
            out.truncate(length);
        }
        _ => out.extend_from_slice(value),
    }
}

static HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};
