//! Cells that hold several values each: arrays and maps of scalars.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use tidegate_model::limits::REQUEST_ITEMS_MAX;
use tidegate_model::{FieldType, Scalar};

use super::cells::{CellColumn, Cells};
use super::refusals::Refusals;
use super::scalar;
use super::value::{misfit, scalars};
use crate::ingest::Reason;
use crate::ingest::json::scan::{Scanner, Text, Value};

/// The values of all rows, one after the other.
struct Flat<'a> {
    /// Each value with its place; `null` has none.
    values: Vec<(usize, &'a [u8])>,
    /// How many places each row has.
    lengths: Vec<usize>,
    len: usize,
}

impl<'a> Flat<'a> {
    fn with_rows(rows: usize) -> Self {
        Self { values: Vec::new(), lengths: vec![0; rows], len: 0 }
    }

    fn push(&mut self, row: usize, raw: &'a [u8]) {
        if raw != b"null" {
            self.values.push((self.len, raw));
        }
        self.lengths[row] += 1;
        self.len += 1;
    }

    /// Makes the array of all values, and refuses the rows of those that do not fit.
    fn array(&self, name: &str, item: Scalar, refusals: &mut Refusals) -> ArrayRef {
        let mut ends = Vec::with_capacity(self.lengths.len());
        self.lengths.iter().fold(0, |end, length| {
            ends.push(end + length);
            end + length
        });
        scalars(self.values.iter().copied(), self.len, item, &mut |place, raw, (reason, wanted)| {
            let row = ends.partition_point(|end| *end <= place);
            refusals.refuse(row, reason, || misfit(name, raw, wanted));
        })
    }
}

/// Makes a column of lists.
pub(super) fn lists(cells: &Cells<'_>, column: &CellColumn, item: Scalar, refusals: &mut Refusals) -> ArrayRef {
    let mut flat = Flat::with_rows(refusals.rows());
    for cell in &column.cells {
        let (row, raw) = (cell.row as usize, cells.text(*cell));
        if raw.first() != Some(&b'[') {
            refusals.refuse(row, Reason::InvalidType, || misfit(&column.name, raw, "an array"));
            continue;
        }
        let mut scan = Scanner::new(raw);
        scan.open();
        let mut is_first = true;
        // It was checked when it was cut.
        while scan.next_element(&mut is_first).is_ok_and(|has_more| has_more) {
            let Some(value) = next(&mut scan) else { break };
            if flat.len == REQUEST_ITEMS_MAX {
                too_many(row, &column.name, refusals);
                break;
            }
            flat.push(row, value);
        }
    }
    let values = flat.array(&column.name, item, refusals);
    let DataType::List(field) = FieldType::Array(item).kind().arrow() else { return values };
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(flat.lengths), values, None))
}

/// Makes a column of maps; a name that stands twice in one of them refuses its row.
pub(super) fn maps(cells: &Cells<'_>, column: &CellColumn, value: Scalar, refusals: &mut Refusals) -> ArrayRef {
    let mut flat = Flat::with_rows(refusals.rows());
    let mut names = StringBuilder::new();
    let mut seen = HashSet::new();
    for cell in &column.cells {
        let (row, raw) = (cell.row as usize, cells.text(*cell));
        if raw.first() != Some(&b'{') {
            refusals.refuse(row, Reason::InvalidType, || misfit(&column.name, raw, "an object"));
            continue;
        }
        let mut scan = Scanner::new(raw);
        scan.open();
        let mut is_first = true;
        seen.clear();
        while let Ok(Some(name)) = scan.next_member(&mut is_first) {
            let Some(value) = next(&mut scan) else { break };
            if flat.len == REQUEST_ITEMS_MAX {
                too_many(row, &column.name, refusals);
                break;
            }
            let Some(name) = text(name) else {
                refusals.refuse(row, Reason::InvalidUtf8, || format!("`{}` has a name that is no text", column.name));
                continue;
            };
            if !seen.insert(name.clone()) {
                refusals.refuse(row, Reason::Malformed, || format!("`{name}` stands twice in `{}`", column.name));
                continue;
            }
            names.append_value(name);
            flat.push(row, value);
        }
    }
    let values = flat.array(&column.name, value, refusals);
    let DataType::Map(entries, sorted) = FieldType::Map(value).kind().arrow() else { return values };
    let DataType::Struct(fields) = entries.data_type() else { return values };
    let pairs = StructArray::new(fields.clone(), vec![Arc::new(names.finish()), values], None);
    Arc::new(MapArray::new(entries, OffsetBuffer::from_lengths(flat.lengths), pairs, None, sorted))
}

/// Reads over the next value and returns it as written.
fn next<'a>(scan: &mut Scanner<'a>) -> Option<&'a [u8]> {
    scan.peek();
    let start = scan.at;
    scan.skip().ok()?;
    Some(scan.since(start))
}

fn text(name: Text<'_>) -> Option<String> {
    String::from_utf8(name.bytes()?.into_owned()).ok()
}

fn too_many(row: usize, column: &str, refusals: &mut Refusals) {
    refusals.refuse(row, Reason::TooLarge, || {
        format!("`{column}`: the request has more than {REQUEST_ITEMS_MAX} values in its arrays and maps")
    });
}

/// Says whether a text is one JSON value and nothing else.
pub(super) fn is_json(text: &[u8]) -> bool {
    let mut scan = Scanner::new(text);
    scan.skip().is_ok() && scan.finish().is_ok()
}

/// Says whether a text could stand in a row as it is: an array or an object.
pub(super) fn is_several(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'[' | b'{')) && is_json(text) && !matches!(scalar::read(text), Value::Null)
}
