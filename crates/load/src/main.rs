//! The bench behind `cargo xtask bench`: prints tables of numbers, and says of a line that has a bar whether it
//! met it; it fails on neither.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

mod bench;

/// The allocator of the shipped programs, so that stages cost here what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the release binaries beside this one.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// A tenth of the rows and of the time.
    #[arg(long)]
    quick: bool,

    /// How long the lines `load-…` send and read, in seconds; without it as long as the requirements say.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,

    /// Only the line of this name, or those whose name contains this; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Write the same numbers to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Print the names of all lines and end.
    #[arg(long)]
    list: bool,

    /// libchdb's file; `lib/libchdb.so` in the repository otherwise.
    #[arg(long, env = "TIDEGATE_LIBCHDB", value_name = "FILE")]
    library: Option<PathBuf>,

    /// Where to put data folders: the disk that is measured. The system's temporary folder otherwise.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        bench::names().iter().for_each(|name| println!("{name}"));
        return Ok(());
    }
    let program = std::env::current_exe()?.with_file_name("tidegate");
    let library = arguments.library.unwrap_or_else(|| PathBuf::from("lib/libchdb.so"));
    let library = library.canonicalize().with_context(|| format!("{} is missing", library.display()))?;
    let scratch = arguments.scratch.unwrap_or_else(std::env::temp_dir);
    let lab = bench::Lab { program, library, scratch, quick: arguments.quick, seconds: arguments.seconds };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(bench::run(&lab, &arguments.only));
    report.print();
    if let Some(path) = arguments.json {
        std::fs::write(&path, report.json()?).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
