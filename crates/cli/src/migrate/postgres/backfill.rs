use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;
use sqlx::Row as _;
use tidegate_model::MigrationPiece;
use tidegate_model::limits::FILE_REQUEST_BYTES_MAX;
use tidegate_postgres::Decoded;
use tidegate_traces::Prices;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::link::{APPLICATION, Link};
use super::plan::{DELETED, VERSION};
use super::spans;
use super::table::{Leaf, Table};
use super::{Moving, Origin};
use crate::migrate::Told;
use crate::migrate::backfill::left;
use crate::migrate::encoded::Encoded;
use crate::migrate::files::Range;
use crate::migrate::progress::Progress;
use crate::migrate::server::{Admitted, Migration, Server};

/// How long a worker waits before it looks again whether PostgreSQL has less to do.
const LOAD_PAUSE: Duration = Duration::from_millis(500);

/// Refused rows that are shown; all are counted.
const REFUSALS_SHOWN_MAX: usize = 10;

/// How much is asked of PostgreSQL at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) workers: usize,
    pub(super) max_load: u32,
}

/// What a run came to.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    migration: String,
    blocks: u64,
    /// Blocks that an earlier run had brought.
    known_blocks: u64,
    /// Rows that this run brought.
    pub(super) sent: u64,
    accepted: u64,
    rejected: u64,
    rows_per_second: u64,
    rejections: Vec<String>,
}

/// A range of blocks that is to be taken.
#[derive(Debug, Clone)]
struct Piece {
    leaf: Leaf,
    range: Range,
}

/// What became of a piece.
struct Done {
    blocks: u64,
    rows: u64,
    accepted: u64,
    rejected: u64,
    refusals: Vec<String>,
}

/// What every worker needs.
struct Work {
    server: Server,
    migration: Migration,
    origin: Origin,
    table: Table,
    only: String,
    prices: Option<Arc<Prices>>,
    pace: Pace,
    pieces: Mutex<VecDeque<Piece>>,
}

/// Takes every range of blocks that is not here yet.
pub(super) async fn take(told: &Told, moving: &mut Moving, pace: Pace) -> Result<Report> {
    let migration = &moving.migration;
    let leaves = &moving.origin.leaves;
    let body = leaves
        .iter()
        .map(|leaf| json!({ "file": leaf.name, "fingerprint": leaf.file_node.to_string(), "rows": leaf.blocks }));
    let body = json!({ "files": body.collect::<Vec<_>>() });
    told.server.ask(Method::POST, &format!("/admin/migrations/{}/files", migration.id), Some(&body)).await?;
    let mut report = Report { migration: migration.id.clone(), ..Report::default() };
    report.blocks = leaves.iter().map(|leaf| leaf.blocks).sum();
    let mut known: BTreeMap<String, Vec<Range>> = BTreeMap::new();
    for taken in told.server.taken(migration).await? {
        known.entry(taken.file).or_default().push(Range { first: taken.first, rows: taken.rows });
    }
    let pieces = pieces(leaves, &known);
    let wanted: u64 = pieces.iter().map(|piece| piece.range.rows).sum();
    report.known_blocks = report.blocks - wanted;
    let work = Arc::new(Work {
        server: told.server.clone(),
        migration: migration.clone(),
        origin: moving.origin.clone(),
        table: moving.table.clone(),
        only: moving.origin.only(&moving.table),
        prices: moving.prices.clone(),
        pace,
        pieces: Mutex::new(pieces),
    });
    run(moving, &work, &mut report).await?;
    Ok(report)
}

/// Cuts what is not known of each part; the same part is always cut alike.
fn pieces(leaves: &[Leaf], known: &BTreeMap<String, Vec<Range>>) -> VecDeque<Piece> {
    let nothing = Vec::new();
    let mut pieces = VecDeque::new();
    for leaf in leaves {
        let known = known.get(&leaf.name).unwrap_or(&nothing);
        let mut first = 0;
        while first < leaf.blocks {
            let rows = leaf.blocks_at_once.min(leaf.blocks - first);
            let ranges = left(Range { first, rows }, known).into_iter();
            pieces.extend(ranges.map(|range| Piece { leaf: leaf.clone(), range }));
            first += rows;
        }
    }
    pieces
}

async fn run(moving: &Moving, work: &Arc<Work>, report: &mut Report) -> Result<()> {
    let mut progress = Progress::of("blocks", "taken", (report.blocks, report.known_blocks));
    let began = std::time::Instant::now();
    let (outlet, mut done) = mpsc::channel::<Done>(work.pace.workers.max(1));
    let mut workers = JoinSet::new();
    for _ in 0..work.pace.workers.max(1) {
        workers.spawn(worker(moving.address.clone().link(), Arc::clone(work), outlet.clone()));
    }
    drop(outlet);
    while let Some(done) = done.recv().await {
        progress.add(done.blocks);
        report.sent += done.rows;
        report.accepted += done.accepted;
        report.rejected += done.rejected;
        let room = REFUSALS_SHOWN_MAX.saturating_sub(report.rejections.len());
        report.rejections.extend(done.refusals.into_iter().take(room));
    }
    progress.end();
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    report.rows_per_second = report.sent.saturating_mul(1_000) / millis;
    Ok(())
}

async fn worker(mut link: Link, work: Arc<Work>, outlet: mpsc::Sender<Done>) -> Result<()> {
    loop {
        let Some(piece) = work.pieces.lock().await.pop_front() else { break };
        quiet(&mut link, work.pace.max_load).await?;
        let done = taken(&mut link, &work, &piece).await.with_context(|| {
            format!(
                "take blocks {} to {} of {}",
                piece.range.first,
                piece.range.first + piece.range.rows - 1,
                piece.leaf.name
            )
        })?;
        if let Some(done) = done
            && outlet.send(done).await.is_err()
        {
            break;
        }
    }
    link.close().await;
    Ok(())
}

/// Waits while others need PostgreSQL more.
async fn quiet(link: &mut Link, max_load: u32) -> Result<()> {
    let sql = format!(
        "SELECT count(*)::int8 AS active FROM pg_stat_activity WHERE state = 'active' \
         AND backend_type = 'client backend' AND application_name <> '{APPLICATION}'"
    );
    loop {
        let rows = link.rows(&sql).await?;
        let active: i64 = rows.first().context("PostgreSQL does not tell what it does")?.try_get("active")?;
        if active < i64::from(max_load.max(1)) {
            return Ok(());
        }
        tokio::time::sleep(LOAD_PAUSE).await;
    }
}

/// Reads a range and sends it; one that is too large becomes two, which are taken next.
async fn taken(link: &mut Link, work: &Work, piece: &Piece) -> Result<Option<Done>> {
    let Range { first, rows: blocks } = piece.range;
    let reading = work.table.blocks(&work.origin.map, &piece.leaf, (first, blocks), &work.only);
    let (Decoded { rows, refused }, file_node) = link.read(&reading).await?;
    if file_node != Some(piece.leaf.file_node) {
        bail!(
            "{} was rewritten (VACUUM FULL, CLUSTER, TRUNCATE, or another type of a column) since the migration began, and its rows \
             are at other places\n  abandon the migration, and begin again with another table of the dataset",
            piece.leaf.name
        );
    }
    let read = rows.num_rows() as u64;
    let refusals =
        refused.iter().map(|row| format!("{} row {}: `{}` has {}", piece.leaf.name, row.row, row.column, row.why));
    let refusals: Vec<String> = refusals.collect();
    let body = encoded_rows(work.prices.as_deref(), &first_versions(&rows)?)?;
    if body.bytes() > FILE_REQUEST_BYTES_MAX && blocks > 1 {
        let half = blocks / 2;
        let mut pieces = work.pieces.lock().await;
        for (first, rows) in [(first + half, blocks - half), (first, half)] {
            pieces.push_front(Piece { leaf: piece.leaf.clone(), range: Range { first, rows } });
        }
        return Ok(None);
    }
    let file = piece.leaf.name.clone();
    let piece = MigrationPiece { migration: work.migration.id.clone(), file, first, rows: blocks };
    let table = (work.migration.dataset.as_str(), work.migration.table_name.as_str());
    let Admitted { accepted, rejected, rejections } = sent(&work.server, &work.migration, table, &piece, &body).await?;
    let later = rejections.iter().map(|row| format!("{} row {}: {}", piece.file, row.index, row.detail));
    let all = refused.len() as u64 + rejected;
    Ok(Some(Done {
        blocks,
        rows: read,
        accepted,
        rejected: all,
        refusals: refusals.into_iter().chain(later).collect(),
    }))
}

/// Sends a piece. Rows of it may have changed since an earlier try that did arrive: then what arrived is right.
pub(super) async fn sent(
    server: &Server,
    migration: &Migration,
    table: (&str, &str),
    piece: &MigrationPiece,
    body: &Encoded,
) -> Result<Admitted> {
    match server.send(table, piece, body).await {
        Err(error) if crate::migrate::server::is_status(&error, 409) => {
            let known = server.taken(migration).await?;
            match known.iter().find(|one| (&one.file, one.first, one.rows) == (&piece.file, piece.first, piece.rows)) {
                Some(known) => Ok(Admitted { accepted: known.accepted, ..Admitted::default() }),
                None => Err(error),
            }
        }
        outcome => outcome,
    }
}

/// Adds what says that these are the first versions of their rows.
fn first_versions(rows: &RecordBatch) -> Result<RecordBatch> {
    let count = rows.num_rows();
    versioned(rows, Arc::new(UInt64Array::from(vec![0; count])), Arc::new(BooleanArray::from(vec![false; count])))
}

/// Adds the columns of versions.
pub(super) fn versioned(rows: &RecordBatch, versions: ArrayRef, deleted: ArrayRef) -> Result<RecordBatch> {
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(VERSION, DataType::UInt64, true)));
    fields.push(Arc::new(Field::new(DELETED, DataType::Boolean, true)));
    let mut arrays = rows.columns().to_vec();
    arrays.extend([versions, deleted]);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// Encodes rows as their dataset takes them; those of spans with what is worked out of them, at the prices of models.
pub(super) fn encoded_rows(prices: Option<&Prices>, rows: &RecordBatch) -> Result<Encoded> {
    match prices {
        Some(prices) => Encoded::of(&spans::completed(rows, prices)?),
        None => Encoded::of(rows),
    }
}

impl Report {
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "{} blocks taken, {} of them now: {} rows, {} refused, at {} rows/s (migration {})",
            self.blocks,
            self.blocks - self.known_blocks,
            self.accepted,
            self.rejected,
            self.rows_per_second,
            self.migration
        );
        self.rejections.iter().for_each(|line| println!("  {line}"));
        Ok(())
    }

    pub(super) fn check(&self, dataset: &str) -> Result<()> {
        if self.rejected == 0 {
            return Ok(());
        }
        bail!(
            "{} rows of {dataset} were refused, because a dataset cannot hold their values; all others are durable\n  \
             a comparison counts them, and the cut-over takes --accept-rejected",
            self.rejected
        )
    }
}
