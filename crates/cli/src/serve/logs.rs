use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::own_logs::OwnLogs;
use crate::settings::{Log, LogFormat};

/// Starts printing to standard error.
pub(crate) fn to_stderr(log: &Log) -> Result<()> {
    start(log, None)
}

/// Starts printing to standard error, and keeping records to be stored.
pub(super) fn start(log: &Log, own: Option<OwnLogs>) -> Result<()> {
    let filter = EnvFilter::try_new(&log.level)
        .with_context(|| format!("log.level is `{}`; write it like `info` or `info,tidegate_core=debug`", log.level))?;
    let is_text = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let printed = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let printed = if is_text { printed.with_target(false).boxed() } else { printed.json().flatten_event(true).boxed() };
    let own = own.map(|own| own.with_filter(tracing_subscriber::filter::LevelFilter::INFO));
    tracing_subscriber::registry().with(printed.with_filter(filter)).with(own).init();
    Ok(())
}
