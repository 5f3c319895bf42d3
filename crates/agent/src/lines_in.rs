//! Lines of standard input. What was read of a pipe is nowhere else: it is kept from the moment that the queue has it.

use std::io::Read;
use std::sync::Arc;

use crate::limits::{AGENT_LINE_BYTES_MAX, AGENT_READ_BYTES};
use tidegate_model::Clock;
use tokio::sync::mpsc;

use crate::parse::Parser;
use crate::rows::{Attributes, LogRow, Piece, logs_request};

/// Reads lines until their end, on a thread that may block; a line longer than a row becomes several.
///
/// The thread may wait for input for ever, so it does not keep the queue's writer alive.
pub(crate) fn run(
    mut input: impl Read,
    parser: &Parser,
    resource: &Attributes,
    clock: &Arc<dyn Clock>,
    pieces: &mpsc::WeakSender<Piece>,
) {
    let mut held: Vec<u8> = Vec::new();
    let mut buffer = vec![0; AGENT_READ_BYTES / 4];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(%error, "standard input is not read on");
                0
            }
        };
        held.extend_from_slice(&buffer[..read]);
        let whole = match held.iter().rposition(|byte| *byte == b'\n') {
            _ if read == 0 => held.len(),
            Some(at) => at + 1,
            None if held.len() > AGENT_LINE_BYTES_MAX => AGENT_LINE_BYTES_MAX,
            None => 0,
        };
        let now = clock.now();
        let taken: Vec<u8> = held.drain(..whole).collect();
        let rows: Vec<LogRow> = taken
            .split_inclusive(|byte| *byte == b'\n')
            .flat_map(|line| line.strip_suffix(b"\n").unwrap_or(line).chunks(AGENT_LINE_BYTES_MAX))
            .map(|line| parser.parse(String::from_utf8_lossy(line).trim_end_matches('\r'), now))
            .collect();
        if !rows.is_empty() {
            let body = logs_request(resource, &rows, now);
            let piece = Piece::logs(body, rows.len(), Vec::new());
            if pieces.upgrade().is_none_or(|pieces| pieces.blocking_send(piece).is_err()) {
                return;
            }
        }
        if read == 0 {
            return;
        }
    }
}
