//! `tidegate datasets`: datasets of a running server, their schemas, their audit log and their refused rows.
//!
//! | file | does |
//! |---|---|
//! | `records.rs` | lists, shows, makes, changes, archives; schemas, audit log, drift |
//! | `exports.rs` | asks for exports, waits for them, lists them |
//! | `lifecycle.rs` | how long rows are kept, runs that remove and move them |
//! | `quarantine.rs` | refused rows: listed, mended, sent again, discarded |

mod exports;
mod lifecycle;
mod quarantine;
mod records;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};
use reqwest::Method;
use serde_json::Value;

use crate::client::{Asker, Client, encoded};
use crate::table::text;

/// What `tidegate datasets` is told.
#[derive(Debug, Args)]
pub(crate) struct DatasetsArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    asker: Asker,
    /// Print the server's JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List datasets
    List(records::ListArgs),
    /// Show one dataset with its tables
    Show {
        /// The dataset
        slug: String,
    },
    /// Make a dataset
    Create(records::CreateArgs),
    /// Change what is said of a dataset
    Patch(records::PatchArgs),
    /// Let a dataset take no more rows; `patch --status active` takes that back
    Archive {
        /// The dataset
        slug: String,
    },
    /// Show every version of a dataset's schemas
    Schema {
        /// The dataset
        slug: String,
        /// Only this table
        #[arg(long)]
        table: Option<String>,
    },
    /// Show what was done to a dataset, newest first
    Audit {
        /// The dataset
        slug: String,
        /// At most so many entries
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
    /// Compare the columns in ClickHouse with the catalog's, and add what is lacking
    Reconcile,
    /// Export a dataset, or a built-in table, as Parquet, and wait until the files are whole
    Export(exports::ExportArgs),
    /// List the exports of a dataset, the newest first
    Exports {
        /// The dataset, or a built-in table
        slug: String,
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
    /// List the places that exports may go to
    Targets,
    /// Show or decide how long rows of a dataset are kept
    Retention(lifecycle::RetentionArgs),
    /// Show or decide how much may come into a dataset
    Quota(lifecycle::QuotaArgs),
    /// Runs that remove what is past its retention and move what is old
    #[command(subcommand)]
    Lifecycle(lifecycle::Command),
    /// Rows that were refused: list, mend, send again, discard
    #[command(subcommand)]
    Quarantine(quarantine::Command),
}

/// A server, and who asks.
struct Caller {
    client: Client,
    json: bool,
}

/// Does what the command line says.
pub(crate) async fn run(args: DatasetsArgs) -> Result<()> {
    let caller = Caller { client: Client::of(args.asker)?, json: args.json };
    match args.command {
        Command::List(args) => records::list(&caller, &args).await,
        Command::Show { slug } => records::show(&caller, &slug).await,
        Command::Create(args) => records::create(&caller, &args).await,
        Command::Patch(args) => records::patch(&caller, &args).await,
        Command::Archive { slug } => records::archive(&caller, &slug).await,
        Command::Schema { slug, table } => records::schema(&caller, &slug, table.as_deref()).await,
        Command::Audit { slug, limit } => records::audit(&caller, &slug, limit).await,
        Command::Reconcile => records::reconcile(&caller).await,
        Command::Export(args) => exports::export(&caller, &args).await,
        Command::Exports { slug, limit } => exports::list(&caller, &slug, limit).await,
        Command::Targets => exports::targets(&caller).await,
        Command::Retention(args) => lifecycle::retention(&caller, &args).await,
        Command::Quota(args) => lifecycle::quota(&caller, &args).await,
        Command::Lifecycle(command) => lifecycle::run(&caller, command).await,
        Command::Quarantine(command) => quarantine::run(&caller, command).await,
    }
}

impl Caller {
    /// Asks a path; an answer without a body is null.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value> {
        let mut request = self.client.request(method, path).query(parameters);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = self.client.send(request).await?.bytes().await.context("read the server's answer")?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).with_context(|| format!("read the server's answer to {path}"))
    }

    /// Prints an answer: as it is, or these columns of its list.
    fn print(&self, answer: &Value, list: &str, columns: &[&str]) {
        if self.json {
            println!("{answer:#}");
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(columns);
        for item in answer[list].as_array().into_iter().flatten() {
            table.add_row(columns.iter().map(|column| shown(&item[*column])));
        }
        println!("{table}");
        if let Some(cursor) = answer["nextCursor"].as_str() {
            println!("more: --cursor {cursor}");
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => text(other),
    }
}

/// Returns a path below a dataset.
fn of_dataset(before: &str, slug: &str, behind: &str) -> String {
    format!("{before}/{}{behind}", encoded(slug))
}
