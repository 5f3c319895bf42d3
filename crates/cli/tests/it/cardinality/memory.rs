use anyhow::{Context, Result, ensure};

use super::{Api, telemetry, without_samples};
use crate::{READY_WITHIN, account, eventually};

/// Everything that may be answered from memory. Times of a window are asked of the tables.
const PATHS: [&str; 42] = [
    "/api/v1/summary",
    "/api/v1/summary?service=cart",
    "/api/v1/metrics",
    "/api/v1/metrics?service=shop&limit=2&offset=1",
    "/api/v1/metrics/latency",
    "/api/v1/spans",
    "/api/v1/spans?service=nobody",
    "/api/v1/spans/GET%20%2Fusers%2F1?service=shop",
    "/api/v1/span-patterns",
    "/api/v1/logs",
    "/api/v1/logs?service=cart",
    "/api/v1/logs/ERROR",
    "/api/v1/logs/by-service",
    "/api/v1/logs/by-service?limit=1&offset=1",
    "/api/v1/logs/service/cart/severity/UNSET",
    "/api/v1/logs/patterns?min_count=1",
    "/api/v1/logs/patterns?min_count=1&min_services=2&service=shop",
    "/api/v1/logs/patterns/ERROR/{id}",
    "/api/v1/services",
    "/api/v1/services?limit=1&offset=1",
    "/api/v1/services/cart/overview",
    "/api/v1/services/cart/attributes",
    "/api/v1/cardinality/high?threshold=1&limit=0",
    "/api/v1/cardinality/high?threshold=2&signal_type=span&limit=1",
    "/api/v1/cardinality/complexity?threshold=0&limit=0",
    "/api/v1/cardinality/complexity?threshold=6&signal_type=metric",
    "/api/v1/attributes?limit=0",
    "/api/v1/attributes?sort_by=key&limit=3&offset=1",
    "/api/v1/attributes?sort_by=count&sort_order=asc&signal_type=log",
    "/api/v1/attributes?sort_by=first_seen&scope=resource",
    "/api/v1/attributes?sort_by=last_seen&min_cardinality=2&max_cardinality=3",
    "/api/v1/attributes/user",
    "/api/v1/attributes/user?service=shop",
    "/api/v1/attributes/user/services",
    "/api/v1/attributes/user/telemetry",
    "/v2/metrics",
    "/v2/metrics?min_complexity=2&limit=2",
    "/v2/cardinality",
    "/v2/cardinality?min_cardinality=2&signal_type=metric",
    "/v2/logs/patterns",
    "/v2/logs/patterns?min_services=2",
    "/v2/logs/patterns?service=cart&limit=1",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_says_of_hot_rows_what_the_tables_say() -> Result<()> {
    let api = Api::start().await?;
    both_ways_are_equal(&api).await.context("the first rows")?;
    telemetry::send_later(&api).await?;
    telemetry::send_many_users(&api, 50).await?;
    both_ways_are_equal(&api).await.context("further rows, counted onto those before")?;
    ensure!(account::hot_rows(&api.stack).await? > 0, "the rows should still be hot");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_says_of_stored_rows_what_the_tables_say() -> Result<()> {
    let mut api = Api::that_stores_after("300").await?;
    telemetry::send(&api).await?;
    both_ways_are_equal(&api).await.context("the first rows")?;
    for round in 0..4 {
        telemetry::send_later(&api).await?;
        if round % 2 == 0 {
            // Somebody counts the first of these rows before their batch does.
            api.good("/api/v1/summary").await?;
            telemetry::send_many_users(&api, 10 + round).await?;
        }
        eventually("every row is stored", async || Ok(account::hot_rows(&api.stack).await? == 0)).await?;
        both_ways_are_equal(&api).await.with_context(|| format!("round {round}"))?;
    }
    api.stack.stop()?;
    api.stack.start()?;
    api.stack.ready(READY_WITHIN).await?;
    both_ways_are_equal(&api).await.context("rows that were read from the tables")
}

async fn both_ways_are_equal(api: &Api) -> Result<()> {
    // The first who looks has the tables read into memory.
    eventually("the catalogue is in memory", async || {
        let before = answers(api, "memory").await?;
        api.good("/api/v1/services").await?;
        Ok(answers(api, "memory").await? > before)
    })
    .await?;
    let patterns = api.good("/api/v1/logs/patterns?min_count=1").await?;
    let pattern = patterns["patterns"].as_array().into_iter().flatten();
    let id = pattern.filter(|pattern| pattern["severity_breakdown"].get("ERROR").is_some());
    let id = id.map(|pattern| pattern["template_id"].clone()).next().context("a template of errors")?;
    for path in PATHS {
        let path = path.replace("{id}", id.as_str().unwrap_or_default());
        let separator = if path.contains('?') { '&' } else { '?' };
        let tables = answers(api, "tables").await?;
        let from_memory = api.good(&path).await?;
        ensure!(answers(api, "tables").await? == tables, "{path}: memory does not answer it");
        let from_tables = api.good(&format!("{path}{separator}from=0")).await?;
        ensure!(answers(api, "tables").await? > tables, "{path}: memory answers for a window");
        let [from_memory, from_tables] = [from_memory, from_tables].map(without_samples);
        ensure!(from_memory == from_tables, "{path}\nfrom memory: {from_memory}\nfrom tables: {from_tables}");
    }
    Ok(())
}

async fn answers(api: &Api, from: &str) -> Result<u64> {
    let url = format!("http://{}/metrics", api.stack.http);
    let text = api.client.get(url).send().await?.text().await?;
    let name = format!("tidegate_catalogue_answers_total{{from=\"{from}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(Ok(0), |number| Ok(number.parse()?))
}
