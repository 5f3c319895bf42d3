use serde_json::{Value, json};

use super::super::answer::{Answer, Ask};
use super::super::view::View;
use super::super::window::rfc3339;
use super::watch;
use crate::errors::Failure;

/// Answers `GET health`.
pub(in super::super) async fn health(ask: Ask) -> Result<Answer, Failure> {
    let stages = &ask.reader.stages;
    let seconds = stages.clock.monotonic().as_secs();
    Ok(json!({
        "status": "ok",
        "timestamp": rfc3339(stages.clock.now().0),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": format!("{}h{}m{}s", seconds / 3_600, seconds / 60 % 60, seconds % 60),
        "uptime_seconds": seconds,
        "memory": memory(),
    })
    .into())
}

/// Returns what the kernel says of this process: resident memory now and at most, address space. There is no garbage
/// collector, so its count is 0.
fn memory() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mb = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes =
            line.and_then(|rest| rest.trim_start_matches(':').trim().split(' ').next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) / 1_024
    };
    json!({ "alloc_mb": mb("VmRSS"), "total_alloc_mb": mb("VmHWM"), "sys_mb": mb("VmSize"), "num_gc": 0 })
}

/// Answers `GET version`.
pub(in super::super) async fn version(_: Ask) -> Result<Answer, Failure> {
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("TIDEGATE_COMMIT").unwrap_or("unknown"),
        "build_date": option_env!("TIDEGATE_BUILD_DATE").unwrap_or("unknown"),
    })
    .into())
}

/// Answers `POST admin/clear`: what this API itself remembers is forgotten. Acknowledged telemetry is never removed
/// by a route that anyone can call.
pub(in super::super) async fn clear(ask: Ask) -> Result<Answer, Failure> {
    let watches = watch::forget_all(&ask.reader);
    *ask.reader.stages.cardinality.view() = View::default();
    Ok(json!({
        "status": "ok",
        "cleared": { "watches": watches },
        "kept": "stored telemetry and its catalogue: ask with `from` to see only what came since a time",
    })
    .into())
}
