use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidegate_model::limits::EXPORT_CHECK_ROWS;
use tidegate_model::{Seq, SeqRange, TableSpec, UnixNanos};

use super::ExportError;

/// Which rows a file has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many.
    pub rows: u64,
    /// Their least and greatest number; `None`: there are none.
    pub seqs: Option<SeqRange>,
    /// Their first and last time; `None`: they have none.
    pub times: Option<(UnixNanos, UnixNanos)>,
}

/// Reads a file back: every row's number and time. Blocks.
pub fn contents(path: &Path, time_column: Option<&str>) -> Result<Contents, ExportError> {
    let unreadable = |source| ExportError::Unreadable { path: path.to_owned(), source };
    let wrong = |what: String| ExportError::Wrong { path: path.to_owned(), what };
    let file = File::open(path).map_err(|source| ExportError::Disk { step: "open", path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
    let promised = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(u64::MAX);
    let names = [Some(TableSpec::SEQ), time_column];
    let wanted = names.into_iter().flatten().filter_map(|name| builder.schema().index_of(name).ok());
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder.with_projection(mask).with_batch_size(EXPORT_CHECK_ROWS).build().map_err(unreadable)?;
    let mut found = Contents::default();
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(error.into()))?;
        found.add(&batch, time_column).map_err(wrong)?;
    }
    if found.rows != promised {
        return Err(wrong(format!("it has {} rows and promises {promised}", found.rows)));
    }
    match found.seqs {
        Some(SeqRange { first, last }) if found.rows > last.0 - first.0 + 1 => {
            Err(wrong(format!("{} rows cannot have different numbers from {first} to {last}", found.rows)))
        }
        _ => Ok(found),
    }
}

impl Contents {
    fn add(&mut self, batch: &RecordBatch, time_column: Option<&str>) -> Result<(), String> {
        let seqs = batch.column_by_name(TableSpec::SEQ).and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let seqs = seqs.ok_or_else(|| format!("it has no column `{}` of whole numbers", TableSpec::SEQ))?;
        self.rows += batch.num_rows() as u64;
        for seq in seqs.iter().flatten().map(Seq) {
            let known = self.seqs.unwrap_or(SeqRange { first: seq, last: seq });
            self.seqs = Some(SeqRange { first: known.first.min(seq), last: known.last.max(seq) });
        }
        let Some(name) = time_column else { return Ok(()) };
        let times = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
        let times = times.ok_or_else(|| format!("its column `{name}` has no times in nanoseconds"))?;
        for time in times.iter().flatten().map(UnixNanos) {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
        Ok(())
    }
}
