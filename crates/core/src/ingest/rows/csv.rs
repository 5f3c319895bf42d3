//! CSV becomes lines of JSON, so that its rows are read, refused and kept as all others.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use tidegate_model::limits::{FILE_BATCH_ROWS, REQUEST_EXPANDED_BYTES_MAX};

use super::error::RowsError;
use super::nested::is_several;
use crate::ingest::json::number;

/// Writes each record as a JSON object of a line; an empty field is no value.
pub(super) fn lines(body: &[u8]) -> Result<Vec<u8>, RowsError> {
    let format = Format::default().with_header(true).with_truncated_rows(true);
    let (named, _) = format.infer_schema(Cursor::new(body), Some(0)).map_err(broken)?;
    let names: Vec<String> =
        named.fields().iter().map(|field| field.name().trim_start_matches('\u{feff}').to_owned()).collect();
    let fields: Vec<_> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let builder =
        ReaderBuilder::new(Arc::new(Schema::new(fields))).with_format(format).with_batch_size(FILE_BATCH_ROWS);
    let mut lines = Vec::with_capacity(2 * body.len());
    let quoted: Vec<String> = names.iter().map(|name| serde_json::json!(name).to_string()).collect();
    for batch in builder.build(Cursor::new(body)).map_err(broken)? {
        let batch = batch.map_err(broken)?;
        let columns: Vec<_> = batch.columns().iter().map(|column| column.as_string::<i32>()).collect();
        for row in 0..batch.num_rows() {
            lines.push(b'{');
            let start = lines.len();
            for (name, column) in quoted.iter().zip(&columns) {
                let text = if arrow_array::Array::is_null(*column, row) { "" } else { column.value(row) };
                if !text.is_empty() {
                    if lines.len() > start {
                        lines.push(b',');
                    }
                    lines.extend_from_slice(name.as_bytes());
                    lines.push(b':');
                    write(text, &mut lines);
                }
            }
            lines.extend_from_slice(b"}\n");
            if lines.len() > REQUEST_EXPANDED_BYTES_MAX {
                let problem = format!("its rows take more than {REQUEST_EXPANDED_BYTES_MAX} bytes: send fewer at once");
                return Err(RowsError::Body { field: "body", problem });
            }
        }
    }
    Ok(lines)
}

/// Writes what is JSON as it is, and all else as a string.
fn write(text: &str, lines: &mut Vec<u8>) {
    let is_number = number::number_bytes(text.as_bytes()) == Ok(text.len());
    let is_bare = is_number || matches!(text, "true" | "false") || is_several(text.as_bytes());
    if is_bare && !text.contains(['\n', '\r']) {
        lines.extend_from_slice(text.as_bytes());
    } else {
        lines.extend_from_slice(serde_json::json!(text).to_string().as_bytes());
    }
}

fn broken(error: ArrowError) -> RowsError {
    RowsError::Format { format: "CSV", problem: error.to_string() }
}
