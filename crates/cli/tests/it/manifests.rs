//! Manifests of a running server: crashes leave one published manifest for each partition of each batch, and the
//! command line names the one whose rows somebody changed.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::{Stack, now_unix_nanos};
use tidegate_model::partition_date;

use crate::{READY_WITHIN, SMALL_BATCHES, eventually, started};

const DAY_MS: u64 = 86_400_000;

/// Sends rows of today, of yesterday and of the day before.
async fn send(stack: &Stack, now_ms: u64, first: u64, rows: u64) -> Result<u16> {
    let row = |n: u64| json!({ "timestamp": now_ms - n % 3 * DAY_MS, "n": n });
    let fields = json!([{ "name": "timestamp", "type": "timestamp" }, { "name": "n", "type": "integer" }]);
    let rows: Vec<Value> = (first..first + rows).map(row).collect();
    let body = json!({ "schema": { "fields": fields }, "rows": rows });
    let request = reqwest::Client::new().post(format!("http://{}/datasets/visits/ingest", stack.http));
    let request = request.header("content-type", "application/json").header("idempotency-key", first.to_string());
    Ok(request.body(body.to_string()).send().await?.status().as_u16())
}

async fn manifests(stack: &Stack) -> Result<Vec<Value>> {
    let (mut all, mut path) = (Vec::new(), "/datasets/visits/manifests?limit=7".to_owned());
    loop {
        let page = stack.get(&path).await?;
        all.extend(page["manifests"].as_array().context("manifests")?.clone());
        let Some(next) = page["next_cursor"].as_str() else { return Ok(all) };
        path = format!("/datasets/visits/manifests?limit=7&cursor={next}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_leave_one_manifest_of_each_row_and_a_changed_row_is_named() -> Result<()> {
    let (_folder, mut stack) = started(&[SMALL_BATCHES, &[("TIDEGATE_QUERY__ADMIN_SQL", "true")]].concat()).await?;
    let (now_ms, mut sent) = (now_unix_nanos() / 1_000_000, 0);
    let yesterday = partition_date(u16::try_from(now_ms / DAY_MS - 1)?);
    for round in 0..3 {
        for _ in 0..10 {
            ensure!([200, 201].contains(&send(&stack, now_ms, sent, 100).await?), "rows are taken");
            sent += 100;
        }
        if round % 2 == 0 {
            stack.kill_serve()?;
            stack.start()?;
            stack.ready(READY_WITHIN).await?;
        } else {
            stack.signal_engine(rustix::process::Signal::KILL)?;
        }
    }
    let stored = async || Ok(stack.get("/ledger").await?["tables"][0]["hot"] == 0);
    eventually("all rows are stored", stored).await?;

    let all = manifests(&stack).await?;
    ensure!(all.len() > 7 && all.iter().all(|one| one["state"] == "published"), "{all:?}");
    let rows: u64 = all.iter().filter_map(|one| one["rows"].as_u64()).sum();
    ensure!(rows == sent, "{rows} rows in manifests, {sent} sent");
    let mut places: Vec<String> = all.iter().map(|one| format!("{}{}", one["batch"], one["partition"])).collect();
    places.sort_unstable();
    places.dedup();
    ensure!(places.len() == all.len(), "a batch has two manifests for one partition");
    let day = stack.get(&format!("/admin/datasets/visits/manifest?shard={yesterday}")).await?;
    ensure!(day["published"]["rows"] == sent / 3 && day["published"]["partitions"] == 1, "{day}");

    let (verified, _) = tidegate(&stack, &["verify"])?;
    ensure!(verified == 0, "an untouched store is exact");
    let change = "ALTER TABLE tidegate.visits UPDATE n = 7 WHERE _seq = 5 SETTINGS mutations_sync = 2";
    let request = reqwest::Client::new().post(format!("http://{}/sql/admin/clickhouse", stack.http));
    let request = request.header("content-type", "application/json").body(json!({ "sql": change }).to_string());
    ensure!(request.send().await?.status() == 200, "{change}");
    let (verified, said) = tidegate(&stack, &["verify"])?;
    ensure!(verified != 0 && said.contains("\"found_checksum\""), "{said}");
    let listed = tidegate(&stack, &["manifests", "visits", "--shard", &yesterday])?;
    ensure!(listed.0 == 0 && listed.1.contains("published manifests of 1 partitions"), "{}", listed.1);

    let changed: Value =
        serde_json::from_str(said.lines().find(|line| line.contains("found_checksum")).context("it")?)?;
    let id = changed["manifest"].as_str().context("its name")?;
    let accept = format!("http://{}/admin/datasets/visits/manifest/supersede?manifest={id}", stack.http);
    ensure!(reqwest::Client::new().post(accept).send().await?.status() == 200);
    let (verified, said) = tidegate(&stack, &["verify"])?;
    ensure!(verified == 0, "{said}");
    Ok(())
}

/// Runs the program against the stack; returns its exit code and what it printed.
fn tidegate(stack: &Stack, arguments: &[&str]) -> Result<(i32, String)> {
    let url = format!("http://{}", stack.http);
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).args(["--url", &url]).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code().context("an exit code")?, said))
}
