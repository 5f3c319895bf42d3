//! `tidegate`: the one program. This crate reads the environment and the command line, wires the parts, and turns
//! errors into words and exit codes (`docs/errors.md`).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod client;
mod config;
mod doctor;
mod ingest;
mod memory;
mod query;
mod serve;
mod settings;
mod verify;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Ask in SQL, over stored and hot rows
    Query(query::QueryArgs),
    /// Print how many rows came, and where they are
    Ledger(verify::VerifyArgs),
    /// Recount every stored batch in ClickHouse
    Verify(verify::VerifyArgs),
    /// Print every setting, explained, with its value and where that came from
    Config(config::ConfigArgs),
    /// Check that this machine can run the server, and say how to mend what is amiss
    Doctor(doctor::DoctorArgs),
    /// Print the version
    Version,
}

fn main() -> ExitCode {
    memory::keep_freed();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(args, &environment).await,
        Command::Ingest(args) => ingest::run(args).await,
        Command::Query(args) => query::run(args).await,
        Command::Ledger(args) => verify::ledger(args).await,
        Command::Verify(args) => verify::verify(args).await,
        Command::Config(args) => config::run(args, &environment),
        Command::Doctor(args) => doctor::run(args, &environment),
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

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<settings::SettingsError>() {
        return ExitCode::from(2);
    }
    match error.downcast_ref() {
        Some(client::ClientError::Unreachable { .. }) => ExitCode::from(3),
        Some(client::ClientError::Refused { .. }) => ExitCode::from(4),
        Some(client::ClientError::CutOff { .. }) => ExitCode::from(5),
        None => ExitCode::FAILURE,
    }
}
