//! A writer, readers and a killer at once: no answer claims a freshness that it does not have.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Response, StatusCode};
use rustix::process::Signal as Kill;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::account::as_number;
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, started};

/// What the writer and the readers know of each other.
struct Shared {
    http: SocketAddr,
    client: Client,
    /// The highest row that was acknowledged.
    acked: AtomicU64,
    reads: AtomicU64,
    refused: AtomicU64,
    stop: AtomicBool,
    /// Acknowledged rows, and when; those that no answer has shown yet.
    unseen: Mutex<Vec<(u64, Instant)>>,
    visible_after: Mutex<Vec<Duration>>,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn saw(&self, head: u64) {
        let (mut unseen, now) = (self.unseen.lock().expect("no panic holds it"), Instant::now());
        let mut visible = self.visible_after.lock().expect("no panic holds it");
        unseen.retain(|(row, acked)| {
            if *row <= head {
                visible.push(now.duration_since(*acked));
            }
            *row > head
        });
    }
}

/// Writes a few rows at a time; what was not answered is sent again under its key.
async fn write(shared: Arc<Shared>) -> Result<u64> {
    let mut sent = 0;
    while shared.goes_on() {
        let body: Vec<Value> =
            (0..7).map(|n| json!({ "timestamp": "2026-11-20T10:00:00Z", "n": sent * 7 + n })).collect();
        let url = format!("http://{}/datasets/visits/ingest", shared.http);
        let request = shared.client.post(url).header("content-type", "application/json");
        let request = request.header("idempotency-key", format!("write-{sent}")).body(json!(body).to_string());
        let Ok(answer) = request.send().await else { continue };
        if !answer.status().is_success() {
            continue;
        }
        let Ok(text) = answer.text().await else { continue };
        let told: Value = serde_json::from_str(&text)?;
        sent += 1;
        // Rows of a retry have no new numbers; this is the only writer, so the count is the watermark.
        let row = sent * 7;
        ensure!(told["retry"] == true || told["watermark"] == format!("visits={row}"), "{told}");
        shared.unseen.lock().expect("no panic holds it").push((row, Instant::now()));
        shared.acked.store(row, Ordering::SeqCst);
    }
    Ok(sent * 7)
}

/// Reads and compares each answer with what it says of itself, and with what was acknowledged before it.
async fn read(shared: Arc<Shared>, strict: bool) -> Result<()> {
    const COUNT: &str = "SELECT count() AS rows, max(_seq) AS last, uniqExact(_seq) AS numbers FROM visits";
    while shared.goes_on() {
        let floor = shared.acked.load(Ordering::SeqCst);
        if floor == 0 {
            tokio::task::yield_now().await;
            continue;
        }
        let url = format!("http://{}/sql/read", shared.http);
        let mut request = shared.client.get(url).query(&[("query", COUNT), ("requireFresh", "true")]);
        if strict {
            request = request.query(&[("min_watermark", format!("visits={floor}"))]);
        }
        let Ok(answer) = request.send().await else { continue };
        if answer.status() != 200 {
            let status = answer.status();
            ensure!([409, 503, 504].contains(&status.as_u16()), "{status}: {}", answer.text().await?);
            shared.refused.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        if let Some(head) = checked(answer, floor).await? {
            shared.saw(head);
            shared.reads.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// Returns the watermark of an answer that is as fresh as it says; `None`: it broke off, and nobody takes it for whole.
async fn checked(answer: Response, floor: u64) -> Result<Option<u64>> {
    let header = |name: &str| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned).context(name.to_owned())
    };
    let watermark = header("x-timestore-watermark")?;
    ensure!(header("x-timestore-latest-ingest-watermark")? == watermark);
    let head: u64 = watermark.strip_prefix("visits=").context("the table's")?.parse()?;
    let (mode, age) = (header("x-timestore-freshness-mode")?, header("x-timestore-replica-age-ms")?.parse::<u64>()?);
    let Ok(text) = answer.text().await else { return Ok(None) };
    let told: Value = serde_json::from_str(&text)?;
    let number = |name: &str| as_number(&told["data"][0][name]).context(name.to_owned());
    let (rows, last, numbers) = (number("rows")?, number("last")?, number("numbers")?);
    ensure!(head >= floor, "row {floor} was acknowledged before the read, it claims {head}");
    ensure!(rows == head && last == head && numbers == head, "it claims {head} rows: {told}");
    ensure!(mode != "replica-only" || age == 0, "{mode} and {age} ms behind");
    ensure!(["replica-only", "replica+hot-buffer"].contains(&mode.as_str()), "{mode}");
    Ok(Some(head))
}

/// Reads the same without SQL, put together by time.
async fn read_buckets(shared: Arc<Shared>) -> Result<()> {
    while shared.goes_on() {
        let floor = shared.acked.load(Ordering::SeqCst);
        if floor == 0 {
            tokio::task::yield_now().await;
            continue;
        }
        let aggregations = json!([{ "fn": "count" }, { "fn": "count_distinct", "column": "n" }]);
        let body = json!({
            "downsample": { "intervalUnit": "day", "aggregations": aggregations },
            "minWatermark": floor,
            "requireFresh": true,
        });
        let request = shared.client.post(format!("http://{}/datasets/visits/query", shared.http));
        let Ok(answer) = request.header("content-type", "application/json").body(body.to_string()).send().await else {
            continue;
        };
        let status = answer.status();
        let Ok(text) = answer.text().await else { continue };
        if status != 200 {
            ensure!([409, 503, 504].contains(&status.as_u16()), "{status}: {text}");
            shared.refused.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let told: Value = serde_json::from_str(&text)?;
        let head = told["latest_ingest_watermark"].as_u64().context("a watermark")?;
        let bucket = &told["rows"][0];
        ensure!(head >= floor && told["streaming"]["fresh"] == true, "{floor} rows were acknowledged: {told}");
        ensure!(bucket["count"] == head && bucket["count_distinct_n"] == head, "it claims {head} rows: {told}");
        let places = [&told["sources"]["published"]["rows"], &told["sources"]["hotBuffer"]["rows"]];
        ensure!(places.iter().filter_map(|rows| rows.as_u64()).sum::<u64>() == head, "{told}");
        shared.saw(head);
        shared.reads.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// Insists on rows that nobody will write.
async fn insist(shared: Arc<Shared>) -> Result<u64> {
    let mut refused = 0;
    while shared.goes_on() {
        let beyond = format!("visits={}", shared.acked.load(Ordering::SeqCst) + 1_000_000);
        let url = format!("http://{}/sql/read", shared.http);
        let query = [("query", "SELECT count() FROM visits"), ("min_watermark", &beyond)];
        let Ok(answer) = shared.client.get(url).query(&query).send().await else { continue };
        match answer.status() {
            StatusCode::CONFLICT => {
                ensure!(answer.headers().contains_key("retry-after"), "{answer:?}");
                refused += 1;
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::NOT_FOUND => {}
            status => bail!("{status} for rows that are not there: {}", answer.text().await?),
        }
    }
    Ok(refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_claims_a_freshness_that_it_does_not_have() -> Result<()> {
    let settings = [SMALL_BATCHES, &[("TIDEGATE_QUERY__FRESH_WAIT_MS", "100"), ("TIDEGATE_BATCH__ROWS", "40")]];
    let (_folder, mut stack) = started(&settings.concat()).await?;
    let shared = Arc::new(Shared {
        http: stack.http,
        client: Client::new(),
        acked: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        unseen: Mutex::default(),
        visible_after: Mutex::default(),
    });
    let writer = tokio::spawn(write(Arc::clone(&shared)));
    let readers: [JoinHandle<Result<()>>; 3] = [
        tokio::spawn(read(Arc::clone(&shared), true)),
        tokio::spawn(read(Arc::clone(&shared), false)),
        tokio::spawn(read_buckets(Arc::clone(&shared))),
    ];
    let insisting = tokio::spawn(insist(Arc::clone(&shared)));

    for round in 0..4 {
        let (acked, reads) = (shared.acked.load(Ordering::SeqCst), shared.reads.load(Ordering::SeqCst));
        eventually("rows are written and read", async || {
            let (acked_now, reads_now) = (shared.acked.load(Ordering::SeqCst), shared.reads.load(Ordering::SeqCst));
            // One that has ended says why below.
            Ok(readers.iter().any(JoinHandle::is_finished) || (acked_now > acked + 70 && reads_now > reads + 10))
        })
        .await?;
        if round % 2 == 0 {
            stack.signal_engine(Kill::KILL)?;
        } else {
            stack.kill_serve()?;
            stack.start()?;
            stack.ready(READY_WITHIN).await?;
        }
    }
    let reads = shared.reads.load(Ordering::SeqCst);
    eventually("reads after the last death", async || {
        let reads_now = shared.reads.load(Ordering::SeqCst);
        Ok(readers.iter().any(JoinHandle::is_finished) || reads_now > reads + 10)
    })
    .await?;
    shared.stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await??;
    }
    let (rows, refused) = (writer.await??, insisting.await??);
    ensure!(refused > 0, "nothing was refused");
    ensure!(stack.number("SELECT count() FROM visits").await? == rows);
    let mut visible = shared.visible_after.lock().expect("no panic holds it").clone();
    visible.sort_unstable();
    let p99 = visible.get(visible.len() * 99 / 100).context("rows were seen")?;
    eprintln!(
        "{rows} rows, {} reads, {} refused; from the acknowledgement to an answer with the row: p50 {:?}, p99 {p99:?}, deaths included",
        shared.reads.load(Ordering::SeqCst),
        shared.refused.load(Ordering::SeqCst),
        visible[visible.len() / 2],
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_stands_still_raises_the_alarm_and_one_that_is_back_ends_it() -> Result<()> {
    let settings = [SMALL_BATCHES, &[("TIDEGATE_FRESHNESS__REPLICA_AGE_SLA_MS", "400")]].concat();
    let (_folder, stack) = started(&settings).await?;
    eventually("an engine", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    let late = async || Ok::<_, anyhow::Error>(stack.get("/health").await?["freshness"]["within_sla"] == false);
    ensure!(!late().await?, "nothing is late yet");
    stack.signal_engine(Kill::STOP)?;
    let url = format!("http://{}/datasets/visits/ingest", stack.http);
    let request = Client::new().post(url).header("content-type", "application/json").body(r#"[{"n":1}]"#);
    ensure!(request.send().await?.status() == 201, "the row is taken");
    eventually("the alarm", late).await?;
    let health = stack.get("/health").await?;
    ensure!(health["freshness"]["hot_tail_rows"] == 1 && health["freshness"]["alarms"] == 1, "{health}");
    let metrics = reqwest::get(format!("http://{}/metrics", stack.http)).await?.text().await?;
    ensure!(metrics.contains("\ntimestore_replica_late 1\n") && metrics.contains("\ntimestore_hot_tail_rows 1\n"));
    ensure!(stack.log_tail().contains("clickhouse is further behind than agreed"), "{}", stack.log_tail());
    stack.signal_engine(Kill::CONT)?;
    eventually("it is over", async || Ok(!late().await?)).await?;
    eventually("it is told", async || Ok(stack.log_tail().contains("clickhouse has caught up"))).await
}
