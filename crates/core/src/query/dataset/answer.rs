use serde_json::json;
use serde_json::value::RawValue;
use tidegate_model::{Seq, UnixNanos};

use super::cursor::Cursor;
use super::select::{Shown, Statement};
use super::statement::Form;
use crate::query::QueryError;
use crate::store::StoreError;

/// Turns ClickHouse's lines into the rows of an answer, as they come.
#[derive(Debug)]
pub(super) struct Lines {
    /// Names as JSON, and forms.
    shown: Vec<(String, Form)>,
    is_downsampled: bool,
    limit: usize,
    /// The newest row that was read from ClickHouse.
    stored: Seq,
    cursor: Cursor,
    /// What is not a whole line yet.
    rest: Vec<u8>,
    written: usize,
    has_more: bool,
    published: u64,
    hot: u64,
}

impl Lines {
    /// Begins an answer whose snapshot has these watermarks.
    pub(super) fn new(statement: &Statement, (fingerprint, watermark, stored): (u64, Seq, Seq)) -> Self {
        let name = |shown: &Shown| (json!(shown.name).to_string(), shown.form);
        // All pages are of the first one's snapshot.
        let watermark = statement.cursor.map_or(watermark, |cursor| cursor.watermark);
        Self {
            shown: statement.shown.iter().map(name).collect(),
            is_downsampled: statement.is_downsampled,
            limit: statement.limit,
            stored,
            cursor: Cursor { fingerprint, watermark, time: None, seq: Seq::ZERO },
            rest: Vec::new(),
            written: 0,
            has_more: false,
            published: 0,
            hot: 0,
        }
    }

    /// Takes the next piece; returns the rows that it completes.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, QueryError> {
        let mut out = Vec::with_capacity(2 * piece.len());
        let mut left = piece;
        while let Some(end) = memchr::memchr(b'\n', left) {
            let (line, behind) = (&left[..end], &left[end + 1..]);
            left = behind;
            if self.rest.is_empty() {
                self.line(line, &mut out)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole, &mut out)?;
            }
        }
        self.rest.extend_from_slice(left);
        Ok(out)
    }

    /// Ends the rows; returns what stands behind them. `partitions` may hold rows of the time that was asked for.
    pub(super) fn finish(self, partitions: u64) -> Result<Vec<u8>, QueryError> {
        if !self.rest.is_empty() {
            return Err(broken("its last line has no end"));
        }
        let next = self.has_more.then(|| self.cursor.encode());
        let sources = json!({
            "published": { "rows": self.published, "partitions": partitions },
            "hotBuffer": { "rows": self.hot },
        });
        Ok(format!("],\"nextCursor\":{},\"sources\":{sources}}}", json!(next)).into_bytes())
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), QueryError> {
        if self.written == self.limit {
            self.has_more = true;
            return Ok(());
        }
        let values: Vec<&RawValue> = serde_json::from_slice(line).map_err(|error| broken(&error.to_string()))?;
        let [first, second, shown @ ..] = &values[..] else { return Err(broken("a line is too short")) };
        if shown.len() != self.shown.len() {
            return Err(broken("a line has other columns"));
        }
        let whole = |value: &RawValue| unquoted(value).parse().map_err(|_| broken("a line has no place"));
        let (first, second): (i64, i64) = (whole(first)?, whole(second)?);
        self.note(first.cast_unsigned(), second.cast_unsigned());
        self.cursor.time = Some(UnixNanos(first));
        if self.is_downsampled {
            self.cursor.time = Some(UnixNanos(whole(shown[0])?));
        }
        out.extend_from_slice(if self.written == 0 { b"{" } else { b",{" });
        for (at, ((name, form), value)) in self.shown.iter().zip(shown).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            write(value, *form, out)?;
        }
        out.push(b'}');
        self.written += 1;
        Ok(())
    }

    /// Counts where rows came from: of a row its `_seq` says it, of a bucket its counts.
    fn note(&mut self, first: u64, second: u64) {
        if self.is_downsampled {
            self.hot += second;
            self.published += first - second.min(first);
            return;
        }
        self.cursor.seq = Seq(second);
        *(if Seq(second) > self.stored { &mut self.hot } else { &mut self.published }) += 1;
    }
}

fn write(value: &RawValue, form: Form, out: &mut Vec<u8>) -> Result<(), QueryError> {
    let text = unquoted(value);
    let written = match form {
        Form::Plain => value.get(),
        _ if value.get() == "null" => "null",
        Form::Whole => text,
        Form::Double => match text {
            "nan" | "-nan" => "\"NaN\"",
            "inf" => "\"Infinity\"",
            "-inf" => "\"-Infinity\"",
            number => number,
        },
        Form::Moment => {
            let nanos = text.parse().map_err(|_| broken("a time is no number"))?;
            out.extend_from_slice(format!("\"{}\"", UnixNanos(nanos)).as_bytes());
            return Ok(());
        }
    };
    out.extend_from_slice(written.as_bytes());
    Ok(())
}

/// Returns a number's digits, whether or not ClickHouse put it into quotes.
fn unquoted(value: &RawValue) -> &str {
    value.get().trim_matches('"')
}

fn broken(why: &str) -> QueryError {
    QueryError::Store(StoreError::CutOff(format!("the rows of a dataset cannot be read: {why}")))
}
