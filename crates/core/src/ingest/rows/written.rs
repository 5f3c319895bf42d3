//! Rows of Arrow arrays as JSON, for people who mend them.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;
use serde_json::json;

/// Writes a row as a JSON object; columns without a value are left out.
pub(super) fn row(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).filter(|(_, array)| array.is_valid(row));
    let members = columns.map(|(field, array)| format!("{}:{}", json!(field.name()), value(array, row)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn value(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    match array.data_type() {
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<_> = (0..items.len()).map(|at| value(&items, at)).collect();
            format!("[{}]", items.join(","))
        }
        DataType::Map(..) => {
            let pairs = array.as_map().value(row);
            let (names, values) = (pairs.column(0), pairs.column(1));
            let members = (0..pairs.len()).map(|at| format!("{}:{}", json!(shown(names, at)), value(values, at)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        data_type => {
            let text = shown(array, row);
            let is_bare = data_type.is_numeric() || *data_type == DataType::Boolean;
            // `NaN` and infinities are no numbers of JSON.
            if is_bare && super::nested::is_json(text.as_bytes()) { text } else { json!(text).to_string() }
        }
    }
}

fn shown(array: &ArrayRef, row: usize) -> String {
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default());
    formatter.map(|formatter| formatter.value(row).to_string()).unwrap_or_default()
}
