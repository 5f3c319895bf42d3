//! Rows go in, rows come out: `dry_run` and the whole way to a buffer.

mod exact;
mod service;
mod types;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use tidegate_model::UnixNanos;

use super::decode::{Decoded, decode};
use super::{DatasetRequest, RowsError, RowsFormat};
use crate::catalog::Dataset;

/// 2027-01-15T08:00:00Z.
const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

fn request(format: RowsFormat, body: impl Into<Bytes>) -> DatasetRequest {
    DatasetRequest::new("d", format, body)
}

fn take(request: &DatasetRequest, stored: Option<&Dataset>) -> Result<Decoded, RowsError> {
    decode(request, stored, NOW)
}

fn lines(body: &str) -> Decoded {
    take(&request(RowsFormat::Ndjson, body.to_owned()), None).unwrap()
}

fn json(body: &str) -> Result<Decoded, RowsError> {
    take(&request(RowsFormat::Json, body.to_owned()), None)
}

/// Shows columns with their types, then rows, then refused rows.
fn shown(decoded: &Decoded) -> String {
    let columns = decoded
        .needed
        .dataset
        .spec
        .columns
        .iter()
        .map(|column| format!("{} {}", column.name, column.kind.clickhouse()));
    let mut text = columns.collect::<Vec<_>>().join(", ") + "\n";
    text += &rows_text(&decoded.rows);
    for refused in &decoded.admitted.rejected.listed {
        text += &format!("{}: {} ({})\n", refused.index, refused.detail, refused.reason.as_str());
    }
    text
}

/// Shows rows, a line each.
pub(super) fn rows_text(rows: &RecordBatch) -> String {
    let options = FormatOptions::default().with_null("·");
    let columns: Vec<_> = rows.columns().iter().map(shown_in_utc).collect();
    let columns: Vec<_> = columns.iter().map(|array| ArrayFormatter::try_new(array, &options).unwrap()).collect();
    let line = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | ") + "\n";
    (0..rows.num_rows()).map(line).collect()
}

/// Arrow shows moments of a named zone only with a table of all zones.
fn shown_in_utc(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone("+00:00"))
        }
        _ => Arc::clone(array),
    }
}
