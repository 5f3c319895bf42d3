//! A line's text becomes time, severity, message and attributes.
//!
//! A line that is not what its source is said to hold is a row all the same: its text is the body, and the attribute
//! [`PARSE_ERROR`] says why.
//!
//! | file | holds |
//! |---|---|
//! | `time.rs` | times as programs write them |
//! | `level.rs` | names of levels, and OpenTelemetry's severity numbers |
//! | `json.rs`, `logfmt.rs`, `named.rs`, `syslog.rs` | the forms |

mod json;
mod level;
mod logfmt;
mod named;
mod syslog;
#[cfg(test)]
mod tests;
mod time;

use regex::Regex;
use serde::{Deserialize, Serialize};
use tidegate_model::UnixNanos;

use crate::rows::{LogRow, Value};

pub(crate) use level::{of_syslog, severity};
pub use time::UtcOffset;

/// The attribute of a row whose line was not understood.
pub(crate) const PARSE_ERROR: &str = "log.parse_error";

const TIME_KEYS: &[&str] = &["time", "timestamp", "@timestamp", "ts", "datetime"];
const LEVEL_KEYS: &[&str] = &["level", "severity", "lvl", "loglevel", "levelname", "log.level"];
const MESSAGE_KEYS: &[&str] = &["message", "msg"];
const TRACE_KEYS: &[&str] = &["trace_id", "traceId", "traceid", "trace.id"];
const SPAN_KEYS: &[&str] = &["span_id", "spanId", "spanid", "span.id"];

/// What the lines of a source are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text: the line is the message.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// A regular expression with named groups.
    Regex,
    /// RFC 5424, RFC 3164, and what syslog daemons write into files.
    Syslog,
}

/// Reads lines of one form.
#[derive(Debug, Clone)]
pub(crate) struct Parser {
    pub(crate) format: Format,
    pub(crate) pattern: Option<Regex>,
    /// The zone of times that do not say theirs.
    pub(crate) zone: UtcOffset,
}

impl Parser {
    /// Reads a line; `now` gives times their year where they have none.
    pub(crate) fn parse(&self, text: &str, now: UnixNanos) -> LogRow {
        let mut row = LogRow::default();
        let context = Context { zone: self.zone, now };
        let outcome = match self.format {
            Format::Text => {
                text.clone_into(&mut row.body);
                Ok(())
            }
            Format::Json => json::read(text, &mut row, context),
            Format::Logfmt => logfmt::read(text, &mut row, context),
            Format::Syslog => syslog::read(text, &mut row, context),
            Format::Regex => match &self.pattern {
                Some(pattern) => named::read(pattern, text, &mut row, context),
                None => Err("no regular expression is set"),
            },
        };
        if let Err(reason) = outcome {
            row = LogRow { body: text.to_owned(), ..LogRow::default() };
            row.attributes.push((PARSE_ERROR.to_owned(), Value::Text(reason.to_owned())));
        }
        row
    }
}

/// What a line alone does not say.
#[derive(Debug, Clone, Copy)]
struct Context {
    zone: UtcOffset,
    now: UnixNanos,
}

/// Puts a named text where it belongs: into time, severity, message, ids, or the attributes.
fn put_text(row: &mut LogRow, name: &str, text: &str, context: Context) {
    if row.time.is_none() && TIME_KEYS.contains(&name) {
        row.time = time::read(text, context.zone, context.now);
        if row.time.is_some() {
            return;
        }
    } else if row.severity_text.is_empty() && LEVEL_KEYS.contains(&name) {
        row.severity = severity(text);
        text.clone_into(&mut row.severity_text);
        return;
    } else if row.body.is_empty() && MESSAGE_KEYS.contains(&name) {
        text.clone_into(&mut row.body);
        return;
    } else if row.trace_id.is_empty() && TRACE_KEYS.contains(&name) {
        row.trace_id = id(text, 16);
        if !row.trace_id.is_empty() {
            return;
        }
    } else if row.span_id.is_empty() && SPAN_KEYS.contains(&name) {
        row.span_id = id(text, 8);
        if !row.span_id.is_empty() {
            return;
        }
    }
    row.attributes.push((name.to_owned(), Value::Text(text.to_owned())));
}

/// Reads an id in hexadecimal digits; empty when it is none, or all zeros.
fn id(text: &str, bytes: usize) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let is_hex = text.len() == bytes * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id: Option<Vec<u8>> = if is_hex { (0..bytes).map(|at| digit(at * 2)).collect() } else { None };
    id.filter(|id| id.iter().any(|byte| *byte > 0)).unwrap_or_default()
}
