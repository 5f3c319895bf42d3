//! Black-box tests of the real `tidegate serve` and `tidegate-engine`: crashes, snapshots, spent budgets.
//!
//! | file | proves |
//! |---|---|
//! | `crash.rs` | acknowledged rows survive SIGKILL of server, engine, both; ingest goes on without an engine; stop flushes |
//! | `snapshot.rs` | every answer is one moment, also while batches move and the engine restarts |
//! | `backup.rs` | backups under load, broken off, damaged; what is restored of them |
//! | `catalogue.rs` | every number of the catalogue is that of a recount, while batches move, an engine dies, parts merge |
//! | `cardinality/` | the cardinality API tells what was sent, hot or stored |
//! | `model/` | random work on a dataset, with crashes and restores, against a plain model |
//! | `datasets.rs` | datasets over HTTP and from the terminal: schemas, refused rows, scopes, ETags, audit |
//! | `check.rs` | `tidegate check`: recordings, what is sent, a server; verdicts and exit codes |
//! | `telemetry/` | plain JSON entries in and out, buckets of time, readers of what is new |
//! | `templates/` | log templates: merges, masks, events, overflow |
//! | `full.rs` | a full log and a full disk are answered, and mend by themselves |
//! | `lifecycle.rs` | rows past their retention go, old ones move to the cold volume; quotas |
//! | `manifests.rs` | crashes leave one manifest of each row; a changed row is named |
//! | `exports.rs` | exported files have each row of one snapshot once; kills leave no half one; the webhook is told until it listens |
//! | `migrate/` | moves from Parquet files: kills, planted differences, the cut-over, the mirror |
//! | `alerts.rs` | alerts fire, are told once over kills, are silent, end; anomalies by hour of week |
//! | `receiver.rs` | takes what webhooks are sent |
//! | `removal.rs` | rows that expire while a backup or an export is taken: all or none of them are in it |
//! | `recount.rs` | the recount, in SQL |
//! | `fresh.rs` | reads that insist on a row; answers that break off; a backend that keeps nothing |
//! | `freshness.rs` | no answer claims a freshness that it does not have, whoever dies; the alarm |
//! | `start.rs` | what a start refuses or says; a stop that may not take its time |
//! | `names.rs` | columns whose names SQL must quote |
//! | `promql.rs` | PromQL over what came by OTLP, hot and stored |
//! | `timestore.rs` | datasets over REST: queries, saved SQL, the schema, SQL for operators |
//! | `traces/` | traces as trees, compared, as calls between services, exported: against plain models, hot and stored |
//! | `tracing/` | the tracing API: spans in any order, changed, deleted, filtered, counted, each project for itself |
//! | `draws.rs` | chance from a seed |
//! | `agents.rs` | a fleet of agents whose files rotate, a server that dies: each line once, in order |
//! | `fleet.rs` | producers that remember what was acknowledged |
//! | `account.rs` | compares what was acknowledged with what is answered |
#![expect(clippy::print_stderr, reason = "a failing round must be told with its seed and its times")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tidegate_load::{Stack, StackOptions};

mod account;
mod alerts;
mod agents;
mod backup;
mod cardinality;
mod catalogue;
mod check;
mod crash;
mod datasets;
mod draws;
mod exports;
mod fleet;
mod fresh;
mod freshness;
mod full;
mod large_bodies;
mod lifecycle;
mod manifests;
mod migrate;
mod model;
mod receiver;
mod recount;
mod removal;
mod names;
mod objects;
mod promql;
mod snapshot;
mod start;
mod telemetry;
mod templates;
mod timestore;
mod traces;
mod tracing;

/// A debug build beside other builds may be slow; a test that waits this long has failed.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Batches so small that they move all the time.
const SMALL_BATCHES: &[(&str, &str)] = &[("TIDEGATE_BATCH__ROWS", "500"), ("TIDEGATE_BATCH__AGE_MS", "150")];

/// Prepares a stack on a folder that goes with the test.
fn stack(settings: &[(&str, &str)]) -> Result<(TempDir, Stack)> {
    let folder = tempfile::tempdir()?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tidegate"));
    let engine = program.with_file_name("tidegate-engine");
    ensure!(engine.exists(), "{} is missing: build the whole workspace first (`make test` does)", engine.display());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the repository's folder")?;
    let library = root.join("lib/libchdb.so");
    ensure!(library.exists(), "{} is missing: `make libchdb` fetches it", library.display());
    let mut env = vec![("TIDEGATE_LIBCHDB".to_owned(), library.display().to_string())];
    env.push(("TIDEGATE_TELEMETRY__OWN".to_owned(), "false".to_owned()));
    env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let options = StackOptions { program, data: folder.path().join("data"), env, wrapper: Vec::new() };
    Ok((folder, Stack::new(options)?))
}

/// Starts a stack and waits until it is ready.
async fn started(settings: &[(&str, &str)]) -> Result<(TempDir, Stack)> {
    let (folder, mut stack) = stack(settings)?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    Ok((folder, stack))
}

/// Polls until the condition holds; fails after [`READY_WITHIN`].
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let attempts = async {
        loop {
            if holds().await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, attempts)
        .await
        .with_context(|| format!("{what}: not within {READY_WITHIN:?}"))?
}
