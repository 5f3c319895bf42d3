use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tidegate_load::Stack;

use crate::{account, eventually, started};

/// Nanoseconds of a moment of the test.
const SECOND: u64 = 1_000_000_000;
const BEGIN: u64 = 1_790_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_of_opentelemetry_are_read_by_their_prometheus_names_hot_and_stored() -> Result<()> {
    let (_folder, mut stack) = started(&[("TIDEGATE_BATCH__AGE_MS", "3600000")]).await?;
    send(&stack, &request()).await?;
    ensure!(account::hot_rows(&stack).await? > 0, "nothing is hot");
    check(&stack).await?;
    let (_, clean) = stack.stop()?;
    ensure!(clean, "{}", stack.log_tail());
    stack.start()?;
    stack.ready(crate::READY_WITHIN).await?;
    eventually("a query is answered", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    ensure!(account::hot_rows(&stack).await? == 0, "rows are hot after a stop");
    check(&stack).await
}

async fn check(stack: &Stack) -> Result<()> {
    let at = BEGIN + 60;
    let own = json!({ "job": "eu/shop", "instance": "h1" });
    let with = |name: &str, more: &[(&str, &str)]| {
        let mut labels = own.clone();
        for (key, value) in [("__name__", name)].iter().chain(more).filter(|(_, value)| !value.is_empty()) {
            labels[*key] = json!(value);
        }
        labels
    };
    for (expression, expected) in [
        ("system_cpu_time_seconds_total", vec![(with("system_cpu_time_seconds_total", &[("cpu", "0")]), "70")]),
        ("increase(system_cpu_time_seconds_total[2m])", vec![(with("", &[("cpu", "0")]), "70")]),
        ("system_memory_utilization_ratio", vec![(with("system_memory_utilization_ratio", &[]), "0.25")]),
        (
            "sum by (le) (call_duration_seconds_bucket)",
            vec![(json!({ "le": "0.1" }), "1"), (json!({ "le": "1" }), "3"), (json!({ "le": "+Inf" }), "7")],
        ),
        ("call_duration_seconds_sum", vec![(with("call_duration_seconds_sum", &[]), "9.5")]),
        ("call_duration_seconds_count", vec![(with("call_duration_seconds_count", &[]), "7")]),
        ("histogram_quantile(0.5, call_duration_seconds_bucket)", vec![(own.clone(), "1")]),
        ("ended", vec![]),
    ] {
        let path = format!("/prometheus/api/v1/query?time={at}&query={}", expression.replace('+', "%2B"));
        let answer = stack.get(&path).await?;
        let mut found: Vec<String> = answer["data"]["result"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| format!("{} {}", one["metric"], one["value"][1].as_str().unwrap_or_default()))
            .collect();
        let mut wanted: Vec<String> = expected.iter().map(|(labels, value)| format!("{labels} {value}")).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        ensure!(found == wanted, "{expression}: {answer}\nwanted {wanted:?}");
    }
    let metadata = stack.get("/prometheus/api/v1/metadata?metric=system_cpu_time_seconds_total").await?;
    ensure!(metadata["data"]["system_cpu_time_seconds_total"][0]["type"] == "counter", "{metadata}");
    Ok(())
}

async fn send(stack: &Stack, body: &Value) -> Result<()> {
    let url = format!("http://{}/v1/metrics", stack.otlp_http);
    let answer = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}

fn request() -> Value {
    let at = |second: u64| ((BEGIN + second) * SECOND).to_string();
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let point = |second: u64, value: f64| json!({ "timeUnixNano": at(second), "asDouble": value });
    let cpu = |second: u64, value: f64| json!({ "timeUnixNano": at(second), "asDouble": value, "attributes": [text("cpu", "0")] });
    let sum = |points: Value| json!({ "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points });
    let histogram = json!({ "aggregationTemporality": 2, "dataPoints": [{
        "timeUnixNano": at(30), "count": "7", "sum": 9.5, "bucketCounts": ["1", "2", "4"], "explicitBounds": [0.1, 1.0],
    }] });
    let gone = json!({ "timeUnixNano": at(50), "flags": 1 });
    json!({ "resourceMetrics": [{
        "resource": { "attributes": [
            text("service.name", "shop"), text("service.namespace", "eu"), text("host.name", "h1"),
        ] },
        "scopeMetrics": [{ "metrics": [
            { "name": "system.cpu.time", "unit": "s", "sum": sum(json!([cpu(0, 0.0), cpu(30, 30.0), cpu(60, 70.0)])) },
            { "name": "system.memory.utilization", "unit": "1", "gauge": { "dataPoints": [point(40, 0.25)] } },
            { "name": "call.duration", "unit": "s", "histogram": histogram },
            { "name": "ended", "gauge": { "dataPoints": [point(40, 1.0), gone] } },
        ] }],
    }] })
}
