//! Automation of this repository: `cargo xtask ci | tidy | bench | loghub | fuzz`. No dependency that would slow `tidy` down.
//!
//! | file | does |
//! |---|---|
//! | `ci.rs` | runs every check, the same on a laptop and in CI |
//! | `tidy.rs` | checks what neither rustc nor clippy knows: arrows between stages, crate borders, sizes, words |
//! | `fuzz.rs` | builds the fuzz targets with counters on the stable compiler and runs them |
//! | `bench.rs` | builds the release binaries and hands over to `crates/load` |
//! | `loghub.rs` | scores the template miner on labelled logs |
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

mod bench;
mod ci;
mod fuzz;
mod loghub;
mod tidy;

const USAGE: &str = "usage: cargo xtask <command>
  ci            fmt, clippy, tidy, test, docs, deny: everything that must pass before a change lands
  tidy          arrows between stages, crate borders, file sizes, words
  bench [...]   the load generator against the release binaries; `cargo xtask bench --help` names its filters
  loghub FOLDER [ORDERS]
                scores the template miner on every *_2k.log_structured.csv of a folder: GA, FGA, lines per CPU second
  fuzz [...]    whatever decodes bytes or text; `--seconds N` each (60), `--target NAME` only that one";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_str() {
        "ci" => ci::run(),
        "tidy" => tidy::run(),
        "bench" => bench::run(&rest),
        "loghub" => loghub::run(&rest),
        "fuzz" => fuzz::run(&rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the repository's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Runs a command at the repository's root; `Err` names it when it fails.
fn step(program: &str, args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    let line = format!("{program} {}", args.join(" "));
    println!("» {line}");
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().copied()).current_dir(root());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed: {status}")),
        Err(error) => Err(format!("`{line}` did not start: {error}")),
    }
}
