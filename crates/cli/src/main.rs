//! `tidegate`: the one program. This crate reads the environment and the command line, wires the parts, and turns
//! errors into words and exit codes (`docs/errors.md`).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod agent;
mod alerts;
mod backup;
mod catalogue;
mod check;
mod client;
mod config;
mod datasets;
mod doctor;
mod ingest;
mod manifests;
mod memory;
mod migrate;
mod modes;
mod query;
mod restore;
mod serve;
mod settings;
mod span;
mod table;
mod telemetry;
mod traces;
mod verify;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit code of a check that could not be made.
const NOT_CHECKED: u8 = 7;

#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Send files of rows (NDJSON, JSON, CSV, Parquet, Arrow) into a dataset
    Ingest(ingest::IngestArgs),
    /// Datasets: list, show, create, change, archive; their schemas, audit log and refused rows
    Datasets(datasets::DatasetsArgs),
    /// Ask in SQL, over stored and hot rows
    Query(query::QueryArgs),
    /// Print attributes by their number of distinct values, or one of them: who sends it, what it costs
    Cardinality(catalogue::CardinalityArgs),
    /// Print the templates of log bodies, or one of them
    Templates(catalogue::TemplatesArgs),
    /// Print services with what they send, or one of them
    Services(catalogue::ServicesArgs),
    /// Check telemetry against thresholds, for CI: what is sent for a while, recorded files, or a server's
    Check(Box<check::CheckArgs>),
    /// Print how many rows came, and where they are
    Ledger(verify::VerifyArgs),
    /// Recount every stored batch in ClickHouse, and hash its rows again
    Verify(verify::VerifyArgs),
    /// List what each batch put into each partition of a dataset, with checksums
    Manifests(manifests::ManifestsArgs),
    /// Move datasets here from PostgreSQL, Parquet files or DuckDB, and switch readers over
    Migrate(Box<migrate::MigrateArgs>),
    /// Let a running server copy its log, catalog and tables as of one moment
    Backup(backup::BackupArgs),
    /// Make a data folder of a backup
    Restore(restore::RestoreArgs),
    /// Print every setting, explained, with its value and where that came from
    Config(config::ConfigArgs),
    /// Check that this machine can run the server, and say how to mend what is amiss
    Doctor(doctor::DoctorArgs),
    /// Collect logs, host metrics and the states of services on this machine, and send them to a server
    Agent(Box<agent::AgentArgs>),
    /// Print log records: by time, level, source, words, attributes
    Logs(Box<telemetry::LogsArgs>),
    /// Print events
    Events(Box<telemetry::EventsArgs>),
    /// Print data points of metrics, or what they sum up to by minute, hour or day
    Metrics(Box<telemetry::MetricsArgs>),
    /// Follow log records or events, from the moment of their acknowledgement
    Tail(Box<telemetry::TailArgs>),
    /// Alert rules with their states; silences
    Alerts(alerts::AlertsArgs),
    /// Draw a trace over time, tell what it waited for, or compare it with another
    Trace(traces::TraceArgs),
    /// Print which services call which
    ServiceMap(traces::ServiceMapArgs),
    /// Spans of a time, as lines
    Spans(traces::SpansArgs),
    /// The tracing API for AI applications: where spans of each project are written and read
    Tracing(modes::TracingArgs),
    /// Print the version
    Version,
}

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return not_understood(&error),
    };
    match &command {
        Command::Migrate(args) if args.moves_and_ends() => memory::keep_freed_to_the_end(),
        _ => memory::keep_freed(),
    }
    run(command)
}

#[tokio::main]
async fn run(command: Command) -> ExitCode {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let outcome = match command {
        Command::Check(args) => {
            return check::run(*args, &environment).await.unwrap_or_else(|error| {
                eprintln!("tidegate: {error:#}");
                check_exit_code(&error)
            });
        }
        Command::Cardinality(args) => catalogue::cardinality(args).await,
        Command::Templates(args) => catalogue::templates(args).await,
        Command::Services(args) => catalogue::services(args).await,
        Command::Serve(args) => serve::run(args, &environment).await,
        Command::Ingest(args) => ingest::run(args).await,
        Command::Datasets(args) => datasets::run(args).await,
        Command::Query(args) => query::run(args).await,
        Command::Ledger(args) => verify::ledger(args).await,
        Command::Verify(args) => verify::verify(args).await,
        Command::Manifests(args) => manifests::run(args).await,
        Command::Migrate(args) => migrate::run(*args).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => restore::run(args, &environment).await,
        Command::Config(args) => config::run(args, &environment),
        Command::Doctor(args) => doctor::run(args, &environment),
        Command::Agent(args) => agent::run(*args).await,
        Command::Logs(args) => telemetry::logs(*args).await,
        Command::Events(args) => telemetry::events(*args).await,
        Command::Metrics(args) => telemetry::metrics(*args).await,
        Command::Tail(args) => telemetry::tail(*args).await,
        Command::Alerts(args) => alerts::run(args).await,
        Command::Trace(args) => traces::trace(args).await,
        Command::ServiceMap(args) => traces::service_map(args).await,
        Command::Spans(args) => traces::spans(args).await,
        Command::Tracing(args) => modes::run(args).await,
        Command::Version => {
            println!("tidegate {}, data folder layout {}", env!("CARGO_PKG_VERSION"), serve::FOLDER_VERSION);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            exit_code(&error)
        }
    }
}

/// Prints what clap says. `check` ends with 2 for a verdict, so a mistake in its command line is not that.
fn not_understood(error: &clap::Error) -> ExitCode {
    // Nobody reads on when the terminal is gone.
    let _ = error.print();
    let is_check = std::env::args().nth(1).is_some_and(|command| command == "check");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if is_check => ExitCode::from(NOT_CHECKED),
        _ => ExitCode::from(2),
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    let is_of_settings =
        |cause: &(dyn std::error::Error + 'static)| cause.is::<tidegate_agent::settings::SettingsError>();
    if error.is::<settings::SettingsError>() || error.chain().any(is_of_settings) {
        return ExitCode::from(2);
    }
    client_exit_code(error).unwrap_or(ExitCode::FAILURE)
}

/// 0, 1 and 2 are verdicts.
fn check_exit_code(error: &anyhow::Error) -> ExitCode {
    client_exit_code(error).unwrap_or(ExitCode::from(NOT_CHECKED))
}

fn client_exit_code(error: &anyhow::Error) -> Option<ExitCode> {
    let code = match error.downcast_ref()? {
        client::ClientError::Unreachable { .. } => 3,
        client::ClientError::Refused { .. } => 4,
        client::ClientError::CutOff { .. } => 5,
    };
    Some(ExitCode::from(code))
}
