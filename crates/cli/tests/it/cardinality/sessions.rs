use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, telemetry};

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
    for verb in ["load", "merge"] {
        let (status, told) = api.ask(Method::POST, &format!("/api/v1/sessions/logs-only/{verb}"), "").await?;
        assert_eq!(status, 501, "{told}");
        assert_eq!(api.ask(Method::POST, &format!("/api/v1/sessions/none/{verb}"), "").await?.0, 404);
    }
    Ok(())
}

async fn save(api: &Api, body: Value, query: &str) -> Result<(u16, Value)> {
    api.ask(Method::POST, &format!("/api/v1/sessions{query}"), &body.to_string()).await
}
