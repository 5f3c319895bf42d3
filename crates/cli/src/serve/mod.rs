//! `tidegate serve`: the parts are made, joined and, at the end, stopped in order.
//!
//! | file | holds |
//! |---|---|
//! | `running.rs` | a server that runs: started, and stopped in order |
//! | `folder.rs` | the data folder: its names, its version, its lock |
//! | `parts.rs` | states and movers, made from settings |
//! | `schema.rs` | waits for ClickHouse, makes the tables, starts the batch mover |
//! | `reconcile.rs` | looks whether datasets' tables are what the catalog says |
//! | `drills.rs` | backups restored on trial |
//! | `doors.rs` | the listeners |
//! | `follow.rs` | changes of the tracing API's PostgreSQL, brought to ClickHouse |
//! | `local_agent.rs` | an agent in the server's process |
//! | `logs.rs` | what is printed |
//! | `own_logs.rs` | the server's own log records, kept to be stored |
//! | `telemetry.rs` | own metrics and logs, stored like anyone's |
//! | `templates.rs` | what is known of log templates, saved |
//! | `tiers.rs` | the engine's cold volume |
//! | `banner.rs` | what a person sees first |
//! | `stop.rs` | signals, and the way down |

mod banner;
mod doors;
mod drills;
mod folder;
mod follow;
mod local_agent;
mod logs;
mod own_logs;
mod parts;
mod reconcile;
mod running;
mod schema;
mod stop;
mod telemetry;
mod templates;
mod tiers;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use tidegate_server::Metrics;

use crate::settings::{self, Flags, LogFormat};

pub(crate) use folder::{DataFolder, FOLDER_VERSION, read_version};
pub(crate) use logs::to_stderr as log_to_stderr;
pub(crate) use parts::{bucket, open_buffer, start_engine};
pub(crate) use running::{Running, start};
pub(crate) use stop::{ENDED_AT_ONCE, Signals};

/// How `tidegate serve` is told on the command line; the rest is in the settings.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The data folder, made when absent [default: ./tidegate-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Address of the API and the web page [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Address of OTLP/HTTP [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR")]
    otlp_http: Option<String>,
    /// Address of OTLP/gRPC [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR")]
    otlp_grpc: Option<String>,
    /// Publish the embedded ClickHouse's HTTP interface here, for reading
    #[arg(long, value_name = "ADDR")]
    clickhouse_http: Option<String>,
    /// How log lines look [default: auto: text on a terminal, JSON elsewhere]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// The settings file [default: ./tidegate.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Run an agent in this process too: host metrics, or what an agent's settings file says
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    with_agent: Option<Option<std::path::PathBuf>>,
}

impl ServeArgs {
    fn flags(self) -> Flags {
        let format = self.log_format.map(|format| match format {
            LogFormat::Auto => "auto",
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        });
        let values = [
            ("--data", "data", self.data),
            ("--http", "listen.http", self.http),
            ("--otlp-http", "listen.otlp_http", self.otlp_http),
            ("--otlp-grpc", "listen.otlp_grpc", self.otlp_grpc),
            ("--clickhouse-http", "listen.clickhouse_http", self.clickhouse_http),
            ("--log-format", "log.format", format.map(str::to_owned)),
        ];
        let values = values.into_iter().filter_map(|(flag, path, value)| Some((flag, path, value?))).collect();
        Flags { file: self.config, values }
    }
}

/// Runs the server until it is told to stop.
pub(crate) async fn run(args: ServeArgs, environment: &BTreeMap<String, String>) -> Result<()> {
    let agent = args.with_agent.clone();
    let settings = settings::load(&args.flags(), environment)?.settings;
    let agent = agent.map(|file| local_agent::settings(file.as_deref(), &settings.data)).transpose()?;
    let metrics = Arc::new(Metrics::new());
    let (own_logs, own_log_records) = own_logs::channel(Arc::clone(&metrics));
    logs::start(&settings.log, settings.telemetry.own.then_some(own_logs))?;
    let signals = stop::Signals::listen().context("listen for signals")?;

    let folder = DataFolder::open(&settings)?;
    let own_log_records = settings.telemetry.own.then_some(own_log_records);
    let running = running::start(&settings, &folder, metrics, own_log_records).await?;
    banner::show(&settings, &running.stages.addresses, running.recovery());

    let agent = agent.map(|agent| local_agent::start(agent, running.otlp_http));
    signals.first().await;
    if let Some(agent) = agent {
        agent.stop().await;
    }
    running.stop(signals).await;
    drop(folder);
    Ok(())
}
