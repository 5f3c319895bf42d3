//! A table of PostgreSQL: planned, taken by ranges of its blocks, followed as it changes, and compared.
//!
//! Rows are read where they are, by blocks, and not by key or time: this needs no index, each block is read once whatever
//! is equal in it, and a range means the same rows after a crash, because a version of a row never moves to another block.
//!
//! Every row gets `row_version` and `row_deleted`. The backfill brings version 0 of each key. What changes later comes as
//! a further row with a greater version, the number of the change. `capture.rs` says why the two never have a version of
//! a row in common, and never miss one.
//!
//! | file | does |
//! |---|---|
//! | `link.rs` | asks PostgreSQL, again when it went away |
//! | `table.rs` | what its catalog tells of a table |
//! | `map.rs` | which columns are taken, under which names, as which types |
//! | `types.rs` | which types a column may become |
//! | `plan.rs` | what would be taken, and what cannot be |
//! | `capture.rs` | the trigger that captures changes |
//! | `backfill.rs` | takes the rows that are there |
//! | `follow.rs` | takes changes |
//! | `attend.rs` | takes them in the server's own process |
//! | `spans.rs` | what spans of AI applications have beside the columns of the source |
//! | `sweep.rs` | finds changes by columns of the application's, where there is no trigger |
//! | `verify/` | compares |
//! | `report.rs` | the signed file of a comparison |
//! | `steps.rs` | cut-over, and removing what was made in PostgreSQL |

mod attend;
mod backfill;
mod capture;
mod follow;
mod link;
mod map;
mod plan;
mod report;
mod spans;
mod steps;
mod sweep;
mod table;
mod types;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_traces::Prices;

pub(crate) use attend::Following;
use capture::Capture;
pub(super) use follow::{FollowArgs, follow};
use link::{Address, Link};
use map::Map;
use plan::{DELETED, Plan, VERSION};
pub(super) use report::Signing;
pub(super) use steps::{Cutover, ReleaseArgs, cut_over, release, release_of};
use sweep::Sweep;
use table::{Leaf, Table};

use super::Told;
use super::server::{self, Migration};
use super::source::{Place, Source, Taking};
use crate::client::encoded;

/// Ranges of blocks that are read at once for a comparison.
const COMPARED_AT_ONCE: usize = 2;

/// What `tidegate migrate postgres` is told.
#[derive(Debug, Args)]
pub(super) struct PostgresArgs {
    /// Where PostgreSQL is: postgres://user:password@host/database; better in the environment, as TIDEGATE_POSTGRES
    #[arg(long, value_name = "URL")]
    pub(super) from: Option<String>,
    /// The table, as schema.name
    #[arg(long, value_name = "TABLE")]
    table: String,
    /// The columns that make a row unique, with commas between [default: its primary key]
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    key: Vec<String>,
    /// The column with the rows' time [default: as a dataset chooses it]
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// A TOML file that says which columns are taken: columns = […], leaveOut = […], [rename] old = "new", [types] old = "keyword"
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Capture changes from now on with a trigger, for `tidegate migrate follow`; without it nobody may write to the table
    #[arg(long)]
    capture: bool,
    /// Find changes by two columns of the application's instead: when a row was last changed, and when it was made
    #[arg(long, value_delimiter = ',', value_name = "UPDATED,CREATED", conflicts_with = "capture")]
    sweep: Vec<String>,
    /// Ranges that are read at once
    #[arg(long, default_value_t = 2, value_name = "N")]
    workers: usize,
    /// Wait while so many other statements are under way in PostgreSQL
    #[arg(long, default_value_t = 16, value_name = "N")]
    max_load: u32,
    #[command(flatten)]
    taking: Taking,
}

/// A table of PostgreSQL, as the server remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Origin {
    /// Where PostgreSQL is, without a password.
    pub(super) server: String,
    /// The table's schema and name, quoted.
    pub(super) table: String,
    pub(super) oid: i64,
    /// Columns of the source.
    pub(super) key: Vec<String>,
    map: Map,
    leaves: Vec<Leaf>,
    /// The transaction from which on changes are captured.
    boundary: Option<i64>,
    /// Changes are found otherwise.
    #[serde(default)]
    sweep: Option<Sweep>,
}

/// A migration of a table that is under way.
pub(super) struct Moving {
    pub(super) migration: Migration,
    pub(super) origin: Origin,
    table: Table,
    link: Link,
    address: Address,
    /// What models cost, where the rows are spans.
    prices: Option<Arc<Prices>>,
}

impl Origin {
    /// Says whether changes come here while the table is written to.
    const fn is_followed(&self) -> bool {
        self.boundary.is_some() || self.sweep.is_some()
    }

    /// The condition of rows that belong to the backfill, behind others.
    fn only(&self, table: &Table) -> String {
        let captured = self.capture(table).map(|capture| capture.only());
        captured.or_else(|| self.sweep.as_ref().map(Sweep::only)).unwrap_or_default()
    }

    fn capture(&self, table: &Table) -> Option<Capture> {
        self.boundary.map(|boundary| Capture::known(table, boundary, self.key.clone()))
    }
}

fn address(told: &Told) -> Result<Address> {
    let url = told.postgres.as_deref().context(
        "say where PostgreSQL is: --from postgres://user:password@host/database, or TIDEGATE_POSTGRES in the environment",
    )?;
    Address::parse(url)
}

/// Plans, begins or goes on, and takes every row that is not here yet.
pub(super) async fn run(told: &Told, args: &PostgresArgs) -> Result<()> {
    let address = address(told)?;
    let mut link = address.clone().link();
    let label = args.taking.table_name.to_ascii_lowercase();
    let mut map = args.map.as_deref().map(Map::read).transpose()?.unwrap_or_default();
    map.leave_out.extend(args.taking.leave_out.iter().cloned());
    map.rename.extend(args.taking.rename.iter().cloned());
    if spans::is_spans(&args.taking.dataset) {
        spans::check(&map)?;
    }
    let table = Table::find(&mut link, &args.table, &args.key).await?;
    let target = told.server.table(&args.taking.dataset, &label).await?;
    let plan = Plan::of(&mut link, &table, (&map, args.time.as_ref()), target.as_ref()).await?;
    if told.json && args.taking.plan {
        println!("{}", serde_json::to_string_pretty(&plan)?);
    } else if !told.json {
        plan.print();
    }
    plan.check()?;
    if args.taking.plan {
        return Ok(());
    }
    let (migration, place) = begun(told, args, (&address, &mut link), (table, map)).await?;
    make_table(told, &migration, &plan, target.as_ref()).await?;
    let mut moving = moving_of(told, migration, place).await?;
    let report =
        backfill::take(told, &mut moving, backfill::Pace { workers: args.workers, max_load: args.max_load }).await?;
    report.print(told.json)?;
    report.check(&args.taking.dataset)
}

/// Finds the migration of this table, or begins it: changes are captured before rows are counted in.
async fn begun(
    told: &Told,
    args: &PostgresArgs,
    (address, link): (&Address, &mut Link),
    (table, map): (Table, Map),
) -> Result<(Migration, Origin)> {
    let label = args.taking.table_name.to_ascii_lowercase();
    let all = told.server.migrations(Some(&args.taking.dataset)).await?;
    let open = all.into_iter().find(|one| server::is_open(&one.state) && one.table_name == label);
    if let Some(open) = open {
        let place = place_of(&open)?;
        if (&place.server, &place.table, &place.map) != (&address.shown(), &table.name, &map) {
            bail!(
                "the dataset `{}` is being moved from {} of {} already, with other columns or from another place\n  \
                 finish or abandon the migration {} first",
                open.dataset,
                place.table,
                place.server,
                open.id
            );
        }
        return told.server.again(&open).await.map(|open| (open, place));
    }
    let capture = if args.capture { Some(Capture::made(link, &table).await?) } else { None };
    let sweep = if args.sweep.is_empty() { None } else { Some(Sweep::begun(link, &table, &args.sweep).await?) };
    // Only now: rows that were written while the trigger was not there yet are in these blocks.
    let table = Table::find(link, &args.table, &args.key).await?;
    let place = Origin {
        server: address.shown(),
        table: table.name.clone(),
        oid: table.oid,
        key: table.key.clone(),
        map,
        leaves: table.leaves.clone(),
        boundary: capture.as_ref().map(|capture| capture.boundary),
        sweep,
    };
    let source = Source { place: Place::Postgres(Box::new(place.clone())), leave_out: Vec::new(), rename: Vec::new() };
    let begun = json!({ "dataset": args.taking.dataset, "tableName": label, "source": source, "ask": args.taking.ask });
    let migration = match told.server.ask(Method::POST, "/admin/migrations", Some(&begun)).await {
        Ok(migration) => migration,
        Err(error) => {
            // A trigger that nobody reads of would fill PostgreSQL's disk.
            // Whether the server has it is not known where it did not answer; then the next run finds both.
            if let Some(capture) = capture.filter(|_| !server::is_unreachable(&error)) {
                capture::release(link, capture.oid).await?;
            }
            return Err(error);
        }
    };
    let migration: Migration = serde_json::from_value(migration)?;
    if let Some(capture) = capture {
        capture.belongs(link, &migration.id).await?;
    }
    Ok((migration, place))
}

pub(super) fn place_of(migration: &Migration) -> Result<Origin> {
    let source: Source = serde_json::from_value(migration.source.clone()).context("read the migration's source")?;
    match source.place {
        Place::Postgres(place) => Ok(*place),
        _ => bail!("the dataset `{}` is not being moved from PostgreSQL", migration.dataset),
    }
}

/// Says whether a migration's rows come from PostgreSQL.
pub(super) fn is_postgres(migration: &Migration) -> bool {
    migration.source["kind"] == "postgres"
}

/// Connects to the source of a migration that is under way.
pub(super) async fn moving(told: &Told, migration: Migration) -> Result<Moving> {
    let place = place_of(&migration)?;
    moving_of(told, migration, place).await
}

/// Compares both sides of a migration from PostgreSQL.
pub(super) async fn validate(told: &Told, migration: Migration, signing: &Signing) -> Result<()> {
    let mut moving = moving(told, migration).await?;
    let comparison = verify::run(told, &mut moving, (COMPARED_AT_ONCE, signing)).await?;
    comparison.print(told.json)?;
    comparison.check(u64::MAX)
}

async fn moving_of(told: &Told, migration: Migration, place: Origin) -> Result<Moving> {
    let address = address(told)?;
    if address.shown() != place.server {
        bail!("the migration is from {}, and --from names {}", place.server, address.shown());
    }
    let mut link = address.clone().link();
    let table = Table::find(&mut link, &place.table, &place.key).await?;
    if table.oid != place.oid {
        bail!(
            "{} is another table than the one that the migration began with\n  abandon it, and begin again",
            place.table
        );
    }
    if let Some(capture) = place.capture(&table) {
        if Capture::found(&mut link, place.oid).await?.map(|(boundary, _)| boundary) != place.boundary {
            bail!(
                "the trigger of this migration is not in PostgreSQL any more, so changes may be lost\n  \
                 abandon the migration, and begin again with another table of the dataset"
            );
        }
        capture.belongs(&mut link, &migration.id).await?;
        capture.check(&mut link).await?;
    }
    let prices = if spans::is_spans(&migration.dataset) { Some(Arc::new(told.server.prices().await?)) } else { None };
    Ok(Moving { migration, origin: place, table, link, address, prices })
}

/// Makes the table with all of its columns, or adds those that it lacks.
async fn make_table(told: &Told, migration: &Migration, plan: &Plan, target: Option<&server::Table>) -> Result<()> {
    let taken = plan.columns.iter().filter_map(|column| Some((column.name.clone()?, column.becomes?.to_string())));
    let versions = [(VERSION.to_owned(), "uint64".to_owned()), (DELETED.to_owned(), "boolean".to_owned())];
    let mut fields: Vec<(String, String)> = taken.chain(versions).collect();
    if spans::is_spans(&migration.dataset) {
        fields = fields.into_iter().map(|(name, kind)| (name.clone(), spans::kind(&name, kind))).collect();
        let further: Vec<_> = spans::further(fields.iter().map(|(name, _)| name.as_str())).collect();
        fields.extend(further);
    }
    if let Some(target) = target {
        fields.retain(|(name, _)| !target.fields.iter().any(|there| there.name == *name));
        return declare(told, migration, &fields).await;
    }
    // A dataset chooses its time among the columns that it begins with: at first it is the only time there is.
    if let Some(time) = &plan.time_column {
        let first: Vec<_> = fields.iter().filter(|(name, kind)| name == time || kind != "timestamp").cloned().collect();
        declare(told, migration, &first).await?;
        fields.retain(|field| !first.contains(field));
    }
    declare(told, migration, &fields).await
}

async fn declare(told: &Told, migration: &Migration, fields: &[(String, String)]) -> Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    // What a schema leaves out it removes, so columns come one request after another, with nothing declared before.
    let known = told.server.table(&migration.dataset, &migration.table_name).await?;
    let known = known.into_iter().flat_map(|table| table.fields).map(|field| (field.name, field.kind));
    let all = known.chain(fields.iter().cloned());
    let fields: Vec<Value> = all.map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
    let body = json!({ "tableName": migration.table_name, "schema": { "fields": fields }, "rows": [] });
    let path = format!("/datasets/{}/ingest", encoded(&migration.dataset));
    told.server.ask(Method::POST, &path, Some(&body)).await.map(drop)
}
