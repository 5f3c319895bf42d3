use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{ArrowError, Field, Schema};
use arrow_select::filter::filter_record_batch;
use tidegate_model::FieldType;
use tidegate_model::limits::{FILE_SLICE_BYTES, REQUEST_INFLATED_BYTES_MAX};

use super::source::{broken, io};
use super::{FileError, Read};
use crate::ingest::rows::cells::Cells;
use crate::ingest::rows::value;
use crate::ingest::rows::{RowsError, body};

/// The columns of a file, in the order in which they came, with the types that hold every value.
#[derive(Debug, Default)]
struct Types {
    columns: Vec<(String, FieldType)>,
    by_name: HashMap<String, usize>,
}

impl Types {
    fn learn(&mut self, cells: &Cells<'_>) {
        for column in &cells.columns {
            let Some(found) = value::infer(cells, column) else { continue };
            match self.by_name.get(&column.name) {
                Some(&index) => self.columns[index].1 = value::common(self.columns[index].1, found),
                None => {
                    self.by_name.insert(column.name.clone(), self.columns.len());
                    self.columns.push((column.name.clone(), found));
                }
            }
        }
    }

    /// Makes the rows of a slice; what cannot be read as JSON is left out.
    fn read(&self, mut cells: Cells<'_>, bytes_read: u64) -> Result<Read, ArrowError> {
        let mut refusals = std::mem::take(&mut cells.refusals);
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (name, field_type) in &self.columns {
            let column = cells.columns.iter().find(|column| column.name == *name);
            arrays.push(match column {
                Some(column) => value::array(&cells, column, *field_type, &mut refusals),
                None => new_null_array(&field_type.kind().arrow(), refusals.rows()),
            });
        }
        let fields = self.columns.iter().map(|(name, field_type)| Field::new(name, field_type.kind().arrow(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(refusals.rows()));
        let rows = RecordBatch::try_new_with_options(schema, arrays, &options)?;
        let kept = refusals.filter();
        let rows = filter_record_batch(&rows, &kept)?;
        let places = (0..).zip(kept.values()).filter_map(|(place, is_kept)| is_kept.then_some(place)).collect();
        let (lines, rejected) = (refusals.rows() as u64, refusals.into_rejections(|_| String::new()).0);
        Ok(Read { rows, places, lines, rejected, bytes_read })
    }
}

/// An NDJSON file, read a slice of whole lines at a time.
#[derive(Debug)]
pub(super) struct Lines {
    file: BufReader<File>,
    types: Types,
    bytes_read: u64,
}

impl Lines {
    pub(super) fn open(file: File) -> Result<Self, FileError> {
        let mut lines = Self { file: BufReader::new(file), types: Types::default(), bytes_read: 0 };
        while let Some(slice) = lines.slice()? {
            let mut cells = Cells::new(&slice);
            cells.read_lines();
            lines.types.learn(&cells);
        }
        lines.file.seek(SeekFrom::Start(0)).map_err(io("go back to the start of the file"))?;
        lines.bytes_read = 0;
        Ok(lines)
    }

    pub(super) fn next_read(&mut self) -> Result<Option<Read>, FileError> {
        let Some(slice) = self.slice()? else { return Ok(None) };
        let mut cells = Cells::new(&slice);
        cells.read_lines();
        self.types.read(cells, self.bytes_read).map(Some).map_err(broken("NDJSON"))
    }

    /// Reads some lines, the last one to its end.
    fn slice(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let mut slice = Vec::with_capacity(FILE_SLICE_BYTES);
        let read = io("read the file");
        let whole = (&mut self.file).take(FILE_SLICE_BYTES as u64).read_to_end(&mut slice);
        let rest =
            whole.and_then(|_| (&mut self.file).take(REQUEST_INFLATED_BYTES_MAX as u64).read_until(b'\n', &mut slice));
        let rest = rest.map_err(read)?;
        if rest == REQUEST_INFLATED_BYTES_MAX {
            let problem = format!("a line is longer than {REQUEST_INFLATED_BYTES_MAX} bytes");
            return Err(FileError::TooLarge(problem));
        }
        self.bytes_read += slice.len() as u64;
        Ok((!slice.is_empty()).then_some(slice))
    }
}

/// Reads a JSON file: one array, or an object with `rows`, in memory as a whole.
pub(super) fn read_array(mut file: File, file_bytes: u64) -> Result<Read, FileError> {
    if file_bytes > REQUEST_INFLATED_BYTES_MAX as u64 {
        let problem =
            format!("a JSON file larger than {REQUEST_INFLATED_BYTES_MAX} bytes: make it NDJSON, a row a line");
        return Err(FileError::TooLarge(problem));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(io("read the file"))?;
    let found = body::Body::read(&text).map_err(broken("JSON"))?;
    let missing = RowsError::Body { field: "rows", problem: "missing".to_owned() };
    let (start, _) = found.rows_at.ok_or(missing).map_err(broken("JSON"))?;
    let mut cells = Cells::new(&text);
    cells.read_array(start).map_err(|error| broken("JSON")(body::syntax(error, &text)))?;
    let mut types = Types::default();
    types.learn(&cells);
    types.read(cells, file_bytes).map_err(broken("JSON"))
}
