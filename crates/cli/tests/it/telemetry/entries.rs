use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{ledger, pages, send, taken};
use crate::{SMALL_BATCHES, eventually, started};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_comes_back_as_it_was_sent_hot_and_stored() -> Result<()> {
    let (_folder, stack) = started(&[("TIDEGATE_BATCH__AGE_MS", "2000")]).await?;
    let log = json!({
        "timestamp": "2026-01-31T09:00:00.123456Z", "level": "warning", "source": "system_monitor",
        "message": "High CPU usage detected", "context": { "cpu_percent": 95, "ratio": 0.5, "on": true, "deep": { "a": [1, "b"] } },
        "agent_id": "a-1", "session_id": "s-1", "trace_id": "5b8efff798038103d269b633813fc60c", "span_id": "eee19b7ec3c1b174",
    });
    let event = json!({
        "timestamp": "2026-01-31T09:00:01Z", "event_type": "service_status", "source": "MonitoringAgent",
        "details": "Weaviate is down", "metadata": { "service": "Weaviate", "attempts": 3 }, "agent_id": "a-1", "session_id": "s-1",
    });
    let metric = json!({
        "timestamp": "2026-01-31T09:00:02Z", "metric_name": "system.cpu_percent", "value": 12.5, "unit": "percent",
        "tags": { "host": "a" }, "source": "MonitoringAgent", "agent_id": "a-1",
    });
    for (kind, entry) in [("logs", &log), ("events", &event), ("metrics", &metric)] {
        taken(&stack, kind, std::slice::from_ref(entry)).await?;
    }
    let check = async || {
        for (kind, sent) in [("logs", &log), ("events", &event), ("metrics", &metric)] {
            let told = pages(&stack, &format!("/v1/json/{kind}?limit=10")).await?;
            ensure!(told.len() == 1, "{told:?}");
            for (name, value) in sent.as_object().context("an object")? {
                let wanted = if name == "level" { &json!("WARNING") } else { value };
                ensure!(told[0][name] == *wanted, "{kind}.{name}: {}", told[0]);
            }
        }
        anyhow::Ok(())
    };
    check().await?;
    let is_stored =
        async || Ok(ledger(&stack, "events").await? == [1, 1, 0, 0, 0] && ledger(&stack, "logs").await?[1] == 1);
    eventually("every row is stored", is_stored).await?;
    check().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_entries_are_told_and_counted_and_retries_are_known_by_their_key() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let lines =
        "{\"event_type\":\"a\"}\n{\"details\":1}\nno json\n{\"event_type\":\"b\",\"x\":1}\n{\"event_type\":\"c\"}\n";
    let ndjson = ("content-type", "application/x-ndjson");
    for is_retry in [false, true] {
        let key = ("idempotency-key", "k");
        let (status, told) = send(&stack, "/v1/json/events", lines.to_owned(), &[ndjson, key]).await?;
        let reasons: Vec<_> = told["rejections"].as_array().into_iter().flatten().collect();
        let reasons: Vec<_> = reasons.iter().map(|one| (one["index"].clone(), one["reason"].clone())).collect();
        let expected =
            [(1, "missing"), (2, "malformed"), (3, "unknown")].map(|(at, reason)| (json!(at), json!(reason)));
        ensure!(
            (status, &told["accepted"], &told["retry"])
                == (if is_retry { 200 } else { 201 }, &json!(2), &json!(is_retry)),
            "{told}"
        );
        ensure!(reasons == expected, "{told}");
    }
    let (status, _) =
        send(&stack, "/v1/json/events", "{\"event_type\":\"z\"}".to_owned(), &[("idempotency-key", "k")]).await?;
    ensure!(status == 409, "another content under the same key: {status}");
    // Without a key the same line may be sent twice on purpose.
    for _ in 0..2 {
        taken(&stack, "events", &[json!({ "event_type": "again" })]).await?;
    }
    let (status, told) = send(&stack, "/v1/json/logs", "{\"message\":".to_owned(), &[]).await?;
    ensure!(
        status == 400 && told["error"]["message"].as_str().is_some_and(|text| text.contains("neither one JSON")),
        "{told}"
    );
    eventually("every row is stored", async || Ok(ledger(&stack, "events").await?[2] == 0)).await?;
    let [received, stored, _, rejected, duplicate] = ledger(&stack, "events").await?;
    ensure!((received, stored, rejected, duplicate) == (9, 4, 3, 2), "{received} {stored} {rejected} {duplicate}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_record_with_a_name_is_an_event_and_nothing_else() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let record = |n: usize| {
        let old = json!([{ "key": "event.name", "value": { "stringValue": "older" } }]);
        match n % 3 {
            0 => json!({ "body": { "stringValue": format!("{n}") } }),
            1 => json!({ "body": { "stringValue": format!("{n}") }, "eventName": "named" }),
            _ => json!({ "body": { "stringValue": format!("{n}") }, "attributes": old }),
        }
    };
    for request in 0..20 {
        let records: Vec<Value> = (request * 30..(request + 1) * 30).map(record).collect();
        let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": records }] }] });
        let url = format!("http://{}/v1/logs", stack.otlp_http);
        let sent = reqwest::Client::new().post(url).header("content-type", "application/json").body(body.to_string());
        ensure!(sent.send().await?.status() == 200);
        let counted = stack.query("SELECT (SELECT count() FROM logs) AS l, (SELECT count() FROM events) AS e").await?;
        let [logs, events] = ["l", "e"].map(|name| counted[0][name].to_string().replace('"', ""));
        ensure!((logs, events) == ((10 * (request + 1)).to_string(), (20 * (request + 1)).to_string()), "{counted:?}");
    }
    eventually("every row is stored", async || {
        Ok(ledger(&stack, "events").await?[2] == 0 && ledger(&stack, "logs").await?[2] == 0)
    })
    .await?;
    let stats = stack.get("/v1/json/events/stats").await?;
    ensure!(stats == json!({ "total": 400, "by_type": { "named": 200, "older": 200 }, "from": "rows" }), "{stats}");
    ensure!(ledger(&stack, "logs").await? == [200, 200, 0, 0, 0]);
    crate::recount::catalogue_agrees(&stack).await?;
    let verified: Value = serde_json::from_str(
        &reqwest::Client::new().post(format!("http://{}/verify", stack.http)).send().await?.text().await?,
    )?;
    ensure!(verified["exact"] == true, "{verified}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_scripts_send_what_they_are_given() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let url = format!("http://{}", stack.http);
    let examples =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the repository")?.join("examples/plain-json");
    let message = "tab\there, \"quoted\" \\ back\nsecond line, Grüße";
    let script = examples.join("tidegate-log.sh");
    let sent =
        Command::new("sh").arg(script).args(["warning", "backup", message]).env("TIDEGATE_URL", &url).output()?;
    ensure!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let told = pages(&stack, "/v1/json/logs?limit=10&source=backup").await?;
    ensure!(told.len() == 1 && told[0]["message"] == json!(message) && told[0]["level"] == "WARNING", "{told:?}");
    let program = "import logging, sys, tidegate_logging\n\
        handler = tidegate_logging.TidegateHandler(source='shop', url=sys.argv[1], batch=100)\n\
        log = logging.getLogger('orders'); log.addHandler(handler); log.setLevel(logging.DEBUG)\n\
        for n in range(1000): log.debug('order %d', n, extra={'context': {'n': n}})\n\
        try: 1 / 0\n\
        except ZeroDivisionError: log.exception('failed', extra={'user': 'u-1'})\n\
        logging.shutdown()\n";
    let run = Command::new("python3").args(["-c", program, &url]).env("PYTHONPATH", &examples).output()?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let stats = stack.get("/v1/json/logs/stats?source=shop").await?;
    let counted = json!({ "total": 1001, "by_level": { "DEBUG": 1000, "ERROR": 1 }, "from": stats["from"] });
    ensure!(stats == counted, "{stats}");
    let failed = pages(&stack, "/v1/json/logs?limit=10&source=shop&level=error&attribute=user%3Du-1").await?;
    let trace = failed.first().map(|entry| entry["context"]["exception.stacktrace"].to_string());
    ensure!(trace.is_some_and(|trace| trace.contains("ZeroDivisionError")), "{failed:?}");
    let order =
        pages(&stack, "/v1/json/logs?limit=100&source=shop&attribute=logger%3Dorders&order=asc&level=DEBUG").await?;
    let numbers: Vec<_> = order.iter().filter_map(|entry| entry["context"]["n"].as_u64()).collect();
    ensure!(numbers == (0..1000).collect::<Vec<_>>(), "in the order in which they were made");
    Ok(())
}
