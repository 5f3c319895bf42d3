//! A body that memory has no room for, cut into requests.
//!
//! Text is cut behind records and stays text, so that each row is read, refused and kept as those of a small body are; Arrow and
//! Parquet, whose columns have types of their own, become Arrow streams.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use tidegate_model::limits::{LARGE_BODY_PART_BYTES, REQUEST_INFLATED_BYTES_MAX};

use super::files::{self, FileError, FileFormat, FileRows};
use super::service::RowsFormat;

/// The requests of one body, in order.
#[derive(Debug)]
pub struct Parts {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Text(Text),
    Columns(Box<FileRows>),
}

/// Cuts a body that is in a file; `None`: JSON is one value, which is not cut.
pub fn parts(file: File, format: RowsFormat) -> Result<Option<Parts>, FileError> {
    let source = match format {
        RowsFormat::Json => return Ok(None),
        RowsFormat::Ndjson | RowsFormat::Csv => Source::Text(Text::open(file, format)?),
        RowsFormat::Arrow => Source::Columns(Box::new(files::read(file, FileFormat::Arrow)?)),
        RowsFormat::Parquet => Source::Columns(Box::new(files::read(file, FileFormat::Parquet)?)),
    };
    Ok(Some(Parts { source }))
}

impl Iterator for Parts {
    type Item = Result<(RowsFormat, Bytes), FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Text(text) => text.next_part().transpose().map(|part| part.map(|body| (text.format, body))),
            Source::Columns(rows) => {
                let batch = rows.next()?;
                Some(batch.map(|batch| (RowsFormat::Arrow, Bytes::from(batch.arrow_ipc))))
            }
        }
    }
}

/// Records of text, and where the last of them ends that is read.
#[derive(Debug)]
struct Text {
    file: File,
    format: RowsFormat,
    /// The names of CSV's columns, which stand before each part.
    header: Vec<u8>,
    /// The beginning of the next part.
    rest: Vec<u8>,
}

impl Text {
    fn open(mut file: File, format: RowsFormat) -> Result<Self, FileError> {
        file.seek(SeekFrom::Start(0)).map_err(unread)?;
        let mut text = Self { file, format, header: Vec::new(), rest: Vec::new() };
        if format == RowsFormat::Csv {
            text.header = text.records(1)?.unwrap_or_default();
        }
        Ok(text)
    }

    fn next_part(&mut self) -> Result<Option<Bytes>, FileError> {
        let Some(records) = self.records(LARGE_BODY_PART_BYTES)? else { return Ok(None) };
        Ok(Some(if self.header.is_empty() { records.into() } else { [&self.header[..], &records].concat().into() }))
    }

    /// Takes whole records of so many bytes, or one that is longer; `None` at the end.
    fn records(&mut self, wanted: usize) -> Result<Option<Vec<u8>>, FileError> {
        let mut ends = Ends::of(self.format);
        let mut looked_at = 0;
        loop {
            // What is left of the part before may be more than is wanted now.
            for (at, byte) in self.rest.iter().enumerate().skip(looked_at) {
                ends.look(*byte, at);
                if ends.last >= wanted {
                    break;
                }
            }
            if ends.last >= wanted {
                break;
            }
            looked_at = self.rest.len();
            let more =
                (&mut self.file).take(LARGE_BODY_PART_BYTES as u64).read_to_end(&mut self.rest).map_err(unread)?;
            if more == 0 {
                let all = std::mem::take(&mut self.rest);
                return Ok((!all.is_empty()).then_some(all));
            }
            if ends.last == 0 && self.rest.len() > REQUEST_INFLATED_BYTES_MAX {
                return Err(FileError::TooLarge(format!("a row is longer than {REQUEST_INFLATED_BYTES_MAX} bytes")));
            }
        }
        let rest = self.rest.split_off(ends.last);
        Ok(Some(std::mem::replace(&mut self.rest, rest)))
    }
}

/// Finds the ends of records: line feeds, in CSV those that are not within quotes (RFC 4180).
#[derive(Debug)]
struct Ends {
    is_csv: bool,
    field: Field,
    /// Behind the last record that has ended; 0: none has.
    last: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Begins,
    Bare,
    Quoted,
    /// A quote within quotes: it ends the field, unless another one follows.
    Quote,
}

impl Ends {
    const fn of(format: RowsFormat) -> Self {
        Self { is_csv: matches!(format, RowsFormat::Csv), field: Field::Begins, last: 0 }
    }

    fn look(&mut self, byte: u8, at: usize) {
        if byte == b'\n' && self.field != Field::Quoted {
            self.last = at + 1;
            self.field = Field::Begins;
        } else if self.is_csv {
            self.field = match (self.field, byte) {
                (Field::Begins | Field::Quote, b'"') | (Field::Quoted, b'\0'..=b'!' | b'#'..) => Field::Quoted,
                (Field::Quoted, b'"') => Field::Quote,
                (_, b',') => Field::Begins,
                _ => Field::Bare,
            };
        }
    }
}

fn unread(source: io::Error) -> FileError {
    FileError::Io { step: "read the body from the disk", source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn cut(format: RowsFormat, body: &[u8]) -> Vec<Vec<u8>> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(body).expect("room on the disk");
        let parts = parts(file, format).expect("a body").expect("one that may be cut");
        parts.map(|part| part.expect("a part").1.to_vec()).collect()
    }

    #[test]
    fn records_are_cut_where_they_end_and_none_is_lost() {
        // Line feeds, commas and quotes within quotes, a quote within a bare field, lines that end with a carriage return.
        let record = |n: usize| format!("{n},\"one\ntwo, \"\"{}\"\"\n\",5\" wide,\"\"\r\n", "x".repeat(n % 700));
        let records: String = (0..200_000).map(record).collect();
        let header = "n,\"a\nb\",c,d\n";
        let parts = cut(RowsFormat::Csv, format!("{header}{records}").as_bytes());
        assert!(parts.len() > 2, "{} parts", parts.len());
        let mut all = Vec::new();
        for part in &parts {
            let rows = part.strip_prefix(header.as_bytes()).expect("each has the names");
            assert!(rows.ends_with(b"\"\"\r\n"), "a record is cut in two");
            assert!(rows.len() < LARGE_BODY_PART_BYTES + 2_000, "{} bytes", rows.len());
            all.extend_from_slice(rows);
        }
        assert!(all == records.as_bytes());
    }

    #[test]
    fn lines_are_cut_at_their_ends_and_the_last_one_needs_none() {
        let lines: String =
            (0..300_000).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "\\\"".repeat(n % 100))).collect();
        let body = lines.trim_end();
        let parts = cut(RowsFormat::Ndjson, body.as_bytes());
        assert!(parts.len() > 1, "{} parts", parts.len());
        assert!(parts.iter().rev().skip(1).all(|part| part.ends_with(b"}\n")));
        assert!(parts.concat() == body.as_bytes());
        assert!(cut(RowsFormat::Ndjson, b"").is_empty());
    }

    #[test]
    fn a_row_without_an_end_is_refused_before_it_fills_the_memory() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![b'x'; REQUEST_INFLATED_BYTES_MAX + LARGE_BODY_PART_BYTES]).expect("room on the disk");
        let mut parts = parts(file, RowsFormat::Ndjson).expect("a body").expect("one that may be cut");
        assert!(matches!(parts.next(), Some(Err(FileError::TooLarge(_)))));
    }
}
