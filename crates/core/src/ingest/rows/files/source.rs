use std::fs::File;
use std::io::{BufReader, Read as _, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use tidegate_model::limits::FILE_BATCH_ROWS;

use super::lines::{self, Lines};
use super::{FileError, FileFormat, Read};

/// What a file in Arrow's file format begins with; its streams begin otherwise.
const ARROW_FILE: &[u8] = b"ARROW1";

/// A file in its format.
#[derive(Debug)]
pub(super) enum Source {
    Lines(Lines),
    /// A JSON file, read as a whole.
    Array(Option<Box<Read>>),
    Csv(Progress<Box<arrow_csv::Reader<File>>>),
    Parquet(Progress<ParquetRecordBatchReader>),
    ArrowFile(Progress<Box<FileReader<BufReader<File>>>>),
    ArrowStream(Progress<Box<StreamReader<BufReader<File>>>>),
}

/// Record batches, and how far in the file they are.
#[derive(Debug)]
pub(super) struct Progress<R> {
    batches: R,
    /// Shares the place with the reader of the batches.
    file: Option<File>,
    file_bytes: u64,
    rows: u64,
    rows_in_file: Option<u64>,
}

impl Source {
    pub(super) fn of(file: File, format: FileFormat, file_bytes: u64) -> Result<Self, FileError> {
        match format {
            FileFormat::Ndjson => Ok(Self::Lines(Lines::open(file)?)),
            FileFormat::Json => Ok(Self::Array(Some(Box::new(lines::read_array(file, file_bytes)?)))),
            FileFormat::Csv => open_csv(file, file_bytes).map(Self::Csv),
            FileFormat::Parquet => open_parquet(file, file_bytes).map(Self::Parquet),
            FileFormat::Arrow => open_arrow(file, file_bytes),
        }
    }

    /// Returns the next piece; `None` at the end.
    pub(super) fn next_read(&mut self) -> Result<Option<Read>, FileError> {
        match self {
            Self::Lines(lines) => lines.next_read(),
            Self::Array(read) => Ok(read.take().map(|read| *read)),
            Self::Csv(progress) => progress.next_read("CSV"),
            Self::Parquet(progress) => progress.next_read("Parquet"),
            Self::ArrowFile(progress) => progress.next_read("Arrow"),
            Self::ArrowStream(progress) => progress.next_read("Arrow"),
        }
    }
}

impl<R, E> Progress<R>
where
    R: Iterator<Item = Result<RecordBatch, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    fn next_read(&mut self, format: &'static str) -> Result<Option<Read>, FileError> {
        let Some(rows) = self.batches.next().transpose().map_err(broken(format))? else { return Ok(None) };
        self.rows += rows.num_rows() as u64;
        let bytes_read = match (self.rows_in_file, &mut self.file) {
            (Some(0), _) => self.file_bytes,
            (Some(all), _) => {
                let share = u128::from(self.file_bytes) * u128::from(self.rows) / u128::from(all);
                u64::try_from(share).unwrap_or(self.file_bytes)
            }
            (None, Some(file)) => file.stream_position().unwrap_or(self.file_bytes),
            (None, None) => self.file_bytes,
        };
        Ok(Some(Read::whole(rows, bytes_read.min(self.file_bytes))))
    }
}

/// Reads the types of all of the file first, then starts again.
fn open_csv(mut file: File, file_bytes: u64) -> Result<Progress<Box<arrow_csv::Reader<File>>>, FileError> {
    let format = arrow_csv::reader::Format::default().with_header(true).with_truncated_rows(true);
    let (schema, _) = format.infer_schema(BufReader::new(&file), None).map_err(broken("CSV"))?;
    file.seek(SeekFrom::Start(0)).map_err(io("go back to the start of the file"))?;
    let place = file.try_clone().map_err(io("share the file"))?;
    let builder = arrow_csv::ReaderBuilder::new(Arc::new(schema)).with_format(format).with_batch_size(FILE_BATCH_ROWS);
    let batches = Box::new(builder.build(file).map_err(broken("CSV"))?);
    Ok(Progress { batches, file: Some(place), file_bytes, rows: 0, rows_in_file: None })
}

fn open_parquet(file: File, file_bytes: u64) -> Result<Progress<ParquetRecordBatchReader>, FileError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(broken("Parquet"))?;
    let rows_in_file = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
    let batches = builder.with_batch_size(FILE_BATCH_ROWS).build().map_err(broken("Parquet"))?;
    Ok(Progress { batches, file: None, file_bytes, rows: 0, rows_in_file })
}

fn open_arrow(mut file: File, file_bytes: u64) -> Result<Source, FileError> {
    let mut start = Vec::new();
    (&file).take(ARROW_FILE.len() as u64).read_to_end(&mut start).map_err(io("read the start of the file"))?;
    file.seek(SeekFrom::Start(0)).map_err(io("go back to the start of the file"))?;
    let place = Some(file.try_clone().map_err(io("share the file"))?);
    let (rows, rows_in_file) = (0, None);
    if start == ARROW_FILE {
        let batches = Box::new(FileReader::try_new_buffered(file, None).map_err(broken("Arrow"))?);
        return Ok(Source::ArrowFile(Progress { batches, file: place, file_bytes, rows, rows_in_file }));
    }
    let batches = Box::new(StreamReader::try_new_buffered(file, None).map_err(broken("Arrow"))?);
    Ok(Source::ArrowStream(Progress { batches, file: place, file_bytes, rows, rows_in_file }))
}

pub(super) fn io(step: &'static str) -> impl FnOnce(std::io::Error) -> FileError {
    move |source| FileError::Io { step, source }
}

pub(super) fn broken<E>(format: &'static str) -> impl FnOnce(E) -> FileError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| FileError::Format { format, source: Box::new(source) }
}
