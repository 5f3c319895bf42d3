use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{BooleanArray, RecordBatch, UInt64Array};
use arrow_select::filter::filter_record_batch;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use tidegate_model::MigrationPiece;
use tidegate_postgres::{Cell, Column, Decoded};

use super::Moving;
use super::backfill::{encoded_rows, versioned};
use super::follow::brought;
use super::link::{Link, Reading, name};
use super::plan::VERSION;
use super::table::Table;
use super::verify::{Shape, versions_of};
use crate::migrate::Told;

/// Rows that are looked up in the target at once: their hashes are in one statement.
const ROWS_AT_ONCE: usize = 8_000;

/// A transaction may end so long after the time that it writes into its rows, in seconds.
const OVERLAP_SECONDS: i64 = 60;

/// Our file in which swept rows are pieces.
const FILE: &str = "sweep";

/// Changes are found by columns of the application's own, where no trigger may be made.
///
/// The backfill has the rows of transactions that were over when it began: of each key there is one such version at the
/// most, and none that comes later. All other rows were written since, and their columns must say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sweep {
    /// When the row was last changed; nothing: never.
    updated: String,
    /// When it was made.
    created: String,
    /// When the oldest transaction began that the backfill does not have, in microseconds since 1970.
    from: i64,
    /// The oldest transaction that was not over.
    boundary: i64,
}

/// Hashes of keys, with versions.
type Versions = HashSet<(u64, u64)>;

/// What a sweep remembers from one round to the next.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Where the next round begins, in microseconds since 1970.
    mark: Option<i64>,
    /// Rows of the last round, by the hashes of their keys and their versions: those are here.
    known: Versions,
}

impl Sweep {
    /// Begins one.
    pub(super) async fn begun(link: &mut Link, table: &Table, columns: &[String]) -> Result<Self> {
        let [updated, created] = columns else { anyhow::bail!("--sweep takes two columns: updated_at,created_at") };
        for wanted in columns {
            let is_time = table.columns.iter().any(|column| column.column == *wanted && column.is_time());
            ensure!(is_time, "`{wanted}` is no column with a time");
        }
        let rows = link
            .rows(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8 AS boundary, (extract(epoch FROM least( \
                     now(), (SELECT min(xact_start) FROM pg_stat_activity))) * 1000000)::int8 AS began",
            )
            .await?;
        let row = rows.first().context("PostgreSQL does not tell its transactions")?;
        let (updated, created) = (updated.clone(), created.clone());
        Ok(Self { updated, created, from: row.try_get("began")?, boundary: row.try_get("boundary")? })
    }

    /// The condition of rows that belong to the backfill, behind others.
    pub(super) fn only(&self) -> String {
        format!(" AND NOT (age(r.xmin) BETWEEN 0 AND age('{}'::xid))", self.boundary & 0xffff_ffff)
    }

    /// What is read of rows that were written since a moment, in the order in which they were.
    fn reading(&self, moving: &Moving, since: i64) -> Reading {
        let (list, mut columns) = moving.table.projection(&moving.origin.map);
        columns.push(Column { name: VERSION.to_owned(), cell: Cell::Int8, is_list: false });
        let (updated, created) = (format!("r.{}", name(&self.updated)), format!("r.{}", name(&self.created)));
        let micros = format!("greatest(floor(extract(epoch FROM {updated}) * 1000000)::int8, 1)");
        let version = format!("CASE WHEN isfinite({updated}) THEN {micros} ELSE 0 END");
        let moment = format!("to_timestamp({since}::numeric / 1000000) - interval '{OVERLAP_SECONDS} s'");
        let select = format!(
            "SELECT {list}, {version} FROM {} AS r WHERE {updated} >= {moment} OR ({updated} IS NULL AND {created} >= {moment}) \
             ORDER BY coalesce({updated}, {created})",
            moving.table.name
        );
        Reading { before: String::new(), select, columns, after: None }
    }
}

/// Takes rows that were written since the last round; returns how many were not here.
pub(super) async fn round(told: &Told, moving: &mut Moving, sweep: &Sweep, swept: &mut Swept) -> Result<u64> {
    let migration = told.server.again(&moving.migration).await?;
    ensure!(migration.seen >= migration.rows, "the rows that are there are taken first: `tidegate migrate postgres`");
    let now = moving.link.rows("SELECT (extract(epoch FROM now()) * 1000000)::int8 AS now").await?;
    let now: i64 = now.first().context("PostgreSQL does not tell the time")?.try_get("now")?;
    let reading = sweep.reading(moving, swept.mark.unwrap_or(sweep.from));
    let (Decoded { rows, refused }, _) = moving.link.read(&reading).await?;
    for row in &refused {
        eprintln!("a row of {} is refused: `{}` has {}", moving.origin.table, row.column, row.why);
    }
    let table = told.server.table(&migration.dataset, &migration.table_name).await?;
    let shape = Shape::of(&table.context("the dataset has no table yet")?, moving)?;
    let (mut sent, mut known) = (0, HashSet::new());
    for first in (0..rows.num_rows()).step_by(ROWS_AT_ONCE) {
        let some = rows.slice(first, ROWS_AT_ONCE.min(rows.num_rows() - first));
        sent += lacking(told, moving, (&shape, &some), (&swept.known, &mut known)).await?;
    }
    *swept = Swept { mark: Some(now), known };
    Ok(sent)
}

/// Sends those rows whose version of their key is not here.
async fn lacking(
    told: &Told,
    moving: &Moving,
    (shape, rows): (&Shape, &RecordBatch),
    (before, known): (&Versions, &mut Versions),
) -> Result<u64> {
    // Rows that the target refuses are not asked for: their keys have no hash there.
    let (keys, places) = shape.keys_of(rows)?;
    let versions = rows.column(rows.num_columns() - 1).as_primitive::<Int64Type>();
    let mut own = vec![None; rows.num_rows()];
    for (key, place) in keys.into_iter().zip(places) {
        let place = usize::try_from(place)?;
        own[place] = Some((key, versions.value(place).cast_unsigned()));
    }
    let asked: Vec<u64> = own.iter().flatten().filter(|row| !before.contains(row)).map(|(key, _)| *key).collect();
    let here = versions_of(&told.server, shape, &asked).await?;
    let wanted: BooleanArray =
        own.iter().map(|row| Some(row.is_some_and(|row| !before.contains(&row) && !here.contains(&row)))).collect();
    known.extend(own.iter().flatten());
    if wanted.true_count() == 0 {
        return Ok(0);
    }
    let rows = filter_record_batch(rows, &wanted)?;
    let last = rows.num_columns() - 1;
    let versions = rows.column(last).as_primitive::<Int64Type>().iter().map(|one| one.map(i64::cast_unsigned));
    let deleted = BooleanArray::from(vec![false; rows.num_rows()]);
    let source = rows.project(&(0..last).collect::<Vec<_>>())?;
    let body = encoded_rows(
        moving.prices.as_deref(),
        &versioned(&source, Arc::new(versions.collect::<UInt64Array>()), Arc::new(deleted))?,
    )?;
    let first = body.digest().iter().take(7).fold(0, |number, byte| number << 8 | u64::from(*byte));
    let piece = MigrationPiece { migration: moving.migration.id.clone(), file: FILE.to_owned(), first, rows: 0 };
    let admitted = brought(told, moving, &piece, &body).await?;
    for row in &admitted.rejections {
        eprintln!("a row of {} is refused: {}", moving.origin.table, row.detail);
    }
    Ok(rows.num_rows() as u64)
}
