use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use arrow_select::filter::filter_record_batch;
use std::sync::Arc;
use tidegate_model::{ColumnSpec, FieldType};

use super::arrow;
use super::refusals::Refusals;
use super::{RowsError, columnar};
use crate::buffer::nothing;
use crate::ingest::{Reason, Rejections};

/// Rows of an Arrow batch as a dataset's table has them.
#[derive(Debug, Clone)]
pub struct Turned {
    /// The rows that are taken, in these columns.
    pub rows: RecordBatch,
    /// The place in the batch of each of them.
    pub places: Vec<u64>,
    /// The others.
    pub rejected: Rejections,
}

/// Returns the type that a dataset's column gets from such an array; `None`: none can hold it.
#[must_use]
pub fn field_type_of(data_type: &arrow_schema::DataType) -> Option<FieldType> {
    columnar::field_type(data_type)
}

/// Turns rows into those that the dataset's table gets of them, as a request does that brings them.
pub fn turned(batch: &RecordBatch, columns: &[ColumnSpec], time_column: Option<&str>) -> Result<Turned, RowsError> {
    let mut refusals = Refusals::default();
    refusals.add_rows(batch.num_rows());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for column in columns {
        let wanted = FieldType::of(column).ok_or_else(|| RowsError::ColumnName { name: column.name.clone() })?;
        let brought = batch.column_by_name(&column.name);
        let brought = brought.filter(|array| array.logical_null_count() < array.len());
        let array = match brought {
            Some(array) => arrow::array(&column.name, array, wanted, &mut refusals)?,
            None => nothing(&column.kind, batch.num_rows()),
        };
        if time_column == Some(column.name.as_str()) {
            for row in (0..batch.num_rows()).filter(|row| array.is_null(*row)) {
                refusals.refuse(row, Reason::Missing, || format!("`{}`, the time of a row, is missing", column.name));
            }
        }
        arrays.push(array);
    }
    let broken = |error: arrow_schema::ArrowError| RowsError::Arrow(error.to_string());
    let fields =
        columns.iter().zip(&arrays).map(|(column, array)| Field::new(&column.name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let rows = RecordBatch::try_new_with_options(schema, arrays, &options).map_err(broken)?;
    let kept = refusals.filter();
    let places = (0..).zip(kept.values()).filter_map(|(place, is_kept)| is_kept.then_some(place)).collect();
    let rows = filter_record_batch(&rows, &kept).map_err(broken)?;
    Ok(Turned { rows, places, rejected: refusals.into_rejections(|_| String::new()).0 })
}
