//! Source and target compared: each piece by the hashes of its rows, the whole by days and columns, and by queries that
//! both engines run. Every row of the source is read, and every row that came of it.
//!
//! | file | does |
//! |---|---|
//! | `form.rs` | rows as both sides hash them |
//! | `pieces.rs` | pieces, and within one that differs its rows |
//! | `columns.rs` | days, and what each column holds, taken together |
//! | `queries.rs` | queries that DuckDB and Tidegate run |

mod columns;
pub(super) mod form;
pub(super) mod pieces;
pub(super) mod queries;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::Told;
use super::backfill::files_of;
use super::files::Files;
use super::postgres::{self, Signing};
use super::progress::Progress;
use super::server::Migration;
use form::Form;

/// What `tidegate migrate validate` is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct ValidateArgs {
    /// The dataset
    pub(super) dataset: String,
    /// The table of the dataset, where several are moved
    #[arg(long)]
    pub(super) table_name: Option<String>,
    /// A file of queries that both engines run
    #[arg(long, value_name = "FILE")]
    pub(super) queries: Option<PathBuf>,
    #[command(flatten)]
    pub(super) signing: Signing,
}

/// What a comparison came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    pub(super) equal: bool,
    migration: String,
    /// The newest row of the target when it began.
    head: u64,
    /// Rows of the source.
    rows: u64,
    /// Those of them that were refused, and are not compared.
    rejected: u64,
    /// Rows of the target that came from elsewhere.
    other_rows: u64,
    pieces: u64,
    pieces_differ: u64,
    rows_differ: u64,
    /// Rows that differ, the first of them.
    differences: Vec<pieces::Difference>,
    /// What of days and columns differs.
    columns: Vec<columns::Unequal>,
    /// Columns, and what of each was compared.
    compared: Vec<String>,
    queries: Vec<queries::Outcome>,
    /// What else is wrong.
    problems: Vec<String>,
}

/// Compares, tells the server, and ends with an error if anything differs.
pub(crate) async fn run(told: &Told, args: &ValidateArgs) -> Result<()> {
    let migration = told.server.migration_of(&args.dataset, args.table_name.as_deref()).await?;
    if postgres::is_postgres(&migration) {
        return postgres::validate(told, migration, &args.signing).await;
    }
    let files = files_of(told, &migration).await?;
    let comparison = compare(told, &migration, &files, args.queries.as_ref()).await?;
    comparison.print(told.json)?;
    comparison.check()
}

/// Compares, and tells the server what it came to.
pub(super) async fn compare(
    told: &Told,
    migration: &Migration,
    files: &Arc<Files>,
    queries: Option<&PathBuf>,
) -> Result<Comparison> {
    // Rows that come from now on are not in it.
    let migration = told.server.again(migration).await?;
    let table = told.server.table(&migration.dataset, &migration.table_name).await?;
    let table = table.with_context(|| format!("the dataset `{}` has no table yet", migration.dataset))?;
    let form = Arc::new(Form::of(&table)?);
    let mut progress = Progress::new("compared", files.rows(), 0);
    let found = pieces::compare(told, &migration, (files, &form), &mut progress).await?;
    progress.end();
    let (columns, compared) = columns::compare(told, &migration, &form, &found.columns).await?;
    let queries = queries::run(told, &migration, (files, &table), queries).await?;
    let mut problems = found.problems;
    if migration.rows != files.rows() {
        let (rows, planned) = (files.rows(), migration.rows);
        problems.push(format!("the source has {rows} rows, of which {planned} were planned: take the others first"));
    }
    let is_equal = found.pieces_differ == 0 && columns.is_empty() && problems.is_empty();
    let comparison = Comparison {
        equal: is_equal && queries.iter().all(|outcome| outcome.equal),
        migration: migration.id.clone(),
        head: migration.head,
        rows: files.rows(),
        rejected: found.rejected,
        other_rows: found.other_rows,
        pieces: found.pieces,
        pieces_differ: found.pieces_differ,
        rows_differ: found.rows_differ,
        differences: found.differences,
        columns,
        compared,
        queries,
        problems,
    };
    let body =
        json!({ "equal": comparison.equal, "head": comparison.head, "rows": comparison.rows, "report": comparison });
    let path = format!("/admin/migrations/{}/validation", migration.id);
    told.server.ask(Method::PUT, &path, Some(&body)).await?;
    Ok(comparison)
}

impl Comparison {
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let (pieces, differ) = (self.pieces, self.pieces_differ);
        println!(
            "{} rows of the source in {pieces} pieces: {differ} pieces differ, in {} rows",
            self.rows, self.rows_differ
        );
        println!("{} rows were refused; {} rows of the target came from elsewhere", self.rejected, self.other_rows);
        for difference in &self.differences {
            println!("  {difference}");
        }
        for line in &self.compared {
            println!("  compared: {line}");
        }
        for unequal in &self.columns {
            println!("  differs: {unequal}");
        }
        for outcome in &self.queries {
            println!("  {outcome}");
        }
        for problem in &self.problems {
            println!("  {problem}");
        }
        println!("{}", if self.equal { "both are equal" } else { "they differ" });
        Ok(())
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.equal {
            return Ok(());
        }
        bail!("source and target differ\n  what differs is listed above, and in `tidegate migrate status --json`")
    }
}

/// What each column holds, taken together, by its name.
type Columns = BTreeMap<String, columns::Summary>;

pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
