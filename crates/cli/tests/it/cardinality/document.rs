mod calls;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use boon::{Compiler, Schemas};
use reqwest::Method;
use serde_json::{Value, json};

use self::calls::{Body, Call, calls};
use super::Api;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_described_and_answers_as_it_is() -> Result<()> {
    let api = Api::start().await?;
    let document = api.good("/openapi.json").await?;
    ensure!(document["openapi"] == "3.1.0" && document == api.good("/api-docs/openapi.json").await?);
    let (status, _) = api.ask(Method::POST, "/api/v1/sessions", r#"{"name":"exported"}"#).await?;
    ensure!(status == 201, "a session to export");
    let export = format!("http://{}/api/v1/sessions/exported/export", api.stack.http);
    let exported = api.client.get(export).send().await?.bytes().await?.to_vec();
    api.ask(Method::DELETE, "/api/v1/sessions/exported", "").await?;

    let mut left = operations(&document);
    ensure!(left.len() > 50, "{} routes are too few to be all", left.len());
    let mut wrong = Vec::new();
    for call in calls(exported) {
        if let Err(error) = check(&api, &document, &call).await {
            wrong.push(format!("{} {}: {error}", call.method, call.sent));
        }
        left.remove(&(call.route.to_owned(), call.method.to_owned()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(left, BTreeSet::new(), "these routes are described, and nobody called them");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_as_described_is_found() -> Result<()> {
    let api = Api::start().await?;
    let document = api.good("/openapi.json").await?;
    let path = "/api/v1/metrics";
    let at = pointer(&["paths", path, "get", "responses", "200", "content", "application/json", "schema"]);
    let good = api.good(path).await?;
    valid(&document, &at, &good)?;
    let (mut lacks, mut has_more, mut other) = (good.clone(), good.clone(), good);
    lacks.as_object_mut().map(|list| list.remove("total"));
    has_more["data"][0]["colour"] = json!("red");
    other["data"][0]["label_keys"]["x"] = json!({ "count": "many" });
    for wrong in [lacks, has_more, other] {
        assert!(valid(&document, &at, &wrong).is_err(), "{wrong}");
    }
    Ok(())
}

fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(|(method, _)| (path.clone(), method.clone())).collect::<Vec<_>>()
        })
        .collect()
}

/// Sends the request where the document says, and compares the answer with what it says.
async fn check(api: &Api, document: &Value, call: &Call) -> Result<()> {
    let operation = &document["paths"][call.route][call.method];
    ensure!(operation.is_object(), "the route is not described");
    check_parameters(operation, call.sent)?;
    let is_otlp = operation["servers"][0]["description"] == "OTLP/HTTP";
    let address = if is_otlp { api.stack.otlp_http } else { api.stack.http };
    let method = Method::from_bytes(call.method.to_uppercase().as_bytes())?;
    let mut request = api.client.request(method, format!("http://{address}{}", call.sent));
    request = match &call.body {
        Some((media_type, Body::Json(value))) => {
            let described = &operation["requestBody"]["content"][*media_type]["schema"];
            if described.is_object() && call.status < 400 {
                let steps = ["paths", call.route, call.method, "requestBody", "content", *media_type, "schema"];
                valid(document, &pointer(&steps), value)?;
            }
            let text = if value.is_null() { String::new() } else { value.to_string() };
            request.header("content-type", *media_type).body(text)
        }
        Some((media_type, Body::Bytes(bytes))) => request.header("content-type", *media_type).body(bytes.clone()),
        None => request,
    };
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let media_type = answer.headers().get("content-type").map(|value| value.to_str().map(str::to_owned)).transpose()?;
    let text = answer.bytes().await?;
    ensure!(status == call.status, "{status}: {}", String::from_utf8_lossy(&text));
    let content = &operation["responses"][status.to_string()];
    ensure!(content.is_object(), "the status {status} is not described");
    let Some(media_type) = media_type else {
        ensure!(text.is_empty() && content["content"].is_null(), "an answer without a type has no body");
        return Ok(());
    };
    let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
    let described = &content["content"][&media_type];
    ensure!(described.is_object(), "the media type {media_type} is not described: {content}");
    if described["schema"].is_object() {
        let pointer = pointer(&[
            "paths",
            call.route,
            call.method,
            "responses",
            &status.to_string(),
            "content",
            &media_type,
            "schema",
        ]);
        valid(document, &pointer, &serde_json::from_slice(&text)?)?;
    }
    Ok(())
}

fn check_parameters(operation: &Value, sent: &str) -> Result<()> {
    let known: Vec<&str> =
        operation["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    let pairs = sent.split_once('?').map_or("", |(_, query)| query).split('&').filter(|pair| !pair.is_empty());
    for name in pairs.filter_map(|pair| pair.split('=').next()) {
        ensure!(known.contains(&name), "the parameter `{name}` is not among {known:?}");
    }
    Ok(())
}

fn pointer(steps: &[&str]) -> String {
    let escaped =
        steps.iter().map(|step| step.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D"));
    escaped.map(|step| format!("/{step}")).collect()
}

fn valid(document: &Value, pointer: &str, answer: &Value) -> Result<()> {
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler
        .add_resource("http://localhost/openapi.json", document.clone())
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let at = format!("http://localhost/openapi.json#{pointer}");
    let schema = compiler.compile(&at, &mut schemas).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    schemas.validate(answer, schema).map_err(|error| anyhow::anyhow!("{error:#}\n{answer:#}"))
}
