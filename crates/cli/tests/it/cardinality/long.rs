use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Api, telemetry};

/// More than two pieces of a list.
const MANY: u32 = 2_300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_lists_are_streamed_and_are_what_their_pages_are_together() -> Result<()> {
    let api = Api::start().await?;
    telemetry::send_many_names(&api, MANY).await?;
    for (path, name) in [
        ("/v2/metrics?", "name"),
        ("/v2/cardinality?", "key"),
        ("/v2/logs/patterns?min_count=1&", "template_id"),
        ("/api/v1/metrics?", "name"),
        ("/api/v1/attributes?", "key"),
    ] {
        let (whole, is_streamed) = fetched(&api, &format!("{path}limit=0")).await?;
        assert!(is_streamed, "{path} is long");
        let items = whole["data"].as_array().context("a list")?;
        let names: BTreeSet<&str> = items.iter().filter_map(|item| item[name].as_str()).collect();
        assert_eq!((items.len(), Some(names.len() as u64)), (names.len(), whole["total"].as_u64()), "{path}");
        assert!(names.len() >= MANY as usize, "{path}: {}", names.len());

        let mut paged = Vec::new();
        for offset in (0..).step_by(1_000).take(4) {
            let (page, is_streamed) = fetched(&api, &format!("{path}limit=1000&offset={offset}")).await?;
            assert!(!is_streamed, "{path}: a page is short");
            for same in ["total", "total_sample_count", "exact"] {
                assert_eq!(page[same], whole[same], "{path}: {same}");
            }
            paged.extend(page["data"].as_array().cloned().unwrap_or_default());
        }
        assert_eq!(&paged, items, "{path}");
    }
    Ok(())
}

/// Asks for a list; says whether its length was not known when it began.
async fn fetched(api: &Api, path: &str) -> Result<(Value, bool)> {
    let answer = api.client.get(format!("http://{}{path}", api.stack.http)).send().await?;
    let is_streamed = answer.headers().get("content-length").is_none();
    assert_eq!(answer.status(), 200, "{path}");
    Ok((serde_json::from_slice(&answer.bytes().await?)?, is_streamed))
}
