use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use tidegate_model::FieldType;
use tidegate_model::limits::REQUEST_CELLS_MAX;

use super::cells::checked_name;
use super::columnar;
use super::error::RowsError;
use super::refusals::Refusals;
use super::schema::Found;
use crate::buffer::nothing;
use crate::ingest::Reason;

/// Reads the rows of an Arrow stream as one batch.
pub(super) fn read(body: &Bytes) -> Result<RecordBatch, RowsError> {
    // arrow-ipc panics on some damaged streams instead of refusing them: it slices by offsets that it did not check.
    let batches = catch_unwind(AssertUnwindSafe(|| decode(body)));
    let (schema, batches) = match batches {
        Ok(outcome) => outcome.map_err(broken)?,
        Err(_) => return Err(RowsError::Arrow("its parts contradict each other".to_owned())),
    };
    for field in schema.fields() {
        checked_name(field.name().as_bytes())?;
    }
    // Columns of nulls, or none at all, have any number of rows without a byte.
    let rows = batches.iter().fold(0_usize, |rows, batch| rows.saturating_add(batch.num_rows()));
    let columns = schema.fields().len().max(1);
    if rows.saturating_mul(columns) > REQUEST_CELLS_MAX {
        return Err(RowsError::TooManyCells { rows, columns });
    }
    concat_batches(&schema, &batches).map_err(broken)
}

/// Decodes in place: lengths that lie cost no memory.
fn decode(body: &Bytes) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let mut left = Buffer::from(body.clone());
    let (mut decoder, mut batches) = (StreamDecoder::new(), Vec::new());
    while let Some(batch) = decoder.decode(&mut left)? {
        batches.push(batch);
    }
    decoder.finish()?;
    let schema = decoder.schema().ok_or_else(|| ArrowError::IpcError("it has no schema".to_owned()))?;
    Ok((schema, batches))
}

fn broken(error: ArrowError) -> RowsError {
    RowsError::Arrow(error.to_string())
}

/// Names the columns that a batch has, with the types that they get.
pub(super) fn found(batch: &RecordBatch) -> Result<Vec<Found>, RowsError> {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns());
    let found = fields.filter(|(field, _)| *field.data_type() != DataType::Null).map(|(field, array)| {
        let (name, data_type) = (field.name().clone(), field.data_type());
        let problem = || format!("column `{name}` has the type {data_type}, which a dataset cannot hold");
        let field_type = columnar::field_type(data_type).ok_or_else(|| RowsError::Arrow(problem()))?;
        Ok(Found { name, field_type, is_complete: array.logical_null_count() == 0 })
    });
    found.collect()
}

/// Turns a column into the dataset's type; rows whose value has no place there are refused.
pub(super) fn array(
    name: &str,
    array: &ArrayRef,
    wanted: FieldType,
    refusals: &mut Refusals,
) -> Result<ArrayRef, RowsError> {
    let mut refuse = |row: usize, reason: Reason, why: &str| {
        refusals.refuse(row, reason, || format!("`{name}` {why}"));
    };
    if let Some(turned) = columnar::turned(array, wanted, &mut refuse).map_err(broken)? {
        return Ok(turned);
    }
    let brought = columnar::field_type(array.data_type());
    let brought = brought.map_or_else(|| array.data_type().to_string(), |brought| brought.to_string());
    for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
        refusals.refuse(row, Reason::InvalidType, || format!("`{name}` is {brought} here and {wanted} in the dataset"));
    }
    Ok(nothing(&wanted.kind(), array.len()))
}
