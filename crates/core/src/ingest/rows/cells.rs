use std::borrow::Cow;
use std::collections::HashMap;

use tidegate_model::TableSpec;
use tidegate_model::limits::{COLUMN_NAME_BYTES_MAX, DATASET_COLUMNS_MAX};

use super::error::RowsError;
use super::refusals::Refusals;
use crate::ingest::Reason;
use crate::ingest::json::scan::{Scanner, SyntaxError, Text, Value};

/// JSON rows, cut into cells: a column's type is known only when all of its cells are.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    pub(super) body: &'a [u8],
    pub(super) columns: Vec<CellColumn>,
    by_name: HashMap<Vec<u8>, usize>,
    pub(super) refusals: Refusals,
    /// Where each row is in the body.
    places: Vec<(u32, u32)>,
}

/// The cells of one column, in the order of their rows; `null` has no cell.
#[derive(Debug)]
pub(super) struct CellColumn {
    pub(super) name: String,
    pub(super) cells: Vec<Cell>,
}

/// One value's place in the body; a body is far below 4 GiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) row: u32,
    start: u32,
    end: u32,
}

/// What keeps a row from being cut.
enum RowFault {
    Syntax(SyntaxError),
    Refused(Reason, String),
}

impl From<SyntaxError> for RowFault {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl<'a> Cells<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, columns: Vec::new(), by_name: HashMap::new(), refusals: Refusals::default(), places: Vec::new() }
    }

    /// Returns the text of a cell.
    pub(super) fn text(&self, cell: Cell) -> &'a [u8] {
        &self.body[cell.start as usize..cell.end as usize]
    }

    /// Returns a row as it was written, refused or not.
    pub(super) fn row_text(&self, row: usize) -> &'a [u8] {
        self.places.get(row).map_or(&[], |(start, end)| &self.body[*start as usize..*end as usize])
    }

    fn place(&mut self, start: usize, end: usize) {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.places.push((place(start), place(end)));
    }

    /// Cuts the rows of a JSON array that begins at `start`.
    pub(super) fn read_array(&mut self, start: usize) -> Result<(), SyntaxError> {
        let mut scan = Scanner::new(self.body);
        scan.at = start;
        scan.open();
        let mut is_first = true;
        while scan.next_element(&mut is_first)? {
            scan.peek();
            let start = scan.at;
            if let Err(problem) = self.row(&mut scan) {
                match problem {
                    RowFault::Syntax(error) => return Err(error),
                    RowFault::Refused(reason, detail) => self.take_back(reason, detail),
                }
                scan.at = start;
                scan.skip()?;
            }
            self.place(start, scan.at);
        }
        Ok(())
    }

    /// Cuts one row a line; a line that is not JSON is refused alone.
    pub(super) fn read_lines(&mut self) {
        let body = self.body;
        let mut start = 0;
        while start < body.len() {
            let length = body[start..].iter().position(|&b| b == b'\n').unwrap_or(body.len() - start);
            // The scanner ends with its line: a value never runs into the next one.
            let mut scan = Scanner::new(&body[..start + length]);
            scan.at = scan.at.max(start);
            if scan.peek() != 0 {
                let outcome = self.row(&mut scan).and_then(|()| Ok(scan.finish()?));
                match outcome {
                    Ok(()) => {}
                    Err(RowFault::Refused(reason, detail)) => self.take_back(reason, detail),
                    Err(RowFault::Syntax(error)) => {
                        let detail = format!("not valid JSON at column {}: {}", error.at - start + 1, error.problem);
                        self.take_back(Reason::Malformed, detail);
                    }
                }
                self.place(start, start + length);
            }
            start += length + 1;
        }
    }

    fn row(&mut self, scan: &mut Scanner<'a>) -> Result<(), RowFault> {
        let row = self.refusals.add_row();
        let row = u32::try_from(row).map_err(|_| RowFault::Refused(Reason::TooLarge, "too many rows".to_owned()))?;
        let value = scan.value()?;
        if value != Value::Object {
            return Err(RowFault::Refused(Reason::InvalidType, format!("{} instead of an object", value.kind())));
        }
        scan.open();
        let (mut is_first, mut expected) = (true, 0);
        while let Some(name) = scan.next_member(&mut is_first)? {
            scan.peek();
            let start = scan.at;
            match scan.value()? {
                Value::Null => continue,
                Value::Object | Value::Array => scan.skip()?,
                _ => {}
            }
            let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            let cell = Cell { row, start: place(start), end: place(scan.at) };
            let index = self.column(name, expected)?;
            expected = index + 1;
            let cells = &mut self.columns[index].cells;
            if cells.last().is_some_and(|last| last.row == row) {
                let detail = format!("`{}` stands twice in the row", self.columns[index].name);
                return Err(RowFault::Refused(Reason::Malformed, detail));
            }
            cells.push(cell);
        }
        Ok(())
    }

    /// Finds or adds the column of a name; rows mostly have their names in the same order.
    fn column(&mut self, name: Text<'_>, expected: usize) -> Result<usize, RowFault> {
        if !name.is_escaped && self.columns.get(expected).is_some_and(|column| column.name.as_bytes() == name.raw) {
            return Ok(expected);
        }
        let name = name.bytes().unwrap_or(Cow::Borrowed(name.raw));
        if let Some(index) = self.by_name.get(name.as_ref()) {
            return Ok(*index);
        }
        let refused = |error: RowsError| RowFault::Refused(Reason::Unknown, error.to_string());
        let text = checked_name(&name).map_err(refused)?;
        if self.columns.len() == DATASET_COLUMNS_MAX {
            return Err(refused(RowsError::TooManyColumns));
        }
        self.columns.push(CellColumn { name: text.to_owned(), cells: Vec::new() });
        self.by_name.insert(name.into_owned(), self.columns.len() - 1);
        Ok(self.columns.len() - 1)
    }

    /// Refuses the row in hand and forgets its cells.
    fn take_back(&mut self, reason: Reason, detail: String) {
        let row = self.refusals.rows() - 1;
        for column in &mut self.columns {
            column.cells.pop_if(|cell| cell.row as usize == row);
        }
        self.refusals.refuse(row, reason, || detail);
    }
}

/// Checks that a name can be a column's; those that begin with `_` are ours.
pub(super) fn checked_name(name: &[u8]) -> Result<&str, RowsError> {
    let text = std::str::from_utf8(name).ok().filter(|text| {
        let is_plain = |c: char| !c.is_control() && !matches!(c, '`' | '"' | '\'' | '\\');
        (1..=COLUMN_NAME_BYTES_MAX).contains(&text.len()) && !text.starts_with('_') && text.chars().all(is_plain)
    });
    text.ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(name).chars().take(COLUMN_NAME_BYTES_MAX).collect();
        RowsError::ColumnName { name: shown }
    })
}

/// The column with the request's partition key.
pub(super) const PARTITION_KEY: &str = "_partition_key";
/// The column with what else the request says of its partition.
pub(super) const PARTITION_ATTRIBUTES: &str = "_partition_attributes";
/// The columns with the time that the request says its partition covers.
pub(super) const PARTITION_START: &str = "_partition_start";
/// See [`PARTITION_START`].
pub(super) const PARTITION_END: &str = "_partition_end";

const _: () = assert!(TableSpec::PARTITION.as_bytes()[0] == b'_' && PARTITION_KEY.as_bytes()[0] == b'_');
