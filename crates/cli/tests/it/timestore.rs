//! Datasets over REST: queries without SQL, saved SQL, what SQL can name, SQL for operators.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tidegate_load::Stack;

use crate::{SMALL_BATCHES, eventually, started};

async fn ask(stack: &Stack, method: Method, path: &str, body: &Value) -> Result<Response> {
    let request = Client::new().request(method, format!("http://{}{path}", stack.http));
    Ok(request.header("content-type", "application/json").body(body.to_string()).send().await?)
}

async fn json_of(answer: Response) -> Result<Value> {
    Ok(serde_json::from_str(&answer.text().await?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_is_read_in_rows_buckets_and_pages_hot_and_stored() -> Result<()> {
    // Nothing is stored until it is said so below.
    let (_folder, mut stack) = started(&[("TIDEGATE_BATCH__AGE_MS", "3600000")]).await?;
    let rows: Vec<Value> = (0..10)
        .map(|n| json!({ "timestamp": format!("2026-11-20T10:0{n}:00Z"), "n": n, "path": "/a", "ok": n % 2 == 0 }))
        .collect();
    let ingest = json!({ "partition": { "key": { "region": "eu" } }, "rows": rows });
    for time in 0..2 {
        // Without a key of its own the second request would be taken for a retry.
        let mut keyed = ingest.clone();
        keyed["idempotencyKey"] = json!(format!("request {time}"));
        ensure!(ask(&stack, Method::POST, "/datasets/visits/ingest", &keyed).await?.status() == 201);
    }
    for (mode, hot) in [("replica+hot-buffer", 20), ("replica-only", 0)] {
        let query = json!({
            "timeRange": { "start": "2026-11-20T10:02:00Z", "end": "2026-11-20T10:05:00Z" },
            "columns": ["n"],
            "filters": { "partitionKey": { "region": "eu" }, "columns": { "ok": true } },
            "requireFresh": true,
            "minWatermark": 20,
        });
        let answer = ask(&stack, Method::POST, "/datasets/visits/query", &query).await?;
        ensure!(answer.status() == 200 && answer.headers()["x-timestore-freshness-mode"] == mode, "{answer:?}");
        ensure!(answer.headers()["x-timestore-latest-ingest-watermark"] == "visits=20", "{answer:?}");
        let told = json_of(answer).await?;
        // Both ends are included, and rows that were sent twice are there twice.
        ensure!(told["rows"] == json!([{ "n": 2 }, { "n": 2 }, { "n": 4 }, { "n": 4 }]), "{told}");
        ensure!(told["streaming"]["rows"] == hot && told["streaming"]["latestTimestamp"] == "2026-11-20T10:09:00Z");
        ensure!(told["sources"]["hotBuffer"]["rows"] == if hot > 0 { 4 } else { 0 }, "{told}");

        let mean = json!({ "fn": "avg", "column": "n" });
        let most = json!({ "fn": "percentile", "column": "n", "percentile": 0.95 });
        let downsample =
            json!({ "intervalUnit": "minute", "intervalSize": 5, "aggregations": [mean, most, { "fn": "count" }] });
        let answer = ask(&stack, Method::POST, "/datasets/visits/query", &json!({ "downsample": downsample })).await?;
        let told = json_of(answer).await?;
        ensure!(told["mode"] == "downsampled" && told["columns"][2] == "p95_n", "{told}");
        ensure!(told["rows"][1] == json!({ "timestamp": "2026-11-20T10:05:00Z", "avg_n": 7, "p95_n": 9, "count": 10 }));

        let (mut body, mut seen) = (json!({ "limit": 7 }), 0);
        loop {
            let page = json_of(ask(&stack, Method::POST, "/datasets/visits/query", &body).await?).await?;
            seen += page["rows"].as_array().context("rows")?.len();
            if page["nextCursor"].is_null() {
                break;
            }
            body["cursor"] = page["nextCursor"].clone();
        }
        ensure!(seen == 20, "{seen} rows in all pages");
        // A stop flushes: the second round reads the same rows from ClickHouse.
        stack.stop()?;
        stack.start()?;
        stack.ready(crate::READY_WITHIN).await?;
    }
    let refused = json!({ "minWatermark": "visits=21" });
    let refused = ask(&stack, Method::POST, "/datasets/visits/query?timeout_ms=300", &refused).await?;
    ensure!(refused.status() == 409 && refused.headers().contains_key("retry-after"), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_are_saved_and_survive_a_kill() -> Result<()> {
    let (_folder, mut stack) = started(&[]).await?;
    let statement = json!({ "statement": "SELECT count() FROM logs", "label": "all logs" });
    ensure!(ask(&stack, Method::PUT, "/sql/saved/logs", &statement).await?.status() == 201);
    let changed = json!({ "statement": "SELECT 1", "stats": { "rowCount": 1 } });
    ensure!(ask(&stack, Method::PUT, "/sql/saved/logs", &changed).await?.status() == 200);
    for wrong in [json!({ "statement": " " }), json!({ "sql": "SELECT 1" }), json!([])] {
        ensure!(ask(&stack, Method::PUT, "/sql/saved/logs", &wrong).await?.status() == 400, "{wrong}");
    }
    let long = json!({ "statement": "x".repeat(300_000) });
    ensure!(ask(&stack, Method::PUT, "/sql/saved/long", &long).await?.status() == 413);
    stack.kill_serve()?;
    stack.start()?;
    stack.ready(crate::READY_WITHIN).await?;
    let saved = stack.get("/sql/saved/logs").await?["savedQuery"].take();
    ensure!(saved["statement"] == "SELECT 1" && saved["label"].is_null() && saved["stats"]["rowCount"] == 1, "{saved}");
    ensure!(stack.get("/sql/saved").await?["savedQueries"].as_array().map(Vec::len) == Some(1));
    for status in [204, 404] {
        ensure!(ask(&stack, Method::DELETE, "/sql/saved/logs", &Value::Null).await?.status() == status);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_reach_clickhouse_itself_where_that_is_switched_on() -> Result<()> {
    let settings = [SMALL_BATCHES, &[("TIDEGATE_QUERY__ADMIN_SQL", "true")]].concat();
    let (_folder, stack) = started(&settings).await?;
    let rows = json!([{ "n": 1 }, { "n": 2 }]);
    ensure!(ask(&stack, Method::POST, "/datasets/visits/ingest", &rows).await?.status() == 201);
    let admin = async |body: Value| ask(&stack, Method::POST, "/sql/admin/clickhouse", &body).await;
    let sql = "SELECT n FROM tidegate.visits ORDER BY n";
    eventually("the rows are stored", async || {
        let answer = admin(json!({ "sql": sql })).await?;
        Ok(answer.status() == 200 && json_of(answer).await?["rows"] == json!([{ "n": 1 }, { "n": 2 }]))
    })
    .await?;
    ensure!(admin(json!({ "sql": sql, "maxRows": 1 })).await?.status() == 400, "an answer is never cut short");
    let changing = json!({ "sql": "TRUNCATE TABLE tidegate.visits", "mode": "query" });
    ensure!(!admin(changing).await?.status().is_success(), "a query changes nothing");
    ensure!(stack.number("SELECT count() FROM visits").await? == 2);
    let command =
        json_of(admin(json!({ "sql": "CREATE TABLE tidegate.own (a UInt8) ENGINE = Memory" })).await?).await?;
    ensure!(command["mode"] == "command" && command["rowCount"] == 0, "{command}");
    ensure!(admin(json!({ "sql": "DROP TABLE tidegate.none" })).await?.status() == 404);
    ensure!(admin(json!({ "sql": "SELECT 1", "maxRows": 100_001 })).await?.status() == 400);
    let form = Client::new().post(format!("http://{}/sql/admin/clickhouse", stack.http)).body(r#"{"sql":"SELECT 1"}"#);
    ensure!(form.send().await?.status() == 415, "another site's page cannot send it");

    let schema = stack.get("/sql/schema").await?;
    let tables = schema["tables"].as_array().context("tables")?;
    let visits = tables.iter().find(|table| table["dataset"] == "visits").context("the dataset")?;
    ensure!(visits["columns"].as_array().is_some_and(|columns| columns.iter().any(|column| column["name"] == "n")));
    ensure!(tables.iter().any(|table| table["name"] == "ingest_watermarks"), "{schema}");
    ensure!(stack.number("SELECT max(watermark) FROM ingest_watermarks WHERE dataset_slug = 'visits'").await? == 2);
    Ok(())
}
