use std::sync::Arc;

use arrow_array::types::TimestampNanosecondType;
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow_schema::ArrowError;

use super::{Column, make_room};

/// A column of numbers.
#[derive(Debug)]
pub(crate) struct Numbers<T: ArrowPrimitiveType>(Vec<T::Native>);

impl<T: ArrowPrimitiveType> Numbers<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    #[inline]
    pub(crate) fn push(&mut self, value: T::Native) {
        self.0.push(value);
    }

    pub(crate) fn repeat(&mut self, value: T::Native, rows: usize) {
        self.0.resize(self.0.len() + rows, value);
    }
}

impl<T: ArrowPrimitiveType> Column for Numbers<T> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.0.len());
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.0, sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        arrays.push(Arc::new(PrimitiveArray::<T>::new(self.0.into(), None)));
        Ok(())
    }
}

/// A column of times in UTC.
#[derive(Debug)]
pub(crate) struct Times(Vec<i64>);

impl Times {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    #[inline]
    pub(crate) fn push(&mut self, value: i64) {
        self.0.push(value);
    }
}

impl Column for Times {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.0.len());
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.0, sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        let times = PrimitiveArray::<TimestampNanosecondType>::new(self.0.into(), None);
        arrays.push(Arc::new(times.with_timezone("UTC")));
        Ok(())
    }
}

/// A column of truths.
#[derive(Debug)]
pub(crate) struct Bools(Vec<bool>);

impl Bools {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, value: bool) {
        self.0.push(value);
    }
}

impl Column for Bools {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.0.len());
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.0, sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        arrays.push(Arc::new(BooleanArray::from(self.0)));
        Ok(())
    }
}

/// A column of numbers that may be absent.
#[derive(Debug)]
pub(crate) struct Optional<T: ArrowPrimitiveType>(Vec<Option<T::Native>>);

impl<T: ArrowPrimitiveType> Optional<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, value: Option<T::Native>) {
        self.0.push(value);
    }
}

impl<T: ArrowPrimitiveType> Column for Optional<T> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn measure(&self, sizes: &mut Vec<usize>) {
        sizes.push(self.0.len());
    }

    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
        make_room(&mut self.0, sizes);
    }

    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
        arrays.push(Arc::new(self.0.into_iter().collect::<PrimitiveArray<T>>()));
        Ok(())
    }
}
