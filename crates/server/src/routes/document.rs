use std::sync::LazyLock;

use axum::routing::MethodFilter;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Gives, Kind, Param, Route, Sends, found};
use crate::cardinality::VIEW_HEADER;

/// Refusals that any route may answer with.
const REFUSALS: [u16; 4] = [400, 405, 500, 503];

/// Returns the OpenAPI document of every REST route, as JSON.
pub(crate) fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| made().to_string().into());
    DOCUMENT.clone()
}

fn made() -> Value {
    let mut paths = Map::new();
    let main = json!({ "url": "http://localhost:8080", "description": "the main port" });
    let otlp = json!({ "url": "http://localhost:4318", "description": "OTLP/HTTP" });
    let stores = [
        crate::datasets::routes(),
        crate::exports::routes(),
        crate::lifecycle::routes(),
        crate::migrations::routes(),
        crate::timestore::routes(),
        crate::backups::routes(),
        crate::telemetry::routes(),
        crate::alerts::routes(),
        crate::prometheus::routes(),
        crate::tracing::routes(),
    ];
    let all: Vec<_> = crate::api::routes()
        .into_iter()
        .chain(stores.into_iter().flatten())
        .chain(crate::cardinality::routes())
        .collect();
    for route in &all {
        add(&mut paths, route, &main);
    }
    for route in &crate::otlp::http::routes() {
        add(&mut paths, route, &otlp);
    }
    let mut shapes = crate::api::shapes();
    shapes.extend(crate::datasets::shapes());
    shapes.extend(crate::exports::shapes());
    shapes.extend(crate::lifecycle::shapes());
    shapes.extend(crate::migrations::shapes());
    shapes.extend(crate::timestore::shapes());
    shapes.extend(crate::backups::shapes());
    shapes.extend(crate::telemetry::shapes());
    shapes.extend(crate::alerts::shapes());
    shapes.extend(crate::prometheus::shapes());
    shapes.extend(crate::tracing::shapes());
    shapes.extend(crate::cardinality::shapes());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A telemetry and time-series store on ClickHouse.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [main],
        "paths": paths,
        "components": { "schemas": shapes },
    })
}

fn add(paths: &mut Map<String, Value>, route: &Route, server: &Value) {
    // `{*name}` takes slashes too; OpenAPI knows no such thing.
    let shown = route.path.replace("{*", "{");
    let path = paths.entry(shown.clone()).or_insert_with(|| json!({}));
    let mut operation = operation(route, &shown);
    // The same path may be on both ports.
    let method = method(route.method);
    let mut servers = path[method]["servers"].as_array().cloned().unwrap_or_default();
    servers.push(server.clone());
    operation["servers"] = servers.into();
    path[method] = operation;
}

fn operation(route: &Route, shown: &str) -> Value {
    let mut parameters: Vec<Value> = path_names(shown)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(route.takes.iter().copied().flatten().map(|param| parameter(param, "query")));
    parameters.extend(route.headers.iter().map(|param| parameter(param, "header")));
    let mut operation = json!({
        "operationId": operation_id(route, shown),
        "summary": route.about,
        "tags": [tag(shown)],
        "parameters": parameters,
        "responses": responses(route),
    });
    if let Some(body) = request_body(route.sends) {
        operation["requestBody"] = body;
    }
    operation
}

fn parameter(param: &Param, place: &str) -> Value {
    let needed = matches!(param.kind, Kind::Needed);
    json!({ "name": param.name, "in": place, "required": needed, "description": param.about, "schema": param.schema() })
}

fn request_body(sends: Sends) -> Option<Value> {
    let content = match sends {
        Sends::Nothing => return None,
        Sends::Json(shape) => json!({ "application/json": { "schema": found(shape) } }),
        Sends::Media(types) => types.iter().map(|own| ((*own).to_owned(), json!({}))).collect::<Map<_, _>>().into(),
    };
    Some(json!({ "required": true, "content": content }))
}

fn responses(route: &Route) -> Value {
    let mut told = Map::new();
    for (status, gives) in route.gives {
        let mut answer = json!({ "description": if *status < 300 { "as asked" } else { "not as asked" } });
        match gives {
            Gives::Nothing => {}
            Gives::One(shape) => answer["content"] = json!({ "application/json": { "schema": found(shape) } }),
            Gives::Page(shape) => answer["content"] = json!({ "application/json": { "schema": page(shape) } }),
            Gives::Export(shape) => answer["content"] = either(shape),
            Gives::Media(types) => {
                answer["content"] =
                    types.iter().map(|own| ((*own).to_owned(), json!({}))).collect::<Map<_, _>>().into();
            }
        }
        if route.takes.iter().copied().flatten().any(|param| param.name == "session") {
            let about = "the sessions that were read, `live` for the live catalogue";
            answer["headers"] = json!({ VIEW_HEADER: { "description": about, "schema": { "type": "string" } } });
        }
        told.insert(status.to_string(), answer);
    }
    let is_own = route.path.starts_with("/api/v1/") || route.path.starts_with("/v2/");
    let is_export = route.gives.iter().any(|(_, gives)| matches!(gives, Gives::Export(_)));
    // Remote write is no part of Prometheus' API of queries: its senders read the status alone.
    let is_promql = route.path.starts_with(crate::prometheus::PREFIX) && !route.path.ends_with("/write");
    let shape = match (is_own, is_promql) {
        (true, _) => "CatalogueError",
        (_, true) => "PromqlError",
        _ => "Error",
    };
    let content = if is_export { either("Status") } else { json!({ "application/json": { "schema": found(shape) } }) };
    for status in route.refuses.iter().chain(&REFUSALS) {
        let reason = http::StatusCode::from_u16(*status).ok().and_then(|known| known.canonical_reason());
        let refusal = || json!({ "description": reason, "content": content });
        told.entry(status.to_string()).or_insert_with(refusal);
    }
    told.into()
}

/// What OTLP answers with: the encoding of the request.
fn either(shape: &str) -> Value {
    json!({ "application/json": { "schema": found(shape) }, "application/x-protobuf": {} })
}

/// The envelope of a list.
fn page(shape: &str) -> Value {
    let mut page = super::page_of(found(shape));
    if shape == "Log" {
        page["properties"]["total_log_patterns"] = super::count();
    }
    page
}

fn path_names(shown: &str) -> impl Iterator<Item = &str> {
    shown.split('{').skip(1).filter_map(|piece| piece.split_once('}')).map(|(name, _)| name)
}

fn operation_id(route: &Route, shown: &str) -> String {
    let words = shown.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method(route.method)).chain(words).collect::<Vec<_>>().join("_")
}

fn tag(shown: &str) -> &'static str {
    match shown {
        own if own.starts_with("/api/v1/") => "catalogue",
        own if own.starts_with("/v2/") => "catalogue, version 2",
        own if own.starts_with("/v1/json/") => "logs, metrics, events",
        own if own.starts_with("/v1/") => "OTLP/HTTP",
        own if own.starts_with(crate::prometheus::PREFIX) => "Prometheus",
        own if ["/tracing", "/preview", "/traces", "/spans", "/otlp"].iter().any(|mount| own.starts_with(mount)) => {
            "tracing"
        }
        own if own.starts_with("/admin/") || own.starts_with("/datasets/") => "datasets",
        _ => "store",
    }
}

fn method(filter: MethodFilter) -> &'static str {
    match filter {
        MethodFilter::POST => "post",
        MethodFilter::DELETE => "delete",
        MethodFilter::PATCH => "patch",
        MethodFilter::PUT => "put",
        _ => "get",
    }
}
