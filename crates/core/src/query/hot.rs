//! Puts hot rows into the form in which they travel: one Arrow stream per table, with the columns that the query can
//! reach and `_seq`.
//!
//! Order does not matter, rows are told by `_seq`: large chunks become a record batch each, without a copy; small
//! ones are put together, because a batch costs the engine about as much as hundreds of rows.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use tidegate_model::limits::QUERY_HOT_BYTES_MAX;
use tidegate_model::{ColumnKind, ColumnSpec, TableName, TableSpec};

use super::error::QueryError;
use crate::buffer::{Chunk, lacking, merge, sent, unify, with_seq};
use crate::store::Gathered;

/// Chunks below this are put together up to this (5,000 chunks of 10 rows with 20 dictionaries take the engine 2.3 s
/// as they are, 0.05 s put together).
const BATCH_ROWS: usize = 8_192;

/// The rows of one table that travel, and how.
#[derive(Debug)]
pub(super) struct HotRows {
    pub(super) table: TableName,
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) rows: Rows,
}

/// Where rows that travel are.
#[derive(Debug)]
pub(super) enum Rows {
    /// In the buffer.
    Hot(Vec<Chunk>),
    /// The same, of a table whose rows merge.
    Merging(Vec<Chunk>, TableSpec),
    /// Here: they were counted from other rows, and have no numbers of their own.
    Counted(Vec<RecordBatch>),
}

/// Encodes the rows of several tables; reads those from the log that are not in memory, so it blocks.
pub(super) fn encode_all(tables: &[HotRows]) -> Result<Vec<Vec<Bytes>>, QueryError> {
    let mut budget = QUERY_HOT_BYTES_MAX;
    tables.iter().map(|hot| encode(hot, &mut budget)).collect()
}

fn encode(hot: &HotRows, budget: &mut u64) -> Result<Vec<Bytes>, QueryError> {
    let failed = |source| QueryError::Encode { table: hot.table.clone(), source };
    let schema = schema(&hot.columns);
    let mut encoder = StreamEncoder::try_new(&schema).map_err(failed)?;
    let mut stream = Gathered::default();
    let mut write = |batches: &[RecordBatch]| -> Result<(), QueryError> {
        let batch = unify(batches).map_err(failed)?;
        for buffer in encoder.encode(&batch).map_err(failed)? {
            *budget = budget.checked_sub(buffer.len() as u64).ok_or(QueryError::TailTooLarge(QUERY_HOT_BYTES_MAX))?;
            stream.push(buffer);
        }
        Ok(())
    };
    match &hot.rows {
        Rows::Hot(chunks) => write_hot(chunks, hot, &schema, write)?,
        Rows::Merging(chunks, spec) => {
            let mut rows = Vec::with_capacity(chunks.len());
            for chunk in chunks {
                rows.push(with_seq(chunk.rows()?, chunk.range).map_err(failed)?);
            }
            let merged = merge(&rows, spec).map_err(failed)?;
            let seq =
                merged.column_by_name(TableSpec::SEQ).cloned().unwrap_or_else(|| new_null_array(&DataType::UInt64, 0));
            write(&[travelling(&merged, seq, (&hot.columns, &schema)).map_err(failed)?])?;
        }
        Rows::Counted(batches) => {
            for rows in batches {
                let seq = Arc::new(UInt64Array::from_value(0, rows.num_rows()));
                write(&[travelling(rows, seq, (&hot.columns, &schema)).map_err(failed)?])?;
            }
        }
    }
    for buffer in encoder.finish().map_err(failed)? {
        stream.push(buffer);
    }
    Ok(stream.finish())
}

/// Writes rows as they are in the buffer, small chunks put together.
fn write_hot(
    chunks: &[Chunk],
    hot: &HotRows,
    schema: &SchemaRef,
    mut write: impl FnMut(&[RecordBatch]) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let (mut small, mut small_rows) = (Vec::new(), 0);
    for chunk in chunks {
        let seq = Arc::new(UInt64Array::from_iter_values(chunk.range.first.0..=chunk.range.last.0));
        let failed = |source| QueryError::Encode { table: hot.table.clone(), source };
        let batch = travelling(&chunk.rows()?, seq, (&hot.columns, schema)).map_err(failed)?;
        if batch.num_rows() >= BATCH_ROWS {
            write(&[batch])?;
            continue;
        }
        small_rows += batch.num_rows();
        small.push(batch);
        if small_rows >= BATCH_ROWS {
            write(&small)?;
            (small, small_rows) = (Vec::new(), 0);
        }
    }
    if small.is_empty() { Ok(()) } else { write(&small) }
}

/// All columns may hold nothing here: rows from before a column was added to their table have none of it.
fn schema(columns: &[ColumnSpec]) -> SchemaRef {
    let own = columns.iter().map(|column| Field::new(&column.name, column.kind.sent_arrow(), true));
    let seq = Field::new(TableSpec::SEQ, DataType::UInt64, false);
    Arc::new(Schema::new(own.chain([seq]).collect::<Vec<_>>()))
}

fn travelling(
    rows: &RecordBatch,
    seq: ArrayRef,
    (own, schema): (&[ColumnSpec], &SchemaRef),
) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = own
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match rows.column_by_name(field.name()) {
            Some(found) => sent(found, field.data_type()),
            // Of a built-in table: the engine takes the column's default.
            None if column.kind == ColumnKind::Labels => Ok(new_null_array(field.data_type(), rows.num_rows())),
            None => lacking(column, rows.num_rows()),
        })
        .collect::<Result<_, _>>()?;
    columns.push(seq);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}
