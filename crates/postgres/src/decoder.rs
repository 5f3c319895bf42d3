use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Field, Schema};
use arrow_select::filter::filter_record_batch;

use crate::cell::Column;
use crate::column::{Lists, Values};
use crate::error::CopyError;
use crate::value::Unfit;

/// What such bytes begin with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// The signature, flags, and the length of what else there is.
const HEAD: usize = SIGNATURE.len() + 8;

/// The number of values that stands for the end.
const END: i16 = -1;

/// Reads rows of bytes that come in pieces, cut anywhere.
#[derive(Debug)]
pub struct Decoder {
    columns: Vec<Column>,
    builders: Vec<Builder>,
    at: Place,
    /// The beginning of what is not whole yet.
    carried: Vec<u8>,
    /// Where the values of the row are that is read, and how long.
    cuts: Vec<Option<(usize, usize)>>,
    rows: u64,
    taken: u64,
    bytes: u64,
    refused: Vec<Refused>,
}

#[derive(Debug)]
enum Builder {
    One(Values),
    Many(Lists),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Rows,
    End,
}

/// A row that a dataset cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place among the rows that were read together, from 0.
    pub row: u64,
    /// The first column that does not fit.
    pub column: String,
    /// What it has.
    pub why: String,
}

/// Rows that were read together.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Those that fit.
    pub rows: RecordBatch,
    /// The others.
    pub refused: Vec<Refused>,
}

impl Decoder {
    /// Begins to read rows of these columns.
    #[must_use]
    pub fn new(columns: Vec<Column>) -> Self {
        let builder = |column: &Column| match column.is_list {
            false => Builder::One(Values::new(column.cell)),
            true => Builder::Many(Lists::new(column.cell)),
        };
        Self {
            builders: columns.iter().map(builder).collect(),
            columns,
            at: Place::Head,
            carried: Vec::new(),
            cuts: Vec::new(),
            rows: 0,
            taken: 0,
            bytes: 0,
            refused: Vec::new(),
        }
    }

    /// Reads bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        self.bytes += bytes.len() as u64;
        if self.carried.is_empty() {
            let used = self.eat(bytes)?;
            self.carried.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut carried = std::mem::take(&mut self.carried);
        carried.extend_from_slice(bytes);
        let used = self.eat(&carried)?;
        carried.drain(..used);
        self.carried = carried;
        Ok(())
    }

    /// Returns how many rows were read since rows were taken, those that were refused among them.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows - self.taken
    }

    /// Returns how many bytes were read in all.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the rows that were read so far.
    pub fn take(&mut self) -> Result<Decoded, CopyError> {
        let rows = usize::try_from(self.rows()).unwrap_or(usize::MAX);
        let refused = std::mem::take(&mut self.refused);
        self.taken = self.rows;
        let made = |error: ArrowError| CopyError::Rows(error.to_string());
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (builder, column) in self.builders.iter_mut().zip(&self.columns) {
            let (is_too_long, array) = match builder {
                Builder::One(values) => (values.is_too_long(), values.take()),
                Builder::Many(lists) => (lists.is_too_long(), lists.take()),
            };
            if is_too_long {
                return Err(CopyError::TooLong { column: column.name.clone() });
            }
            arrays.push(array.map_err(made)?);
        }
        let fields = self.columns.iter().zip(&arrays);
        let fields = fields.map(|(column, array)| Field::new(&column.name, array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let mut batch = RecordBatch::try_new_with_options(schema, arrays, &options).map_err(made)?;
        if !refused.is_empty() {
            let mut fits = vec![true; rows];
            for row in refused.iter().filter_map(|row| usize::try_from(row.row).ok()) {
                fits[row] = false;
            }
            batch = filter_record_batch(&batch, &BooleanArray::from(fits)).map_err(made)?;
        }
        Ok(Decoded { rows: batch, refused })
    }

    /// Ends the reading; fails where bytes are lacking.
    pub fn finish(mut self) -> Result<Decoded, CopyError> {
        if self.at != Place::End {
            return Err(CopyError::CutOff { rows: self.rows });
        }
        self.take()
    }

    /// Reads what is whole; returns how many bytes that is.
    fn eat(&mut self, bytes: &[u8]) -> Result<usize, CopyError> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let whole = match self.at {
                Place::Head => self.head(rest)?,
                Place::Rows => self.row(rest)?,
                Place::End if rest.is_empty() => return Ok(used),
                Place::End => return Err(CopyError::Behind),
            };
            match whole {
                Some(length) => used += length,
                None => return Ok(used),
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, CopyError> {
        let known = bytes.len().min(SIGNATURE.len());
        if bytes[..known] != SIGNATURE[..known] {
            return Err(CopyError::Header);
        }
        let Some(length) = bytes.get(HEAD - 4..HEAD).and_then(|length| length.try_into().ok()) else { return Ok(None) };
        let more = usize::try_from(i32::from_be_bytes(length)).map_err(|_| CopyError::Header)?;
        if bytes.len() - HEAD < more {
            return Ok(None);
        }
        self.at = Place::Rows;
        Ok(Some(HEAD + more))
    }

    /// Reads one row if it is whole: first where its values are, so that no half of one is ever added.
    fn row(&mut self, bytes: &[u8]) -> Result<Option<usize>, CopyError> {
        let Some(count) = bytes.first_chunk::<2>() else { return Ok(None) };
        let found = i16::from_be_bytes(*count);
        if found == END {
            self.at = Place::End;
            return Ok(Some(2));
        }
        if usize::try_from(found) != Ok(self.columns.len()) {
            return Err(CopyError::Values { row: self.rows, found, wanted: self.columns.len() });
        }
        self.cuts.clear();
        let mut at = 2;
        for column in &self.columns {
            let Some(length) = bytes[at..].first_chunk::<4>() else { return Ok(None) };
            at += 4;
            let length = i32::from_be_bytes(*length);
            if length == -1 {
                self.cuts.push(None);
                continue;
            }
            let Ok(length) = usize::try_from(length) else {
                let why = "its length is negative";
                return Err(CopyError::Value { row: self.rows, column: column.name.clone(), why });
            };
            if bytes.len() - at < length {
                return Ok(None);
            }
            self.cuts.push(Some((at, at + length)));
            at += length;
        }
        self.add(bytes)?;
        Ok(Some(at))
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), CopyError> {
        let mut refused: Option<(usize, String)> = None;
        for (place, (builder, cut)) in self.builders.iter_mut().zip(&self.cuts).enumerate() {
            let value = cut.map(|(start, end)| &bytes[start..end]);
            let outcome = match builder {
                Builder::One(values) => values.push(value),
                Builder::Many(lists) => lists.push(value),
            };
            match outcome {
                Ok(()) => {}
                Err(Unfit::Refused(why)) => refused = refused.or(Some((place, why))),
                Err(Unfit::Broken(why)) => {
                    let column = self.columns[place].name.clone();
                    return Err(CopyError::Value { row: self.rows, column, why });
                }
            }
        }
        if let Some((place, why)) = refused {
            let column = self.columns[place].name.clone();
            self.refused.push(Refused { row: self.rows - self.taken, column, why });
        }
        self.rows += 1;
        Ok(())
    }
}
