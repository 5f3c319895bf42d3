//! `tidegate config`: every setting, explained, with its value and where that came from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::settings::{self, Flags};

/// What `tidegate config` takes.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The settings file [default: ./tidegate.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check that the settings can be used
    #[arg(long)]
    check: bool,
}

/// Prints the settings, or checks them.
pub(crate) fn run(args: ConfigArgs, environment: &BTreeMap<String, String>) -> Result<()> {
    let loaded = settings::load(&Flags { file: args.config, values: Vec::new() }, environment)?;
    if args.check {
        println!("the settings can be used; {} differ from their defaults", loaded.sources.len());
    } else {
        print!("{}", settings::commented(&loaded)?);
    }
    Ok(())
}
