//! Parquet files that come as a request's body.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidegate_model::limits::{FILE_BATCH_ROWS, REQUEST_CELLS_MAX, REQUEST_EXPANDED_BYTES_MAX};

use super::cells::checked_name;
use super::error::RowsError;

/// Reads the rows of a Parquet file as one batch; its memory is counted while it is read.
pub(super) fn read(body: &Bytes) -> Result<RecordBatch, RowsError> {
    // A damaged file must not end more than its own request.
    catch_unwind(AssertUnwindSafe(|| decode(body)))
        .unwrap_or_else(|_| Err(broken("its parts contradict each other".to_owned())))
}

fn decode(body: &Bytes) -> Result<RecordBatch, RowsError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(body.clone()).map_err(|error| broken(error.to_string()))?;
    let schema = builder.schema().clone();
    for field in schema.fields() {
        checked_name(field.name().as_bytes())?;
    }
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(usize::MAX);
    let columns = schema.fields().len().max(1);
    if rows.saturating_mul(columns) > REQUEST_CELLS_MAX {
        return Err(RowsError::TooManyCells { rows, columns });
    }
    let reader = builder.with_batch_size(FILE_BATCH_ROWS).build().map_err(|error| broken(error.to_string()))?;
    let (mut batches, mut bytes) = (Vec::new(), 0_usize);
    for batch in reader {
        let batch = batch.map_err(of_arrow)?;
        bytes = bytes.saturating_add(batch.get_array_memory_size());
        if bytes > REQUEST_EXPANDED_BYTES_MAX {
            let problem = format!("its rows take more than {REQUEST_EXPANDED_BYTES_MAX} bytes: send fewer at once");
            return Err(RowsError::Body { field: "body", problem });
        }
        batches.push(batch);
    }
    concat_batches(&schema, &batches).map_err(of_arrow)
}

fn of_arrow(error: ArrowError) -> RowsError {
    broken(error.to_string())
}

fn broken(problem: String) -> RowsError {
    RowsError::Format { format: "Parquet", problem }
}
