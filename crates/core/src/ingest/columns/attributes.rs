use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, MapArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, FieldRef};
use tidegate_model::ColumnKind;

use super::text::append_short;
use super::word::same_bytes;
use super::{Column, Dictionary, Text, Word, make_room, offset, place};
use crate::ingest::rejection::{Fault, Reason};

/// Takes the entries of one map, in order: a key, then its value's text, then its type's letter.
pub(crate) trait EntrySink {
    /// Starts an entry.
    fn key(&mut self, key: &[u8]) -> Result<(), Fault>;
    /// Takes text that came from outside as the value.
    fn text(&mut self, value: &[u8]) -> Result<(), Fault>;
    /// Returns the value, for text that is made here.
    fn made(&mut self) -> &mut Vec<u8>;
    /// Ends the entry.
    fn end_entry(&mut self, letter: u8);
}

/// A map column and the column of its types.
#[derive(Debug)]
pub(crate) struct Attributes {
    offsets: Vec<i32>,
    dictionary: Dictionary,
    keys: Vec<i32>,
    values: Text,
    letters: Letters,
    types: Word,
}

impl Attributes {
    pub(crate) fn new(field: &'static str, strict: bool) -> Self {
        Self {
            offsets: vec![0],
            dictionary: Dictionary::new(field),
            keys: Vec::new(),
            values: Text::new(field, strict),
            letters: Letters::default(),
            types: Word::new(field),
        }
    }

    /// Ends a row, whose entries came before.
    #[inline]
    pub(crate) fn end_row(&mut self) -> Result<(), Fault> {
        self.types.push(self.letters.as_bytes())?;
        self.letters.clear();
        self.offsets.push(offset(self.keys.len()));
        Ok(())
    }

    /// Pushes a row with these entries.
    pub(crate) fn push(&mut self, entries: &EntryList) -> Result<(), Fault> {
        for (key, value, letter) in entries.iter() {
            self.key(key)?;
            self.text(value)?;
            self.end_entry(letter);
        }
        self.end_row()
    }

    /// Returns the letters of the last row's types.
    pub(super) fn last_types(&self) -> &[u8] {
        self.types.last()
    }

    /// Returns the maps, and the column of their types.
    pub(super) fn into_parts(self) -> Result<(MapArray, Word), ArrowError> {
        let keys = Arc::new(self.dictionary.into_array(self.keys)?) as ArrayRef;
        let values = Arc::new(self.values.into_array()?) as ArrayRef;
        let DataType::Struct(fields) = ENTRIES.data_type() else {
            return Err(ArrowError::SchemaError("a map's entries are a struct".into()));
        };
        let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        let offsets = OffsetBuffer::new(self.offsets.into());
        Ok((MapArray::try_new(ENTRIES.clone(), offsets, entries, None, false)?, self.types))
    }

    /// Finds the key's number; most often it is that of the key at the same place in the row before.
    #[inline]
    fn number(&mut self, key: &[u8]) -> Result<i32, Fault> {
        if let [.., before, start] = self.offsets[..] {
            let same_place = place(before) + self.keys.len() - place(start);
            if same_place < place(start) {
                let number = self.keys[same_place];
                if same_bytes(self.dictionary.text(number), key) {
                    return Ok(number);
                }
            }
        }
        self.dictionary.number(key)
    }
}

impl EntrySink for Attributes {
    #[inline]
    fn key(&mut self, key: &[u8]) -> Result<(), Fault> {
        let number = self.number(key)?;
        self.keys.push(number);
        Ok(())
    }

    #[inline]
    fn text(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.values.append(value)
    }

    #[inline]
    fn made(&mut self) -> &mut Vec<u8> {
        self.values.open_row()
    }

    #[inline]
    fn end_entry(&mut self, letter: u8) {
        self.values.end_row();
        self.letters.push(letter);
    }
}

impl Column for Attributes {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        let entries = self.offsets.last().copied().map_or(0, place);
        self.keys.truncate(entries);
        self.values.truncate(entries);
        self.types.truncate(rows);
        self.letters.clear();
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.offsets.len());
        sizes.push(self.keys.len());
        self.values.measure(sizes);
        self.types.measure(sizes);
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.offsets, sizes);
        make_room(&mut self.keys, sizes);
        self.values.reserve(sizes);
        self.types.reserve(sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        let (maps, types) = self.into_parts()?;
        arrays.push(Arc::new(maps));
        types.finish(arrays)
    }
}

static ENTRIES: LazyLock<FieldRef> = LazyLock::new(|| match ColumnKind::Attributes.arrow() {
    DataType::Map(entries, _) => entries,
    _ => unreachable!("attributes are a map"),
});

/// The letters of one map's types: none where all are strings.
#[derive(Debug, Default)]
struct Letters {
    letters: Vec<u8>,
    mixed: bool,
}

impl Letters {
    #[inline]
    fn push(&mut self, letter: u8) {
        self.mixed |= letter != b's';
        self.letters.push(letter);
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        if self.mixed { &self.letters } else { &[] }
    }

    #[inline]
    fn clear(&mut self) {
        self.letters.clear();
        self.mixed = false;
    }
}

/// The entries of one map, read once to be used many times (a resource's, a scope's), or to be sorted (a series').
/// Its text is checked as it comes.
#[derive(Debug)]
pub(crate) struct EntryList {
    field: &'static str,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    open_key_end: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    key_end: usize,
    end: usize,
    letter: u8,
}

impl EntryList {
    pub(crate) const fn new(field: &'static str) -> Self {
        Self { field, bytes: Vec::new(), entries: Vec::new(), open_key_end: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the bytes of keys and values together.
    pub(crate) const fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns key, value and type's letter of each entry.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], u8)> {
        self.entries.iter().map(|entry| self.parts(*entry))
    }

    /// Returns the same in an order that does not depend on that of the entries.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = (&[u8], &[u8], u8)> {
        let mut order = self.entries.clone();
        order.sort_unstable_by_key(|entry| {
            let (key, value, letter) = self.parts(*entry);
            (key, letter, value)
        });
        order.into_iter().map(|entry| self.parts(entry))
    }

    fn parts(&self, entry: Entry) -> (&[u8], &[u8], u8) {
        (&self.bytes[entry.start..entry.key_end], &self.bytes[entry.key_end..entry.end], entry.letter)
    }

    fn append(&mut self, text: &[u8]) -> Result<(), Fault> {
        if std::str::from_utf8(text).is_err() {
            return Err(Fault::new(Reason::InvalidUtf8, self.field));
        }
        append_short(&mut self.bytes, text);
        Ok(())
    }
}

impl EntrySink for EntryList {
    fn key(&mut self, key: &[u8]) -> Result<(), Fault> {
        self.append(key)?;
        self.open_key_end = self.bytes.len();
        Ok(())
    }

    fn text(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.append(value)
    }

    fn made(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn end_entry(&mut self, letter: u8) {
        let start = self.entries.last().map_or(0, |entry| entry.end);
        self.entries.push(Entry { start, key_end: self.open_key_end, end: self.bytes.len(), letter });
    }
}
