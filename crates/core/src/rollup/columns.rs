use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::ArrowError;

/// A map column; rows may share maps.
#[derive(Debug)]
pub(super) struct Maps<'a> {
    /// Which map each row has, where they are shared.
    numbers: Option<&'a [i32]>,
    map: &'a MapArray,
    pub(super) keys: Words<'a>,
    values: &'a StringArray,
}

impl<'a> Maps<'a> {
    pub(super) fn of(column: &'a ArrayRef) -> Self {
        let shared = column.as_dictionary_opt::<Int32Type>();
        let map = shared.map_or(column, |shared| shared.values()).as_map();
        let numbers = shared.map(|shared| shared.keys().values().as_ref());
        Self { numbers, map, keys: Words::of(map.keys()), values: map.values().as_string() }
    }

    /// Returns the number of a row's map.
    pub(super) fn number(&self, row: usize) -> usize {
        self.numbers.map_or(row, |numbers| place(numbers[row]))
    }

    /// Hands each entry of a map over: the number of its key, and its value.
    pub(super) fn entries(&self, map: usize) -> impl Iterator<Item = (usize, &'a str)> {
        range(self.map.value_offsets(), map).map(|entry| (self.keys.number(entry), self.values.value(entry)))
    }
}

/// A column of few distinct texts.
#[derive(Debug)]
pub(super) struct Words<'a> {
    numbers: &'a [i32],
    pub(super) texts: &'a StringArray,
}

impl<'a> Words<'a> {
    pub(super) fn of(column: &'a ArrayRef) -> Self {
        let words: &DictionaryArray<Int32Type> = column.as_dictionary();
        Self { numbers: words.keys().values(), texts: words.values().as_string() }
    }

    pub(super) fn number(&self, row: usize) -> usize {
        place(self.numbers[row])
    }

    pub(super) fn get(&self, row: usize) -> &'a str {
        self.texts.value(self.number(row))
    }
}

pub(super) fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    rows.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("the rows have no column `{name}`")))
}

pub(super) fn text<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringArray, ArrowError> {
    column(rows, name).map(|column| column.as_string())
}

pub(super) fn words<'a>(rows: &'a RecordBatch, name: &str) -> Result<Words<'a>, ArrowError> {
    column(rows, name).map(Words::of)
}

pub(super) fn maps<'a>(rows: &'a RecordBatch, name: &str) -> Result<Maps<'a>, ArrowError> {
    column(rows, name).map(Maps::of)
}

pub(super) fn numbers<'a, T: arrow_array::ArrowPrimitiveType>(
    rows: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, ArrowError> {
    column(rows, name).map(|column| column.as_primitive())
}

pub(super) fn list<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ListArray, ArrowError> {
    column(rows, name).map(|column| column.as_list())
}

pub(super) fn range(offsets: &[i32], row: usize) -> Range<usize> {
    place(offsets[row])..place(offsets[row + 1])
}

fn place(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}
