use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, MapArray, StringArray, UInt32Array, new_empty_array, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use arrow_select::take::take;
use tidegate_model::{ColumnKind, ColumnSpec};

/// Returns what rows from before a column have in it: its default where that was given to them, or nothing.
pub fn lacking(column: &ColumnSpec, rows: usize) -> Result<ArrayRef, ArrowError> {
    match column.backfill() {
        Some(text) => repeated(text, &column.kind, rows),
        None => Ok(nothing(&column.kind, rows)),
    }
}

/// Returns one value, read from its text, as often as there are rows.
pub fn repeated(text: &str, kind: &ColumnKind, rows: usize) -> Result<ArrayRef, ArrowError> {
    take(&value(text, kind)?, &UInt32Array::from(vec![0; rows]), None)
}

fn value(text: &str, kind: &ColumnKind) -> Result<ArrayRef, ArrowError> {
    let one: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    match kind.arrow() {
        // The name of a zone would ask for a table of all zones; the text is in UTC.
        DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) => {
            let bare = cast_with_options(&one, &DataType::Timestamp(TimeUnit::Nanosecond, None), &options)?;
            let zoned = DataType::Timestamp(TimeUnit::Nanosecond, Some(zone));
            Ok(arrow_array::make_array(bare.to_data().into_builder().data_type(zoned).build()?))
        }
        wanted => cast_with_options(&one, &wanted, &options),
    }
}

/// Returns rows that have nothing: no value, or an empty list or map.
pub fn nothing(kind: &ColumnKind, rows: usize) -> ArrayRef {
    let none = || OffsetBuffer::new_zeroed(rows);
    match kind.arrow() {
        DataType::List(item) => {
            let values = new_empty_array(item.data_type());
            Arc::new(ListArray::new(item, none(), values, None))
        }
        DataType::Map(entries, sorted) => {
            let values = arrow_array::StructArray::from(new_empty_array(entries.data_type()).to_data());
            Arc::new(MapArray::new(entries, none(), values, None, sorted))
        }
        other => new_null_array(&other, rows),
    }
}
