use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use rustix::process::Signal as Kill;
use tidegate_load::{Connection, Encoding, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;

use crate::{SMALL_BATCHES, account, eventually, recount, started};

/// Requests of each signal, and their rows: few enough that a debug build recounts them in a moment.
const REQUESTS: u64 = 120;
const ROWS: u64 = 40;
const RECOUNTS_MIN: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_is_a_recount_at_every_moment_and_however_it_merges() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let (done, recounts) = (AtomicBool::new(false), AtomicU64::new(0));
    let (begun, acked) = (AtomicU64::new(0), AtomicU64::new(0));
    let write = async {
        for n in 0..REQUESTS {
            begun.store(n + 1, Ordering::SeqCst);
            write(&stack, n).await?;
            acked.store(n + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            if n == REQUESTS / 2 {
                stack.signal_engine(Kill::KILL)?;
            }
        }
        done.store(true, Ordering::SeqCst);
        Ok(())
    };
    let recount = async {
        while !done.load(Ordering::SeqCst) || recounts.load(Ordering::SeqCst) < RECOUNTS_MIN {
            recount::catalogue_agrees(&stack).await?;
            recounts.fetch_add(1, Ordering::SeqCst);
        }
        anyhow::Ok(())
    };
    let remember = async {
        while !done.load(Ordering::SeqCst) {
            let least = acked.load(Ordering::SeqCst) * ROWS;
            let summary = stack.get("/api/v1/summary").await?;
            let most = begun.load(Ordering::SeqCst) * ROWS;
            for kind in ["logs", "spans", "metrics"] {
                // An engine that is just dying answers nobody who asks the tables.
                let Some(counted) = summary["samples"][kind].as_u64() else { break };
                ensure!((least..=most).contains(&counted), "{counted} {kind}, not {least} to {most}");
            }
        }
        anyhow::Ok(())
    };
    tokio::try_join!(write, recount, remember)?;
    // A busy machine may have loaded nothing while rows came in; when none come, it must.
    let from_memory = async || {
        stack.get("/api/v1/summary").await?;
        Ok(answered_from_memory(&stack).await? > 0)
    };
    eventually("memory answers", from_memory).await?;
    eprintln!("{} recounts agreed while rows came in and an engine died", recounts.load(Ordering::SeqCst));

    let is_stored = async || Ok(account::hot_rows(&stack).await? == 0);
    eventually("every row is stored", is_stored).await?;
    recount::catalogue_agrees(&stack).await?;
    let merged = "SELECT count() FROM system.parts WHERE table = 'catalog_attributes' AND active AND level > 0";
    let has_merged = async || Ok(stack.number(merged).await? > 0);
    eventually("ClickHouse has merged parts", has_merged).await?;
    recount::catalogue_agrees(&stack).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_not_kept_are_counted_all_the_same() -> Result<()> {
    let retain = ["LOGS", "TRACES", "METRICS"].map(|signal| format!("TIDEGATE_RETAIN__{signal}"));
    let settings: Vec<(&str, &str)> = retain.iter().map(|name| (name.as_str(), "false")).collect();
    let (_folder, stack) = started(&[SMALL_BATCHES, &settings].concat()).await?;
    for n in 0..10 {
        write(&stack, n).await?;
    }
    recount_alone(&stack).await?;
    eventually("every batch is done", async || Ok(account::hot_rows(&stack).await? == 0)).await?;
    recount_alone(&stack).await?;
    for table in ["logs", "spans", "metric_samples", "metric_histograms"] {
        ensure!(stack.number(&format!("SELECT count() FROM {table}")).await? == 0, "rows of {table} were kept");
    }
    let watch = stack.get("/v2/cardinality/http.request.method/what-if?values=GET").await;
    ensure!(watch.as_ref().is_ok_and(|refusal| refusal.to_string().contains("not kept")), "{watch:?}");
    let url = format!("http://{}", stack.http);
    let verify = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["verify", "--url", &url]).output()?;
    let said = String::from_utf8_lossy(&verify.stdout).into_owned();
    ensure!(verify.status.success() && said.contains("400 rows were counted and not kept"), "{said}");
    Ok(())
}

/// Checks the counts against what was sent, where no rows are left to recount.
async fn recount_alone(stack: &Stack) -> Result<()> {
    let sql = "SELECT signal, sum(records) AS records, max(length(facets)) > 0 AS qualities FROM catalog_signals \
               GROUP BY signal ORDER BY signal";
    let counted = stack.query(sql).await?;
    let records: Vec<_> = counted.iter().map(|row| row["records"].to_string().replace('"', "")).collect();
    ensure!(records == vec![(10 * ROWS).to_string(); 3], "{counted:?}");
    let keys = "SELECT uniqExact(signal) AS n FROM catalog_attributes WHERE scope = 'attribute'";
    ensure!(stack.number(keys).await? == 3, "attributes of a signal are not counted");
    Ok(())
}

async fn answered_from_memory(stack: &Stack) -> Result<u64> {
    let metrics = reqwest::get(format!("http://{}/metrics", stack.http)).await?.text().await?;
    let counts =
        metrics.lines().find_map(|line| line.strip_prefix("tidegate_catalogue_answers_total{from=\"memory\"} "));
    counts.map_or(Ok(0), |count| Ok(count.parse()?))
}

async fn write(stack: &Stack, n: u64) -> Result<()> {
    let source = Source::new(1, now_unix_nanos() - n * 600_000_000_000);
    let mut connection = Connection::open(Wire::Http, stack.otlp_http, Encoding::Plain).await?;
    for signal in Signal::ALL {
        let body = Bytes::from(source.request(signal, n * ROWS, ROWS));
        let reply = connection.send(signal, body, None).await?;
        ensure!(reply.acked, "{reply:?}");
    }
    Ok(())
}
