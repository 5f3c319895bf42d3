use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tidegate_load::{Stack, free_addresses};

use super::{ledger, taken};
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, stack};

/// The engine as a server elsewhere; killed when dropped.
struct Remote(Child);

impl Remote {
    fn start(folder: &Path, address: SocketAddr) -> Result<Self> {
        let engine = PathBuf::from(env!("CARGO_BIN_EXE_tidegate")).with_file_name("tidegate-engine");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the repository's folder")?;
        let mut command = Command::new(engine);
        command.arg("--path").arg(folder.join("remote")).args(["--http", &address.to_string()]);
        command.args(["--user", "writer", "--password-env", "WRITER", "--reader-password-env", "READER"]);
        command.env("WRITER", "w").env("READER", "r");
        command.env("TIDEGATE_LIBCHDB", root.join("lib/libchdb.so"));
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn logs(numbers: std::ops::Range<u64>) -> Vec<Value> {
    numbers.map(|n| json!({ "message": format!("line {n}"), "level": "info", "context": { "n": n } })).collect()
}

fn numbers(page: &Value) -> Vec<u64> {
    page["data"].as_array().into_iter().flatten().filter_map(|row| row["context"]["n"].as_u64()).collect()
}

/// Asks; returns status, where the rows came from, and the answer.
async fn ask(stack: &Stack, path: &str) -> Result<(StatusCode, String, Value)> {
    let answer = reqwest::get(format!("http://{}{path}", stack.http)).await?;
    let mode =
        answer.headers().get("x-timestore-freshness-mode").and_then(|mode| mode.to_str().ok()).unwrap_or_default();
    let (status, mode) = (answer.status(), mode.to_owned());
    let text = answer.text().await?;
    Ok((status, mode, serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_clickhouse_is_away_nothing_is_lost_and_no_answer_is_short() -> Result<()> {
    let [address] = free_addresses()?;
    let url = format!("http://{address}");
    let settings = [
        ("STORAGE_BACKEND", "clickhouse"),
        ("CLICKHOUSE_URL", url.as_str()),
        ("CLICKHOUSE_USER", "writer"),
        ("CLICKHOUSE_PASSWORD", "w"),
        ("TIDEGATE_CLICKHOUSE__READER_USER", "reader"),
        ("TIDEGATE_CLICKHOUSE__READER_PASSWORD", "r"),
        ("TIDEGATE_QUERY__SECONDS", "2"),
    ];
    let (folder, mut stack) = stack(&[SMALL_BATCHES, &settings].concat())?;
    let remote = Remote::start(folder.path(), address)?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    eventually("a query is answered", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    let metric = json!({ "metric_name": "m", "value": 1 });
    taken(&stack, "logs", &logs(0..10)).await?;
    taken(&stack, "metrics", std::slice::from_ref(&metric)).await?;
    eventually("they are stored", async || Ok(ledger(&stack, "logs").await? == [10, 10, 0, 0, 0])).await?;
    ensure!(stack.get("/ready").await?["engine"]["ready"] == true);

    drop(remote);
    let (status, _, ready) = ask(&stack, "/ready").await?;
    ensure!(status == 200 && ready["engine"]["ready"] == false && ready["engine"]["why"].is_string(), "{ready}");
    taken(&stack, "logs", &logs(10..15)).await?;
    taken(&stack, "events", &[json!({ "event_type": "deploy" })]).await?;
    taken(&stack, "metrics", &[metric]).await?;
    for path in [
        "/v1/json/logs",
        "/v1/json/logs/stats",
        "/v1/json/events",
        "/v1/json/metrics?metric_name=m",
        "/v1/json/metrics/aggregations?metric_name=m",
        "/prometheus/api/v1/query?query=m",
        "/prometheus/api/v1/labels",
        "/sql/read?query=SELECT%20count()%20FROM%20logs",
    ] {
        let (status, _, told) = ask(&stack, path).await?;
        ensure!(status == 503 || status == 504, "{path}: {status} {told}");
        ensure!(told["error"].is_string() || told["error"]["message"].is_string(), "{path}: {told}");
        ensure!(told["data"].is_null(), "{path}: {told}");
    }
    // What is in memory is told to who asks for that, and says that it is not all.
    let (status, mode, page) = ask(&stack, "/v1/json/logs?hot_only=true&limit=3").await?;
    ensure!((status.as_u16(), mode.as_str()) == (200, "hot-buffer-only"), "{status} {mode} {page}");
    ensure!(numbers(&page) == [14, 13, 12] && page["hot_only"] == json!({ "above": 10, "left_out": 2 }), "{page}");
    let (_, _, page) = ask(&stack, "/v1/json/logs?hot_only=true&text=line+11").await?;
    ensure!(numbers(&page) == [11], "{page}");

    let _remote = Remote::start(folder.path(), address)?;
    eventually("all are stored", async || Ok(ledger(&stack, "logs").await? == [15, 15, 0, 0, 0])).await?;
    let found = stack.get("/v1/json/logs?order=asc").await?;
    let mut all = numbers(&found);
    all.sort_unstable();
    ensure!(all == (0..15).collect::<Vec<_>>(), "{found}");
    eventually("the event is there", async || Ok(stack.get("/v1/json/events/stats").await?["total"] == 1)).await?;
    let points = stack.get("/v1/json/metrics?metric_name=m").await?;
    ensure!(points["data"].as_array().map(Vec::len) == Some(2), "{points}");
    ensure!(stack.get("/ready").await?["engine"]["ready"] == true);
    Ok(())
}
