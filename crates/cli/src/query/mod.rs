//! `tidegate query`: SQL over stored and hot rows, once or at a prompt.
//!
//! | file | does |
//! |---|---|
//! | `mod.rs` | one query: asks, and writes the answer where it belongs |
//! | `prompt.rs` | the interactive prompt |

mod prompt;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use reqwest::{Method, Response};

use crate::client::{Asker, Client, ClientError, innermost};
use crate::table;

/// What `tidegate query` is told.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// One SELECT, SHOW, DESCRIBE or EXPLAIN; without it, a prompt opens (or SQL is read from a pipe)
    sql: Option<String>,
    /// How the answer is written; without it, a table on a terminal and CSV into a pipe or file
    #[arg(long, short, value_enum)]
    format: Option<OutputFormat>,
    /// Write the answer to this file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A value for `{name:Type}` in the SQL; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    params: Vec<(String, String)>,
    #[command(flatten)]
    asker: Asker,
}

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Aligned columns for a reader
    Table,
    /// One JSON object with `meta`, `data` and `rows`
    Json,
    /// One JSON object a line
    Ndjson,
    /// Comma-separated values with a header
    Csv,
    /// An Arrow IPC stream
    Arrow,
    /// A Parquet file
    Parquet,
}

impl OutputFormat {
    const fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }

    /// The server's word for the form that this one is made from.
    const fn asked_for(self) -> &'static str {
        match self {
            Self::Table => "JSONCompact",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }
}

/// Runs the query of the command line, of a pipe, or of a prompt.
pub(crate) async fn run(args: QueryArgs) -> anyhow::Result<()> {
    let client = Client::of(args.asker)?;
    let has_terminal = std::io::stdin().is_terminal();
    let sql = match &args.sql {
        Some(sql) => sql.clone(),
        None if has_terminal && args.output.is_none() => return prompt::run(&client, args.format).await,
        None => std::io::read_to_string(std::io::stdin()).context("read SQL from standard input")?,
    };
    let to_terminal = args.output.is_none() && std::io::stdout().is_terminal();
    let format = args.format.unwrap_or(if to_terminal { OutputFormat::Table } else { OutputFormat::Csv });
    if to_terminal && format.is_binary() {
        anyhow::bail!("{format:?} is not text\n  write it to a file with --output FILE, or into a pipe");
    }
    let answer = ask(&client, &sql, format, &args.params).await?;
    match &args.output {
        Some(path) => write_file(answer, format, path).await,
        None => write_answer(answer, format, &mut std::io::stdout().lock()).await,
    }
}

/// Sends one query.
async fn ask(
    client: &Client,
    sql: &str,
    format: OutputFormat,
    params: &[(String, String)],
) -> Result<Response, ClientError> {
    let params = params.iter().map(|(name, value)| (format!("param_{name}"), value.as_str()));
    let request = client
        .request(Method::POST, "/sql/read")
        .query(&[("format", format.asked_for())])
        .query(&params.collect::<Vec<_>>())
        .header("content-type", "text/plain; charset=utf-8")
        .body(sql.to_owned());
    client.send(request).await
}

/// Writes an answer to a file that appears only once it is whole.
async fn write_file(answer: Response, format: OutputFormat, path: &Path) -> anyhow::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = std::fs::File::create(&part).with_context(|| format!("create {}", part.display()))?;
    let written = write_answer(answer, format, &mut file).await;
    if written.is_err() {
        // The half of an answer must not look like one.
        let _ = std::fs::remove_file(&part);
    }
    written?;
    file.sync_all().with_context(|| format!("sync {}", part.display()))?;
    std::fs::rename(&part, path).with_context(|| format!("rename {} to {}", part.display(), path.display()))
}

async fn write_answer(mut answer: Response, format: OutputFormat, out: &mut dyn Write) -> anyhow::Result<()> {
    if format == OutputFormat::Table {
        let freshness = header(&answer, "x-timestore-freshness-mode");
        let body = answer.bytes().await.map_err(|error| ClientError::CutOff { cause: innermost(&error) })?;
        return table::write(&body, freshness.as_deref(), out);
    }
    while let Some(piece) = answer.chunk().await.map_err(|error| ClientError::CutOff { cause: innermost(&error) })? {
        out.write_all(&piece).context("write the answer")?;
    }
    out.flush().context("write the answer")
}

fn header(answer: &Response, name: &str) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn parse_param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}
