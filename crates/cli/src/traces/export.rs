use std::io::Write as _;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use reqwest::Method;

use crate::client::{Asker, Client, ClientError, innermost};
use crate::telemetry::TimeArgs;

/// What `tidegate spans` is told.
#[derive(Debug, Args)]
pub(crate) struct SpansArgs {
    #[command(subcommand)]
    command: SpansCommand,
}

#[derive(Debug, Subcommand)]
enum SpansCommand {
    /// Print all spans of a time, one JSON object a line
    Export {
        #[command(flatten)]
        time: TimeArgs,
        /// Of this service alone
        #[arg(long, short)]
        service: Option<String>,
        #[command(flatten)]
        asker: Asker,
    },
}

/// Does what `tidegate spans` is told.
pub(crate) async fn spans(args: SpansArgs) -> Result<()> {
    let SpansCommand::Export { time, service, asker } = args.command;
    let mut parameters = time.both()?;
    parameters.extend(service.map(|service| ("service", service)));
    let client = Client::of(asker)?;
    let request = client.request(Method::GET, "/v1/json/spans/export").query(&parameters);
    let mut answer = client.send(request).await?;
    let mut out = std::io::stdout().lock();
    while let Some(piece) = answer.chunk().await.map_err(|error| ClientError::CutOff { cause: innermost(&error) })? {
        out.write_all(&piece).context("write the spans")?;
    }
    out.flush().context("write the spans")
}
