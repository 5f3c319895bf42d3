use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_array::RecordBatch;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tidegate_model::MigrationPiece;
use tidegate_model::limits::FILE_REQUEST_BYTES_MAX;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Told;
use super::encoded::Encoded;
use super::files::{Files, Range, SourceFile};
use super::plan::{Plan, plan};
use super::progress::Progress;
use super::server::{Admitted, Migration, Server};
use super::snapshot;
use super::source::{Place, Source, Taking};
use crate::client::encoded;

/// Pieces that are read ahead of those that are sent.
const READ_AHEAD: usize = 2;

/// Pieces that are sent at once: while one is synced, the next is decoded.
const SENT_AT_ONCE: usize = 2;

/// Refused rows that are shown; all are counted, and kept in the quarantine.
const REJECTIONS_SHOWN_MAX: usize = 10;

/// Files that are told to the server in one request.
const FILES_AT_ONCE: usize = 1_000;

/// What a run came to.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) migration: String,
    pub(super) files: u64,
    pub(super) rows: u64,
    /// Rows that an earlier run had brought.
    pub(super) known: u64,
    /// Rows that this run brought.
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) rows_per_second: u64,
    pub(super) rejections: Vec<String>,
}

/// Plans, begins or goes on, and takes every row that is not here yet.
pub(super) async fn run(told: &Told, source: Source, taking: &Taking) -> Result<()> {
    let label = taking.table_name.to_ascii_lowercase();
    let table = told.server.table(&taking.dataset, &label).await?;
    if taking.plan {
        let files = snapshot::planned(told, &source).await?;
        let plan = plan(&files, &source, table.as_ref());
        if told.json {
            println!("{}", serde_json::to_string_pretty(&plan)?);
        } else {
            plan.print();
        }
        return plan.check();
    }
    let files = Arc::new(snapshot::taken(told, &source).await?);
    let plan = plan(&files, &source, table.as_ref());
    if !told.json {
        plan.print();
    }
    plan.check()?;
    let begun = json!({ "dataset": taking.dataset, "tableName": label, "source": source, "ask": taking.ask });
    let migration = told.server.ask(Method::POST, "/admin/migrations", Some(&begun)).await?;
    let migration: Migration = serde_json::from_value(migration)?;
    if table.is_none() {
        make_table(&told.server, &migration, &plan).await?;
    }
    let report = take(&told.server, &migration, &files).await?;
    report.print(told.json)?;
    if report.rejected > 0 {
        bail!(
            "{} rows were refused; all others are durable\n  `tidegate datasets quarantine list {}` shows them, to be mended",
            report.rejected,
            taking.dataset
        );
    }
    Ok(())
}

/// Finds the files of a migration that is under way, with what DuckDB has got since.
pub(super) async fn files_of(told: &Told, migration: &Migration) -> Result<Arc<Files>> {
    let source: Source = serde_json::from_value(migration.source.clone()).context("read the migration's source")?;
    Ok(Arc::new(snapshot::taken(told, &source).await?))
}

/// Makes the table with all of its columns, so that no piece decides alone what they are.
async fn make_table(server: &Server, migration: &Migration, plan: &Plan) -> Result<()> {
    let taken = plan.columns.iter().filter_map(|column| Some((column.name.as_ref()?, column.becomes?)));
    let fields: Vec<Value> = taken.map(|(name, kind)| json!({ "name": name, "type": kind.to_string() })).collect();
    if fields.is_empty() {
        return Ok(());
    }
    let body = json!({ "tableName": migration.table_name, "schema": { "fields": fields }, "rows": [] });
    let path = format!("/datasets/{}/ingest", encoded(&migration.dataset));
    server.ask(Method::POST, &path, Some(&body)).await.map(drop)
}

/// Takes every row of the files that is not here yet.
pub(super) async fn take(server: &Server, migration: &Migration, files: &Arc<Files>) -> Result<Report> {
    for some in files.files.chunks(FILES_AT_ONCE) {
        let told = |file: &SourceFile| json!({ "file": file.name, "fingerprint": file.fingerprint, "rows": file.rows });
        let body = json!({ "files": some.iter().map(told).collect::<Vec<_>>() });
        let path = format!("/admin/migrations/{}/files", migration.id);
        server.ask(Method::POST, &path, Some(&body)).await?;
    }
    let mut known: BTreeMap<String, Vec<Range>> = BTreeMap::new();
    let mut report = Report { migration: migration.id.clone(), ..Report::default() };
    for taken in server.taken(migration).await? {
        report.known += taken.rows;
        report.accepted += taken.accepted;
        known.entry(taken.file).or_default().push(Range { first: taken.first, rows: taken.rows });
    }
    report.rejected = report.known - report.accepted;
    report.files = files.files.len() as u64;
    report.rows = files.rows();
    let mut progress = Progress::new("taken", report.rows, report.known.min(report.rows));
    send_all(server, migration, (files, known), &mut report, &mut progress).await?;
    report.rows_per_second = progress.end();
    Ok(report)
}

/// Reads on a thread that may block, and sends what is read.
async fn send_all(
    server: &Server,
    migration: &Migration,
    (files, known): (&Arc<Files>, BTreeMap<String, Vec<Range>>),
    report: &mut Report,
    progress: &mut Progress,
) -> Result<()> {
    let (outlet, mut pieces) = mpsc::channel(READ_AHEAD);
    let (files, id) = (Arc::clone(files), migration.id.clone());
    let reading = tokio::task::spawn_blocking(move || read_all(&files, &known, &id, &outlet));
    let mut sending = JoinSet::new();
    while let Some((piece, body)) = pieces.recv().await {
        if sending.len() >= SENT_AT_ONCE {
            ended(sending.join_next().await, report, progress)?;
        }
        let (server, table) = (server.clone(), (migration.dataset.clone(), migration.table_name.clone()));
        sending.spawn(async move {
            let admitted = server.send((&table.0, &table.1), &piece, &body).await;
            (piece, admitted)
        });
    }
    while !sending.is_empty() {
        ended(sending.join_next().await, report, progress)?;
    }
    reading.await?
}

type Sent = (MigrationPiece, Result<Admitted>);

fn ended(
    sent: Option<Result<Sent, tokio::task::JoinError>>,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<()> {
    let Some(sent) = sent else { return Ok(()) };
    let (piece, admitted) = sent?;
    let place = || format!("send rows {} to {} of {}", piece.first, piece.first + piece.rows - 1, piece.file);
    let admitted = admitted.with_context(place)?;
    report.sent += piece.rows;
    report.accepted += admitted.accepted;
    report.rejected += admitted.rejected;
    let room = REJECTIONS_SHOWN_MAX.saturating_sub(report.rejections.len());
    let shown = admitted.rejections.iter().take(room);
    report
        .rejections
        .extend(shown.map(|row| format!("{} row {}: {}", piece.file, piece.first + row.index, row.detail)));
    progress.add(piece.rows);
    Ok(())
}

type Outlet = mpsc::Sender<(MigrationPiece, Encoded)>;

fn read_all(files: &Files, known: &BTreeMap<String, Vec<Range>>, id: &str, outlet: &Outlet) -> Result<()> {
    let nothing = Vec::new();
    for file in &files.files {
        let known = known.get(&file.name).unwrap_or(&nothing);
        for range in file.ranges() {
            if left(range, known).is_empty() {
                continue;
            }
            let batch = files.read(file, range)?;
            for (range, body) in bodies(&batch, range, known)? {
                let Range { first, rows } = range;
                let piece = MigrationPiece { migration: id.to_owned(), file: file.name.clone(), first, rows };
                if outlet.blocking_send((piece, body)).is_err() {
                    // Who sends has given up, and says why.
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Returns what of a range is not known.
pub(super) fn left(range: Range, known: &[Range]) -> Vec<Range> {
    let end = range.first + range.rows;
    let mut inside: Vec<&Range> =
        known.iter().filter(|one| one.first < end && one.first + one.rows > range.first).collect();
    inside.sort_by_key(|one| one.first);
    let (mut at, mut left) = (range.first, Vec::new());
    for one in inside {
        if one.first > at {
            left.push(Range { first: at, rows: one.first - at });
        }
        at = at.max(one.first + one.rows);
    }
    if at < end {
        left.push(Range { first: at, rows: end - at });
    }
    left
}

/// Encodes what of a range is not known, in pieces that a request may have.
fn bodies(batch: &RecordBatch, range: Range, known: &[Range]) -> Result<Vec<(Range, Encoded)>> {
    let mut wanted: VecDeque<Range> = left(range, known).into();
    let mut bodies = Vec::new();
    while let Some(piece) = wanted.pop_front() {
        let (offset, rows) = (usize::try_from(piece.first - range.first)?, usize::try_from(piece.rows)?);
        let body = Encoded::of(&batch.slice(offset, rows))?;
        if body.bytes() > FILE_REQUEST_BYTES_MAX && piece.rows > 1 {
            let half = piece.rows / 2;
            wanted.push_front(Range { first: piece.first + half, rows: piece.rows - half });
            wanted.push_front(Range { first: piece.first, rows: half });
            continue;
        }
        bodies.push((piece, body));
    }
    Ok(bodies)
}

impl Report {
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "{} of {} rows taken, {} refused; {} of them now, at {} rows/s (migration {})",
            self.accepted, self.rows, self.rejected, self.sent, self.rows_per_second, self.migration
        );
        self.rejections.iter().for_each(|line| println!("  {line}"));
        Ok(())
    }
}

impl Source {
    /// Says where rows come from, for people.
    pub(super) fn shown(&self) -> String {
        match &self.place {
            Place::Parquet { root, pattern } => format!("{}/{pattern}", root.display()),
            Place::Duckdb { file, table, .. } => format!("table {table} of {}", file.display()),
            Place::Postgres(origin) => format!("table {} of {}", origin.table, origin.server),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_what_is_known_are_the_whole_range() {
        let range = |first, rows| Range { first, rows };
        let check = |known: &[Range], expect: &[Range]| assert_eq!(left(range(10, 10), known), expect, "{known:?}");
        check(&[], &[range(10, 10)]);
        check(&[range(10, 10)], &[]);
        check(&[range(0, 30)], &[]);
        check(&[range(15, 5), range(10, 5)], &[]);
        check(&[range(12, 2), range(16, 1)], &[range(10, 2), range(14, 2), range(17, 3)]);
        check(&[range(0, 11), range(19, 5)], &[range(11, 8)]);
        check(&[range(0, 10), range(20, 10)], &[range(10, 10)]);
    }
}
