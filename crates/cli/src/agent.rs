//! `tidegate agent`: its settings file and flags, its signals, its status.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use tidegate_agent::settings::Settings;
use tidegate_agent::{Status, World};
use tidegate_core::world::{SystemClock, SystemDisk};
use tokio::sync::watch;

use crate::serve::{self, Signals};
use crate::settings::{Log, LogFormat};

/// Where a settings file is looked for when none is named.
const SETTINGS_FILE: &str = "tidegate-agent.toml";

/// How `tidegate agent` is told on the command line; the rest is in its settings file.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    command: Option<AgentCommand>,
    /// The settings file [default: ./tidegate-agent.toml if it exists; without one, host metrics only]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The server's OTLP/HTTP address [default: http://127.0.0.1:4318]
    #[arg(long, value_name = "URL", env = "TIDEGATE_AGENT_SERVER", global = true)]
    server: Option<String>,
    /// The folder of the queue [default: ./tidegate-agent-data]
    #[arg(long, value_name = "DIR", env = "TIDEGATE_AGENT_DATA", global = true)]
    data: Option<PathBuf>,
    /// Sent as `Authorization: Bearer …`
    #[arg(long, value_name = "TOKEN", env = "TIDEGATE_AGENT_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// Read lines from standard input as well, and end with them
    #[arg(long, global = true)]
    stdin: bool,
    /// What is printed: `info`, `debug`, `tidegate_agent=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", global = true)]
    log_level: String,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// Check the settings, and print all of them as they are in effect
    CheckConfig,
    /// Print what the agent of a data folder does
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the agent until it is told to stop, or one of its commands.
pub(crate) async fn run(args: AgentArgs) -> Result<()> {
    let settings = load(&args)?;
    match args.command {
        Some(AgentCommand::CheckConfig) => {
            settings.check()?;
            print!("{}", shown(settings));
            Ok(())
        }
        Some(AgentCommand::Status { json }) => print_status(&settings.data, json),
        None => {
            serve::log_to_stderr(&Log { level: args.log_level, format: LogFormat::Auto })?;
            let signals = Signals::listen().context("listen for signals")?;
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(async move {
                signals.first().await;
                // Without a receiver the agent has ended already.
                let _ = stop.send(true);
                signals.first().await;
                std::process::exit(serve::ENDED_AT_ONCE);
            });
            start(&settings, stopped).await
        }
    }
}

/// Runs an agent on this machine's disk and clock until `stop` is true.
pub(crate) async fn start(settings: &Settings, stop: watch::Receiver<bool>) -> Result<()> {
    // Fails when it was called before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = World {
        disk: Arc::new(SystemDisk),
        clock: Arc::new(SystemClock::start()),
        chance: (rand::random(), rand::random()),
    };
    Ok(tidegate_agent::run(settings, world, stop).await?)
}

/// Reads a settings file of the agent.
pub(crate) fn read(path: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Settings::from_toml(&text).with_context(|| format!("{} is not what an agent's settings are", path.display()))
}

fn load(args: &AgentArgs) -> Result<Settings> {
    let mut settings = match &args.config {
        Some(path) => read(path)?,
        None if Path::new(SETTINGS_FILE).exists() => read(Path::new(SETTINGS_FILE))?,
        None => Settings::default(),
    };
    if let Some(server) = &args.server {
        settings.server.clone_from(server);
    }
    if let Some(data) = &args.data {
        settings.data.clone_from(data);
    }
    if let Some(token) = &args.token {
        settings.token.clone_from(token);
    }
    settings.stdin.enabled |= args.stdin;
    Ok(settings)
}

/// Settings as TOML, without the secret.
fn shown(mut settings: Settings) -> String {
    if !settings.token.is_empty() {
        settings.token = "(set)".into();
    }
    settings.to_toml()
}

fn print_status(data: &Path, json: bool) -> Result<()> {
    let status = Status::read(data).with_context(|| {
        format!(
            "no agent has told of itself in {}: name its folder with --data or its settings with --config",
            data.display()
        )
    })?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    println!("agent    {}  (session {}, process {})", status.agent_id, status.session_id, status.pid);
    println!("server   {}", status.server);
    println!("as of    {}", status.at);
    println!(
        "rows     {} collected, {} sent in {} requests",
        status.collected_rows, status.sent_rows, status.sent_requests
    );
    println!("queue    {} rows, {} bytes on disk", status.queued_rows, status.queue_bytes);
    println!(
        "not sent {} dropped, {} refused, {} tries again",
        status.dropped_rows, status.refused_rows, status.retries
    );
    for file in status.files {
        println!("file     {}  read to {}, {} bytes behind", file.path, file.offset, file.behind);
    }
    Ok(())
}
