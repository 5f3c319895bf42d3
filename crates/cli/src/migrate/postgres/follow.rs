use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{BooleanArray, RecordBatch, UInt64Array};
use clap::Args;
use serde_json::json;
use sqlx::Row as _;
use tidegate_model::MigrationPiece;
use tidegate_postgres::{Cell, Column, Decoded};

use super::Moving;
use super::backfill::{encoded_rows, sent, versioned};
use super::capture::{Capture, Lag};
use super::link::{Reading, is_away};
use super::plan::{DELETED, VERSION};
use super::sweep::{self, Swept};
use crate::migrate::Told;
use crate::migrate::encoded::Encoded;
use crate::migrate::server::{Admitted, Taken, is_unreachable};

/// Changes of one batch.
const BATCH_CHANGES_MAX: u32 = 20_000;

/// Bytes of one batch, as PostgreSQL keeps them.
const BATCH_BYTES: u64 = 8 << 20;

/// Our file in which batches are pieces. They are no blocks, so each counts for none.
const FILE: &str = "changes";

/// How long it waits for a side that is away.
const AWAY_PAUSE: Duration = Duration::from_secs(2);

/// How often it is asked whether another relay is done.
const LEVEL_LOOK: Duration = Duration::from_millis(100);

/// What `tidegate migrate follow` is told.
#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// The dataset
    dataset: String,
    /// The table of the dataset, where several are moved
    #[arg(long)]
    table_name: Option<String>,
    /// Take what is there, and end
    #[arg(long)]
    once: bool,
    /// How often PostgreSQL is asked for changes
    #[arg(long, default_value_t = 500, value_name = "MS")]
    every_ms: u64,
}

/// Takes changes until it is stopped. It may be stopped anyhow, at any moment, and run again.
pub(crate) async fn follow(told: &Told, args: &FollowArgs) -> Result<()> {
    let migration = told.server.migration_of(&args.dataset, args.table_name.as_deref()).await?;
    let mut moving = super::moving(told, migration).await?;
    let (mut changes, mut swept) = (0, Swept::default());
    loop {
        let is_free = args.once || moving.origin.sweep.is_some() || is_alone(&mut moving).await.unwrap_or(true);
        if !is_free {
            // A cut-over, for example, or another one of these: when it ends, this one goes on.
            tokio::time::sleep(AWAY_PAUSE).await;
            continue;
        }
        let taken = match round(told, &mut moving, &mut swept).await {
            // It is to run for days: either side may be away for as long as it likes.
            Err(error) if !args.once && (is_unreachable(&error) || is_away(&error)) => {
                eprintln!("{error:#}: trying again");
                tokio::time::sleep(AWAY_PAUSE).await;
                continue;
            }
            outcome => outcome?,
        };
        changes += taken;
        if args.once {
            let told_lag = lag(&mut moving).await?;
            println!("{}", json!({ "changes": changes, "lagRows": told_lag.changes, "lagSeconds": told_lag.seconds }));
            return Ok(());
        }
        if taken > 0
            && let Ok(lag) = lag(&mut moving).await
        {
            eprintln!("{changes} changes taken; {} are left, the oldest is {} s old", lag.changes, lag.seconds);
        }
        tokio::time::sleep(Duration::from_millis(args.every_ms.max(1))).await;
    }
}

/// Takes what there is by now.
async fn round(told: &Told, moving: &mut Moving, swept: &mut Swept) -> Result<u64> {
    match moving.origin.sweep.clone() {
        Some(sweep) => sweep::round(told, moving, &sweep, swept).await,
        None => drain(told, moving).await,
    }
}

/// Says how many changes are not here yet.
pub(super) async fn lag(moving: &mut Moving) -> Result<Lag> {
    match moving.origin.capture(&moving.table) {
        Some(capture) => capture.lag(&mut moving.link).await,
        None => Ok(Lag::default()),
    }
}

/// Takes every change that is committed by now; returns how many.
pub(super) async fn drain(told: &Told, moving: &mut Moving) -> Result<u64> {
    let Some(capture) = moving.origin.capture(&moving.table) else {
        bail!("changes of {} are not captured: the migration was begun without --capture", moving.origin.table)
    };
    let mut known: Option<Vec<Taken>> = None;
    let mut changes = 0;
    loop {
        ensure!(
            is_alone(moving).await?,
            "another `tidegate migrate follow` takes the changes of {} already",
            moving.origin.table
        );
        let batch = match marked(moving, &capture).await? {
            Some(batch) => {
                // It was marked by a run that ended: it may have arrived.
                if known.is_none() {
                    known = Some(told.server.taken(&moving.migration).await?);
                }
                let is_known = known.iter().flatten().any(|taken| taken.file == FILE && taken.first == batch);
                if is_known {
                    removed(moving, &capture, batch).await?;
                    continue;
                }
                batch
            }
            None => match mark(moving, &capture).await? {
                Some(batch) => batch,
                None => return Ok(changes),
            },
        };
        changes += relay(told, moving, &capture, batch).await?;
        removed(moving, &capture, batch).await?;
    }
}

/// Waits until every change is here that is committed by now: takes them, unless somebody does already.
pub(super) async fn level(told: &Told, moving: &mut Moving, within: Duration) -> Result<()> {
    if moving.origin.sweep.is_some() {
        return round(told, moving, &mut Swept::default()).await.map(drop);
    }
    if moving.origin.boundary.is_none() {
        return Ok(());
    }
    let began = Instant::now();
    if is_alone(moving).await? {
        while drain(told, moving).await? > 0 && began.elapsed() < within {}
        return Ok(());
    }
    loop {
        let left = lag(moving).await?;
        if left.changes == 0 {
            return Ok(());
        }
        ensure!(began.elapsed() < within, "{} changes are not here after {} s", left.changes, within.as_secs());
        tokio::time::sleep(LEVEL_LOOK).await;
    }
}

/// Says whether nobody else takes changes of the table. Two relays would be right, and each would do all of the work.
pub(super) async fn is_alone(moving: &mut Moving) -> Result<bool> {
    let sql = format!(
        "SELECT pg_try_advisory_lock({}, {}) AS is_alone",
        i32::from_be_bytes(*b"tide"),
        i32::try_from(moving.origin.oid & 0x7fff_ffff).unwrap_or(0)
    );
    let is_held =
        "SELECT count(*)::int8 AS n FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted";
    let held = moving.link.rows(is_held).await?;
    if held.first().is_some_and(|row| row.try_get::<i64, _>("n").is_ok_and(|held| held > 0)) {
        return Ok(true);
    }
    let rows = moving.link.rows(&sql).await?;
    Ok(rows.first().context("PostgreSQL does not answer")?.try_get("is_alone")?)
}

/// Returns a batch that was marked and not removed.
async fn marked(moving: &mut Moving, capture: &Capture) -> Result<Option<u64>> {
    let sql = format!("SELECT min(batch) AS batch FROM {} WHERE batch IS NOT NULL", capture.changes());
    let rows = moving.link.rows(&sql).await?;
    let batch: Option<i64> = rows.first().context("PostgreSQL does not answer")?.try_get("batch")?;
    Ok(batch.map(i64::cast_unsigned))
}

/// Makes a batch of changes that are committed. From then on the batch has these, whatever is killed.
async fn mark(moving: &mut Moving, capture: &Capture) -> Result<Option<u64>> {
    let changes = capture.changes();
    moving
        .link
        .run(&format!(
            "WITH own AS (SELECT nextval('{}') AS batch), next AS ( \
                 SELECT id, sum(pg_column_size(image)) OVER (ORDER BY id) - pg_column_size(image) AS before FROM \
                     (SELECT id, image FROM {changes} WHERE batch IS NULL ORDER BY id LIMIT {BATCH_CHANGES_MAX}) AS waiting) \
             UPDATE {changes} SET batch = own.batch FROM own, next \
             WHERE {changes}.id = next.id AND next.before < {BATCH_BYTES}",
            capture.batches()
        ))
        .await
        .context("mark a batch of changes")?;
    marked(moving, capture).await
}

async fn removed(moving: &mut Moving, capture: &Capture, batch: u64) -> Result<()> {
    moving.link.run(&format!("DELETE FROM {} WHERE batch = {batch}", capture.changes())).await
}

/// Sends a batch.
async fn relay(told: &Told, moving: &mut Moving, capture: &Capture, batch: u64) -> Result<u64> {
    let (list, mut columns) = moving.table.projection(&moving.origin.map);
    columns.push(Column { name: VERSION.to_owned(), cell: Cell::Int8, is_list: false });
    columns.push(Column { name: DELETED.to_owned(), cell: Cell::Bool, is_list: false });
    let select = format!(
        "SELECT {list}, CASE WHEN c.is_first THEN 0 ELSE c.id END, c.op = 'D' \
         FROM {} AS c CROSS JOIN LATERAL json_populate_record(NULL::{}, c.image) AS r WHERE c.batch = {batch} ORDER BY c.id",
        capture.changes(),
        moving.table.name,
    );
    let reading = Reading { before: String::new(), select, columns, after: None };
    let (Decoded { rows, refused }, _) = moving.link.read(&reading).await?;
    for row in &refused {
        eprintln!("a change of {} is refused: `{}` has {}", moving.origin.table, row.column, row.why);
    }
    let body = encoded_rows(moving.prices.as_deref(), &with_versions(&rows)?)?;
    let piece = MigrationPiece { migration: moving.migration.id.clone(), file: FILE.to_owned(), first: batch, rows: 0 };
    let admitted = brought(told, moving, &piece, &body).await?;
    for row in &admitted.rejections {
        eprintln!("a change of {} is refused: {}", moving.origin.table, row.detail);
    }
    Ok(rows.num_rows() as u64 + refused.len() as u64)
}

/// Sends rows that are no part of the backfill, whatever the state of the migration.
pub(super) async fn brought(told: &Told, moving: &Moving, piece: &MigrationPiece, body: &Encoded) -> Result<Admitted> {
    let migration = told.server.again(&moving.migration).await?;
    let table = (migration.dataset.as_str(), migration.table_name.as_str());
    if migration.state == "switched" {
        // Pieces are not taken any more; the key by which this one would be known is the same.
        return told.server.send_known(table, piece, body).await;
    }
    sent(&told.server, &migration, table, piece, body).await
}

/// Makes numbers without a sign of versions.
fn with_versions(rows: &RecordBatch) -> Result<RecordBatch> {
    let own = rows.num_columns() - 2;
    let versions = rows.column(own).as_primitive::<Int64Type>();
    let versions: UInt64Array = versions.iter().map(|version| version.map(i64::cast_unsigned)).collect();
    let deleted: BooleanArray = rows.column(own + 1).as_boolean().clone();
    let source = rows.project(&(0..own).collect::<Vec<_>>())?;
    versioned(&source, Arc::new(versions), Arc::new(deleted))
}
