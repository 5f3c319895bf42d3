use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::postgres::Origin;

/// What both kinds of sources are told.
#[derive(Debug, Args)]
pub(super) struct Taking {
    /// The dataset; made with the first rows
    #[arg(long, short, value_name = "SLUG")]
    pub(super) dataset: String,
    /// The table of the dataset
    #[arg(long, default_value = "records", value_name = "TABLE")]
    pub(super) table_name: String,
    /// Say what would be taken, and take nothing
    #[arg(long)]
    pub(super) plan: bool,
    /// Where readers are sent while the older engine answers: a path or an address, for people
    #[arg(long, default_value = "", value_name = "PLACE")]
    pub(super) ask: String,
    /// Columns that are not taken
    #[arg(long, value_name = "COLUMN")]
    pub(super) leave_out: Vec<String>,
    /// Columns that get another name: OLD=NEW
    #[arg(long, value_name = "OLD=NEW", value_parser = renamed)]
    pub(super) rename: Vec<(String, String)>,
}

/// What `tidegate migrate parquet` is told.
#[derive(Debug, Args)]
pub(super) struct ParquetArgs {
    /// A folder, with all that is below it; or a pattern such as 'data/2026-*/*.parquet'
    #[arg(long, value_name = "FOLDER|PATTERN")]
    from: String,
    #[command(flatten)]
    pub(super) taking: Taking,
}

/// What `tidegate migrate duckdb` is told.
#[derive(Debug, Args)]
pub(super) struct DuckdbArgs {
    /// The DuckDB file; nobody may have it open for writing meanwhile
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Its table, as DuckDB names it [default: the dataset's name]
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// The folder of the Parquet files that DuckDB writes; keep it until the migration is over
    #[arg(long, value_name = "FOLDER")]
    work: Option<PathBuf>,
    #[command(flatten)]
    pub(super) taking: Taking,
}

/// Where rows come from, as the server remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Source {
    #[serde(flatten)]
    pub(super) place: Place,
    /// Columns that are not taken.
    #[serde(default)]
    pub(super) leave_out: Vec<String>,
    /// Columns with another name: old, new.
    #[serde(default)]
    pub(super) rename: Vec<(String, String)>,
}

/// The older engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Place {
    /// Files of Parquet.
    Parquet {
        /// The folder that their paths are below.
        root: PathBuf,
        /// Which of them, as a pattern of paths below it.
        pattern: String,
    },
    /// A table of a DuckDB file.
    Duckdb {
        file: PathBuf,
        table: String,
        /// Where it is written to as Parquet.
        work: PathBuf,
    },
    /// A table of PostgreSQL.
    Postgres(Box<Origin>),
}

impl Source {
    /// Returns the name that a column gets, if it is taken.
    pub(super) fn name_of<'a>(&'a self, column: &'a str) -> Option<&'a str> {
        if self.leave_out.iter().any(|left| left == column) {
            return None;
        }
        Some(self.rename.iter().find(|(old, _)| old == column).map_or(column, |(_, new)| new))
    }
}

pub(super) fn of_parquet(args: &ParquetArgs) -> Result<Source> {
    let from = Path::new(&args.from);
    let (root, pattern) = if from.is_dir() {
        (from.to_owned(), "**".to_owned())
    } else if from.is_file() {
        let name = from.file_name().context("the path names no file")?.to_string_lossy().into_owned();
        (from.parent().unwrap_or(Path::new(".")).to_owned(), name)
    } else {
        split(&args.from)
    };
    let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
    let root = root.canonicalize().with_context(|| format!("find the folder of {}", args.from))?;
    Ok(of(Place::Parquet { root, pattern }, &args.taking))
}

pub(super) fn of_duckdb(args: &DuckdbArgs) -> Result<Source> {
    let file = args.from.canonicalize().with_context(|| format!("find the DuckDB file {}", args.from.display()))?;
    if !file.is_file() {
        bail!("{} is no file\n  for a folder of Parquet files use `tidegate migrate parquet`", file.display());
    }
    let name = format!("tidegate-migrate-{}-{}", args.taking.dataset, args.taking.table_name);
    let work = args.work.clone().unwrap_or_else(|| PathBuf::from(name));
    let work = std::path::absolute(&work).with_context(|| format!("find the folder {}", work.display()))?;
    let table = args.table.clone().unwrap_or_else(|| args.taking.dataset.clone());
    Ok(of(Place::Duckdb { file, table, work }, &args.taking))
}

fn of(place: Place, taking: &Taking) -> Source {
    Source { place, leave_out: taking.leave_out.clone(), rename: taking.rename.clone() }
}

/// Splits a pattern behind the last folder that has no sign of a pattern.
fn split(pattern: &str) -> (PathBuf, String) {
    let sign = pattern.find(['*', '?']).unwrap_or(pattern.len());
    match pattern[..sign].rfind('/') {
        Some(slash) => (PathBuf::from(&pattern[..=slash]), pattern[slash + 1..].to_owned()),
        None => (PathBuf::new(), pattern.to_owned()),
    }
}

fn renamed(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(old, new)| (old.to_owned(), new.to_owned()));
    pair.ok_or_else(|| format!("`{text}` is not OLD=NEW"))
}
