//! systemd's journal, read by its own program: `journalctl -o json -f --after-cursor=…`. The cursor is the mark.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{AGENT_LINE_BYTES_MAX, AGENT_READ_BYTES};
use serde_json::Value as Json;
use tidegate_model::{Clock, UnixNanos};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::sync::{mpsc, watch};

use crate::parse::of_syslog;
use crate::queue::Marks;
use crate::rows::{Attributes, LogRow, Piece, Value, logs_request};
use crate::settings::Journald;

const MARK: &str = "journald";
/// How long the journal is left alone after its program ended.
const PAUSE: Duration = Duration::from_secs(10);
/// Entries of one piece.
const ROWS_MAX: usize = 512;

/// What of an entry becomes which attribute; of all others the upper-case ones are left out.
const FIELDS: &[(&str, &str)] = &[
    ("_PID", "process.pid"),
    ("_EXE", "process.executable.path"),
    ("_SYSTEMD_UNIT", "systemd.unit"),
    ("_SYSTEMD_USER_UNIT", "systemd.user_unit"),
    ("SYSLOG_IDENTIFIER", "syslog.appname"),
    ("SYSLOG_FACILITY", "syslog.facility"),
    ("_TRANSPORT", "journald.transport"),
    ("_BOOT_ID", "journald.boot_id"),
    ("MESSAGE_ID", "journald.message_id"),
    ("CODE_FILE", "code.file.path"),
    ("CODE_FUNC", "code.function.name"),
];

/// Reads the journal until told to stop; it begins behind its mark, or now.
pub(crate) async fn run(
    settings: Journald,
    marks: Marks,
    resource: Attributes,
    clock: Arc<dyn Clock>,
    pieces: mpsc::Sender<Piece>,
    mut stop: watch::Receiver<bool>,
) {
    let mut cursor = marks.get(MARK).cloned();
    while !*stop.borrow() {
        let reading = read(&settings, &mut cursor, &resource, clock.as_ref(), &pieces);
        tokio::select! {
            outcome = reading => {
                if let Err(reason) = outcome {
                    tracing::error!(%reason, program = %settings.journalctl, "the journal is not read");
                }
            }
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Starts the program and takes its entries until it ends.
async fn read(
    settings: &Journald,
    cursor: &mut Option<String>,
    resource: &Attributes,
    clock: &dyn Clock,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), String> {
    let mut command = Command::new(&settings.journalctl);
    command.args(["-o", "json", "-f", "--all"]);
    match cursor {
        Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
        None => command.arg("--lines=0"),
    };
    command.args(settings.units.iter().map(|unit| format!("--unit={unit}")));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{error}: install systemd's journalctl, or set `journald.enabled = false`"))?;
    let stdout = child.stdout.take().ok_or("it has no output")?;
    take_entries(stdout, cursor, resource, clock, pieces).await?;
    let status = child.wait().await.map_err(|error| error.to_string())?;
    Err(format!("it ended ({status})"))
}

async fn take_entries(
    stdout: ChildStdout,
    cursor: &mut Option<String>,
    resource: &Attributes,
    clock: &dyn Clock,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), String> {
    let mut lines = BufReader::with_capacity(AGENT_READ_BYTES, stdout);
    let mut line = Vec::new();
    loop {
        let mut by_service: BTreeMap<String, Vec<LogRow>> = BTreeMap::new();
        let mut rows = 0;
        // The first entry is waited for; what else is there already goes with it.
        while rows == 0 || (rows < ROWS_MAX && lines.buffer().contains(&b'\n')) {
            line.clear();
            if lines.read_until(b'\n', &mut line).await.map_err(|error| error.to_string())? == 0 {
                break;
            }
            let Ok(Json::Object(entry)) = serde_json::from_slice::<Json>(&line) else { continue };
            if let Some(Json::String(at)) = entry.get("__CURSOR") {
                *cursor = Some(at.clone());
            }
            let (service, row) = row_of(&entry);
            by_service.entry(service).or_default().push(row);
            rows += 1;
        }
        if rows == 0 {
            return Ok(());
        }
        let body: Vec<u8> = by_service
            .iter()
            .flat_map(|(service, rows)| {
                let mut resource = resource.clone();
                resource.push(("service.name".into(), Value::Text(service.clone())));
                logs_request(&resource, rows, clock.now())
            })
            .collect();
        let marks = vec![(MARK.to_owned(), cursor.clone())];
        if pieces.send(Piece::logs(body, rows, marks)).await.is_err() {
            return Ok(());
        }
    }
}

/// Makes a log record of an entry; returns also whose it is.
fn row_of(entry: &serde_json::Map<String, Json>) -> (String, LogRow) {
    let text = |name: &str| entry.get(name).map(text_of).unwrap_or_default();
    let (severity, severity_text) = match text("PRIORITY").parse() {
        Ok(priority @ 0..=7) => of_syslog(priority),
        _ => (0, ""),
    };
    let micros = |name: &str| text(name).parse::<i64>().ok().map(|micros| UnixNanos(micros.saturating_mul(1_000)));
    let attributes = FIELDS.iter().filter_map(|(field, name)| {
        let value = entry.get(*field).map(text_of)?;
        Some(((*name).to_owned(), Value::Text(value)))
    });
    let mut body = text("MESSAGE");
    let mut attributes: Attributes = attributes.collect();
    if body.len() > AGENT_LINE_BYTES_MAX {
        let end = (0..=AGENT_LINE_BYTES_MAX).rev().find(|end| body.is_char_boundary(*end)).unwrap_or(0);
        attributes.push(("log.message.bytes".into(), Value::Int(i64::try_from(body.len()).unwrap_or(i64::MAX))));
        body.truncate(end);
    }
    let row = LogRow {
        time: micros("_SOURCE_REALTIME_TIMESTAMP").or_else(|| micros("__REALTIME_TIMESTAMP")),
        severity,
        severity_text: severity_text.to_owned(),
        body,
        attributes,
        ..LogRow::default()
    };
    let unit = text("_SYSTEMD_UNIT");
    let service =
        if unit.is_empty() { text("SYSLOG_IDENTIFIER") } else { unit.trim_end_matches(".service").to_owned() };
    (service, row)
}

/// A field's text: journalctl writes bytes that are no text as a list of numbers, and repeated fields as a list.
fn text_of(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let bytes: Option<Vec<u8>> = items.iter().map(|item| u8::try_from(item.as_u64()?).ok()).collect();
            match bytes {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => items.iter().map(text_of).collect::<Vec<_>>().join("\n"),
            }
        }
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
