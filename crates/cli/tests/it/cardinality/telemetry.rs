//! Telemetry that a person can count: every number in `answers/` follows from this file.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::Api;

/// 2026-01-31T09:00:00Z, in seconds.
pub(super) const HOUR: u64 = 1_769_850_000;

/// Sends two services' logs, spans and metrics of every kind; `shop` speaks in two hours, `cart` in the first.
pub(super) async fn send(api: &Api) -> Result<()> {
    send_each(api, [metrics(), spans(), logs()]).await
}

/// Sends the same in other bytes: the same bytes would be taken for a retry.
pub(super) async fn send_later(api: &Api) -> Result<()> {
    static SENT: AtomicU64 = AtomicU64::new(0);
    let number = SENT.fetch_add(1, Ordering::Relaxed).to_string();
    let marked = |mut body: Value| {
        for resource in body.as_object_mut().into_iter().flat_map(|body| body.values_mut()) {
            resource[0]["schemaUrl"] = json!(number);
        }
        body
    };
    send_each(api, [marked(metrics()), marked(spans()), marked(logs())]).await
}

/// Sends log records of so many users; those of before are among them.
pub(super) async fn send_many_users(api: &Api, users: u32) -> Result<()> {
    let records: Vec<Value> = (1..=users).map(login).collect();
    send_each(
        api,
        [json!({}), json!({}), from_services("Logs", "Logs", [("shop", json!(records)), ("cart", json!([]))])],
    )
    .await
}

/// Sends so many metrics, each with a label of its own, and log records of as many templates.
pub(super) async fn send_many_names(api: &Api, names: u32) -> Result<()> {
    let metric = |number: u32| {
        let key = format!("label.{number}");
        let point = json!({ "timeUnixNano": at(0), "asInt": "7", "attributes": attributes(&[(&key, "a")]) });
        json!({ "name": format!("many.{number:05}"), "gauge": { "dataPoints": [point] } })
    };
    let metrics: Vec<Value> = (0..names).map(metric).collect();
    let metrics = from_services("Metrics", "Metrics", [("shop", json!(metrics)), ("cart", json!([]))]);
    let bodies = (0..names).map(|number| record("INFO", 9, &word(number), &[]));
    let logs = from_services("Logs", "Logs", [("shop", json!(bodies.collect::<Vec<_>>())), ("cart", json!([]))]);
    send_each(api, [metrics, json!({}), logs]).await
}

/// Writes a number in letters, as three words: no two of these bodies are alike but for one of them.
fn word(number: u32) -> String {
    let letters: String = format!("{number:05}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    format!("{letters} {letters}x {letters}y")
}

async fn send_each(api: &Api, [metrics, spans, logs]: [Value; 3]) -> Result<()> {
    for (signal, body) in [("metrics", metrics), ("traces", spans), ("logs", logs)] {
        let url = format!("http://{}/v1/{signal}", api.stack.otlp_http);
        let request = api.client.post(url).header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status == 200 && !text.contains("rejected"), "{signal}: {status} {text}");
    }
    Ok(())
}

fn at(second: u64) -> String {
    ((HOUR + second) * 1_000_000_000).to_string()
}

fn attributes(pairs: &[(&str, &str)]) -> Value {
    let entry = |(key, value): &(&str, &str)| json!({ "key": key, "value": { "stringValue": value } });
    json!(pairs.iter().map(entry).collect::<Vec<_>>())
}

fn from_services(list: &str, inner: &str, own: [(&str, Value); 2]) -> Value {
    let of = own.map(|(service, items)| {
        json!({
            "resource": { "attributes": attributes(&[("service.name", service), ("host", &format!("{service}-1"))]) },
            format!("scope{inner}"): [{ "scope": { "name": "lib", "version": "1.2" }, (items_name(list)): items }],
        })
    });
    json!({ format!("resource{list}"): of })
}

fn items_name(list: &str) -> &'static str {
    match list {
        "Metrics" => "metrics",
        "Spans" => "spans",
        _ => "logRecords",
    }
}

fn metrics() -> Value {
    let number = |second: u64, pairs: &[(&str, &str)]| json!({ "timeUnixNano": at(second), "asInt": "7", "attributes": attributes(pairs) });
    let queue = |points: Value| {
        let gauge = json!({ "dataPoints": points });
        json!({ "name": "queue.size", "unit": "1", "description": "waiting", "gauge": gauge })
    };
    let shop = json!([
        queue(json!([number(0, &[("queue", "a")]), number(1, &[("queue", "b")]), number(3_600, &[("queue", "a")])])),
        { "name": "requests", "unit": "{request}", "sum": {
            "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [number(0, &[])] } },
        { "name": "latency", "unit": "s", "histogram": { "aggregationTemporality": 1, "dataPoints": [
            { "timeUnixNano": at(0), "count": "3", "sum": 4.0, "explicitBounds": [1.0, 2.0, 5.0],
              "bucketCounts": ["1", "1", "1", "0"], "attributes": attributes(&[("route", "/a")]) }] } },
        { "name": "size", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [
            { "timeUnixNano": at(0), "count": "1", "sum": 4.0, "scale": 3, "zeroCount": "0",
              "positive": { "offset": 1, "bucketCounts": ["1"] } }] } },
        { "name": "wait", "summary": { "dataPoints": [
            { "timeUnixNano": at(0), "count": "2", "sum": 3.0, "quantileValues": [
                { "quantile": 0.5, "value": 1.0 }, { "quantile": 0.99, "value": 2.0 }] }] } },
    ]);
    let cart = json!([queue(json!([number(2, &[("queue", "a")])]))]);
    from_services("Metrics", "Metrics", [("shop", shop), ("cart", cart)])
}

fn spans() -> Value {
    let span = |name: &str, kind: u8, status: u8, number: u64| {
        json!({
            "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"), "name": name, "kind": kind,
            "startTimeUnixNano": at(10), "endTimeUnixNano": at(11), "status": { "code": status },
        })
    };
    let mut failed = span("GET /users/1", 2, 2, 1);
    failed["attributes"] = attributes(&[("user", "u1")]);
    failed["parentSpanId"] = json!("00000000000000aa");
    failed["traceState"] = json!("a=b");
    failed["droppedAttributesCount"] = json!(3);
    failed["events"] = json!([{ "timeUnixNano": at(10), "name": "exception",
        "attributes": attributes(&[("exception.type", "Timeout")]) }]);
    failed["links"] = json!([{ "traceId": format!("{:032x}", 9), "spanId": format!("{:016x}", 9),
        "attributes": attributes(&[("why", "retry")]) }]);
    let shop = json!([failed, span("GET /users/1", 2, 1, 2), span("GET /users/2", 2, 1, 3)]);
    from_services("Spans", "Spans", [("shop", shop), ("cart", json!([span("checkout", 3, 0, 4)]))])
}

fn logs() -> Value {
    let mut shop: Vec<Value> = (1..=12).map(login).collect();
    let mut failed = record("ERROR", 17, "card declined", &[]);
    failed["traceId"] = json!(format!("{:032x}", 1));
    failed["spanId"] = json!(format!("{:016x}", 1));
    failed["eventName"] = json!("payment.failed");
    failed["droppedAttributesCount"] = json!(2);
    shop.push(failed);
    from_services("Logs", "Logs", [("shop", json!(shop)), ("cart", json!([record("", 0, "emptied", &[])]))])
}

fn login(user: u32) -> Value {
    record("INFO", 9, &format!("login of user {user}"), &[("user", &format!("u{user}"))])
}

fn record(severity: &str, number: u8, body: &str, pairs: &[(&str, &str)]) -> Value {
    json!({ "timeUnixNano": at(20), "severityText": severity, "severityNumber": number,
        "body": { "stringValue": body }, "attributes": attributes(pairs) })
}
