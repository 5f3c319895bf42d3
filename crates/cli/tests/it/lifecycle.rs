//! Retention, tiers and quotas of the real server, over REST and from the terminal.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_load::Stack;
use tokio::process::Command;

use crate::{READY_WITHIN, SMALL_BATCHES, eventually, stack};

const HOUR_MS: u64 = 3_600_000;
/// Nothing is removed unless somebody asks.
const BY_HAND: (&str, &str) = ("TIDEGATE_LIFECYCLE__EVERY_SECONDS", "0");

async fn started(settings: &[(&str, &str)]) -> Result<(TempDir, Stack)> {
    let (folder, mut stack) = stack(&[SMALL_BATCHES, &[BY_HAND], settings].concat())?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    answers(&stack).await?;
    Ok((folder, stack))
}

async fn answers(stack: &Stack) -> Result<()> {
    eventually("the engine answers", async || Ok(stack.query("SELECT 1").await.is_ok())).await
}

/// Sends a request; returns status, `Retry-After` and body.
async fn ask(stack: &Stack, method: Method, path: &str, body: &Value) -> Result<(u16, Option<u64>, Value)> {
    let request = reqwest::Client::new().request(method, format!("http://{}{path}", stack.http));
    let request = request.header("content-type", "application/json").header("x-actor-id", "mara");
    let answer = request.body(body.to_string()).send().await?;
    let status = answer.status().as_u16();
    let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let text = answer.text().await?;
    Ok((status, after, serde_json::from_str(&text).unwrap_or_default()))
}

/// Runs `tidegate …` against the stack; returns whether it succeeded and what it printed.
async fn command(stack: &Stack, arguments: &[&str]) -> Result<(bool, String)> {
    let url = format!("http://{}", stack.http);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.args(arguments).args(["--url", &url]).output().await?;
    Ok((output.status.success(), String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?))
}

async fn done(stack: &Stack, arguments: &[&str]) -> Result<String> {
    let (success, text) = command(stack, arguments).await?;
    ensure!(success, "{arguments:?}: {text}\n{}", stack.log_tail());
    Ok(text)
}

/// Sends rows of so many hours ago, one each, and waits until they are stored.
async fn send(stack: &Stack, hours_ago: &[u64]) -> Result<()> {
    let now = stack.number("SELECT toUnixTimestamp64Milli(now64(3)) AS n").await?;
    let rows: Vec<_> =
        hours_ago.iter().map(|hours| json!({ "timestamp": now - hours * HOUR_MS, "n": hours })).collect();
    let fields = json!([{ "name": "timestamp", "type": "timestamp" }, { "name": "n", "type": "integer" }]);
    let body = json!({ "schema": { "fields": fields }, "rows": rows });
    let (status, _, told) = ask(stack, Method::POST, "/datasets/visits/ingest", &body).await?;
    ensure!(status == 201, "{status} {told}");
    eventually("all rows are stored", async || Ok(ledger(stack).await?["hot"] == 0)).await
}

async fn ledger(stack: &Stack) -> Result<Value> {
    let tables = stack.get("/ledger").await?["tables"].take();
    let found = tables.as_array().into_iter().flatten().find(|row| row["table"] == "visits").cloned();
    Ok(found.unwrap_or_default())
}

async fn rows(stack: &Stack) -> Result<u64> {
    Ok(stack.number("SELECT count() AS n FROM visits").await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_past_their_retention_go_and_everything_says_so() -> Result<()> {
    let (_folder, stack) = started(&[]).await?;
    send(&stack, &[20 * 24, 72, 72, 73, 0, 1]).await?;
    let decided = ["datasets", "retention", "visits", "--max-age-hours", "48", "--grace-minutes", "0"];
    ensure!(done(&stack, &decided).await?.contains("visits"));
    let late = async || Ok(stack.get("/health").await?["lifecycle"]["within_retention"] == false);
    eventually("the alarm is raised", late).await?;
    let planned = done(&stack, &["datasets", "lifecycle", "run", "visits", "--dry-run"]).await?;
    ensure!(planned.contains("planned") && rows(&stack).await? == 6, "{planned}");

    let ran = done(&stack, &["datasets", "lifecycle", "run"]).await?;
    ensure!(ran.contains("done") && !ran.contains("postponed"), "{ran}");
    ensure!(rows(&stack).await? == 2, "the young rows stay");
    let ledger = ledger(&stack).await?;
    ensure!(ledger["expired"] == 4 && ledger["stored"] == 6 && ledger["received"] == 6, "{ledger}");
    done(&stack, &["verify"]).await?;
    let expired = done(&stack, &["manifests", "visits", "--state", "expired"]).await?;
    ensure!(expired.contains("expired"), "{expired}");
    let audit = stack.get("/admin/datasets/visits/audit").await?;
    let actions: Vec<_> = audit["entries"].as_array().into_iter().flatten().map(|entry| &entry["action"]).collect();
    ensure!(actions.contains(&&json!("retention.partition.deleted")), "{audit}");
    ensure!(actions.contains(&&json!("retention.updated")), "{audit}");
    let runs = done(&stack, &["datasets", "lifecycle", "runs"]).await?;
    ensure!(runs.contains("completed") && runs.contains("request"), "{runs}");
    let well = async || Ok(stack.get("/health").await?["lifecycle"]["within_retention"] == true);
    eventually("the alarm is over", well).await?;
    ensure!(stack.get("/admin/lifecycle/status").await?["alarms"] == 1);

    // A late row is taken, answered, and goes with the next run.
    send(&stack, &[100]).await?;
    ensure!(rows(&stack).await? == 3);
    done(&stack, &["datasets", "lifecycle", "run"]).await?;
    ensure!(rows(&stack).await? == 2);
    let refused = command(&stack, &["datasets", "retention", "metric_series", "--max-age-hours", "1"]).await?;
    ensure!(!refused.0 && refused.1.contains("cannot expire"), "{}", refused.1);
    let body = json!({ "mode": "size", "rules": { "maxAgeHours": 1 } });
    let (status, _, told) = ask(&stack, Method::PUT, "/admin/datasets/visits/retention", &body).await?;
    ensure!(status == 400 && told["error"]["message"].as_str().is_some_and(|text| text.contains("maxTotalBytes")));
    let body = json!({ "coldStorageAfterHours": 1 });
    let (status, _, told) = ask(&stack, Method::PUT, "/admin/datasets/visits/retention", &body).await?;
    ensure!(status == 400 && told["error"]["hint"].as_str().is_some_and(|text| text.contains("cold_folder")), "{told}");
    Ok(())
}

/// Sends a log record, an event and a data point of so many days ago each, and waits until all are stored.
async fn send_telemetry(stack: &Stack, days_ago: &[u64]) -> Result<()> {
    let now = stack.number("SELECT toUnixTimestamp64Milli(now64(3)) AS n").await?;
    for days in days_ago {
        let at = now - days * 24 * HOUR_MS;
        for (kind, entry) in [
            ("logs", json!({ "timestamp": at, "message": "old" })),
            ("events", json!({ "timestamp": at, "event_type": "old" })),
            ("metrics", json!({ "timestamp": at, "metric_name": "old", "value": days })),
        ] {
            let (status, _, told) = ask(stack, Method::POST, &format!("/v1/json/{kind}"), &entry).await?;
            ensure!(status == 201, "{status} {told}");
        }
    }
    let hot = async || {
        let told = stack.get("/ledger").await?;
        Ok(told["tables"].as_array().into_iter().flatten().all(|line| line["hot"] == 0))
    };
    eventually("all rows are stored", hot).await
}

/// Counts log records, events and data points.
async fn telemetry(stack: &Stack) -> Result<[u64; 3]> {
    let mut found = [0; 3];
    for (found, table) in found.iter_mut().zip(["logs", "events", "metric_samples"]) {
        *found = stack.number(&format!("SELECT count() AS n FROM {table}")).await?;
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_defaults_give_notice_and_a_preview_before_they_remove_anything() -> Result<()> {
    let (_folder, mut stack) = started(&[]).await?;
    // Two of the log records, one of the events and none of the data points are past what is kept of them.
    send_telemetry(&stack, &[1, 200, 400]).await?;
    done(&stack, &["datasets", "lifecycle", "run"]).await?;
    ensure!(telemetry(&stack).await? == [3, 3, 3], "nothing goes without notice");
    let logs = stack.get("/admin/datasets/logs/retention").await?;
    let pending = &logs["tables"][0]["pending"];
    ensure!(pending["policy"]["rules"]["maxAgeHours"] == 4_392 && pending["from"].is_string(), "{logs}");
    ensure!(logs["tables"][0]["policy"]["mode"] == "none", "{logs}");
    for (table, rows) in [("logs", 2), ("events", 1), ("metric_samples", 0)] {
        let path = format!("/admin/datasets/{table}/retention/preview");
        let (status, _, told) = ask(&stack, Method::POST, &path, &json!(null)).await?;
        ensure!(status == 400, "null is no policy: {told}");
        let told = done(&stack, &["datasets", "retention", table, "--preview", "--json"]).await?;
        let told: Value = serde_json::from_str(&told).context(told.clone())?;
        let table = &told["tables"][0];
        ensure!(table["rows"] == rows && table["oldest"].is_string() == (rows > 0), "{told}");
    }
    let other = ["datasets", "retention", "logs", "--max-age-hours", "1", "--preview", "--json"];
    let told: Value = serde_json::from_str(&done(&stack, &other).await?)?;
    ensure!(told["tables"][0]["rows"] == 3 && told["tables"][0]["partitions"].as_u64() >= Some(1), "{told}");
    ensure!(
        stack.get("/admin/datasets/logs/retention").await?["tables"][0]["source"] == "settings",
        "nothing is decided"
    );

    // The next start says what will go.
    stack.stop()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let told = async || {
        let log = stack.log_tail();
        Ok(log.contains("by the default retention") && log.contains("logs") && log.contains("events"))
    };
    eventually("the log tells what will go", told).await?;

    // Once the notice is over, they go; what somebody decided holds instead.
    done(&stack, &["datasets", "retention", "events", "--keep-all"]).await?;
    stack.stop()?;
    stack.add_env(&[("TIDEGATE_RETAIN__NOTICE_HOURS", "0")]);
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    answers(&stack).await?;
    done(&stack, &["datasets", "lifecycle", "run"]).await?;
    ensure!(telemetry(&stack).await? == [1, 3, 3], "{:?}", telemetry(&stack).await?);
    done(&stack, &["verify"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedule_removes_without_being_asked_also_rows_of_built_in_tables() -> Result<()> {
    let settings = [("TIDEGATE_LIFECYCLE__EVERY_SECONDS", "1"), ("TIDEGATE_RETAIN__DATASETS_HOURS", "48")];
    let (_folder, stack) = started(&settings).await?;
    send(&stack, &[100, 0]).await?;
    eventually("the old row is gone", async || Ok(rows(&stack).await? == 1)).await?;
    done(&stack, &["verify"]).await?;
    let runs = stack.get("/admin/lifecycle/runs").await?;
    ensure!(runs["runs"][0]["cause"] == "schedule" && runs["runs"].as_array().map(Vec::len) == Some(1), "{runs}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_partitions_move_to_the_cold_folder_and_are_answered_from_there() -> Result<()> {
    let cold = tempfile::tempdir()?;
    let place = cold.path().join("cold").display().to_string();
    // The tables are there before the cold volume is.
    let (_folder, mut stack) = started(&[]).await?;
    send(&stack, &[100, 101, 0]).await?;
    stack.stop()?;
    stack.add_env(&[("TIDEGATE_LIFECYCLE__COLD_FOLDER", &place)]);
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    answers(&stack).await?;
    done(&stack, &["datasets", "retention", "visits", "--cold-after-hours", "48"]).await?;
    let ran = done(&stack, &["datasets", "lifecycle", "run"]).await?;
    ensure!(ran.contains("move") && ran.contains("done"), "{ran}");
    ensure!(rows(&stack).await? == 3);
    let manifests = stack.get("/datasets/visits/manifests").await?;
    let tiers: Vec<_> = manifests["manifests"].as_array().into_iter().flatten().map(|one| &one["tier"]).collect();
    ensure!(tiers.contains(&&json!("cold")) && tiers.contains(&&json!("hot")), "{manifests}");
    ensure!(std::fs::read_dir(&place)?.next().is_some(), "nothing is in the cold folder");
    let shard = manifests["manifests"].as_array().into_iter().flatten().find(|one| one["tier"] == "cold");
    let shard = shard.and_then(|one| one["shard"].as_str()).context("a cold shard")?.to_owned();
    let warm = done(&stack, &["datasets", "lifecycle", "prewarm", "visits", &shard]).await?;
    ensure!(warm.contains("rows               2") || warm.contains("rows               1"), "{warm}");
    done(&stack, &["verify"]).await?;
    let again = done(&stack, &["datasets", "lifecycle", "run"]).await?;
    ensure!(!again.contains("move"), "what is cold is not moved again: {again}");

    stack.kill_serve()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    answers(&stack).await?;
    ensure!(rows(&stack).await? == 3, "cold rows survive a restart");
    done(&stack, &["verify"]).await?;
    done(&stack, &["datasets", "retention", "visits", "--max-age-hours", "50", "--grace-minutes", "0"]).await?;
    done(&stack, &["datasets", "lifecycle", "run"]).await?;
    ensure!(rows(&stack).await? == 1, "cold rows go too");

    stack.stop()?;
    stack.add_env(&[("TIDEGATE_LIFECYCLE__COLD_FOLDER", "")]);
    stack.start()?;
    ensure!(!stack.wait()?.success() && stack.log_tail().contains("cold volume"), "{}", stack.log_tail());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_past_its_quota_is_told_which_and_nothing_of_the_request_is_written() -> Result<()> {
    const QUOTA: &str = "/admin/datasets/visits/quota";
    const INGEST: &str = "/datasets/visits/ingest";
    let (_folder, mut stack) = started(&[]).await?;
    send(&stack, &[0]).await?;
    done(&stack, &["datasets", "quota", "visits", "--rows-per-second", "10"]).await?;
    let many: Vec<_> = (0..600).map(|n| json!({ "timestamp": 1_767_225_600_000_u64, "n": n })).collect();
    let (status, _, _) = ask(&stack, Method::POST, INGEST, &json!({ "rows": many })).await?;
    ensure!(status == 201, "a large request passes, and is paid for");
    let received = ledger(&stack).await?["received"].clone();
    // A column that it would add is not added either.
    let one = json!([{ "timestamp": 1_767_225_600_000_u64, "n": 1, "brought": "a column" }]);
    let (status, after, told) = ask(&stack, Method::POST, INGEST, &one).await?;
    let details = &told["error"]["details"];
    ensure!(status == 429 && after.is_some_and(|after| after > 30), "{status} {after:?} {told}");
    ensure!(details["quota"] == "rowsPerSecond" && details["limit"] == 10 && details["dataset"] == "visits", "{told}");
    ensure!(ledger(&stack).await?["received"] == received, "nothing is counted");
    let schema = stack.get("/admin/datasets/visits/schema").await?;
    ensure!(!schema.to_string().contains("brought"), "{schema}");
    let metrics = reqwest::get(format!("http://{}/metrics", stack.http)).await?.text().await?;
    ensure!(metrics.contains("tidegate_quota_refusals{quota=\"rowsPerSecond\"} 1"), "{metrics}");

    let (status, _, told) = ask(&stack, Method::PUT, QUOTA, &json!({ "storedBytes": 1 })).await?;
    ensure!(status == 200 && told["source"] == "dataset", "{told}");
    let full = async || {
        let (status, _, told) = ask(&stack, Method::POST, INGEST, &one).await?;
        Ok(status == 429 && told["error"]["details"]["quota"] == "storedBytes")
    };
    eventually("the dataset is full", full).await?;
    // What was decided is known after a restart.
    stack.kill_serve()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    ensure!(stack.get(QUOTA).await?["quota"]["storedBytes"] == 1);
    ensure!(ask(&stack, Method::DELETE, QUOTA, &Value::Null).await?.0 == 204);
    let (status, _, told) = ask(&stack, Method::POST, INGEST, &one).await?;
    ensure!(status == 201, "{status} {told}");
    let (status, _, told) = ask(&stack, Method::PUT, QUOTA, &json!({ "rowsPerSecond": 0 })).await?;
    ensure!(status == 400, "{told}");
    ensure!(ask(&stack, Method::PUT, "/admin/datasets/none/quota", &json!({})).await?.0 == 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datasets_of_one_tenant_share_a_quota_that_survives_a_kill() -> Result<()> {
    let (_folder, mut stack) = started(&[]).await?;
    let row = |n: u64| json!({ "rows": [{ "timestamp": 1_767_225_600_000_u64 + n, "n": n }] });
    for slug in ["clicks", "visits", "others"] {
        let (status, _, told) = ask(&stack, Method::POST, &format!("/datasets/{slug}/ingest"), &row(0)).await?;
        ensure!(status == 201, "{told}");
    }
    for slug in ["clicks", "visits"] {
        let change = json!({ "metadata": { "tenant": "acme" } });
        let (status, _, told) = ask(&stack, Method::PATCH, &format!("/admin/datasets/{slug}"), &change).await?;
        ensure!(status == 200, "{told}");
    }
    done(&stack, &["datasets", "quota", "acme", "--tenant", "--rows-per-second", "1"]).await?;
    let many: Vec<_> = (0..600).map(|n| json!({ "timestamp": 1_767_225_600_000_u64, "n": n })).collect();
    let (status, _, told) = ask(&stack, Method::POST, "/datasets/clicks/ingest", &json!({ "rows": many })).await?;
    ensure!(status == 201, "{told}");
    let (status, _, told) = ask(&stack, Method::POST, "/datasets/visits/ingest", &row(1)).await?;
    let details = &told["error"]["details"];
    ensure!(status == 429 && details["tenant"] == "acme" && details["dataset"] == "visits", "{status} {told}");
    let (status, _, told) = ask(&stack, Method::POST, "/datasets/others/ingest", &row(1)).await?;
    ensure!(status == 201, "another's: {told}");
    done(&stack, &["datasets", "quota", "acme", "--tenant", "--stored-bytes", "1"]).await?;
    stack.kill_serve()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let told = stack.get("/admin/tenants/acme/quota").await?;
    ensure!(told["quota"]["storedBytes"] == 1 && told["datasets"] == json!(["clicks", "visits"]), "{told}");
    eventually("all datasets of the tenant are full", async || {
        let (status, _, told) = ask(&stack, Method::POST, "/datasets/visits/ingest", &row(2)).await?;
        let details = &told["error"]["details"];
        Ok(status == 429 && details["quota"] == "storedBytes" && details["tenant"] == "acme")
    })
    .await
}
