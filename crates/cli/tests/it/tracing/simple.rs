//! Annotations and invocations of one span, over HTTP; and the hashes by which spans are found that refer to the same.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{TRACE, get, post, span, told};
use crate::{SMALL_BATCHES, started};

const QUERY: &str = "/simple/traces/query";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_is_made_found_changed_and_deleted() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    post(
        &stack,
        "/traces/ingest",
        json!({ "spans": [span(1, None, "root", (0, 1)), span(2, Some(1), "ask", (0, 1))] }),
        202,
    )
    .await?;
    let link = json!({ "trace_id": TRACE, "span_id": "0000000000000002" });
    let about = |link: &Value| json!({ "trace": { "links": { "invocation": link } } });
    let sent = json!({ "trace": {
        "origin": "human", "kind": "adhoc", "channel": "web", "data": { "outputs": { "score": 80 } }, "tags": { "team": "a" },
        "references": { "evaluator": { "id": "e", "slug": "good" } }, "links": { "invocation": link },
    } });
    let made = post(&stack, "/simple/traces/", sent.clone(), 202).await?;
    let other = post(&stack, "/preview/simple/traces/", sent, 202).await?;
    ensure!(made["count"] == 1 && made["trace"]["trace_id"] != other["trace"]["trace_id"], "{made} {other}");
    let path = format!("/simple/traces/{}", made["trace"]["trace_id"].as_str().unwrap_or_default());
    ensure!(get(&stack, &path).await? == made, "what was answered is what is there");
    let found = post(&stack, QUERY, about(&link), 200).await?;
    ensure!(found["count"] == 2 && found["traces"][1] == made["trace"], "{found}");
    let page = post(&stack, QUERY, json!({ "windowing": { "limit": 2, "order": "ascending" } }), 200).await?;
    let next = json!({ "windowing": { "limit": 2, "order": "ascending", "next": page["windowing"]["next"] } });
    let last = post(&stack, QUERY, next, 200).await?;
    ensure!(page["count"] == 2 && last["count"] == 1, "a root is told too, and what is below it is not: {page} {last}");
    ensure!(post(&stack, QUERY, about(&json!({ "trace_id": TRACE, "span_id": "1" })), 400).await?["error"].is_object());
    let none = json!({ "trace": { "links": { "invocation": link }, "origin": "custom" } });
    ensure!(post(&stack, QUERY, none, 200).await?["count"] == 0);

    let change = json!({ "trace": { "data": { "outputs": { "score": 1 } }, "tags": { "team": "b" } } });
    let changed = told(&stack, (Method::PATCH, &path), change.clone(), 202).await?;
    ensure!(changed["trace"]["data"]["outputs"]["score"] == 1 && changed["trace"]["origin"] == "human", "{changed}");
    let after = get(&stack, &path).await?;
    ensure!(after == changed, "{after} {changed}");
    ensure!(after["trace"]["tags"] == json!({ "team": "b" }), "{after}");
    ensure!(
        after["trace"]["created_at"] == made["trace"]["created_at"] && after["trace"]["updated_at"].is_string(),
        "{after}"
    );
    let of_team = post(&stack, QUERY, json!({ "trace": { "tags": { "team": "b" } } }), 200).await?;
    ensure!(of_team["count"] == 1 && of_team["traces"][0]["links"]["invocation"] == link, "{of_team}");

    let gone = told(&stack, (Method::DELETE, &path), Value::Null, 202).await?;
    ensure!(gone["count"] == 1 && gone["link"]["trace_id"] == made["trace"]["trace_id"], "{gone}");
    ensure!(told(&stack, (Method::DELETE, &path), Value::Null, 202).await? == json!({ "count": 0 }));
    ensure!(get(&stack, &path).await? == json!({ "count": 0 }));
    told(&stack, (Method::PATCH, &path), change, 404).await?;
    ensure!(post(&stack, QUERY, about(&link), 200).await?["count"] == 1, "the other annotation stays");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_refer_to_the_same_are_found_by_their_hash() -> Result<()> {
    let (_folder, stack) = started(SMALL_BATCHES).await?;
    let referring = |id: u64, to: &str| {
        let mut span = span(id, None, "root", (0, 1));
        span["attributes"]["ag"]["references"] = json!({ "application": { "id": to, "slug": format!("any {id}") } });
        span
    };
    let mut own = referring(4, "7");
    own["hashes"] = json!([{ "id": "my own" }]);
    let sent = json!({ "spans": [referring(1, "7"), referring(2, "7"), referring(3, "8"), own] });
    post(&stack, "/traces/ingest", sent, 202).await?;
    // `hashlib.blake2b(b'{"application":{"id":"7"}}', digest_size=16)` of Python.
    for (id, count) in
        [("74a6f357-c7db-0aad-4f45-b5f74d8a3657", 2), ("74A6F357C7DB0AAD4F45B5F74D8A3657", 2), ("my own", 1)]
    {
        let conditions = json!([{ "field": "hashes", "operator": "has", "key": "id", "value": id }]);
        let found = post(&stack, "/spans/query", json!({ "filter": { "conditions": conditions } }), 200).await?;
        ensure!(found["count"] == count, "{id}: {found}");
    }
    Ok(())
}
