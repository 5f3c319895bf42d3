//! Puts hot rows into the form in which they travel: one Arrow stream per table, with the columns that the query can
//! reach and `_seq`.
//!
//! Each chunk becomes a record batch of its own with its own dictionaries. They are not concatenated: that would leave
//! dictionaries with equal values in them, which the engine refuses.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use bytes::Bytes;
use tidegate_model::limits::QUERY_HOT_BYTES_MAX;
use tidegate_model::{ColumnSpec, SeqRange, TableName, TableSpec};

use super::error::QueryError;
use crate::buffer::Chunk;

/// The rows of one table that travel, and how.
#[derive(Debug)]
pub(super) struct HotRows {
    pub(super) table: TableName,
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) chunks: Vec<Chunk>,
}

/// Encodes the rows of several tables; reads those from the log that are not in memory, so it blocks.
pub(super) fn encode_all(tables: &[HotRows]) -> Result<Vec<Vec<Bytes>>, QueryError> {
    let mut budget = QUERY_HOT_BYTES_MAX;
    tables.iter().map(|hot| encode(hot, &mut budget)).collect()
}

fn encode(hot: &HotRows, budget: &mut u64) -> Result<Vec<Bytes>, QueryError> {
    let failed = |source| QueryError::Encode { table: hot.table.clone(), source };
    let schema = schema(&hot.columns);
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(failed)?;
    let mut pieces = Vec::with_capacity(hot.chunks.len() + 1);
    for chunk in &hot.chunks {
        let rows = chunk.rows()?;
        let batch = travelling(&rows, chunk.range, &schema).map_err(failed)?;
        writer.write(&batch).map_err(failed)?;
        let piece = Bytes::from(std::mem::take(writer.get_mut()));
        let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        *budget = budget.checked_sub(bytes).ok_or(QueryError::TailTooLarge {
            bytes: QUERY_HOT_BYTES_MAX - *budget + bytes,
            bytes_max: QUERY_HOT_BYTES_MAX,
        })?;
        pieces.push(piece);
    }
    writer.finish().map_err(failed)?;
    pieces.push(Bytes::from(std::mem::take(writer.get_mut())));
    Ok(pieces)
}

/// All columns may hold nothing here: rows from before a column was added to their table have none of it, and the
/// engine then takes the column's default.
fn schema(columns: &[ColumnSpec]) -> SchemaRef {
    let own = columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true));
    let seq = Field::new(TableSpec::SEQ, arrow_schema::DataType::UInt64, false);
    Arc::new(Schema::new(own.chain([seq]).collect::<Vec<_>>()))
}

fn travelling(rows: &RecordBatch, range: SeqRange, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let (_seq, own) = schema.fields().split_last().expect("the schema ends with `_seq`");
    let mut columns: Vec<ArrayRef> = own
        .iter()
        .map(|field| match rows.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), rows.num_rows()),
        })
        .collect();
    columns.push(Arc::new(UInt64Array::from_iter_values(range.first.0..=range.last.0)));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}
