use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt16Type, UInt64Type};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt16Array, UInt64Array};
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use tidegate_model::limits::SENT_COPIED_BYTES_MAX;
use tidegate_model::{BatchId, ColumnKind, ColumnSpec, PartitionDay, RowsSum, Seq, SeqRange, TableSpec};

use super::BatchError;
use super::targets::Target;
use crate::buffer::{Chunk, Cut, merge, sent, unify};
use crate::store::checksum::{self, Summing};
use crate::store::{Gone, Outlet};

/// The rows of one insert: one partition, one set of columns.
#[derive(Debug)]
pub(super) struct Part {
    /// What makes the insert the same when it is repeated.
    pub(super) token: String,
    /// The table with the columns that these rows have.
    pub(super) spec: TableSpec,
    pub(super) partition: PartitionDay,
    /// Those of the cut with a row here.
    chunks: Vec<Chunk>,
    /// The rows as they are sent.
    schema: SchemaRef,
    /// The columns that all rows of the batch have and that its checksums cover.
    covered: Arc<[ColumnSpec]>,
    time_column: Option<String>,
}

/// A batch, ready to be inserted.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of their tokens' making, which depends on the rows alone.
    pub(super) parts: Vec<Part>,
    /// The partitions that its rows are in.
    pub(super) partitions: Vec<PartitionDay>,
    /// The columns that its checksums cover.
    pub(super) covered: Arc<[ColumnSpec]>,
    /// The values of the unique column, if the table has one.
    pub(super) unique_keys: Vec<u64>,
}

/// Splits a cut by partition and by set of columns; its rows are encoded later, while they are sent.
pub(super) fn plan(cut: &Cut, id: &BatchId, target: &Target) -> Result<Plan, BatchError> {
    let spec = &target.spec;
    let mut chunks: BTreeMap<(PartitionDay, usize), Vec<Chunk>> = BTreeMap::new();
    let mut forms = Forms::default();
    let mut unique_keys = Vec::new();
    for chunk in &cut.chunks {
        let rows = chunk.rows()?;
        let group = forms.group_of(&rows.schema(), spec)?;
        if let Some(key) = spec.unique_key {
            unique_keys.extend_from_slice(unique_values(&rows, spec, key)?);
        }
        for partition in distinct(partitions_of(&rows, spec)?) {
            chunks.entry((partition, group)).or_default().push(chunk.clone());
        }
    }
    let mut partitions: Vec<_> = chunks.keys().map(|(partition, _)| *partition).collect();
    partitions.dedup();
    let covered = forms.covered(spec);
    let parts = chunks.into_iter().map(|((partition, group), chunks)| {
        // Almost every batch has one set of columns; a dataset that just got another has two.
        let token = if group == 0 { format!("{id}:{partition}") } else { format!("{id}:{partition}:{group}") };
        let schema = Arc::clone(&forms.sent[group]);
        let (covered, time_column) = (Arc::clone(&covered), target.time_column.clone());
        Part { token, spec: narrowed(spec, &schema), partition, chunks, schema, covered, time_column }
    });
    Ok(Plan { parts: parts.collect(), partitions, covered, unique_keys })
}

/// Rows of small requests are put together up to this many: each record batch of its own takes the engine about
/// 0.4 ms, however few its rows.
const GATHERED_ROWS: usize = 8_192;

impl Part {
    /// Encodes the rows as one Arrow stream, small chunks put together, and sums them; blocks while the other end is busy.
    pub(super) fn encode(&self, outlet: Outlet) -> Result<Result<(Duration, RowsSum), Gone>, BatchError> {
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
        let encoder = StreamEncoder::try_new_with_options(&self.schema, options)?;
        let way_out = WayOut { outlet, small: Vec::new() };
        let merging = self.spec.roll_up.is_some().then_some(&self.spec);
        let mut stream = Stream { encoder, way_out, gathered: Vec::new(), gathered_rows: 0, merging };
        let mut sum = RowsSum::default();
        for chunk in &self.chunks {
            let rows = chunk.rows()?;
            sum.merge(&checksum::sum(&rows, chunk.range, &self.summing())?);
            if let Err(gone) = stream.push(self.rows_of(chunk, &rows)?)? {
                return Ok(Err(gone));
            }
        }
        Ok(stream.finish()?.map(|waited| (waited, sum)))
    }

    fn summing(&self) -> Summing<'_> {
        Summing { columns: &self.covered, time_column: self.time_column.as_deref(), partition: self.partition }
    }

    /// Returns the chunk's rows in this partition, numbered, as they are sent.
    fn rows_of(&self, chunk: &Chunk, rows: &RecordBatch) -> Result<RecordBatch, BatchError> {
        let partitions = partitions_of(rows, &self.spec)?.clone();
        let rows = numbered(rows, chunk.range, &self.schema)?;
        // Those of one partition, as almost always, go through untouched.
        if partitions.values().iter().all(|day| *day == self.partition) {
            return Ok(rows);
        }
        Ok(filter_record_batch(&rows, &equals(&partitions, self.partition))?)
    }
}

/// Encodes rows that are as they are sent.
pub(super) fn encode_rows(rows: &RecordBatch, outlet: Outlet) -> Result<Result<(Duration, RowsSum), Gone>, BatchError> {
    let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
    let mut encoder = StreamEncoder::try_new_with_options(&rows.schema(), options)?;
    let mut way_out = WayOut { outlet, small: Vec::new() };
    if let Err(gone) = way_out.send(encoder.encode(rows)?) {
        return Ok(Err(gone));
    }
    let end = encoder.finish()?;
    Ok(way_out.finish(end).map(|waited| (waited, RowsSum::default())))
}

/// Gives all rows the same number.
pub(super) fn constant_seq(rows: RecordBatch, seq: Seq) -> Result<RecordBatch, ArrowError> {
    let numbers: ArrayRef = Arc::new(UInt64Array::from_value(seq.0, rows.num_rows()));
    let (schema, mut columns, _) = rows.into_parts();
    let number = Arc::new(Field::new(TableSpec::SEQ, DataType::UInt64, false));
    columns.push(numbers);
    RecordBatch::try_new(
        Arc::new(Schema::new(schema.fields().iter().cloned().chain([number]).collect::<Vec<_>>())),
        columns,
    )
}

/// One Arrow stream in the making.
struct Stream<'s> {
    encoder: StreamEncoder,
    way_out: WayOut,
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
    /// The table, when its rows merge.
    merging: Option<&'s TableSpec>,
}

impl Stream<'_> {
    fn push(&mut self, rows: RecordBatch) -> Result<Result<(), Gone>, ArrowError> {
        self.gathered_rows += rows.num_rows();
        self.gathered.push(rows);
        // Rows that merge are gathered whole: each that is merged here costs the engine nothing.
        let is_full = self.gathered_rows >= GATHERED_ROWS && self.merging.is_none();
        if is_full { self.write() } else { Ok(Ok(())) }
    }

    fn write(&mut self) -> Result<Result<(), Gone>, ArrowError> {
        self.gathered_rows = 0;
        let gathered = std::mem::take(&mut self.gathered);
        let rows = match self.merging {
            None => unify(&gathered)?,
            Some(spec) => merge(&gathered, spec)?,
        };
        let buffers = self.encoder.encode(&rows)?;
        Ok(self.way_out.send(buffers))
    }

    fn finish(mut self) -> Result<Result<Duration, Gone>, ArrowError> {
        if !self.gathered.is_empty()
            && let Err(gone) = self.write()?
        {
            return Ok(Err(gone));
        }
        let end = self.encoder.finish()?;
        Ok(self.way_out.finish(end))
    }
}

/// Large buffers are sent as they are, small ones are copied together.
struct WayOut {
    outlet: Outlet,
    small: Vec<u8>,
}

impl WayOut {
    fn send(&mut self, buffers: Vec<Buffer>) -> Result<(), Gone> {
        for buffer in buffers {
            if buffer.len() < SENT_COPIED_BYTES_MAX {
                self.small.extend_from_slice(&buffer);
                continue;
            }
            self.send_small()?;
            self.outlet.push(Bytes::from_owner(buffer))?;
        }
        Ok(())
    }

    fn send_small(&mut self) -> Result<(), Gone> {
        if self.small.is_empty() { Ok(()) } else { self.outlet.push(std::mem::take(&mut self.small).into()) }
    }

    fn finish(mut self, end: Vec<Buffer>) -> Result<Duration, Gone> {
        self.send(end)?;
        self.send_small()?;
        self.outlet.finish()
    }
}

/// The sets of columns of a cut, in the order in which they first came, as they are sent.
#[derive(Default)]
struct Forms {
    sent: Vec<SchemaRef>,
    /// Schemas of rows, and which of `sent` they become: several where earlier versions held rows in another form.
    known: Vec<(SchemaRef, usize)>,
}

impl Forms {
    fn group_of(&mut self, rows: &SchemaRef, spec: &TableSpec) -> Result<usize, BatchError> {
        let same = |known: &SchemaRef| Arc::ptr_eq(known, rows) || known.fields() == rows.fields();
        if let Some((_, group)) = self.known.iter().find(|(known, _)| same(known)) {
            return Ok(*group);
        }
        let schema = sent_schema(rows, spec)?;
        let group = self.sent.iter().position(|sent| *sent == schema).unwrap_or_else(|| {
            self.sent.push(schema);
            self.sent.len() - 1
        });
        self.known.push((Arc::clone(rows), group));
        Ok(group)
    }

    /// Returns the columns that are in every set and part of checksums; rows that merge have no checksum.
    fn covered(&self, spec: &TableSpec) -> Arc<[ColumnSpec]> {
        let is_everywhere = |name: &str| self.sent.iter().all(|sent| sent.column_with_name(name).is_some());
        let covered = spec.columns.iter().filter(|column| spec.roll_up.is_none() && is_everywhere(&column.name));
        covered.cloned().collect()
    }
}

fn unique_values<'a>(rows: &'a RecordBatch, spec: &TableSpec, key: &str) -> Result<&'a [u64], BatchError> {
    let column = rows.column_by_name(key).and_then(|column| column.as_primitive_opt::<UInt64Type>());
    column.map(|values| values.values().as_ref()).ok_or_else(|| other_rows(spec, format!("`{key}` is no UInt64")))
}

fn partitions_of<'a>(rows: &'a RecordBatch, spec: &TableSpec) -> Result<&'a UInt16Array, BatchError> {
    let column = rows.column_by_name(TableSpec::PARTITION).and_then(|column| column.as_primitive_opt::<UInt16Type>());
    column.ok_or_else(|| other_rows(spec, format!("`{}` is no UInt16", TableSpec::PARTITION)))
}

fn distinct(partitions: &UInt16Array) -> Vec<PartitionDay> {
    let days = partitions.values();
    match days.first() {
        Some(first) if days.iter().all(|day| day == first) => vec![*first],
        _ => {
            let mut distinct = days.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            distinct
        }
    }
}

/// Puts the rows into the form in which they are sent, with their numbers as the last column.
fn numbered(rows: &RecordBatch, range: SeqRange, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| sent(column, field.data_type()));
    let seq: ArrayRef = Arc::new(UInt64Array::from_iter_values(range.first.0..=range.last.0));
    RecordBatch::try_new(Arc::clone(schema), columns.chain([Ok(seq)]).collect::<Result<_, _>>()?)
}

fn equals(partitions: &UInt16Array, day: PartitionDay) -> BooleanArray {
    partitions.values().iter().map(|value| Some(*value == day)).collect()
}

/// Returns the rows' schema as they are sent.
fn sent_schema(rows: &Schema, spec: &TableSpec) -> Result<SchemaRef, BatchError> {
    let fields = rows.fields().iter().map(|field| match spec.column(field.name()) {
        Some(column) if column.kind == ColumnKind::Labels => Ok(Arc::new(column.sent_field())),
        Some(_) => Ok(Arc::clone(field)),
        None => Err(other_rows(spec, format!("it has no column `{}`", field.name()))),
    });
    let mut fields = fields.collect::<Result<Vec<_>, _>>()?;
    fields.push(Arc::new(Field::new(TableSpec::SEQ, DataType::UInt64, false)));
    Ok(Arc::new(Schema::new(fields)))
}

/// Returns the table with only the columns that the rows have; ClickHouse gives the others their defaults.
fn narrowed(spec: &TableSpec, rows: &Schema) -> TableSpec {
    let columns = spec.columns.iter().filter(|column| rows.column_with_name(&column.name).is_some());
    TableSpec { columns: columns.cloned().collect(), ..spec.clone() }
}

fn other_rows(spec: &TableSpec, why: String) -> BatchError {
    BatchError::OtherRows { table: spec.name.clone(), why }
}
