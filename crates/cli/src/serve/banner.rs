use std::io::IsTerminal;

use tidegate_core::buffer::Recovery;

use crate::settings::{Backend, Settings};

const FIRST_QUERY: &str = "SELECT metric_name, count() AS points FROM metric_samples GROUP BY metric_name LIMIT 10";

/// Tells a person on a terminal where to send and where to look; tells a log everywhere else.
pub(super) fn show(settings: &Settings, addresses: &[(&'static str, String)], recovery: &Recovery) {
    if !std::io::stdout().is_terminal() {
        let listen: Vec<_> = addresses.iter().map(|(name, address)| format!("{name} {address}")).collect();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = listen.join(", "),
            recovered_rows = recovery.rows,
            torn_bytes = recovery.torn_bytes,
            "tidegate serves"
        );
        return;
    }
    let rows = match settings.storage.backend {
        Backend::Embedded => format!("in {}", settings.data.display()),
        Backend::ClickHouse => format!("at {}, log in {}", settings.clickhouse.address(), settings.data.display()),
        Backend::Memory => "in memory only: all is gone when this ends".to_owned(),
    };
    println!("\n  \x1b[1m≋ Tidegate {}\x1b[0m  rows {rows}", env!("CARGO_PKG_VERSION"));
    if recovery.rows > 0 {
        println!("    {} rows of the last run were recovered from the log", recovery.rows);
    }
    println!();
    for (name, address) in addresses {
        println!("    {name:<18}{address}");
    }
    println!("\n    Send from any OpenTelemetry SDK:  OTEL_EXPORTER_OTLP_ENDPOINT={}", addresses[1].1);
    println!("    Look, in ten seconds, from another terminal (the server stores its own metrics):");
    println!("      tidegate query --url {} \"{FIRST_QUERY}\"", addresses[0].1);
    println!("\n    Ctrl+C stops it, and stores what is still in the log.\n");
}
