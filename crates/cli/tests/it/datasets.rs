use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tidegate_load::Stack;
use tokio::process::Command;

use crate::{READY_WITHIN, eventually, started};

const HOT: (&str, &str) = ("TIDEGATE_BATCH__AGE_MS", "3600000");

/// Sends a request with these headers; returns status, ETag and body.
async fn ask(
    stack: &Stack,
    (method, path): (Method, &str),
    headers: &[(&str, &str)],
    body: Value,
) -> Result<(StatusCode, String, Value)> {
    let mut request = reqwest::Client::new().request(method, format!("http://{}{path}", stack.http));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await?;
    let status = answer.status();
    let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
    let text = answer.text().await?;
    Ok((status, tag, serde_json::from_str(&text).unwrap_or_default()))
}

/// Runs `tidegate datasets …`; returns whether it succeeded and what it printed.
async fn command(stack: &Stack, arguments: &[&str]) -> Result<(bool, String)> {
    let url = format!("http://{}", stack.http);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("datasets").args(["--url", &url, "--actor", "mara"]).args(arguments);
    let output = command.output().await?;
    let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    Ok((output.status.success(), text))
}

async fn done(stack: &Stack, arguments: &[&str]) -> Result<String> {
    let (success, text) = command(stack, arguments).await?;
    ensure!(success, "{arguments:?}: {text}");
    Ok(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_is_made_filled_mended_and_archived_from_the_terminal() -> Result<()> {
    let (folder, mut stack) = started(&[HOT]).await?;
    let made = ["create", "orders", "--name", "Orders", "--field", "n:integer", "--field", "price:decimal(9,2)"];
    ensure!(done(&stack, &made).await?.contains("decimal(9,2)"));
    ensure!(!command(&stack, &made).await?.0, "made twice");
    let rows = json!({ "rows": [{ "n": 1, "price": 1.25 }, { "n": "two" }, { "n": 3, "price": 0.001 }] });
    let (status, _, told) = ask(&stack, (Method::POST, "/datasets/orders/ingest"), &[], rows).await?;
    ensure!(status == 201 && told["quarantined"] == 2 && told["dataset"]["schemaVersion"] == 1, "{status} {told}");

    let lines = done(&stack, &["quarantine", "list", "orders", "--lines"]).await?;
    ensure!(lines.lines().count() == 2 && lines.contains("two"), "{lines}");
    let file = folder.path().join("mended.ndjson");
    std::fs::write(&file, "{\"id\":1,\"row\":{\"n\":2}}\n\n")?;
    let file = file.display().to_string();
    let told = done(&stack, &["quarantine", "replay", "orders", "--file", &file]).await?;
    ensure!(told.contains("1 taken, 0 refused again, 0 not there"), "{told}");
    let (success, told) = command(&stack, &["quarantine", "replay", "orders", "--all"]).await?;
    ensure!(!success && told.contains("0 taken, 1 refused again") && told.contains("price"), "{told}");
    done(&stack, &["quarantine", "discard", "orders", "2"]).await?;
    ensure!(stack.number("SELECT sum(n) AS n FROM orders").await? == 3);

    done(&stack, &["patch", "orders", "--description", "what was bought", "--metadata", "{\"team\":\"shop\"}"]).await?;
    done(&stack, &["archive", "orders"]).await?;
    let (_, clean) = stack.stop()?;
    ensure!(clean, "{}", stack.log_tail());
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let shown = done(&stack, &["show", "orders"]).await?;
    ensure!(shown.contains("what was bought") && shown.contains("archived") && shown.contains("shop"), "{shown}");
    ensure!(done(&stack, &["list", "bought"]).await?.contains("Orders"));
    let (status, _, told) =
        ask(&stack, (Method::POST, "/datasets/orders/ingest"), &[], json!({ "rows": [{ "n": 1 }] })).await?;
    ensure!(status == 409 && told["error"]["message"].as_str().is_some_and(|text| text.contains("archived")), "{told}");
    let audit = done(&stack, &["audit", "orders"]).await?;
    for action in
        ["dataset.created", "schema.created", "quarantine.replayed", "quarantine.discarded", "dataset.archived"]
    {
        ensure!(audit.contains(action) && audit.contains("mara"), "{action} is not in\n{audit}");
    }
    let schema = done(&stack, &["schema", "orders"]).await?;
    ensure!(schema.contains("created") && schema.contains("n: integer"), "{schema}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaking_schema_is_refused_over_http_with_a_plan_and_writes_nothing() -> Result<()> {
    let (_folder, stack) = started(&[HOT]).await?;
    let ingest = (Method::POST, "/datasets/visits/ingest");
    ask(&stack, ingest.clone(), &[], json!({ "rows": [{ "n": 1 }] })).await?;
    let schema = json!({ "fields": [{ "name": "n", "type": "uuid" }, { "name": "m", "type": "double" }] });
    let (status, _, told) = ask(&stack, ingest, &[], json!({ "schema": schema, "rows": [{ "m": 1 }] })).await?;
    let error = &told["error"];
    ensure!(status == 409 && error["name"] == "SchemaEvolutionError", "{status} {told}");
    ensure!(error["reasons"][0] == "`n` is integer and cannot become uuid", "{told}");
    ensure!(error["migrationPlan"][0]["action"] == "add_column", "{told}");
    ensure!(stack.number("SELECT count() AS n FROM visits").await? == 1);
    let (_, _, audit) =
        ask(&stack, (Method::GET, "/admin/datasets/visits/audit?success=false"), &[], Value::Null).await?;
    ensure!(audit["entries"][0]["action"] == "schema.refused", "{audit}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_twice_is_one_and_another_under_its_key_is_refused() -> Result<()> {
    let (_folder, mut stack) = started(&[HOT]).await?;
    let body = json!({ "partition": { "key": { "shop": "a" } }, "rows": [{ "n": 1 }, { "n": 1 }] });
    let ingest = (Method::POST, "/datasets/visits/ingest");
    let (first, _, told) = ask(&stack, ingest.clone(), &[], body.clone()).await?;
    ensure!(first == 201 && told["signature"].as_str().is_some_and(|text| text.len() == 64), "{told}");
    stack.stop()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let (again, _, told) = ask(&stack, ingest.clone(), &[], body).await?;
    ensure!(again == 200 && told["retry"] == true && told["accepted"] == 2, "{again} {told}");
    let key = [("idempotency-key", "k")];
    // With a key the same rows are meant to be there once more; without a partition every request is its own.
    let keyed = json!({ "partition": { "key": { "shop": "a" } }, "rows": [{ "n": 1 }, { "n": 1 }] });
    ensure!(ask(&stack, ingest.clone(), &key, keyed.clone()).await?.0 == 201);
    ensure!(ask(&stack, ingest.clone(), &key, keyed).await?.0 == 200);
    ensure!(ask(&stack, ingest.clone(), &key, json!([{ "n": 2 }])).await?.0 == 409);
    for _ in 0..2 {
        ensure!(ask(&stack, ingest.clone(), &[], json!([{ "n": 1 }])).await?.0 == 201);
    }
    eventually("all of it is answered", async || Ok(stack.number("SELECT count() AS n FROM visits").await? == 6)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_need_the_scopes_of_the_server_and_of_the_dataset() -> Result<()> {
    let (_folder, stack) = started(&[HOT, ("TIDEGATE_ACCESS__ADMIN_SCOPE", "admin")]).await?;
    let admin = [("x-iam-scopes", "other, admin"), ("x-iam-user", "mara")];
    let iam = json!({ "readScopes": ["shop:read"], "writeScopes": ["shop:write"] });
    let made = json!({ "slug": "visits", "metadata": { "iam": iam } });
    let make = (Method::POST, "/admin/datasets");
    ensure!(ask(&stack, make.clone(), &[], made.clone()).await?.0 == 401);
    ensure!(ask(&stack, make.clone(), &[("x-iam-scopes", "shop:write")], made.clone()).await?.0 == 403);
    let (status, tag, told) = ask(&stack, make, &admin, made).await?;
    ensure!(status == 201 && told["createdBy"] == "mara" && tag.contains("20"), "{status} {told}");

    let ingest = (Method::POST, "/datasets/visits/ingest");
    let rows = json!({ "rows": [{ "n": 1 }] });
    ensure!(ask(&stack, ingest.clone(), &[("x-iam-scopes", "shop:read")], rows.clone()).await?.0 == 403);
    ensure!(ask(&stack, ingest, &[("x-iam-scopes", "shop:write")], rows).await?.0 == 201);
    let read = (Method::GET, "/sql/read?query=SELECT+n+FROM+visits");
    ensure!(ask(&stack, read.clone(), &[], Value::Null).await?.0 == 401);
    ensure!(ask(&stack, read.clone(), &[("x-iam-scopes", "shop:write")], Value::Null).await?.0 == 403);
    ensure!(ask(&stack, read, &[("x-iam-scopes", "shop:read")], Value::Null).await?.0 == 200);
    ensure!(ask(&stack, (Method::GET, "/sql/read?query=SELECT+1"), &[], Value::Null).await?.0 == 200);

    let one = (Method::PATCH, "/admin/datasets/visits");
    let with = |tag: &'static str| [admin[0], admin[1], ("if-match", tag)];
    ensure!(ask(&stack, one.clone(), &with("\"2000-01-01T00:00:00Z\""), json!({ "name": "x" })).await?.0 == 412);
    let headers = [admin[0], admin[1], ("if-match", tag.as_str())];
    let (status, next, told) = ask(&stack, one.clone(), &headers, json!({ "name": "Visits" })).await?;
    ensure!(status == 200 && next != tag && told["name"] == "Visits", "{status} {told}");
    ensure!(ask(&stack, one, &headers, json!({ "name": "late" })).await?.0 == 412);
    Ok(())
}
