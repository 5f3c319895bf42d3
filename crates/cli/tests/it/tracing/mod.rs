//! The tracing API of a running server: spans come in by JSON and by OTLP, in any order, and are told whole.

mod simple;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tidegate_core::ingest::wire::Writer;
use tidegate_load::Stack;

use crate::{SMALL_BATCHES, started};

const TRACE: &str = "31d6cfe04b9011ec800142010a8000b0";
const MINE: &str = "00000000-0000-0000-0000-0000000000aa";
const OTHER: &str = "00000000-0000-0000-0000-0000000000bb";

/// Sends a request in a project; returns the status and the answer.
async fn ask(stack: &Stack, (method, path): (Method, &str), project: &str, body: &Value) -> Result<(u16, Value)> {
    let request = Client::new().request(method, format!("http://{}{path}", stack.http)).header("x-project-id", project);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = request.header("content-type", "application/json").body(body).send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).with_context(|| format!("{path}: {status}: {text}"))?))
}

/// Sends a request in the project of these tests; it is answered with the status.
async fn told(stack: &Stack, (method, path): (Method, &str), body: Value, status: u16) -> Result<Value> {
    let (found, answer) = ask(stack, (method, path), MINE, &body).await?;
    ensure!(found == status, "{path}: {found}: {answer}");
    Ok(answer)
}

async fn post(stack: &Stack, path: &str, body: Value, status: u16) -> Result<Value> {
    told(stack, (Method::POST, path), body, status).await
}

async fn get(stack: &Stack, path: &str) -> Result<Value> {
    told(stack, (Method::GET, path), Value::Null, 200).await
}

/// A span of the trace; ids are small numbers, times are milliseconds.
fn span(id: u64, parent: Option<u64>, name: &str, (start, end): (u64, u64)) -> Value {
    let at = |ms: u64| 1_769_850_000_000 + ms;
    json!({
        "trace_id": TRACE, "span_id": format!("{id:016x}"), "parent_id": parent.map(|id| format!("{id:016x}")),
        "span_name": name, "start_time": at(start), "end_time": at(end),
        "attributes": { "ag": { "type": { "span": "chat" }, "meta": { "request": { "model": "gpt-4o" } } } },
    })
}

fn with_tokens(mut span: Value, prompt: u64) -> Value {
    span["attributes"]["ag"]["metrics"] = json!({ "tokens": { "incremental": { "prompt": prompt, "completion": 0 } } });
    span
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_is_told_whole_and_added_up_however_it_came_in() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    ensure!(get(&stack, &format!("/traces/{TRACE}")).await?["count"] == 0, "before the first span there is none");
    // The child comes first, its parent later, and the grandchild last.
    let child = with_tokens(span(2, Some(1), "ask", (10, 90)), 1_000_000);
    let taken = post(&stack, "/tracing/spans/ingest", json!({ "spans": [child] }), 202).await?;
    ensure!(
        taken["count"] == 1 && taken["dropped"] == 0 && taken["links"][0]["span_id"] == "0000000000000002",
        "{taken}"
    );
    let bad = json!({ "trace_id": TRACE, "span_id": "x" });
    let both = json!({ "spans": [span(1, None, "root", (0, 100)), bad] });
    let taken = post(&stack, "/preview/tracing/spans/ingest", both, 202).await?;
    ensure!(taken["count"] == 1 && taken["dropped"] == 1, "{taken}");
    ensure!(taken["rejections"][0]["index"] == 1, "{taken}");
    let late = with_tokens(span(3, Some(2), "tool", (20, 120)), 1_000_000);
    let alone = [span(8, Some(99), "orphan", (5, 6)), span(9, None, "root", (1, 2))];
    post(&stack, "/traces/ingest", json!({ "spans": [late, alone[0], alone[1]] }), 202).await?;

    let answer = get(&stack, &format!("/traces/{TRACE}")).await?;
    let spans = &answer["traces"][TRACE]["spans"];
    let root = &spans["root"][0];
    ensure!(spans["root"].as_array().is_some_and(|roots| roots.len() == 2), "both roots are shown: {answer}");
    ensure!(spans["orphan"]["span_id"] == "0000000000000008", "an orphan is shown: {answer}");
    let metrics = &root["attributes"]["ag"]["metrics"];
    ensure!(metrics["tokens"]["cumulative"]["prompt"] == 2_000_000, "{metrics}");
    ensure!(metrics["costs"]["cumulative"]["total"] == 5, "two million tokens at 2.5: {metrics}");
    ensure!(metrics["duration"]["cumulative"] == 120 && metrics["duration"]["incremental"] == 100, "{metrics}");
    ensure!(root["spans"]["ask"]["spans"]["tool"]["span_id"] == "0000000000000003", "{root}");
    let one = get(&stack, &format!("/spans/{TRACE}/0000000000000002")).await?;
    ensure!(one["span"]["attributes"]["ag"]["metrics"]["tokens"]["cumulative"]["prompt"] == 2_000_000, "{one}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_of_a_file_go_before_those_that_are_known() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("prices.json");
    std::fs::write(&file, r#"{"models": {"gpt-4o": {"input": 7, "output": 1}, "my-own": {"input": 3, "output": 4}}}"#)?;
    let file = file.display().to_string();
    let settings = [SMALL_BATCHES, &[("TIDEGATE_TRACING__PRICES", file.as_str())]].concat();
    let (_folder, stack) = started(&settings).await?;
    post(&stack, "/traces/ingest", json!({ "spans": [with_tokens(span(1, None, "root", (0, 9)), 1_000_000)] }), 202)
        .await?;
    let answer = get(&stack, &format!("/traces/{TRACE}")).await?;
    let metrics = &answer["traces"][TRACE]["spans"]["root"]["attributes"]["ag"]["metrics"];
    ensure!(metrics["costs"]["incremental"]["total"] == 7, "a million tokens at 7: {metrics}");
    let prices = get(&stack, "/tracing/prices").await?;
    ensure!(prices["models"]["my-own"] == json!({ "input": 3, "output": 4 }), "{prices}");
    ensure!(prices["models"]["gpt-4o-mini"]["input"].is_number(), "the others are known as before: {prices}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_keeps_who_made_a_span_and_a_deleted_trace_is_gone() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let path = format!("/tracing/traces/{TRACE}");
    post(&stack, "/traces/", json!({ "spans": [span(1, None, "root", (0, 1))] }), 202).await?;
    let first = get(&stack, &path).await?;
    let before = &first["traces"][TRACE]["spans"]["root"];
    let put = (Method::PUT, path.as_str());
    told(&stack, put.clone(), json!({ "spans": [span(1, None, "renamed", (0, 2))] }), 202).await?;
    let second = get(&stack, &path).await?;
    let after = &second["traces"][TRACE]["spans"]["renamed"];
    ensure!(second["traces"][TRACE]["spans"]["root"].is_null(), "the older version is not shown: {second}");
    ensure!(after["created_at"] == before["created_at"] && after["updated_at"].is_string(), "{after}");
    told(&stack, (Method::PUT, &path), first.clone(), 202).await.context("an answer can be sent back")?;
    let mut wrong = span(1, None, "root", (0, 1));
    wrong["trace_id"] = json!("0000000000000000000000000000000f");
    let refused = told(&stack, put, json!({ "spans": [wrong] }), 400).await?;
    ensure!(refused["error"]["hint"].as_str().is_some_and(|hint| hint.contains("nothing was written")), "{refused}");
    let gone = told(&stack, (Method::DELETE, &path), Value::Null, 202).await?;
    let again = told(&stack, (Method::DELETE, &path), Value::Null, 202).await?;
    ensure!(gone["count"] == 1 && again["count"] == 0, "{gone} {again}");
    ensure!(get(&stack, &path).await?["count"] == 0, "it is gone");
    let rows = stack.number("SELECT count() AS n FROM ai_spans").await?;
    let keys = stack.number("SELECT uniqExact(trace_id, span_id, row_version) AS n FROM ai_spans").await?;
    ensure!((rows, keys) == (4, 4), "{rows} rows, {keys} versions");
    post(&stack, "/traces/", json!({ "spans": [span(1, None, "root", (0, 1))] }), 202).await?;
    ensure!(get(&stack, &path).await?["count"] == 1, "it may come again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projects_see_their_own_spans_alone_and_wrong_queries_are_refused() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    for (project, name) in [(MINE, "mine"), (OTHER, "other")] {
        let body = json!({ "spans": [span(1, None, name, (0, 1))] });
        let (status, _) = ask(&stack, (Method::POST, "/traces/ingest"), project, &body).await?;
        ensure!(status == 202);
    }
    for (project, name) in [(MINE, "mine"), (OTHER, "other")] {
        let (_, found) = ask(&stack, (Method::POST, "/spans/query"), project, &json!({})).await?;
        ensure!(found["count"] == 1 && found["spans"][0]["span_name"] == name, "{found}");
    }
    let (_, none) = ask(
        &stack,
        (Method::GET, &format!("/traces/{TRACE}?project_id=00000000000000000000000000000000")),
        MINE,
        &Value::Null,
    )
    .await?;
    ensure!(none["count"] == 0, "the query string comes before the header: {none}");
    let refused =
        post(&stack, "/spans/query", json!({ "filter": { "conditions": [{ "field": "colour", "value": 1 }] } }), 400)
            .await?;
    let error = &refused["error"];
    ensure!(error["message"] == "filter.conditions[0].field: `colour` is no field", "{error}");
    ensure!(error["hint"].as_str().is_some_and(|hint| hint.starts_with("there are trace_id, ")), "{error}");
    post(&stack, "/spans/query", json!({ "focus": "trace" }), 409).await?;
    post(&stack, "/traces/ingest", json!({ "spans": [] }), 400).await?;
    told(&stack, (Method::GET, "/traces/"), Value::Null, 400).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_follow_each_other_and_statistics_count_each_trace_once() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let mut spans = Vec::new();
    for trace in 1..=7_u64 {
        let mut root = span(trace, None, "root", (0, trace));
        let mut below = with_tokens(span(100 + trace, Some(trace), "ask", (0, 1)), trace);
        for one in [&mut root, &mut below] {
            one["trace_id"] = json!(format!("{trace:032x}"));
        }
        root["session_id"] = json!(format!("s{}", trace % 2));
        spans.extend([root, below]);
    }
    post(&stack, "/tracing/spans/ingest", json!({ "spans": spans }), 202).await?;
    for (path, member) in [("/traces/query", "traces"), ("/spans/query", "spans")] {
        let (mut seen, mut next) = (Vec::new(), Value::Null);
        loop {
            let page = post(&stack, path, json!({ "windowing": { "limit": 3, "next": next } }), 200).await?;
            match &page[member] {
                Value::Object(traces) => seen.extend(traces.keys().cloned()),
                list => seen.extend(list.as_array().into_iter().flatten().map(|span| span["span_id"].to_string())),
            }
            next = page["windowing"]["next"].clone();
            if next.is_null() {
                break;
            }
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        ensure!((all, seen.len()) == (if member == "traces" { (7, 7) } else { (14, 14) }), "{path}: {seen:?}");
    }
    let asked = json!({ "specs": [{ "type": "numeric/continuous", "path": "attributes.ag.metrics.tokens.cumulative.prompt" },
        { "type": "categorical/single", "path": "ag.type.span" }] });
    let answer = post(&stack, "/tracing/analytics/query", asked, 200).await?;
    let metrics = &answer["buckets"][0]["metrics"];
    let tokens = &metrics["attributes.ag.metrics.tokens.cumulative.prompt"];
    ensure!(tokens["count"] == 7 && tokens["sum"] == 28 && tokens["pcts"]["p50"] == 4, "{answer}");
    ensure!(metrics["ag.type.span"]["freq"][0]["count"] == 7, "{answer}");
    let legacy = post(&stack, "/tracing/spans/analytics", json!({}), 200).await?;
    ensure!(legacy["buckets"][0]["total"]["count"] == 7 && legacy["buckets"][0]["total"]["tokens"] == 28, "{legacy}");
    let first = post(&stack, "/spans/sessions/query", json!({ "limit": 1, "order": "ascending" }), 200).await?;
    let second = json!({ "limit": 1, "order": "ascending", "next": first["windowing"]["next"] });
    let second = post(&stack, "/tracing/sessions/query", second, 200).await?;
    ensure!(first["session_ids"] == json!(["s0"]) && second["session_ids"] == json!(["s1"]), "{first} {second}");
    Ok(())
}

/// An Export request of one span.
fn export(trace: &[u8]) -> Vec<u8> {
    let mut body = Writer::new();
    body.message(1, |resource| {
        resource.message(2, |scope| {
            scope.message(2, |span| {
                span.bytes(1, trace);
                span.bytes(2, &[7; 8]);
                span.bytes(5, b"exported");
                span.message(9, |attribute| {
                    attribute.bytes(1, b"gen_ai.operation.name");
                    attribute.message(2, |value| value.bytes(1, b"embeddings"));
                });
            });
        });
    });
    body.into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn otlp_is_taken_and_what_cannot_be_is_refused() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    ensure!(get(&stack, "/otlp/v1/traces").await?["status"] == "ready");
    let send = async |body: Vec<u8>| {
        let request = Client::new().post(format!("http://{}/otlp/v1/traces", stack.http)).header("x-project-id", MINE);
        let answer = request.header("content-type", "application/x-protobuf").body(body).send().await?;
        Ok::<_, anyhow::Error>((answer.status().as_u16(), answer.bytes().await?))
    };
    let (status, answer) = send(export(&[5; 16])).await?;
    ensure!((status, answer.len()) == (200, 0), "{status} {answer:?}");
    let (status, partial) = send([export(&[5; 16]), export(&[])].concat()).await?;
    ensure!(status == 200 && String::from_utf8_lossy(&partial).contains("spans[1].trace_id"), "{status} {partial:?}");
    ensure!(send(export(&[])).await?.0 == 400, "no span can be taken");
    ensure!(send(vec![0xff; 10]).await?.0 == 400, "no protobuf");
    ensure!(send(vec![0; (4 << 20) + 1]).await?.0 == 413, "too large");
    let filter = json!({ "conditions": [{ "field": "span_type", "value": "embedding" }] });
    let found =
        post(&stack, "/tracing/spans/query", json!({ "focus": "span", "filter": filter.to_string() }), 200).await?;
    ensure!(found["count"] == 1 && found["spans"][0]["span_name"] == "exported", "{found}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_past_a_quota_are_refused_with_403_and_nothing_is_written() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    post(&stack, "/traces/ingest", json!({ "spans": [span(1, None, "root", (0, 1))] }), 202).await?;
    let quota = (Method::PUT, "/admin/datasets/ai-spans/quota");
    told(&stack, quota.clone(), json!({ "rowsPerSecond": 10 }), 200).await?;
    // A large request passes, and takes the minutes after it ahead.
    let many: Vec<_> = (100..1_300).map(|id| span(id, Some(1), "step", (0, 1))).collect();
    post(&stack, "/traces/ingest", json!({ "spans": many }), 202).await?;
    let one = json!({ "spans": [span(2, Some(1), "late", (0, 1))] });
    for path in ["/tracing/spans/ingest", "/preview/tracing/spans/ingest", "/traces/ingest", "/tracing/traces/"] {
        let refused = post(&stack, path, one.clone(), 403).await?;
        let (error, details) = (&refused["error"], &refused["error"]["details"]);
        ensure!(details["quota"] == "rowsPerSecond" && details["limit"] == 10, "{path}: {refused}");
        ensure!(details["retryAfterMs"].as_u64().is_some_and(|wait| wait > 10_000), "{path}: {refused}");
        ensure!(error["retry_after_ms"] == details["retryAfterMs"], "{path}: {refused}");
        ensure!(error["message"].as_str().is_some_and(|text| text.contains("of 10 are left")), "{path}: {refused}");
    }
    let path = format!("/traces/{TRACE}");
    told(&stack, (Method::PUT, &path), one.clone(), 403).await?;
    let otlp = Client::new().post(format!("http://{}/otlp/v1/traces", stack.http)).header("x-project-id", MINE);
    let answer = otlp.header("content-type", "application/x-protobuf").body(export(&[5; 16])).send().await?;
    ensure!(answer.status() == 403 && answer.headers().contains_key("retry-after"), "{answer:?}");
    let elsewhere = json!({ "rows": [{ "created_at": 1_769_850_000_000_u64 }] });
    told(&stack, (Method::POST, "/datasets/ai-spans/ingest"), elsewhere, 429).await?;
    ensure!(stack.number("SELECT count() AS n FROM ai_spans").await? == 1_201, "nothing of them was written");
    told(&stack, quota, json!({}), 200).await?;
    post(&stack, "/traces/ingest", one, 202).await?;
    Ok(())
}
