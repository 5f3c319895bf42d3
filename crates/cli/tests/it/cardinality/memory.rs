use anyhow::{Context, Result, ensure};
use reqwest::Method;

use super::{Api, telemetry, without_samples};
use crate::{READY_WITHIN, account, eventually};

/// Everything that may be answered from memory.
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

/// Windows, and whether one may cut through what came: then the tables are asked.
const WINDOWS: [(&str, bool); 5] = [
    ("from=0", false),
    ("from=2026-01-31T09:00:00Z&to=2026-01-31T11:00:00Z", false),
    ("to=2026-01-31T09:00:00Z", false),
    ("to=2026-01-31T10:00:00Z", true),
    ("from=2026-01-31T10:00:00Z", true),
];

/// A session of nothing.
const NOTHING: &str = "nothing";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_says_of_hot_rows_what_the_tables_say() -> Result<()> {
    let api = Api::start().await?;
    save_nothing(&api).await?;
    both_ways_are_equal(&api, 0).await.context("the first rows")?;
    telemetry::send_later(&api).await?;
    telemetry::send_many_users(&api, 50).await?;
    both_ways_are_equal(&api, 1).await.context("further rows, counted onto those before")?;
    ensure!(account::hot_rows(&api.stack).await? > 0, "the rows should still be hot");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_says_of_stored_rows_what_the_tables_say() -> Result<()> {
    let mut api = Api::that_stores_after("300").await?;
    telemetry::send(&api).await?;
    save_nothing(&api).await?;
    both_ways_are_equal(&api, 0).await.context("the first rows")?;
    for round in 0..4_usize {
        telemetry::send_later(&api).await?;
        if round % 2 == 0 {
            // Somebody counts the first of these rows before their batch does.
            api.good("/api/v1/summary").await?;
            telemetry::send_many_users(&api, 10 + u32::try_from(round)?).await?;
        }
        eventually("every row is stored", async || Ok(account::hot_rows(&api.stack).await? == 0)).await?;
        both_ways_are_equal(&api, round + 1).await.with_context(|| format!("round {round}"))?;
    }
    api.stack.stop()?;
    api.stack.start()?;
    api.stack.ready(READY_WITHIN).await?;
    both_ways_are_equal(&api, 5).await.context("rows that were read from the tables")
}

async fn both_ways_are_equal(api: &Api, turn: usize) -> Result<()> {
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
    let mut cut = 0;
    for (number, path) in PATHS.iter().enumerate() {
        let path = path.replace("{id}", id.as_str().unwrap_or_default());
        for (window, may_cut) in [("", false), WINDOWS[(number + turn) % WINDOWS.len()]] {
            let asked = with(&path, window);
            let before = answers(api, "tables").await?;
            let (status, from_memory) = api.get(&asked).await?;
            let is_cut = answers(api, "tables").await? > before;
            ensure!(may_cut || !is_cut, "{asked}: memory does not answer it");
            cut += u32::from(is_cut);
            let before = answers(api, "tables").await?;
            let (same, from_tables) = api.get(&with(&asked, &format!("session=live,{NOTHING}"))).await?;
            ensure!(answers(api, "tables").await? > before, "{asked}: memory answers for a session");
            let [from_memory, from_tables] = [from_memory, from_tables].map(without_samples);
            let is_same = status == same && from_memory == from_tables;
            ensure!(is_same, "{asked}\nfrom memory: {status} {from_memory}\nfrom tables: {same} {from_tables}");
        }
    }
    ensure!(cut > 0, "no window cut through anything");
    Ok(())
}

fn with(path: &str, parameters: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    if parameters.is_empty() { path.to_owned() } else { format!("{path}{separator}{parameters}") }
}

/// Saves a session without a row: whoever reads it beside what is live reads the tables.
async fn save_nothing(api: &Api) -> Result<()> {
    let wanted = serde_json::json!({ "name": NOTHING, "services": ["nobody"] });
    let (status, told) = api.ask(Method::POST, "/api/v1/sessions", &wanted.to_string()).await?;
    ensure!(status == 201, "{told}");
    Ok(())
}

async fn answers(api: &Api, from: &str) -> Result<u64> {
    let url = format!("http://{}/metrics", api.stack.http);
    let text = api.client.get(url).send().await?.text().await?;
    let name = format!("tidegate_catalogue_answers_total{{from=\"{from}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(Ok(0), |number| Ok(number.parse()?))
}
