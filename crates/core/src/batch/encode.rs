use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt16Type, UInt64Type};
use arrow_array::{BooleanArray, RecordBatch, UInt16Array};
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use tidegate_model::limits::BATCH_PIECE_BYTES;
use tidegate_model::{BatchId, PartitionDay, TableSpec};

use super::BatchError;
use crate::buffer::{Cut, merge, unify, with_seq};

/// The rows of one insert: one partition, one set of columns.
#[derive(Debug)]
pub(super) struct Part {
    /// What makes the insert the same when it is repeated.
    pub(super) token: String,
    /// The table with the columns that these rows have.
    pub(super) spec: TableSpec,
    /// One Arrow IPC stream.
    pub(super) arrow_stream: Vec<Bytes>,
}

/// A batch, ready to be inserted.
#[derive(Debug)]
pub(super) struct Encoded {
    /// In the order of their tokens' making, which depends on the rows alone.
    pub(super) parts: Vec<Part>,
    /// How many partitions its rows are in.
    pub(super) partitions: u32,
    /// The values of the unique column, if the table has one.
    pub(super) unique_keys: Vec<u64>,
}

/// Splits a cut by partition, numbers its rows, and encodes it, small chunks put together.
pub(super) fn encode(cut: &Cut, id: &BatchId, spec: &TableSpec) -> Result<Encoded, BatchError> {
    let mut streams: BTreeMap<(PartitionDay, usize), Stream> = BTreeMap::new();
    let mut schemas: Vec<SchemaRef> = Vec::new();
    let mut unique_keys = Vec::new();
    for chunk in &cut.chunks {
        let rows = chunk.rows()?;
        let group = group_of(&mut schemas, &rows);
        if let Some(key) = spec.unique_key {
            unique_keys.extend_from_slice(unique_values(&rows, spec, key)?);
        }
        let rows = with_seq(rows, chunk.range)?;
        for (partition, rows) in by_partition(rows, spec)? {
            let stream = match streams.entry((partition, group)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(fresh) => fresh.insert(Stream::new(&rows)?),
            };
            stream.push(rows, spec)?;
        }
    }
    let mut partitions: Vec<_> = streams.keys().map(|(partition, _)| *partition).collect();
    partitions.dedup();
    let partitions = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
    let parts = streams.into_iter().map(|((partition, group), stream)| {
        // Almost every batch has one set of columns; a dataset that just got another has two.
        let token = if group == 0 { format!("{id}:{partition}") } else { format!("{id}:{partition}:{group}") };
        Ok(Part { token, spec: narrowed(spec, &schemas[group])?, arrow_stream: stream.finish(spec)? })
    });
    Ok(Encoded { parts: parts.collect::<Result<_, BatchError>>()?, partitions, unique_keys })
}

/// Rows of small requests are put together up to this many: each record batch of its own takes the engine about
/// 0.4 ms, however few its rows.
const GATHERED_ROWS: usize = 8_192;

/// One Arrow stream in the making, taken out in pieces so that no buffer is ever copied to grow.
struct Stream {
    writer: StreamWriter<Vec<u8>>,
    pieces: Vec<Bytes>,
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
}

impl Stream {
    fn new(rows: &RecordBatch) -> Result<Self, ArrowError> {
        let options = IpcWriteOptions::try_new(8, false, arrow_ipc::MetadataVersion::V5)?;
        let writer = StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options)?;
        Ok(Self { writer, pieces: Vec::new(), gathered: Vec::new(), gathered_rows: 0 })
    }

    fn push(&mut self, rows: RecordBatch, spec: &TableSpec) -> Result<(), ArrowError> {
        self.gathered_rows += rows.num_rows();
        self.gathered.push(rows);
        // Rows that merge are gathered whole: each that is merged here costs the engine nothing.
        let is_full = self.gathered_rows >= GATHERED_ROWS && spec.roll_up.is_none();
        if is_full { self.write(spec) } else { Ok(()) }
    }

    fn write(&mut self, spec: &TableSpec) -> Result<(), ArrowError> {
        self.gathered_rows = 0;
        let gathered = std::mem::take(&mut self.gathered);
        let rows = if spec.roll_up.is_some() { merge(&gathered, spec)? } else { unify(&gathered)? };
        self.writer.write(&rows)?;
        if self.writer.get_ref().len() >= BATCH_PIECE_BYTES {
            let next = Vec::with_capacity(self.writer.get_ref().capacity());
            self.pieces.push(std::mem::replace(self.writer.get_mut(), next).into());
        }
        Ok(())
    }

    fn finish(mut self, spec: &TableSpec) -> Result<Vec<Bytes>, ArrowError> {
        if !self.gathered.is_empty() {
            self.write(spec)?;
        }
        self.writer.finish()?;
        self.pieces.push(self.writer.into_inner()?.into());
        Ok(self.pieces)
    }
}

/// Returns the number of the rows' set of columns, in the order in which they first came.
fn group_of(schemas: &mut Vec<SchemaRef>, rows: &RecordBatch) -> usize {
    let schema = rows.schema();
    let same = |known: &SchemaRef| Arc::ptr_eq(known, &schema) || known.fields() == schema.fields();
    schemas.iter().position(same).unwrap_or_else(|| {
        schemas.push(schema);
        schemas.len() - 1
    })
}

fn unique_values<'a>(rows: &'a RecordBatch, spec: &TableSpec, key: &str) -> Result<&'a [u64], BatchError> {
    let column = rows.column_by_name(key).and_then(|column| column.as_primitive_opt::<UInt64Type>());
    column.map(|values| values.values().as_ref()).ok_or_else(|| other_rows(spec, format!("`{key}` is no UInt64")))
}

/// Splits rows by their partition; those of one partition, as almost always, go through untouched.
fn by_partition(rows: RecordBatch, spec: &TableSpec) -> Result<Vec<(PartitionDay, RecordBatch)>, BatchError> {
    let column = rows.column_by_name(TableSpec::PARTITION).and_then(|column| column.as_primitive_opt::<UInt16Type>());
    let Some(partitions) = column.cloned() else {
        return Err(other_rows(spec, format!("`{}` is no UInt16", TableSpec::PARTITION)));
    };
    let days = partitions.values();
    match days.first() {
        None => return Ok(Vec::new()),
        Some(first) if days.iter().all(|day| day == first) => return Ok(vec![(*first, rows)]),
        Some(_) => {}
    }
    let mut distinct = days.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let split = distinct.into_iter().map(|day| Ok((day, filter_record_batch(&rows, &equals(&partitions, day))?)));
    split.collect()
}

fn equals(partitions: &UInt16Array, day: PartitionDay) -> BooleanArray {
    partitions.values().iter().map(|value| Some(*value == day)).collect()
}

/// Returns the table with only the columns that the rows have; ClickHouse gives the others their defaults.
fn narrowed(spec: &TableSpec, rows: &Schema) -> Result<TableSpec, BatchError> {
    for field in rows.fields() {
        if spec.column(field.name()).is_none() {
            return Err(other_rows(spec, format!("it has no column `{}`", field.name())));
        }
    }
    let columns = spec.columns.iter().filter(|column| rows.column_with_name(&column.name).is_some());
    Ok(TableSpec { columns: columns.cloned().collect(), ..spec.clone() })
}

fn other_rows(spec: &TableSpec, why: String) -> BatchError {
    BatchError::OtherRows { table: spec.name.clone(), why }
}
