use std::hash::BuildHasher;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Column, make_room, offset, place};
use crate::ingest::rejection::{Fault, Reason};

/// Distinct texts, numbered in the order they came. Each is checked to be UTF-8 once, when it is new.
#[derive(Debug)]
pub(crate) struct Dictionary {
    field: &'static str,
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    numbers: HashTable<i32>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    pub(crate) fn new(field: &'static str) -> Self {
        Self {
            field,
            bytes: Vec::new(),
            offsets: vec![0],
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Returns the text with this number.
    #[inline]
    pub(crate) fn text(&self, number: i32) -> &[u8] {
        text(&self.bytes, &self.offsets, number)
    }

    /// Returns the number of a text, a new one where it is new.
    pub(crate) fn number(&mut self, value: &[u8]) -> Result<i32, Fault> {
        let hash = self.hasher.hash_one(value);
        let known = |number: &i32| same_bytes(text(&self.bytes, &self.offsets, *number), value);
        if let Some(number) = self.numbers.find(hash, known) {
            return Ok(*number);
        }
        if std::str::from_utf8(value).is_err() {
            return Err(Fault::new(Reason::InvalidUtf8, self.field));
        }
        let number = offset(self.offsets.len() - 1);
        self.bytes.extend_from_slice(value);
        self.offsets.push(offset(self.bytes.len()));
        let (bytes, offsets, hasher) = (&self.bytes, &self.offsets, &self.hasher);
        self.numbers.insert_unique(hash, number, |number| hasher.hash_one(text(bytes, offsets, *number)));
        Ok(number)
    }

    /// Returns the column of these numbers.
    pub(crate) fn into_array(self, numbers: Vec<i32>) -> Result<DictionaryArray<Int32Type>, ArrowError> {
        let texts = StringArray::try_new(OffsetBuffer::new(self.offsets.into()), self.bytes.into(), None)?;
        DictionaryArray::try_new(Int32Array::new(numbers.into(), None), Arc::new(texts))
    }
}

#[inline]
fn text<'a>(bytes: &'a [u8], offsets: &[i32], number: i32) -> &'a [u8] {
    let number = place(number);
    &bytes[place(offsets[number])..place(offsets[number + 1])]
}

/// Compares without a call to `memcmp` where the texts are short, as keys are: first and last pieces, which may overlap.
#[inline]
pub(super) fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0 => true,
        1..4 => a[0] == b[0] && a[a.len() / 2] == b[b.len() / 2] && a[a.len() - 1] == b[b.len() - 1],
        4..8 => same_ends::<4>(a, b),
        8..16 => same_ends::<8>(a, b),
        16..=32 => same_ends::<16>(a, b),
        _ => a == b,
    }
}

#[inline]
fn same_ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    a.first_chunk::<N>() == b.first_chunk::<N>() && a.last_chunk::<N>() == b.last_chunk::<N>()
}

/// A column of text with few distinct values.
#[derive(Debug)]
pub(crate) struct Word {
    dictionary: Dictionary,
    numbers: Vec<i32>,
}

impl Word {
    pub(crate) fn new(field: &'static str) -> Self {
        Self { dictionary: Dictionary::new(field), numbers: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.repeat(value, 1)
    }

    /// Returns the last row's text.
    pub(super) fn last(&self) -> &[u8] {
        self.numbers.last().map_or(&[], |number| self.dictionary.text(*number))
    }

    #[inline]
    pub(crate) fn repeat(&mut self, value: &[u8], rows: usize) -> Result<(), Fault> {
        if rows == 0 {
            // What no row has is not checked: its rows may all have been refused for it.
            return Ok(());
        }
        let number = match self.numbers.last() {
            Some(&last) if same_bytes(self.dictionary.text(last), value) => last,
            _ => self.dictionary.number(value)?,
        };
        if rows == 1 {
            self.numbers.push(number);
        } else {
            self.numbers.resize(self.numbers.len() + rows, number);
        }
        Ok(())
    }
}

impl Column for Word {
    fn len(&self) -> usize {
        self.numbers.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.numbers.truncate(rows);
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.numbers.len());
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.numbers, sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        arrays.push(Arc::new(self.dictionary.into_array(self.numbers)?));
        Ok(())
    }
}
