use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, telemetry, without_samples};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_keeps_one_moment_and_is_compared_with_another() -> Result<()> {
    let api = Api::start().await?;
    let (status, saved) = save(&api, json!({ "name": "before", "description": "a start" }), "").await?;
    assert_eq!(status, 201, "{saved}");
    let stats = json!({
        "metrics_count": 5, "spans_count": 3, "logs_count": 3, "attributes_count": 7, "services": ["cart", "shop"],
    });
    assert_eq!((&saved["id"], &saved["stats"]), (&json!("before"), &stats));
    assert_eq!(save(&api, json!({ "name": "before" }), "").await?.0, 409);
    assert_eq!(save(&api, json!({ "name": "before" }), "?force=true").await?.0, 201);
    for bad in [json!({ "name": "../x" }), json!({ "name": "" }), json!({ "name": "live" }), json!({ "nam": "x" })] {
        assert_eq!(save(&api, bad.clone(), "").await?.0, 400, "{bad}");
    }

    let same = api.good("/api/v1/sessions/diff?from=before&to=live").await?;
    assert_eq!(same["changes"], json!([]), "{same}");
    telemetry::send_later(&api).await?;
    telemetry::send_many_users(&api, 200).await?;
    let diff = api.good("/api/v1/sessions/diff?from=before&to=live").await?;
    let user = |changes: &Value| {
        let found = changes.as_array().into_iter().flatten().find(|change| change["name"] == "INFO").cloned();
        let details = found.unwrap_or_default()["details"].as_array().cloned().unwrap_or_default();
        details.into_iter().find(|detail| detail["field"] == "attribute/user").unwrap_or_default()
    };
    // u1…u12 before; u1…u200 now.
    let detail = user(&diff["critical_changes"]);
    assert_eq!((&detail["from"], &detail["to"], &detail["severity"]), (&json!(12), &json!(200), &json!("critical")));
    assert_eq!(diff["summary"]["metrics"], json!({ "added": 0, "removed": 0, "changed": 5 }), "{diff}");
    let only = api.good("/api/v1/sessions/diff?from=before&to=live&signal_type=log&min_severity=critical").await?;
    assert_eq!(only["changes"], only["critical_changes"]);
    assert_eq!(only["changes"].as_array().map(Vec::len), Some(1), "{only}");
    let back = api.good("/api/v1/sessions/diff?from=live&to=before&service=none").await?;
    assert_eq!(back["changes"], json!([]), "{back}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_out_as_a_file_and_comes_back_the_same() -> Result<()> {
    let api = Api::start().await?;
    save(&api, json!({ "name": "logs-only", "signals": ["logs"], "services": ["shop"] }), "").await?;
    let url = format!("http://{}/api/v1/sessions", api.stack.http);
    let file = api.client.get(format!("{url}/logs-only/export")).send().await?.bytes().await?;
    assert_eq!(&file[..2], [0x1f, 0x8b]);
    let listed = api.good("/api/v1/sessions").await?;
    assert_eq!((&listed["total"], &listed["sessions"][0]["stats"]["logs_count"]), (&json!(1), &json!(2)), "{listed}");

    let import = |bytes: bytes::Bytes| api.client.post(format!("{url}/import")).body(bytes).send();
    assert_eq!(import(file.clone()).await?.status(), 409);
    assert_eq!(api.ask(Method::DELETE, "/api/v1/sessions/logs-only", "").await?.0, 204);
    assert_eq!(api.ask(Method::DELETE, "/api/v1/sessions/logs-only", "").await?.0, 404);
    assert_eq!(api.get("/api/v1/sessions/logs-only").await?.0, 404);
    assert_eq!(import(file.slice(..file.len() / 2)).await?.status(), 400);
    assert_eq!(import(bytes::Bytes::from_static(b"{}")).await?.status(), 400);
    assert_eq!(import(file.clone()).await?.status(), 201);
    assert_eq!(api.good("/api/v1/sessions").await?, listed);
    let again = api.client.get(format!("{url}/logs-only/export")).send().await?.bytes().await?;
    assert_eq!(again, file);
    Ok(())
}

/// What a session must tell as the live catalogue did.
const READ: &[&str] = &[
    "/api/v1/summary",
    "/api/v1/metrics",
    "/api/v1/metrics/latency",
    "/api/v1/spans?service=shop",
    "/api/v1/span-patterns",
    "/api/v1/logs",
    "/api/v1/logs/by-service",
    "/api/v1/logs/patterns?minCount=1",
    "/api/v1/services/cart/overview",
    "/api/v1/services/cart/attributes",
    "/api/v1/cardinality/high?threshold=1",
    "/api/v1/cardinality/complexity?threshold=1",
    "/api/v1/attributes",
    "/api/v1/attributes/user/telemetry",
    "/api/v1/attributes/user/services",
    "/v2/metrics",
    "/v2/cardinality",
    "/v2/cardinality/queue?from=2026-01-31T10:00:00Z",
    "/v2/logs/patterns",
    "/v2/logs/patterns/similar?template=login",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loaded_session_answers_every_route_as_the_catalogue_did() -> Result<()> {
    let mut api = Api::start().await?;
    assert_eq!(save(&api, json!({ "name": "then" }), "").await?.0, 201);
    let then = all_answers(&api, "").await?;
    telemetry::send_later(&api).await?;
    telemetry::send_many_users(&api, 200).await?;
    let now = all_answers(&api, "").await?;
    assert_ne!(now, then);
    assert_eq!(all_answers(&api, "then").await?, then, "a request asks for the session");

    assert_eq!(api.ask(Method::POST, "/api/v1/sessions/none/load", "").await?.0, 404);
    let (status, told) = api.ask(Method::POST, "/api/v1/sessions/then/load", "").await?;
    assert_eq!((status, &told["viewing"]), (200, &json!(["then"])), "{told}");
    assert_eq!(all_answers(&api, "").await?, then, "everybody is shown the session");
    assert_eq!(all_answers(&api, "live").await?, now, "who asks for what is live gets it");
    let url = format!("http://{}/api/v1/metrics", api.stack.http);
    let answer = api.client.get(&url).send().await?;
    assert_eq!(answer.headers()["x-catalogue-view"], "then", "an answer says what it is about");
    assert_eq!(api.ask(Method::POST, "/api/v1/admin/clear", "").await?.0, 200);
    assert_eq!(all_answers(&api, "").await?, now);

    let (status, told) = api.ask(Method::POST, "/api/v1/sessions/then/load?signals=logs", "").await?;
    assert_eq!((status, &told["signals"]), (200, &json!(["logs"])));
    assert_eq!(api.good("/api/v1/metrics").await?["total"], 0);
    assert_eq!(api.good("/api/v1/logs").await?["total"], 3);
    api.stack.stop()?;
    api.stack.start()?;
    api.stack.ready(crate::READY_WITHIN).await?;
    assert_eq!(api.good("/api/v1/sessions").await?["viewing"], json!(["live"]), "a restart shows what is live");
    assert_eq!(all_answers(&api, "then").await?, then, "a restart keeps the session");
    crate::eventually("every row is stored", async || Ok(crate::account::hot_rows(&api.stack).await? == 0)).await?;
    assert_eq!(save(&api, json!({ "name": "stored" }), "").await?.0, 201);
    assert_eq!(all_answers(&api, "stored").await?, now, "stored rows are saved as hot ones are");
    assert_eq!(api.good("/api/v1/summary?session=live,then").await?["samples"]["spans"], 12, "8 and 4 spans");
    assert_eq!(api.ask(Method::DELETE, "/api/v1/sessions/stored", "").await?.0, 204);
    assert_eq!(api.ask(Method::DELETE, "/api/v1/sessions/then", "").await?.0, 204);
    let rows = "SELECT count() AS n FROM session_catalog_signals";
    crate::eventually("the copies are gone", async || Ok(api.stack.query(rows).await?[0]["n"].as_u64() == Some(0)))
        .await?;
    assert_eq!(api.get("/api/v1/metrics?session=then").await?.0, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_one_server_is_read_and_merged_on_another() -> Result<()> {
    let (one, other) = (Api::start().await?, Api::empty().await?);
    save(&one, json!({ "name": "elsewhere" }), "").await?;
    let url = format!("http://{}/api/v1/sessions/elsewhere/export", one.stack.http);
    let file = one.client.get(url).send().await?.bytes().await?;
    let url = format!("http://{}/api/v1/sessions/import", other.stack.http);
    assert_eq!(other.client.post(url).body(file).send().await?.status(), 201);
    let theirs = all_answers(&one, "").await?;
    assert_eq!(all_answers(&other, "elsewhere").await?, theirs);
    assert_eq!(all_answers(&other, "live,elsewhere").await?, theirs, "nothing is added");
    assert_eq!(other.get("/api/v1/metrics/latency").await?.0, 404, "what is live is not touched");
    let diff = other.good("/api/v1/sessions/diff?from=live&to=elsewhere").await?;
    assert_eq!(diff["summary"]["metrics"], json!({ "added": 5, "removed": 0, "changed": 0 }), "{diff}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merged_sessions_add_counts_and_unite_values() -> Result<()> {
    let api = Api::start().await?;
    save(&api, json!({ "name": "first" }), "").await?;
    telemetry::send_many_users(&api, 40).await?;
    save(&api, json!({ "name": "second", "signals": ["logs"] }), "").await?;
    let body = json!({ "name": "both", "sessions": ["first", "second"] }).to_string();
    let (status, both) = api.ask(Method::POST, "/api/v1/sessions/merge", &body).await?;
    assert_eq!((status, &both["sources"]), (201, &json!(["first", "second"])), "{both}");
    assert_eq!(api.ask(Method::POST, "/api/v1/sessions/merge", &body).await?.0, 409);
    for bad in [
        json!({ "name": "x" }),
        json!({ "name": "x", "sessions": [] }),
        json!({ "name": "merge", "sessions": ["first"] }),
    ] {
        assert_eq!(api.ask(Method::POST, "/api/v1/sessions/merge", &bad.to_string()).await?.0, 400, "{bad}");
    }

    // u1…u12 in the first; the same and u1…u40 once more in the second: 12 + 52 records, 40 values.
    for view in ["session=both", "session=first,second"] {
        let info = api.good(&format!("/api/v1/logs/INFO?{view}")).await?;
        let user = &info["attribute_keys"]["user"];
        let found = (&info["sample_count"], &user["count"], &user["estimated_cardinality"], &user["exact"]);
        assert_eq!(found, (&json!(64), &json!(64), &json!(40), &json!(true)), "{view}: {info}");
        assert_eq!(info["body_templates"][0]["count"], json!(64), "{info}");
        let latency = api.good(&format!("/api/v1/metrics/latency?{view}")).await?;
        assert_eq!((&latency["sample_count"], &latency["active_series"]), (&json!(1), &json!(1)), "{latency}");
        assert_eq!(latency["data"]["explicit_bounds"], json!([1.0, 2.0, 5.0]), "{latency}");
    }
    let whole = all_answers(&api, "both").await?;
    assert_eq!(all_answers(&api, "first,second").await?, whole, "united before or while reading is the same");
    assert_eq!(all_answers(&api, "second,first").await?, whole);

    let (status, told) = api.ask(Method::POST, "/api/v1/sessions/first/merge", "").await?;
    assert_eq!((status, &told["viewing"]), (200, &json!(["live", "first"])), "{told}");
    let metric = api.good("/api/v1/metrics/queue.size").await?;
    let live = api.good("/api/v1/metrics/queue.size?session=live").await?;
    assert_eq!((&metric["sample_count"], &live["sample_count"]), (&json!(8), &json!(4)), "counts add");
    assert_eq!(metric["active_series"], live["active_series"], "the same series unite");
    let diff = api.good("/api/v1/sessions/diff?from=first&to=both&signal_type=log").await?;
    assert_eq!(diff["summary"]["logs"], json!({ "added": 0, "removed": 0, "changed": 3 }), "{diff}");
    Ok(())
}

async fn all_answers(api: &Api, view: &str) -> Result<Vec<Value>> {
    let mut answers = Vec::new();
    for path in READ {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut answer = without_samples(api.good(&format!("{path}{join}session={view}")).await?);
        answer["path"] = json!(path);
        answers.push(answer);
    }
    Ok(answers)
}

async fn save(api: &Api, body: Value, query: &str) -> Result<(u16, Value)> {
    api.ask(Method::POST, &format!("/api/v1/sessions{query}"), &body.to_string()).await
}
