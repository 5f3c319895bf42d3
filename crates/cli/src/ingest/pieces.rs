use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow_array::RecordBatch;
use arrow_csv::reader::Format;
use arrow_ipc::writer::StreamWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::FileFormat;

/// Bytes of NDJSON in one piece: large enough that a request's fixed cost does not show.
const PIECE_BYTES: usize = 4 << 20;

/// Rows in one piece of a columnar file.
const PIECE_ROWS: usize = 16_384;

const NDJSON: &str = "application/x-ndjson";
const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// Some rows of a file, in the form in which they are sent.
pub(super) struct Piece {
    pub(super) body: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) rows: u64,
    /// How much of the file is read, in the unit of [`Pieces::length`].
    pub(super) done: u64,
}

/// A file, read piece by piece in bounded memory.
pub(super) enum Pieces {
    Ndjson { lines: BufReader<File>, length: u64, done: u64 },
    Csv { batches: Box<arrow_csv::Reader<File>>, position: File, length: u64 },
    Parquet { batches: ParquetRecordBatchReader, rows: u64, done: u64 },
}

impl Pieces {
    /// Opens a file; a CSV file is read once to find the types of its columns.
    pub(super) fn open(path: &Path, format: FileFormat) -> anyhow::Result<Self> {
        let file = File::open(path).context("open the file")?;
        let length = file.metadata().context("read the file's size")?.len();
        match format {
            FileFormat::Ndjson => Ok(Self::Ndjson { lines: BufReader::new(file), length, done: 0 }),
            FileFormat::Csv => open_csv(file, length),
            FileFormat::Parquet => {
                let builder = ParquetRecordBatchReaderBuilder::try_new(file).context("read the Parquet footer")?;
                let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
                let batches = builder.with_batch_size(PIECE_ROWS).build().context("read the Parquet file")?;
                Ok(Self::Parquet { batches, rows, done: 0 })
            }
        }
    }

    /// Returns the whole of what [`Piece::done`] counts: bytes, or rows of a Parquet file.
    pub(super) const fn length(&self) -> u64 {
        match self {
            Self::Ndjson { length, .. } | Self::Csv { length, .. } => *length,
            Self::Parquet { rows, .. } => *rows,
        }
    }

    /// Reads the next piece; `None` at the end of the file.
    pub(super) fn next_piece(&mut self) -> anyhow::Result<Option<Piece>> {
        match self {
            Self::Ndjson { lines, done, .. } => {
                let (body, rows) = next_lines(lines).context("read the file")?;
                *done += body.len() as u64;
                Ok((!body.is_empty()).then_some(Piece { body, content_type: NDJSON, rows, done: *done }))
            }
            Self::Csv { batches, position, .. } => {
                let Some(batch) = batches.next() else { return Ok(None) };
                let batch = batch.context("read the CSV file")?;
                let done = position.stream_position().context("read the file's position")?;
                columnar(&batch, done).map(Some)
            }
            Self::Parquet { batches, done, .. } => {
                let Some(batch) = batches.next() else { return Ok(None) };
                let batch = batch.context("read the Parquet file")?;
                *done += batch.num_rows() as u64;
                columnar(&batch, *done).map(Some)
            }
        }
    }
}

fn open_csv(mut file: File, length: u64) -> anyhow::Result<Pieces> {
    let format = Format::default().with_header(true);
    let (schema, _) = format.infer_schema(&mut file, None).context("find the types of the CSV file's columns")?;
    file.rewind().context("go back to the file's begin")?;
    // A clone shares the position, which tells how far the reader is.
    let position = file.try_clone().context("open the file a second time")?;
    let batches = arrow_csv::ReaderBuilder::new(Arc::new(schema))
        .with_header(true)
        .with_batch_size(PIECE_ROWS)
        .build(file)
        .context("read the CSV file")?;
    Ok(Pieces::Csv { batches: Box::new(batches), position, length })
}

/// Reads whole lines until there are enough bytes.
fn next_lines(lines: &mut BufReader<File>) -> std::io::Result<(Vec<u8>, u64)> {
    let (mut body, mut rows) = (Vec::with_capacity(PIECE_BYTES), 0);
    while body.len() < PIECE_BYTES {
        let line = lines.read_until(b'\n', &mut body)?;
        if line == 0 {
            break;
        }
        rows += 1;
    }
    Ok((body, rows))
}

fn columnar(batch: &RecordBatch, done: u64) -> anyhow::Result<Piece> {
    let mut body = Vec::new();
    let mut writer = StreamWriter::try_new(&mut body, &batch.schema()).context("encode the rows")?;
    writer.write(batch).and_then(|()| writer.finish()).context("encode the rows")?;
    drop(writer);
    Ok(Piece { body, content_type: ARROW_STREAM, rows: batch.num_rows() as u64, done })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(format: FileFormat, content: &[u8], rows: &[u64]) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(content).expect("the disk has room");
        let mut pieces = Pieces::open(file.path(), format).expect("a readable file");
        let mut found = Vec::new();
        let mut done = 0;
        while let Some(piece) = pieces.next_piece().expect("a well formed file") {
            found.push(piece.rows);
            done = piece.done;
        }
        assert_eq!(found, rows);
        assert_eq!(done, pieces.length());
    }

    #[test]
    fn ndjson_is_cut_between_lines() {
        check(FileFormat::Ndjson, b"{\"a\":1}\n{\"a\":2}", &[2]);
        let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20));
        check(FileFormat::Ndjson, line.repeat(6).as_bytes(), &[4, 2]);
        check(FileFormat::Ndjson, b"", &[]);
    }

    #[test]
    fn csv_is_cut_by_rows() {
        let rows: String = (0..20_000).map(|row| format!("{row},text {row}\n")).collect();
        check(FileFormat::Csv, format!("id,text\n{rows}").as_bytes(), &[16_384, 3_616]);
    }
}
