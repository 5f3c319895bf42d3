use anyhow::{Result, ensure};
use expect_test::{ExpectFile, expect_file};
use serde_json::{Value, json};

use super::Api;
use super::telemetry::{self, HOUR};
use crate::{READY_WITHIN, account, eventually};

/// Every route with its answer. Templates are mined at ingest, and have their own tests.
fn answers() -> Vec<(&'static str, ExpectFile)> {
    vec![
        ("/api/v1/summary", expect_file!["answers/summary.json"]),
        ("/api/v1/metrics", expect_file!["answers/metrics.json"]),
        ("/api/v1/metrics/latency", expect_file!["answers/metric.json"]),
        ("/api/v1/spans", expect_file!["answers/spans.json"]),
        ("/api/v1/spans/GET%20%2Fusers%2F1?service=shop", expect_file!["answers/span.json"]),
        ("/api/v1/span-patterns", expect_file!["answers/span_patterns.json"]),
        ("/api/v1/logs", expect_file!["answers/logs.json"]),
        ("/api/v1/logs/ERROR", expect_file!["answers/log.json"]),
        ("/api/v1/logs/by-service", expect_file!["answers/logs_by_service.json"]),
        ("/api/v1/logs/service/cart/severity/UNSET", expect_file!["answers/log_of_service.json"]),
        ("/api/v1/services", expect_file!["answers/services.json"]),
        ("/api/v1/services/cart/overview", expect_file!["answers/service.json"]),
        ("/api/v1/services/cart/attributes", expect_file!["answers/service_attributes.json"]),
        ("/api/v1/cardinality/high?threshold=3", expect_file!["answers/high.json"]),
        ("/api/v1/cardinality/complexity?threshold=6", expect_file!["answers/complexity.json"]),
        ("/api/v1/attributes", expect_file!["answers/attributes.json"]),
        ("/api/v1/attributes/user", expect_file!["answers/attribute.json"]),
        ("/api/v1/attributes/user/services", expect_file!["answers/attribute_services.json"]),
        ("/api/v1/attributes/user/telemetry", expect_file!["answers/attribute_telemetry.json"]),
        ("/v2/metrics?min_complexity=1", expect_file!["answers/label_cardinality.json"]),
        ("/v2/cardinality?min_cardinality=2", expect_file!["answers/cardinality.json"]),
        ("/v2/cardinality/queue?period=1h", expect_file!["answers/cardinality_by_hour.json"]),
        ("/v2/cardinality/queue/what-if", expect_file!["answers/what_if_key.json"]),
        (
            "/v2/cardinality/queue/what-if?values=b&from=1769850000&to=1769853600",
            expect_file!["answers/what_if_window.json"],
        ),
        ("/v2/cardinality/user/what-if?values=u1,u2", expect_file!["answers/what_if_values.json"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_answers_what_was_sent_from_hot_and_from_stored_rows() -> Result<()> {
    let mut api = Api::start().await?;
    ensure!(account::hot_rows(&api.stack).await? > 0, "the rows should still be hot");
    for (path, expected) in answers() {
        expected.assert_eq(&shown(api.good(path).await?));
    }
    api.stack.stop()?;
    api.stack.start()?;
    api.stack.ready(READY_WITHIN).await?;
    eventually("every row is stored", async || Ok(account::hot_rows(&api.stack).await? == 0)).await?;
    for (path, expected) in answers() {
        expected.assert_eq(&shown(api.good(path).await?));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_filters_and_pages_narrow_the_numbers() -> Result<()> {
    let api = Api::start().await?;
    let first = api.good(&format!("/api/v1/metrics/queue.size?from={HOUR}&to={}", HOUR + 3_600)).await?;
    assert_eq!((&first["sample_count"], &first["active_series"]), (&json!(3), &json!(3)), "{first}");
    let second = api.good("/api/v1/metrics/queue.size?from=2026-01-31T10:00:00Z").await?;
    assert_eq!((&second["sample_count"], &second["active_series"]), (&json!(1), &json!(1)), "{second}");
    assert_eq!(second["label_keys"]["queue"]["value_samples"], json!(["a"]));
    let shop = api.good("/api/v1/metrics/queue.size?service=shop").await?;
    assert_eq!((&shop["sample_count"], &shop["active_series"]), (&json!(3), &json!(2)), "{shop}");

    for (path, name) in [
        ("/api/v1/metrics", "name"),
        ("/api/v1/spans", "name"),
        ("/api/v1/logs", "severity"),
        ("/api/v1/services", ""),
        ("/api/v1/attributes", "key"),
        ("/api/v1/logs/by-service", "severity"),
    ] {
        let all = api.good(&format!("{path}?limit=0")).await?;
        let mut paged = Vec::new();
        for offset in 0.. {
            let page = api.good(&format!("{path}?limit=1&offset={offset}")).await?;
            assert_eq!((&page["total"], &page["total_sample_count"]), (&all["total"], &all["total_sample_count"]));
            let Some([item]) = page["data"].as_array().map(Vec::as_slice) else { break };
            paged.push(item.clone());
            assert_eq!(page["has_more"], json!(paged.len() as u64 != all["total"].as_u64().unwrap_or(0)));
        }
        assert_eq!(Value::from(paged), all["data"], "{path} by {name}: each item once");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_one_list_has_pages_and_keys_of_events_name_their_event() -> Result<()> {
    let api = Api::start().await?;
    for (path, list) in [("/api/v1/span-patterns", "patterns"), ("/api/v1/services/shop/attributes", "keys")] {
        let whole = api.good(path).await?;
        let items = whole[list].as_array().cloned().unwrap_or_default();
        assert!(items.len() > 1 && whole["total"] == items.len(), "{whole}");
        for (offset, item) in items.iter().enumerate() {
            let page = api.good(&format!("{path}?limit=1&offset={offset}")).await?;
            assert_eq!((&page[list], &page["total"]), (&json!([item]), &whole["total"]), "{path}");
            assert_eq!(page["has_more"], json!(offset + 1 != items.len()), "{path}");
        }
    }
    let high = api.good("/api/v1/cardinality/high?threshold=1&signal_type=span").await?;
    let keys = high["high_cardinality_keys"].as_array().cloned().unwrap_or_default();
    let event = |key: &str| keys.iter().find(|own| own["key_name"] == key).map(|own| own["event_name"].clone());
    assert_eq!((event("exception.type"), event("why")), (Some(json!("exception")), Some(Value::Null)), "{high}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_counts_rows_that_are_stored_before_it_looks() -> Result<()> {
    let api = Api::that_stores_after("1").await?;
    for key in ["user", "queue", "host"] {
        assert_eq!(api.ask(reqwest::Method::POST, &format!("/api/v1/attributes/{key}/watch"), "").await?.0, 200);
    }
    let counts = async || {
        let mut counts = Vec::new();
        for key in ["user", "queue", "host"] {
            let shown = api.good(&format!("/api/v1/attributes/{key}/watch?sort_by=value")).await?;
            let values = shown["values"].as_array().into_iter().flatten().cloned();
            counts.extend(values.map(|value| (key, value["value"].clone(), value["count"].as_u64().unwrap_or(0))));
        }
        anyhow::Ok(counts)
    };
    telemetry::send(&api).await?;
    let once = counts().await?;
    assert!(once.len() > 6 && once.iter().all(|(_, _, n)| *n > 0), "{once:?}");
    for times in 2..5 {
        telemetry::send_later(&api).await?;
        eventually("every row is stored", async || Ok(account::hot_rows(&api.stack).await? == 0)).await?;
        let more: Vec<_> = once.iter().map(|(key, value, n)| (*key, value.clone(), n * times)).collect();
        assert_eq!(counts().await?, more);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_counts_every_value_from_its_beginning() -> Result<()> {
    use reqwest::Method;
    let api = Api::start().await?;
    let path = "/api/v1/attributes/user/watch";
    assert_eq!(api.get(path).await?.0, 404);
    let (status, begun) = api.ask(Method::POST, path, "").await?;
    assert_eq!((status, &begun["unique_count"]), (200, &json!(0)), "{begun}");
    assert_eq!(api.ask(Method::POST, path, "").await?.0, 409);
    let before = api.good(path).await?;
    assert_eq!((&before["total_observations"], &before["values"]), (&json!(0), &json!([])));

    // The same once more would be a retry: these are other bytes.
    super::telemetry::send_later(&api).await?;
    let after = api.good(&format!("{path}?page_size=2")).await?;
    // u1…u12 of the log records, and u1 once more of a span.
    assert_eq!((&after["unique_count"], &after["total_observations"]), (&json!(12), &json!(13)), "{after}");
    assert_eq!(after["values"], json!([{ "value": "u1", "count": 2 }, { "value": "u10", "count": 1 }]));
    let some = api.good(&format!("{path}?q=u1&sort_by=value&page_size=3")).await?;
    assert_eq!((&some["total_values"], &some["values"][1]["value"]), (&json!(4), &json!("u10")), "{some}");
    let queue = "/api/v1/attributes/queue/watch";
    api.ask(Method::POST, queue, "").await?;
    super::telemetry::send_later(&api).await?;
    let points = api.good(queue).await?;
    assert_eq!(points["values"], json!([{ "value": "a", "count": 3 }, { "value": "b", "count": 1 }]), "{points}");

    for number in 0..8 {
        assert_eq!(api.ask(Method::POST, &format!("/api/v1/attributes/k{number}/watch"), "").await?.0, 200);
    }
    assert_eq!(api.ask(Method::POST, "/api/v1/attributes/k9/watch", "").await?.0, 429);
    assert_eq!(api.ask(Method::DELETE, path, "").await?.0, 204);
    assert_eq!(api.ask(Method::DELETE, path, "").await?.0, 404);
    let (_, cleared) = api.ask(Method::POST, "/api/v1/admin/clear", "").await?;
    assert_eq!(cleared["cleared"]["watches"], json!(9), "{cleared}");
    Ok(())
}

/// Writes an answer for comparison, without what the miner of templates finds.
pub(super) fn shown(mut value: Value) -> String {
    without_templates(&mut value);
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

/// What the miner of templates finds, and what is known only of rows that are stored.
const VOLATILE: [&str; 4] = ["body_templates", "body_template_count", "total_log_patterns", "bytes_on_disk_estimate"];

fn without_templates(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| !VOLATILE.contains(&key.as_str()));
            object.values_mut().for_each(without_templates);
        }
        Value::Array(items) => items.iter_mut().for_each(without_templates),
        _ => {}
    }
}
