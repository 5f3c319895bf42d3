use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use glob::{MatchOptions, Pattern};
use regex::bytes::Regex;
use tidegate_model::Clock;

use super::lines::Span;
use crate::parse::Parser;
use crate::rows::{Attributes, LogRow, Piece, Value, logs_request};

/// Names of files that are packed copies of others.
const PACKED_ENDS: &[&str] = &[".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip"];

/// Files that are read alike.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) paths: Vec<String>,
    pub(crate) exclude: Vec<Pattern>,
    pub(crate) parser: Parser,
    pub(crate) first_line: Option<Regex>,
    /// How long joined lines wait for more, and the last half line of a file that is done with.
    pub(crate) flush_after: Duration,
    /// Files that are there at the very first start are read from their end.
    pub(crate) from_end: bool,
    /// `service.name`; empty: the file's name up to its first point.
    pub(crate) service: String,
    pub(crate) resource: Attributes,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Source {
    /// Returns the files that the patterns find now.
    pub(super) fn find(&self) -> Vec<PathBuf> {
        let found = self.paths.iter().filter_map(|pattern| glob::glob(pattern).ok()).flatten();
        let mut paths: Vec<PathBuf> = found.filter_map(Result::ok).filter(|path| !self.is_excluded(path)).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Makes log records of cut rows; `offset` is where the bytes begin in the file.
    pub(super) fn rows(&self, path: &str, bytes: &[u8], spans: &[Span], offset: u64) -> Piece {
        let now = self.clock.now();
        let mut rows = Vec::with_capacity(spans.len());
        for span in spans {
            let raw = &bytes[span.start..span.text_end];
            let text = String::from_utf8_lossy(raw);
            let mut row = self.parser.parse(&text, now);
            let position = offset + span.start as u64;
            row.attributes.push(("log.file.path".to_owned(), Value::Text(path.to_owned())));
            row.attributes
                .push(("log.file.position".to_owned(), Value::Int(i64::try_from(position).unwrap_or(i64::MAX))));
            if span.is_cut {
                row.attributes.push(("log.line.continues".to_owned(), Value::Bool(true)));
            }
            mark_replaced(&mut row, raw);
            rows.push(row);
        }
        let mut resource = self.resource.clone();
        let service = if self.service.is_empty() { stem(path) } else { self.service.as_str() };
        resource.push(("service.name".to_owned(), Value::Text(service.to_owned())));
        Piece::logs(logs_request(&resource, &rows, now), rows.len(), Vec::new())
    }

    fn is_excluded(&self, path: &Path) -> bool {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
        let name = path.to_string_lossy();
        PACKED_ENDS.iter().any(|end| name.ends_with(end))
            || self.exclude.iter().any(|pattern| {
                pattern.matches_with(&name, options)
                    || path.file_name().is_some_and(|file| pattern.matches(&file.to_string_lossy()))
            })
    }
}

/// Says of a row that bytes of it were no text and are U+FFFD now.
fn mark_replaced(row: &mut LogRow, raw: &[u8]) {
    if std::str::from_utf8(raw).is_err() {
        row.attributes.push(("log.invalid_utf8".to_owned(), Value::Bool(true)));
    }
}

/// Returns a file's name up to its first point.
pub(super) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').find(|part| !part.is_empty()).unwrap_or(name)
}
