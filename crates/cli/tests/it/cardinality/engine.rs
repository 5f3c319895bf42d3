use anyhow::Result;
use reqwest::Method;
use serde_json::json;

use super::Api;
use crate::{READY_WITHIN, account, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_answers_each_of_its_requests_as_the_route_itself_does() -> Result<()> {
    let api = Api::start().await?;
    let body = json!({ "queries": [
        { "id": "labels", "endpoint": "/v2/metrics", "params": { "min_complexity": 1, "limit": 2 } },
        { "id": "it's", "endpoint": "/api/v1/attributes/user" },
        { "id": "none", "endpoint": "/v2/cardinality/none" },
        { "id": "elsewhere", "endpoint": "/sql/read" },
    ] });
    let (status, answer) = api.ask(Method::POST, "/v2/query/batch", &body.to_string()).await?;
    assert_eq!(status, 200, "{answer}");
    let expected = json!({ "labels": 200, "it's": 200, "none": 404, "elsewhere": 400 });
    assert_eq!(answer["statuses"], expected);
    assert_eq!(answer["results"]["labels"], api.good("/v2/metrics?min_complexity=1&limit=2").await?);
    assert_eq!(answer["results"]["it's"], api.good("/api/v1/attributes/user").await?);
    assert!(answer["results"]["none"]["error"].is_string());
    for bad in ["", "{", "{\"queries\":3}", "{\"queries\":[{\"id\":\"a\"}]}"] {
        assert_eq!(api.ask(Method::POST, "/v2/query/batch", bad).await?.0, 400, "{bad}");
    }
    let twice = json!({ "queries": [{ "id": "a", "endpoint": "/v2/x" }, { "id": "a", "endpoint": "/v2/x" }] });
    assert_eq!(api.ask(Method::POST, "/v2/query/batch", &twice.to_string()).await?.0, 400);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_count_every_record_once() -> Result<()> {
    let api = Api::start().await?;
    for path in ["/api/v1/logs/patterns?minCount=0", "/v2/logs/patterns?min_count=0"] {
        let answer = api.good(path).await?;
        let patterns = answer["patterns"].as_array().or(answer["data"].as_array()).cloned().unwrap_or_default();
        let counted: u64 = patterns.iter().filter_map(|pattern| pattern["total_count"].as_u64()).sum();
        assert_eq!(counted, 14, "{answer}");
        let by_service: u64 = patterns
            .iter()
            .flat_map(|pattern| pattern["services"].as_array().cloned().unwrap_or_default())
            .filter_map(|service| service["sample_count"].as_u64())
            .sum();
        assert_eq!(by_service, 14, "{answer}");
    }
    let logs = api.good("/api/v1/logs").await?;
    for log in logs["data"].as_array().into_iter().flatten() {
        let templates = log["body_templates"].as_array().cloned().unwrap_or_default();
        let counted: u64 = templates.iter().filter_map(|template| template["count"].as_u64()).sum();
        assert_eq!(Some(counted), log["sample_count"].as_u64(), "{log}");
        let first = &templates[0]["template_id"];
        let id = first.as_str().unwrap_or_default();
        let severity = log["severity"].as_str().unwrap_or_default();
        let one = api.good(&format!("/api/v1/logs/patterns/{severity}/{id}")).await?;
        assert_eq!(one["total_count"], templates[0]["count"], "{one}");
        assert_eq!(one["total_severity_count"], log["sample_count"], "{one}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_tells_of_its_queries_and_tables() -> Result<()> {
    let mut api = Api::start().await?;
    api.stack.stop()?;
    api.stack.start()?;
    api.stack.ready(READY_WITHIN).await?;
    eventually("every row is stored", async || Ok(account::hot_rows(&api.stack).await? == 0)).await?;
    let answer = api.good("/v2/stats/tables").await?;
    let tables = answer["tables"].as_array().cloned().unwrap_or_default();
    let rows = |name: &str| tables.iter().find(|row| row["table_name"] == name).map(|row| row["row_count"].clone());
    // One of the log records has a name: it is an event.
    let counts = ["logs", "events", "spans"].map(rows);
    assert_eq!(counts, [13, 1, 4].map(|count| Some(json!(count))), "{answer}");
    assert!(tables[0]["compression_ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{answer}");
    let stats = api.good("/v2/stats").await?;
    assert!(stats["total_queries_executed"].as_f64().is_some_and(|count| count > 0.0), "{stats}");
    let url = format!("http://{}/v2/stats", api.stack.http);
    let asked = api.client.get(url).header("accept", "application/vnd.otlp.v2+json").send().await?;
    assert_eq!(
        (&asked.headers()["api-version"], &asked.headers()["content-type"]),
        (&http_value("v2"), &http_value("application/vnd.otlp.v2+json"))
    );
    let health = api.good("/api/v1/health").await?;
    assert_eq!(health["status"], "ok");
    assert!(health["memory"]["alloc_mb"].as_u64().is_some_and(|mb| mb > 0), "{health}");
    assert_eq!(api.good("/api/v1/version").await?["version"], env!("CARGO_PKG_VERSION"));
    Ok(())
}

fn http_value(text: &'static str) -> reqwest::header::HeaderValue {
    reqwest::header::HeaderValue::from_static(text)
}
