//! Rows that expire while they are copied: a copy has all of them or none, and its parts agree.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_load::{Stack, now_unix_nanos};

use crate::backup::{engine_answers, restored, with_backups};
use crate::exports::{ask, ended, files};
use crate::{READY_WITHIN, eventually, started};

const HOUR_MS: u64 = 3_600_000;
/// Nothing is removed unless somebody asks.
const BY_HAND: (&str, &str) = ("TIDEGATE_LIFECYCLE__EVERY_SECONDS", "0");
/// Every request is a batch, and a part of its own in ClickHouse.
const AT_ONCE: (&str, &str) = ("TIDEGATE_BATCH__AGE_MS", "20");

/// Rows of so many hours and a half ago are sent, so that no row gets past an age in whole hours meanwhile.
const HOURS: u64 = 30;
const REQUESTS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_expire_beside_a_backup_are_in_all_of_its_parts_or_in_none() -> Result<()> {
    let (folder, backups, mut stack) = with_backups(&[BY_HAND, AT_ONCE]).await?;
    for request in 0..2 {
        send(&stack, request).await?;
    }
    keep(&stack, 4).await?;
    // A stopped engine holds the backup in its middle, while somebody asks for rows to go.
    stack.signal_engine(Signal::STOP)?;
    let request = reqwest::Client::new().post(format!("http://{}/admin/backups", stack.http));
    let asked = tokio::spawn(request.body(json!({ "name": "beside" }).to_string()).send());
    let copied = backups.path().join("beside.partial/wal");
    eventually("the log is copied", async || Ok(copied.is_dir())).await?;
    let run = reqwest::Client::new().post(format!("http://{}/admin/lifecycle/run", stack.http));
    let run = tokio::spawn(run.body("{}").send());
    stack.signal_engine(Signal::CONT)?;
    ensure!(asked.await??.status() == 201, "{}", stack.log_tail());
    ensure!(run.await??.status() == 200, "{}", stack.log_tail());
    expire(&stack).await?;
    ensure!(stack.number("SELECT count() FROM visits").await? == 2 * 4, "rows of the last four hours stay");
    stack.kill_serve()?;

    let data = folder.path().join("beside");
    let (code, said) = restored(&backups.path().join("beside"), &data).await?;
    ensure!(code == 0, "{said}");
    stack.set_data(&data);
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    engine_answers(&stack).await?;
    // Rows were kept when the log was copied: what went later went of nothing that the backup has.
    ensure!(stack.number("SELECT count() FROM visits").await? == 2 * HOURS);
    let ledger = stack.get("/ledger").await?["tables"].take();
    let entry = ledger.as_array().into_iter().flatten().find(|row| row["table"] == "visits").context("a ledger")?;
    ensure!(entry["expired"] == 0 && entry["stored"] == 2 * HOURS, "{entry}");
    expire(&stack).await?;
    ensure!(stack.number("SELECT count() FROM visits").await? == 2 * 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_expire_beside_an_export_are_in_it_of_every_batch_or_of_none() -> Result<()> {
    let (_folder, stack) = started(&[BY_HAND, AT_ONCE]).await?;
    for request in 0..REQUESTS {
        send(&stack, request).await?;
    }
    for hours in (2..HOURS).rev().step_by(3) {
        keep(&stack, hours).await?;
        let exported = async {
            let asked = ask(&stack, &json!({})).await?;
            ended(&stack, asked["id"].as_str().context("an id")?).await
        };
        let (ran, export) = tokio::join!(expire(&stack), exported);
        ran?;
        let mut found: BTreeMap<i64, u64> = BTreeMap::new();
        for (_, hour) in files::rows(&export?)? {
            *found.entry(hour).or_default() += 1;
        }
        ensure!(found.values().all(|rows| *rows == REQUESTS), "rows of some batches: {found:?}");
        let young = (0..i64::try_from(hours)?).all(|hour| found.contains_key(&hour));
        ensure!(young, "rows that stay are missing: {found:?}");
    }
    Ok(())
}

/// Sends a row of each hour, and waits until all are stored.
async fn send(stack: &Stack, request: u64) -> Result<()> {
    let now = now_unix_nanos() / 1_000_000;
    let row = |hour: u64| json!({ "at": now - hour * HOUR_MS - HOUR_MS / 2, "n": hour });
    let rows: Vec<Value> = (0..HOURS).map(row).collect();
    let fields = json!([{ "name": "at", "type": "timestamp" }, { "name": "n", "type": "integer" }]);
    let body = json!({ "schema": { "fields": fields }, "rows": rows, "idempotencyKey": request.to_string() });
    let (status, told) = call(stack, Method::POST, "/datasets/visits/ingest", &body).await?;
    ensure!(status == 201, "{status} {told}");
    eventually("all rows are stored", async || Ok(crate::account::hot_rows(stack).await? == 0)).await
}

/// Decides that only rows of so many hours are kept.
async fn keep(stack: &Stack, hours: u64) -> Result<()> {
    let policy = json!({ "rules": { "maxAgeHours": hours }, "deleteGraceMinutes": 0 });
    let (status, told) = call(stack, Method::PUT, "/admin/datasets/visits/retention", &policy).await?;
    ensure!(status == 200, "{status} {told}");
    Ok(())
}

/// Runs the lifecycle until nothing is left of it, and recounts.
async fn expire(stack: &Stack) -> Result<()> {
    eventually("a run leaves nothing", async || {
        let (status, told) = call(stack, Method::POST, "/admin/lifecycle/run", &json!({})).await?;
        ensure!(status == 200, "{status} {told}");
        Ok(told["report"]["left"] == 0)
    })
    .await?;
    let (status, told) = call(stack, Method::POST, "/verify", &json!({})).await?;
    ensure!(status == 200 && told["exact"] == true, "{status} {told}");
    Ok(())
}

async fn call(stack: &Stack, method: Method, path: &str, body: &Value) -> Result<(u16, Value)> {
    let request = reqwest::Client::new().request(method, format!("http://{}{path}", stack.http));
    let answer = request.header("content-type", "application/json").body(body.to_string()).send().await?;
    Ok((answer.status().as_u16(), serde_json::from_str(&answer.text().await?)?))
}
