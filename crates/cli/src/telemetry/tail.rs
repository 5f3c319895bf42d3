use std::io::{self, IsTerminal, Write as _};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::Value;

use super::line::line;
use super::{Parameter, RecordArgs};
use crate::client::{Asker, Client, ClientError};

/// What `tidegate tail` is told.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// What is followed
    #[arg(value_enum, default_value = "logs")]
    what: Followed,
    #[command(flatten)]
    records: RecordArgs,
    /// Of this kind, of events; several: the option again
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kinds: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asker: Asker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Followed {
    Logs,
    Events,
}

/// Prints what comes, from the moment of its acknowledgement, until the server stops or nobody reads on.
pub(crate) async fn tail(args: TailArgs) -> Result<()> {
    let path = match args.what {
        Followed::Logs => "/v1/json/logs/tail",
        Followed::Events => "/v1/json/events/tail",
    };
    let mut parameters: Vec<Parameter> = args.records.parameters();
    parameters.extend(args.kinds.iter().map(|kind| ("event_type", kind.clone())));
    let client = Client::of(args.asker)?;
    let mut answer = client.send(client.request(Method::GET, path).query(&parameters)).await?;
    // A person may switch colours off everywhere: https://no-color.org.
    let has_colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut waiting = Vec::new();
    loop {
        let piece = answer.chunk().await.map_err(|error| ClientError::CutOff { cause: error.to_string() })?;
        let Some(piece) = piece else {
            return Err(ClientError::CutOff { cause: "the server stopped".to_owned() }.into());
        };
        waiting.extend_from_slice(&piece);
        while let Some(end) = waiting.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = waiting.drain(..end + 2).collect();
            let Some((name, data)) = read(&event)? else { continue };
            if !show(&name, &data, args.json, has_colours)? {
                return Ok(());
            }
        }
    }
}

/// Reads a server-sent event: its name and its data; `None`: a sign of life.
fn read(event: &[u8]) -> Result<Option<(String, Value)>> {
    let text = std::str::from_utf8(event).context("read the server's events")?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let (Some(name), Some(data)) = (field("event: "), field("data: ")) else { return Ok(None) };
    Ok(Some((name.to_owned(), serde_json::from_str(data).context("read the server's events")?)))
}

/// Prints an event; says whether anybody reads on.
fn show(name: &str, data: &Value, is_json: bool, has_colours: bool) -> Result<bool> {
    match name {
        "entry" => {
            let text = if is_json { data.to_string() } else { line(data, has_colours) };
            let mut out = io::stdout().lock();
            match writeln!(out, "{text}").and_then(|()| out.flush()) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
                written => written.map(|()| true).context("write a line"),
            }
        }
        "lost" => {
            let why = data["why"].as_str().unwrap_or_default();
            eprintln!("tidegate: {} rows from {} to {} are not shown: {why}", data["rows"], data["from"], data["to"]);
            Ok(true)
        }
        _ => Ok(true),
    }
}
