//! `tidegate migrate`: datasets are moved here from Parquet files or DuckDB, without a row lost or doubled on the way.
//!
//! Whatever the source is, its rows are files of Parquet when they are sent: those of a folder, or what the user's own
//! DuckDB writes of a table. A file is sent in pieces. Each row carries the piece that it came in, so a run that was
//! killed, however long ago, goes on behind the rows that are there.
//!
//! | file | does |
//! |---|---|
//! | `server.rs` | asks the server |
//! | `source.rs` | where rows come from, as the server remembers it |
//! | `files.rs` | the Parquet files of a source, cut into pieces |
//! | `hive.rs` | columns that stand in the names of folders |
//! | `duckdb.rs` | the user's DuckDB: what it is asked, and what it writes |
//! | `snapshot.rs` | a table of DuckDB as Parquet files, each of its rows in one of them |
//! | `postgres/` | a table of PostgreSQL: taken, followed, compared |
//! | `plan.rs` | what would be taken, as which types, and what cannot be |
//! | `backfill.rs` | sends pieces |
//! | `progress.rs` | tells how far that is |
//! | `compare/` | compares source and target |
//! | `steps.rs` | status, mirror, cut-over, roll-back, clean-up |
//! | `apply.rs` | loads the mirror's files into DuckDB |

mod apply;
mod backfill;
mod compare;
mod duckdb;
mod encoded;
mod files;
mod hive;
mod plan;
mod postgres;
mod progress;
mod server;
mod snapshot;
mod source;
mod steps;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use postgres::Following;
use server::Server;

use crate::client::Asker;

/// What `tidegate migrate` is told.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    asker: Asker,
    /// Print the report as JSON
    #[arg(long, global = true)]
    json: bool,
    /// The DuckDB program, for what only it can read
    #[arg(long, env = "TIDEGATE_DUCKDB", default_value = "duckdb", value_name = "PROGRAM", global = true)]
    duckdb: PathBuf,
    /// Where PostgreSQL is, for a migration from there: postgres://user:password@host/database
    #[arg(long, env = "TIDEGATE_POSTGRES", value_name = "URL", hide_env_values = true, global = true)]
    postgres: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Move Parquet files: plan, then take their rows; run it again to go on
    Parquet(source::ParquetArgs),
    /// Move a table of a DuckDB file: plan, then take its rows; run it again to go on
    Duckdb(source::DuckdbArgs),
    /// Move a table of PostgreSQL: plan, then take its rows; run it again to go on
    Postgres(postgres::PostgresArgs),
    /// Take changes of a table of PostgreSQL as they come
    Follow(postgres::FollowArgs),
    /// Remove the trigger that captures changes of a table of PostgreSQL
    Release(postgres::ReleaseArgs),
    /// Show every migration, or one
    Status {
        /// The dataset
        dataset: Option<String>,
    },
    /// Compare source and target: rows, days, columns, and queries of one's own
    Validate(compare::ValidateArgs),
    /// Let the older engine have what comes here from now on, as files; or stop that
    Mirror(steps::MirrorArgs),
    /// Load the mirror's files into a DuckDB file, each once
    Apply(apply::ApplyArgs),
    /// Freeze the table, take what is left, compare, switch reads, and let writes go on
    Cutover(steps::CutoverArgs),
    /// Let the older engine answer reads again
    Rollback(steps::RollbackArgs),
    /// End a freeze that nobody needs any more
    Thaw(steps::Which),
    /// End a migration whose reads are switched
    Cleanup(steps::CleanupArgs),
    /// Give a migration up whose reads are not switched; what was taken stays
    Abandon(steps::Which),
}

impl MigrateArgs {
    /// Says whether all rows of a source go through this program, and it ends then.
    pub(crate) const fn moves_and_ends(&self) -> bool {
        matches!(
            self.command,
            Command::Parquet(_)
                | Command::Duckdb(_)
                | Command::Postgres(_)
                | Command::Validate(_)
                | Command::Cutover(_)
        )
    }
}

/// Does what the command line says.
pub(crate) async fn run(args: MigrateArgs) -> Result<()> {
    let server = Server::new(args.asker)?;
    let from = if let Command::Postgres(own) = &args.command { own.from.clone() } else { None };
    let postgres = from.or(args.postgres);
    let told = Told { server, json: args.json, duckdb: duckdb::Duckdb::new(args.duckdb), postgres };
    match args.command {
        Command::Parquet(args) => backfill::run(&told, source::of_parquet(&args)?, &args.taking).await,
        Command::Duckdb(args) => backfill::run(&told, source::of_duckdb(&args)?, &args.taking).await,
        Command::Postgres(args) => postgres::run(&told, &args).await,
        Command::Follow(args) => postgres::follow(&told, &args).await,
        Command::Release(args) => postgres::release(&told, &args).await,
        Command::Status { dataset } => steps::status(&told, dataset.as_deref()).await,
        Command::Validate(args) => compare::run(&told, &args).await,
        Command::Mirror(args) => steps::mirror(&told, &args).await,
        Command::Apply(args) => apply::run(&told, &args).await,
        Command::Cutover(args) => steps::cut_over(&told, &args).await,
        Command::Rollback(args) => steps::roll_back(&told, &args).await,
        Command::Thaw(which) => steps::one(&told, &which, "thaw").await,
        Command::Cleanup(args) => steps::clean_up(&told, &args).await,
        Command::Abandon(which) => steps::abandon(&told, &which).await,
    }
}

/// What every command is told.
struct Told {
    server: Server,
    json: bool,
    duckdb: duckdb::Duckdb,
    postgres: Option<String>,
}
