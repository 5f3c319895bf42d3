use std::sync::Arc;

use arrow_array::{ArrayRef, DictionaryArray, Int32Array};
use arrow_schema::ArrowError;

use super::{Attributes, Column, EntryList, Word, make_room, offset};
use crate::ingest::rejection::Fault;

/// A map column whose rows share few maps, each held once, and the column of its types.
#[derive(Debug)]
pub(crate) struct Labels {
    maps: Attributes,
    numbers: Vec<i32>,
    types: Word,
}

impl Labels {
    pub(crate) fn new(field: &'static str, strict: bool) -> Self {
        Self { maps: Attributes::new(field, strict), numbers: Vec::new(), types: Word::new(field) }
    }

    /// Pushes as many rows with the same map.
    pub(crate) fn repeat(&mut self, entries: &EntryList, rows: usize) -> Result<(), Fault> {
        if rows == 0 {
            return Ok(());
        }
        let number = offset(self.maps.len());
        self.maps.push(entries)?;
        self.numbers.resize(self.numbers.len() + rows, number);
        self.types.repeat(self.maps.last_types(), rows)
    }
}

impl Column for Labels {
    fn len(&self) -> usize {
        self.numbers.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.numbers.truncate(rows);
        self.types.truncate(rows);
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.numbers.len());
        self.types.measure(sizes);
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.numbers, sizes);
        self.types.reserve(sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        let (maps, _) = self.maps.into_parts()?;
        arrays.push(Arc::new(DictionaryArray::try_new(Int32Array::new(self.numbers.into(), None), Arc::new(maps))?));
        self.types.finish(arrays)
    }
}
