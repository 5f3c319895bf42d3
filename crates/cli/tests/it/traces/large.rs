use anyhow::{Context, Result, ensure};
use rustix::process::Signal as Kill;

use super::{Sent, TRACE, run, send, told};
use crate::{READY_WITHIN, eventually, started};

const SPANS: u64 = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_of_100_000_spans_is_told_whole_and_an_export_that_breaks_off_does_not_look_whole() -> Result<()> {
    let (_folder, stack) = started(&[("TIDEGATE_BATCH__ROWS", "30000")]).await?;
    // Each span has ten children, and lies within its parent's time.
    let one = |id: u64| Sent::new(id, (id + 8) / 10, ("shop", "step"), (id, 2 * SPANS - 2 * id + 10));
    for first in (1..=SPANS).step_by(5_000) {
        send(&stack, &(first..first + 5_000).map(one).collect::<Vec<_>>()).await?;
    }
    let trace = stack.get(&format!("/v1/json/traces/{TRACE}")).await?;
    let spans = trace["spans"].as_array().context("spans")?;
    ensure!((spans.len() as u64, &trace["roots"], &trace["orphans"]) == (SPANS, &1.into(), &0.into()));
    let mut ids: Vec<&str> = spans.iter().filter_map(|span| span["span_id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() as u64 == SPANS, "each span once");
    let waited = trace["critical_path"]["segments"].as_array().into_iter().flatten();
    let waited: u64 = waited.filter_map(|segment| segment["duration_ns"].as_u64()).sum();
    ensure!(Some(waited) == spans[0]["duration_ns"].as_u64(), "the critical path is the root's time");
    let drawn = told(&stack, &["trace", TRACE]).await?;
    ensure!(drawn.contains("99800 of 100000 spans are not shown") && drawn.lines().count() < 210, "{drawn}");
    let all = told(&stack, &["trace", TRACE, "--all"]).await?;
    ensure!(all.lines().filter(|line| line.contains("shop: step")).count() as u64 == SPANS);

    let time = "from=2026-01-31T00:00:00Z&to=2026-02-01T00:00:00Z";
    let late = reqwest::get(format!("http://{}/v1/json/traces/{TRACE}?timeout_ms=1", stack.http)).await?;
    ensure!(late.status() == 504, "a time-out is an error: {}", late.status());
    let mut answer = reqwest::get(format!("http://{}/v1/json/spans/export?{time}", stack.http)).await?;
    ensure!(answer.status() == 200 && answer.chunk().await?.is_some(), "a first piece");
    ensure!(stack.signal_engine(Kill::KILL)?, "an engine runs");
    let end = async {
        while answer.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    let end = tokio::time::timeout(READY_WITHIN, end).await.context("the answer ends")?;
    ensure!(end.is_err(), "half an answer ended as a whole one does");
    eventually("the engine answers again", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    let ends = ["--from", "2026-01-31T00:00:00Z", "--to", "2026-02-01T00:00:00Z"];
    let exported = run(&stack, &[&["spans", "export"][..], &ends].concat()).await?;
    let lines = exported.stdout.iter().filter(|byte| **byte == b'\n').count();
    ensure!(exported.status.success() && lines as u64 == SPANS, "{lines} lines");
    Ok(())
}
