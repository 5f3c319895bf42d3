//! Files of rows, cut into requests: bounded memory, and places for a progress bar. The command line sends them, and the
//! server takes a body that is too large for memory as such a file.
//!
//! Every request is an Arrow stream, so that all of a file has one schema: text files (NDJSON, JSON, CSV) are read
//! twice, first for the types that hold every value, then for the rows. A line that is not JSON is left out and
//! reported; a file that breaks its own format ends with an error, and what came before it has been handed out.
//!
//! | file | holds |
//! |---|---|
//! | `source.rs` | each format as record batches |
//! | `lines.rs` | NDJSON and JSON |

mod lines;
mod source;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use tidegate_model::limits::FILE_REQUEST_BYTES_MAX;

use crate::ingest::Rejections;
use source::Source;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated, names in the first line.
    Csv,
    /// An object a line.
    Ndjson,
    /// One array of objects.
    Json,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, as a file or as a stream.
    Arrow,
}

impl FileFormat {
    /// Tells a format by the ending of a file's name.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "json" => Some(Self::Json),
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "arrows" | "feather" | "ipc" => Some(Self::Arrow),
            _ => None,
        }
    }
}

/// Why a file could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk failed, or the file is not there.
    #[error("{step}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The file is not in its format.
    #[error("read the file as {format}")]
    Format {
        /// The format.
        format: &'static str,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// One row, or a JSON file, is too large.
    #[error("{0}")]
    TooLarge(String),
}

/// One request's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBatch {
    /// The body, an Arrow stream; it may have no row.
    pub arrow_ipc: Vec<u8>,
    /// The place in the file of each of its rows, from 0.
    pub places: Vec<u64>,
    /// How much of the file is read, in bytes.
    pub bytes_read: u64,
    /// Lines left out since the last batch, with their places in the file; all are counted, the first ones listed.
    pub rejected: Rejections,
}

/// The requests of one file, in order.
#[derive(Debug)]
pub struct FileRows {
    source: Source,
    /// The size of the file, for a progress bar.
    pub bytes: u64,
    ready: VecDeque<FileBatch>,
    /// Lines or rows read so far.
    lines: u64,
    is_over: bool,
}

/// Opens a file of rows; text files are read once for their types.
pub fn open(path: &Path, format: FileFormat) -> Result<FileRows, FileError> {
    read(File::open(path).map_err(source::io("open the file"))?, format)
}

/// Does the same with a file that is open, from its beginning.
pub fn read(file: File, format: FileFormat) -> Result<FileRows, FileError> {
    let bytes = file.metadata().map_err(source::io("look at the file"))?.len();
    let source = Source::of(file, format, bytes)?;
    Ok(FileRows { source, bytes, ready: VecDeque::new(), lines: 0, is_over: false })
}

impl Iterator for FileRows {
    type Item = Result<FileBatch, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.is_over {
            match self.source.next_read() {
                Ok(Some(read)) => {
                    if let Err(error) = self.encode(read) {
                        self.is_over = true;
                        return Some(Err(error));
                    }
                }
                Ok(None) => self.is_over = true,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// A piece of a file.
#[derive(Debug)]
struct Read {
    rows: RecordBatch,
    /// The place in the piece of each row.
    places: Vec<u64>,
    /// Lines of the piece, those left out included.
    lines: u64,
    rejected: Rejections,
    bytes_read: u64,
}

impl Read {
    /// A piece of which nothing is left out.
    fn whole(rows: RecordBatch, bytes_read: u64) -> Self {
        let lines = rows.num_rows() as u64;
        Self { rows, places: (0..lines).collect(), lines, rejected: Rejections::default(), bytes_read }
    }
}

impl FileRows {
    fn encode(&mut self, read: Read) -> Result<(), FileError> {
        let Read { rows, places, lines, mut rejected, bytes_read } = read;
        rejected.listed.iter_mut().for_each(|rejection| rejection.index += self.lines);
        let mut places = places.into_iter().map(|place| self.lines + place);
        let mut pieces = VecDeque::from([rows]);
        while let Some(piece) = pieces.pop_front() {
            let arrow_ipc = stream(&piece).map_err(source::broken("Arrow"))?;
            let rows = piece.num_rows();
            if arrow_ipc.len() > FILE_REQUEST_BYTES_MAX && rows > 1 {
                pieces.push_front(piece.slice(rows / 2, rows - rows / 2));
                pieces.push_front(piece.slice(0, rows / 2));
                continue;
            }
            let places: Vec<_> = places.by_ref().take(rows).collect();
            let rejected = std::mem::take(&mut rejected);
            self.ready.push_back(FileBatch { arrow_ipc, places, bytes_read, rejected });
        }
        self.lines += lines;
        Ok(())
    }
}

fn stream(rows: &RecordBatch) -> Result<Vec<u8>, arrow_schema::ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    writer.into_inner()
}
