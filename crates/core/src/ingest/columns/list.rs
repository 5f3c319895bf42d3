use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, Field};

use super::{Column, make_room, offset, place};

/// A variable number of items in each row; items of several columns become as many list columns.
#[derive(Debug)]
pub(crate) struct List<C> {
    /// The items of all rows; those behind the last ended row belong to the open one.
    pub(crate) items: C,
    offsets: Vec<i32>,
}

impl<C: Column> List<C> {
    pub(crate) fn of(items: C) -> Self {
        Self { items, offsets: vec![0] }
    }

    #[inline]
    pub(crate) fn end_row(&mut self) {
        self.offsets.push(offset(self.items.len()));
    }
}

impl<C: Column> Column for List<C> {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.items.truncate(self.offsets.last().copied().map_or(0, place));
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.offsets.len());
        self.items.measure(sizes);
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.offsets, sizes);
        self.items.reserve(sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        let mut items = Vec::new();
        self.items.finish(&mut items)?;
        let offsets = OffsetBuffer::new(self.offsets.into());
        for item in items {
            let field = Arc::new(Field::new("item", item.data_type().clone(), false));
            arrays.push(Arc::new(ListArray::try_new(field, offsets.clone(), item, None)?));
        }
        Ok(())
    }
}
