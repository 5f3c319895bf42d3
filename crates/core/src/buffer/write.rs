use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer as Bytes;
use arrow_data::ArrayData;
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow_schema::ArrowError;
use tidegate_model::limits::{ANSWER_BYTES_MAX, FRAME_BYTES_MAX, FRAME_SECTIONS_MAX};
use tidegate_model::{RetryKey, SeqRange, TableName};

use super::error::BufferError;
use super::frame::{self, ALIGNMENT};

/// Pieces below this are copied together: one part more in a `pwritev` costs about as much as copying so many bytes.
const PIECE_BYTES_MIN: usize = 1_024;

/// What an array costs in memory beside its buffers: its struct, its `Arc`, its type, allocator overhead.
const ARRAY_OVERHEAD_BYTES: u64 = 256;

/// Rows of one table, as ingest makes them: with `_partition`, without `_seq`.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The table.
    pub table: TableName,
    /// At least one row.
    pub rows: RecordBatch,
}

/// The outcome of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The rows are durable, with these numbers.
    Rows(Vec<(TableName, SeqRange)>),
    /// The request was seen before: what it was told then. Nothing was written.
    Retry(Vec<u8>),
}

/// One request's rows, encoded for the WAL; making it costs CPU, so it is made off the async workers.
#[derive(Debug)]
pub struct Write {
    pub(super) sections: Vec<Section>,
    pub(super) retry: Option<RetryKey>,
    pub(super) answer: Vec<u8>,
    pub(super) frame_bytes: u64,
    refused: Option<BufferError>,
}

/// One table's rows, as a batch and as the Arrow IPC bytes that share its buffers.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) table: TableName,
    pub(super) rows: RecordBatch,
    pub(super) pieces: Vec<Bytes>,
    pub(super) ipc_bytes: u64,
    pub(super) ipc_crc: u32,
    /// Bytes of memory that the batch holds.
    pub(super) memory_bytes: u64,
}

impl Write {
    /// Encodes the rows of one request; they become durable together or not at all.
    ///
    /// What cannot be a frame (too large, a column type that Arrow IPC lacks) is refused by the append.
    #[must_use]
    pub fn new(rows: Vec<Rows>, retry: Option<RetryKey>, answer: Vec<u8>) -> Self {
        match encode(rows, retry, &answer) {
            Ok((sections, frame_bytes)) => Self { sections, retry, answer, frame_bytes, refused: None },
            Err(error) => {
                Self { sections: Vec::new(), retry: None, answer: Vec::new(), frame_bytes: 0, refused: Some(error) }
            }
        }
    }

    pub(super) fn checked(self) -> Result<Self, BufferError> {
        match self.refused {
            None => Ok(self),
            Some(error) => Err(error),
        }
    }

    /// Returns how many rows each section brings.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&TableName, u64)> {
        self.sections.iter().map(|section| (&section.table, section.rows.num_rows() as u64))
    }
}

fn encode(rows: Vec<Rows>, retry: Option<RetryKey>, answer: &[u8]) -> Result<(Vec<Section>, u64), BufferError> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(BufferError::Unfit(format!(
            "its answer has {} bytes, at most {ANSWER_BYTES_MAX} are kept",
            answer.len()
        )));
    }
    if rows.len() > FRAME_SECTIONS_MAX {
        return Err(BufferError::Unfit(format!("it has {} tables, at most {FRAME_SECTIONS_MAX} fit", rows.len())));
    }
    let mut sections = Vec::with_capacity(rows.len());
    for Rows { table, rows } in rows {
        if rows.num_rows() > 0 {
            sections.push(encode_section(table, rows).map_err(|error| BufferError::Unfit(error.to_string()))?);
        }
    }
    let names = sections.iter().map(|section| section.table.as_str().len());
    let head_bytes = frame::head_bytes(answer.len(), retry.is_some(), names);
    let frame_bytes = frame::frame_bytes(head_bytes, sections.iter().map(|section| section.ipc_bytes));
    match frame_bytes {
        Some(bytes) if bytes <= FRAME_BYTES_MAX as u64 => Ok((sections, bytes)),
        _ => Err(BufferError::Unfit(format!("its frame is larger than {FRAME_BYTES_MAX} bytes; send it in pieces"))),
    }
}

fn encode_section(table: TableName, rows: RecordBatch) -> Result<Section, ArrowError> {
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
    let encoded = StreamEncoder::try_new_with_options(&rows.schema(), options)?.encode(&rows)?;
    let ipc_bytes = encoded.iter().map(|piece| piece.len() as u64).sum();
    let ipc_crc = encoded.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece));
    let memory_bytes = memory_bytes(&rows);
    Ok(Section { table, pieces: merge_small(encoded), ipc_bytes, ipc_crc, memory_bytes, rows })
}

fn merge_small(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let mut merged = Vec::new();
    let mut small = Vec::new();
    for piece in pieces {
        if piece.len() < PIECE_BYTES_MIN {
            small.extend_from_slice(&piece);
            continue;
        }
        if !small.is_empty() {
            merged.push(Bytes::from_vec(std::mem::take(&mut small)));
        }
        merged.push(piece);
    }
    if !small.is_empty() {
        merged.push(Bytes::from_vec(small));
    }
    merged
}

/// Returns the bytes that a batch keeps in memory; what several columns share counts once.
pub(super) fn memory_bytes(rows: &RecordBatch) -> u64 {
    let mut buffers = Vec::new();
    let mut arrays = 0;
    for column in rows.columns() {
        collect_buffers(&column.to_data(), &mut buffers, &mut arrays);
    }
    buffers.sort_unstable();
    buffers.dedup_by_key(|(address, _)| *address);
    buffers.iter().map(|(_, bytes)| *bytes as u64).sum::<u64>() + arrays * ARRAY_OVERHEAD_BYTES
}

fn collect_buffers(data: &ArrayData, buffers: &mut Vec<(usize, usize)>, arrays: &mut u64) {
    *arrays += 1;
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    for buffer in data.buffers().iter().chain(nulls) {
        buffers.push((buffer.data_ptr().as_ptr().addr(), buffer.capacity()));
    }
    for child in data.child_data() {
        collect_buffers(child, buffers, arrays);
    }
}
