use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use rustix::process::Signal as Kill;
use tidegate_load::{Connection, Encoding, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use crate::fleet::{Fate, Sent};
use crate::{READY_WITHIN, SMALL_BATCHES, account, eventually, stack, started};

const ROWS: u64 = 1_000;
/// Requests after which a budget of some 240 MB must be spent; one takes 0.7 MB of the log.
const REQUESTS_MAX: u64 = 800;
const REFUSALS: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_is_answered_and_mends_when_the_engine_is_back() -> Result<()> {
    let settings = [SMALL_BATCHES, &[("TIDEGATE_BUFFER__WAL_BYTES", "200000000")]].concat();
    let (_folder, stack) = started(&settings).await?;
    ensure!(stack.signal_engine(Kill::STOP)?, "an engine runs");
    let mut sent = write_until_refused(&stack).await?;
    stack.signal_engine(Kill::CONT)?;
    write_again(&stack, &mut sent).await?;
    account::settle(&stack, &sent).await
}

/// A real full disk: a small file system in a mount namespace of its own, with a ballast file to make room again.
///
/// Where the kernel or a container forbids such namespaces the test says so and proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_answered_and_costs_no_acknowledged_row() -> Result<()> {
    if !namespaces_allowed() {
        eprintln!("NOT RUN: no mount namespace may be made here; the full log above is what was tested");
        return Ok(());
    }
    let (_folder, mut stack) = stack(&[SMALL_BATCHES, &[("TIDEGATE_BUFFER__DISK_FREE_BYTES_MIN", "0")]].concat())?;
    fs::create_dir_all(stack.data())?;
    let mount = "mount -t tmpfs -o size=400m tidegate \"$0\" && fallocate -l 160m \"$0/ballast\" && exec \"$@\"";
    let folder = stack.data().display().to_string();
    stack.wrap(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, &folder]);
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    // An engine at work would move the rows on and pack them ten times smaller.
    eventually("an engine to hold", async || Ok(stack.signal_engine(Kill::STOP)?)).await?;
    let mut sent = write_until_refused(&stack).await?;
    remove_ballast(&stack)?;
    stack.signal_engine(Kill::CONT)?;
    write_again(&stack, &mut sent).await?;
    account::settle(&stack, &sent).await
}

/// Writes until several requests in a row were refused for want of room.
async fn write_until_refused(stack: &Stack) -> Result<Vec<Sent>> {
    let source = Source::new(9, now_unix_nanos());
    let (mut sent, mut refusals) = (Vec::new(), 0);
    for request in 0..REQUESTS_MAX {
        let fate = write(stack, &source, request).await?;
        refusals += u64::from(fate != Fate::Acked);
        sent.push(sent_logs(&source, request, fate));
        if refusals >= REFUSALS {
            eprintln!("refused after {request} requests of {ROWS} rows");
            return Ok(sent);
        }
    }
    anyhow::bail!("{REQUESTS_MAX} requests of {ROWS} rows went into a budget that is smaller")
}

/// Waits until writes pass again, and checks that the ledger moves on.
async fn write_again(stack: &Stack, sent: &mut Vec<Sent>) -> Result<()> {
    let source = Source::new(10, now_unix_nanos());
    let mut request = 0;
    eventually("writes pass again", async || {
        let fate = write(stack, &source, request).await?;
        sent.push(sent_logs(&source, request, fate));
        request += 1;
        Ok(fate == Fate::Acked)
    })
    .await?;
    eventually("a query is answered", async || Ok(stack.query("SELECT count() FROM logs").await.is_ok())).await
}

async fn write(stack: &Stack, source: &Source, request: u64) -> Result<Fate> {
    let mut connection = Connection::open(Wire::Http, stack.otlp_http, Encoding::Plain).await?;
    let body = Bytes::from(source.request(Signal::Logs, request * ROWS, ROWS));
    let reply = connection.send(Signal::Logs, body, None).await.context("a full disk is an answer, not a hang-up")?;
    ensure!(matches!(reply.status, 200 | 429 | 503 | 507), "a full disk is an overload: {reply:?}");
    Ok(match reply.status {
        200 => Fate::Acked,
        429 => Fate::Refused,
        _ => Fate::Unknown,
    })
}

fn sent_logs(source: &Source, request: u64, fate: Fate) -> Sent {
    let ids = (request * ROWS..(request + 1) * ROWS).map(|n| source.row_id(n)).collect();
    Sent { signal: Signal::Logs, fate, ids }
}

fn namespaces_allowed() -> bool {
    let probe = ["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "probe", "/mnt"];
    Command::new("unshare").args(probe).status().is_ok_and(|status| status.success())
}

/// Reaches into the server's mount namespace, where the ballast is.
fn remove_ballast(stack: &Stack) -> Result<()> {
    let pid = stack.serve_pid().context("the server runs")?;
    let inside = stack.data().join("ballast");
    let inside = inside.strip_prefix("/")?;
    Ok(fs::remove_file(Path::new(&format!("/proc/{pid}/root")).join(inside))?)
}
