use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int32Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array, ListArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::ArrowError;

use super::hours::Hours;
use crate::rollup::columns::{Words, column, range};

/// The column with the last of the hours that were merged in a row, beside `hour`, which is the first.
pub const LAST_HOUR: &str = "last_hour";

/// A column of texts, as a reducer writes it or as ClickHouse does.
pub(super) enum Texts<'a> {
    Words(Words<'a>),
    Plain(&'a StringArray),
}

impl<'a> Texts<'a> {
    pub(super) fn of(rows: &'a RecordBatch, name: &str) -> Result<Self, ArrowError> {
        let column = column(rows, name)?;
        if column.as_dictionary_opt::<Int32Type>().is_some() {
            return Ok(Self::Words(Words::of(column)));
        }
        column.as_string_opt().map(Self::Plain).ok_or_else(|| other(name))
    }

    pub(super) fn get(&self, row: usize) -> &'a str {
        match self {
            Self::Words(words) => words.get(row),
            Self::Plain(texts) => texts.value(row),
        }
    }
}

/// A column of lists of numbers.
pub(super) struct Numbers<'a> {
    list: &'a ListArray,
    values: &'a [u64],
}

impl<'a> Numbers<'a> {
    pub(super) fn of(rows: &'a RecordBatch, name: &str) -> Result<Self, ArrowError> {
        let list = column(rows, name)?.as_list_opt::<i32>().ok_or_else(|| other(name))?;
        let values = list.values().as_primitive_opt::<UInt64Type>().ok_or_else(|| other(name))?;
        Ok(Self { list, values: values.values() })
    }

    pub(super) fn get(&self, row: usize) -> &'a [u64] {
        &self.values[range(self.list.value_offsets(), row)]
    }
}

/// A column of lists of texts.
pub(super) struct TextLists<'a> {
    list: &'a ListArray,
    values: &'a StringArray,
}

impl<'a> TextLists<'a> {
    pub(super) fn of(rows: &'a RecordBatch, name: &str) -> Result<Self, ArrowError> {
        let list = column(rows, name)?.as_list_opt::<i32>().ok_or_else(|| other(name))?;
        let values = list.values().as_string_opt().ok_or_else(|| other(name))?;
        Ok(Self { list, values })
    }

    pub(super) fn get(&self, row: usize) -> impl Iterator<Item = &'a str> {
        range(self.list.value_offsets(), row).map(|at| self.values.value(at))
    }
}

pub(super) fn number<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a [u64], ArrowError> {
    primitive::<UInt64Type>(rows, name).map(|column| column.values().as_ref())
}

pub(super) fn time<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a [i64], ArrowError> {
    primitive::<TimestampNanosecondType>(rows, name).map(|column| column.values().as_ref())
}

/// Returns between which hours the rows are: each is of one, or its hours are merged.
pub(super) fn hours(rows: &RecordBatch) -> Result<impl Fn(usize) -> Hours, ArrowError> {
    let first = time(rows, "hour")?;
    let last = if rows.column_by_name(LAST_HOUR).is_some() { time(rows, LAST_HOUR)? } else { first };
    Ok(|row: usize| Hours::beginning(first[row], last[row]))
}

fn primitive<'a, T: ArrowPrimitiveType>(
    rows: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, ArrowError> {
    column(rows, name)?.as_primitive_opt().filter(|column| column.null_count() == 0).ok_or_else(|| other(name))
}

fn other(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("the column `{name}` of the catalogue has another type"))
}
