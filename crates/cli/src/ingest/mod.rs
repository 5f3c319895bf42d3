//! `tidegate ingest`: files of rows into a dataset.
//!
//! A file is sent in pieces. Each piece has an idempotency key made of the file and the piece's place, so an ingest
//! that was interrupted can be run again at once: what arrived before is not stored a second time.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde::Deserialize;
use tidegate_core::ingest::rows::files::{self, FileBatch};

use crate::client::{Asker, Client, ClientError};

/// What a piece of a file is sent as.
const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// Refused rows that are shown for each file; all are counted.
const REJECTIONS_SHOWN_MAX: usize = 10;

/// Pauses after a refusal for lack of room: about a minute in all, then a person decides.
const BUSY_PAUSES_MS: [u64; 8] = [250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 20_000];

/// What `tidegate ingest` is told.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Files of rows
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The dataset; made with the first rows
    #[arg(long, short, value_name = "SLUG")]
    dataset: String,
    /// How the files are written; without it, their names tell
    #[arg(long, short, value_enum)]
    format: Option<FileFormat>,
    #[command(flatten)]
    asker: Asker,
}

/// The forms of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// One JSON object a line (.ndjson, .jsonl)
    Ndjson,
    /// One JSON array of objects (.json)
    Json,
    /// Comma-separated values with a header (.csv)
    Csv,
    /// Parquet (.parquet)
    Parquet,
    /// Arrow IPC, as a file or as a stream (.arrow)
    Arrow,
}

impl From<FileFormat> for files::FileFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Ndjson => Self::Ndjson,
            FileFormat::Json => Self::Json,
            FileFormat::Csv => Self::Csv,
            FileFormat::Parquet => Self::Parquet,
            FileFormat::Arrow => Self::Arrow,
        }
    }
}

/// The server's answer to one piece.
#[derive(Debug, Default, Deserialize)]
struct Admitted {
    accepted: u64,
    rejected: u64,
    #[serde(default)]
    rejections: Vec<Rejection>,
    /// The piece was here already.
    #[serde(default)]
    retry: bool,
}

#[derive(Debug, Deserialize)]
struct Rejection {
    index: u64,
    detail: String,
}

/// What became of one file.
#[derive(Debug, Default)]
struct Outcome {
    accepted: u64,
    rejected: u64,
    /// Those of the accepted that an earlier run had brought.
    known: u64,
    shown: Vec<String>,
}

/// Sends every file; the first that cannot be read or sent ends the run.
pub(crate) async fn run(args: IngestArgs) -> anyhow::Result<()> {
    let client = Client::of(args.asker)?;
    let mut rejected = 0;
    for file in &args.files {
        let format = args.format.map_or_else(|| format_of(file), |format| Ok(format.into()))?;
        let outcome = send_file(&client, &args.dataset, file, format).await;
        let outcome = outcome.with_context(|| format!("ingest {}", file.display()))?;
        let known = match outcome.known {
            0 => String::new(),
            known => format!(" ({known} of them had come before, and are stored once)"),
        };
        println!("{}: {} accepted, {} rejected{known}", file.display(), rows(outcome.accepted), outcome.rejected);
        for line in &outcome.shown {
            println!("  {line}");
        }
        rejected += outcome.rejected;
    }
    if rejected > 0 {
        bail!("{} rejected; all others are durable\n  mend what was rejected and send it alone", rows(rejected));
    }
    Ok(())
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn format_of(file: &Path) -> anyhow::Result<files::FileFormat> {
    files::FileFormat::of(file).with_context(|| {
        let path = file.display();
        format!(
            "the name of {path} does not tell its format\n  name it with --format ndjson, json, csv, parquet or arrow"
        )
    })
}

async fn send_file(client: &Client, dataset: &str, file: &Path, format: files::FileFormat) -> anyhow::Result<Outcome> {
    let identity = identity(file)?;
    let path = file.to_owned();
    let mut source = tokio::task::spawn_blocking(move || files::open(&path, format)).await??;
    let progress = progress_bar(source.bytes);
    let mut outcome = Outcome::default();
    loop {
        // Reading is for a thread that may block, while the answer to the last piece is looked at here.
        let (batch, rest) = tokio::task::spawn_blocking(move || (source.next(), source)).await?;
        source = rest;
        let Some(batch) = batch.transpose()? else { break };
        outcome.rejected += batch.rejected.total();
        outcome.show(batch.rejected.listed.iter().map(|row| (row.index, row.detail.as_str())));
        progress.set_position(batch.bytes_read);
        if let Some(first) = batch.places.first() {
            let key = format!("{identity}:{dataset}:{first}");
            let admitted = send_piece(client, dataset, &batch, &key).await?;
            outcome.accepted += admitted.accepted;
            outcome.rejected += admitted.rejected;
            outcome.known += if admitted.retry { admitted.accepted } else { 0 };
            let place = |index: u64| usize::try_from(index).ok().and_then(|index| batch.places.get(index).copied());
            let listed = admitted.rejections.iter();
            outcome.show(listed.map(|row| (place(row.index).unwrap_or(row.index), row.detail.as_str())));
        }
        progress.set_message(rows(outcome.accepted));
    }
    progress.finish_and_clear();
    Ok(outcome)
}

impl Outcome {
    /// Keeps refused rows for the summary, while there is room.
    fn show<'a>(&mut self, rows: impl Iterator<Item = (u64, &'a str)>) {
        let room = REJECTIONS_SHOWN_MAX.saturating_sub(self.shown.len());
        self.shown.extend(rows.take(room).map(|(place, detail)| format!("row {}: {detail}", place + 1)));
    }
}

/// Names a file by what changes when it is written to.
fn identity(file: &Path) -> anyhow::Result<String> {
    let metadata = std::fs::metadata(file).context("open the file")?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // A header takes visible ASCII only.
    let name: String = name.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(60).collect();
    Ok(format!("file:{name}:{}:{}", metadata.len(), modified.as_nanos()))
}

/// Sends one piece; waits and tries again while the server has no room.
async fn send_piece(client: &Client, dataset: &str, batch: &FileBatch, key: &str) -> anyhow::Result<Admitted> {
    let body = bytes::Bytes::from(batch.arrow_ipc.clone());
    let mut pauses = BUSY_PAUSES_MS.into_iter();
    loop {
        let request = client
            .request(Method::POST, &format!("/datasets/{dataset}/ingest"))
            .header("content-type", ARROW_STREAM)
            .header("idempotency-key", key)
            .body(body.clone());
        match client.send(request).await {
            Ok(answer) => {
                let told = answer.bytes().await.context("read the server's answer")?;
                return serde_json::from_slice(&told).context("read the server's answer");
            }
            Err(ClientError::Refused { status: 429 | 503, .. }) if pauses.len() > 0 => {
                let pause = pauses.next().unwrap_or_default();
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A bar over the file's bytes; it is drawn on a terminal only.
fn progress_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar:.cyan} {percent:>3} %  {msg}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_message("0 rows")
}
