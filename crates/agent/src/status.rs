use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_model::UnixNanos;

use crate::counts::Counts;
use crate::files::FileStatus;
use crate::writer::Shared;

/// How often the file is written, when something changed.
pub(crate) const EVERY: Duration = Duration::from_secs(5);
const FILE: &str = "status.json";
const PARTIAL: &str = "status.json.partial";

/// What an agent does, as of its last word.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// When it said so.
    pub at: String,
    /// Its process.
    pub pid: u32,
    /// Its identity, the same over restarts.
    pub agent_id: String,
    /// The identity of this start.
    pub session_id: String,
    /// Where it sends to.
    pub server: String,
    /// Rows that are in the queue and not delivered.
    pub queued_rows: u64,
    /// Bytes that the queue takes on the disk.
    pub queue_bytes: u64,
    /// Rows collected since the start.
    pub collected_rows: u64,
    /// Rows delivered since the start.
    pub sent_rows: u64,
    /// Requests delivered since the start.
    pub sent_requests: u64,
    /// Tries that were not the last.
    pub retries: u64,
    /// Rows of metrics that found the queue full.
    pub dropped_rows: u64,
    /// Rows that the server refused for good.
    pub refused_rows: u64,
    /// Requests that a damaged file of the queue cost.
    pub lost_requests: u64,
    /// Log files, and how far each was read.
    pub files: Vec<FileStatus>,
}

impl Status {
    pub(crate) fn of(shared: &Shared, agent: &str, session: &str, server: &str, files: Vec<FileStatus>) -> Self {
        let counts = &shared.counts;
        let (queued_rows, queue_bytes, lost_requests) =
            shared.with_queue(|queue| (queue.waiting_rows(), queue.bytes(), queue.lost()));
        Self {
            at: String::new(),
            pid: std::process::id(),
            agent_id: agent.to_owned(),
            session_id: session.to_owned(),
            server: server.to_owned(),
            queued_rows,
            queue_bytes,
            collected_rows: Counts::get(&counts.collected_rows),
            sent_rows: Counts::get(&counts.sent_rows),
            sent_requests: Counts::get(&counts.sent_requests),
            retries: Counts::get(&counts.retries),
            dropped_rows: Counts::get(&counts.dropped_rows),
            refused_rows: Counts::get(&counts.refused_rows),
            lost_requests,
            files,
        }
    }

    /// Reads what the agent of a folder said last.
    pub fn read(data: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(data.join(FILE))?).map_err(io::Error::other)
    }
}

/// Writes the status unless it is the last one; returns its text. A status that cannot be written is not worth a stop.
pub(crate) fn write(data: &Path, mut status: Status, now: UnixNanos, last: Option<String>) -> Option<String> {
    let text = serde_json::to_string(&status).ok()?;
    if last.as_ref() == Some(&text) {
        return last;
    }
    status.at = now.to_string();
    let shown = serde_json::to_string_pretty(&status).ok()?;
    let written = fs::write(data.join(PARTIAL), shown).and_then(|()| fs::rename(data.join(PARTIAL), data.join(FILE)));
    written.is_ok().then_some(text)
}
