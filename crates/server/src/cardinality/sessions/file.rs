use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_model::limits::CATALOG_SESSION_BYTES_MAX;
use tidegate_model::{SAVED, SavedTable};

use super::folder::checked_name;
use crate::errors::Failure;

/// The layout of the file.
pub(super) const FORMAT: u32 = 2;

/// The first line: what the session is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) id: String,
    pub(super) description: String,
    pub(super) created: String,
    /// Signals and services that were asked for; empty: all.
    pub(super) signals: Vec<String>,
    pub(super) services: Vec<String>,
    /// Sessions that were united; `live` for the catalogue of that moment.
    pub(super) sources: Vec<String>,
    pub(super) stats: Stats,
}

/// How much is in a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stats {
    metrics_count: usize,
    spans_count: usize,
    logs_count: usize,
    attributes_count: usize,
    services: BTreeSet<String>,
}

/// What a session is asked to hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) signals: Vec<String>,
    #[serde(default)]
    pub(super) services: Vec<String>,
    /// Sessions to unite; empty: what is viewed.
    #[serde(default)]
    pub(super) sessions: Vec<String>,
}

impl Header {
    /// Tells the session without its rows.
    pub(super) fn told(&self, size_bytes: u64) -> Value {
        json!({
            "id": self.id,
            "description": self.description,
            "created": self.created,
            "signals": self.signals,
            "services": self.services,
            "sources": self.sources,
            "size_bytes": size_bytes,
            "stats": self.stats,
        })
    }
}

/// Counts the rows of a session while they pass.
#[derive(Debug, Default)]
pub(super) struct Tally {
    names: [BTreeSet<String>; 3],
    keys: BTreeSet<String>,
    services: BTreeSet<String>,
    bytes: u64,
}

impl Tally {
    /// Checks one line and counts it; returns its table and where its values begin.
    pub(super) fn add(&mut self, line: &str) -> Result<(&'static SavedTable, usize), Failure> {
        self.bytes += line.len() as u64 + 1;
        if self.bytes > CATALOG_SESSION_BYTES_MAX {
            return Err(too_large());
        }
        let wrong = |why: &str| Failure::invalid(format!("a line of the session cannot be read: {why}"));
        let name = line.strip_prefix("{\"").and_then(|rest| rest.split_once("\":")).map(|(name, _)| name);
        let saved = SAVED.iter().find(|saved| Some(saved.spec.name.as_str()) == name);
        let saved = saved.ok_or_else(|| wrong("it is of no table of the catalogue"))?;
        let begins = "{\"\":".len() + saved.spec.name.as_str().len();
        let values: Vec<Value> = line
            .get(begins..line.len() - 1)
            .and_then(|values| serde_json::from_str(values).ok())
            .ok_or_else(|| wrong("it is not a list of values"))?;
        if values.len() != saved.columns.len() || !line.ends_with('}') {
            return Err(wrong("it has not as many values as the table has columns"));
        }
        let text = |at: usize| values[at].as_str().map(str::to_owned).ok_or_else(|| wrong("a name is not a text"));
        match saved.spec.name.as_str() {
            "catalog_signals" => {
                let which = match text(0)?.as_str() {
                    "metrics" => 0,
                    "traces" => 1,
                    _ => 2,
                };
                self.names[which].insert(text(1)?);
                self.services.insert(text(3)?);
            }
            "catalog_attributes" => drop(self.keys.insert(text(2)?)),
            _ => {}
        }
        Ok((saved, begins))
    }

    /// Returns the sums.
    pub(super) fn stats(self) -> Stats {
        let [metrics_count, spans_count, logs_count] = self.names.map(|names| names.len());
        Stats { metrics_count, spans_count, logs_count, attributes_count: self.keys.len(), services: self.services }
    }
}

/// Packs the first line, as a gzip member of its own: what is in a session is known from the file's beginning.
pub(super) fn packed(header: &Header) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::of(tidegate_model::ErrorKind::Internal, &error);
    let mut line = serde_json::to_vec(header).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&line).and_then(|()| encoder.finish()).map_err(failed)
}

/// Opens a session's bytes for reading; the first line is read and checked.
pub(super) fn opened(bytes: impl Read) -> Result<(Header, impl Iterator<Item = Result<String, Failure>>), Failure> {
    let cut = |error: std::io::Error| Failure::invalid(format!("the session is not whole: {error}"));
    let plain = BufReader::new(MultiGzDecoder::new(bytes)).take(CATALOG_SESSION_BYTES_MAX + 1);
    let mut lines = BufReader::new(plain).lines();
    let first = lines.next().transpose().map_err(cut)?.unwrap_or_default();
    let found: Value = serde_json::from_str(&first).unwrap_or_default();
    if let Some(format) = found["format"].as_u64().filter(|format| *format != u64::from(FORMAT)) {
        return Err(Failure::invalid(format!("the session has format {format}, this server reads format {FORMAT}")));
    }
    let header: Header = serde_json::from_value(found)
        .map_err(|error| Failure::invalid(format!("this is not a session of ours: {error}")))?;
    checked_name(&header.id)?;
    Ok((header, lines.map(move |line| line.map_err(cut))))
}

/// Refuses a session for its size.
fn too_large() -> Failure {
    Failure::invalid(format!("a session has at most {CATALOG_SESSION_BYTES_MAX} bytes as JSON"))
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
        .with_hint("save fewer `signals` or `services`")
}
