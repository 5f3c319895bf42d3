use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidegate_core::verify;
use tidegate_model::{TableSpec, tables};

use crate::errors::Failure;
use crate::stages::Stages;

/// Answers `GET /ledger`: per table, `received = stored + hot + rejected + duplicate`.
pub(super) async fn ledger(State(stages): State<Stages>) -> Response {
    match verify::ledgers(&stages.buffer, &stages.catalog).await {
        Ok(tables) => Json(json!({ "tables": tables })).into_response(),
        Err(error) => Failure::of(error.kind(), &error).answer(&stages.request_id()),
    }
}

/// Answers `POST /verify`: every stored batch recounted in ClickHouse.
pub(super) async fn verify(State(stages): State<Stages>) -> Response {
    // A removal that was broken off would look like rows too many.
    stages.lifecycle.settle().await;
    match verify::verify(&stages.buffer, &stages.catalog, &stages.store).await {
        Ok(reports) => {
            let exact = reports.iter().all(verify::TableReport::is_exact);
            Json(json!({ "exact": exact, "tables": reports })).into_response()
        }
        Err(error) => Failure::of(error.kind(), &error).answer(&stages.request_id()),
    }
}

/// Answers `GET /datasets`: the built-in tables and every dataset, with their columns.
pub(super) async fn datasets(State(stages): State<Stages>) -> Response {
    match stages.catalog.datasets().await {
        Ok(datasets) => {
            let own = datasets.iter().map(|dataset| {
                let mut value = described(&dataset.spec);
                value["slug"] = json!(dataset.slug);
                value["tableName"] = json!(dataset.label);
                value["version"] = json!(dataset.version);
                value
            });
            let built_in = tables::all().into_iter().map(described);
            Json(json!({ "tables": built_in.collect::<Vec<_>>(), "datasets": own.collect::<Vec<_>>() })).into_response()
        }
        Err(error) => Failure::of(error.kind(), &error).answer(&stages.request_id()),
    }
}

fn described(spec: &TableSpec) -> Value {
    let columns: Vec<_> = spec
        .columns
        .iter()
        .map(|column| json!({ "name": column.name, "type": column.kind.clickhouse() }))
        .chain([json!({ "name": TableSpec::SEQ, "type": "UInt64" })])
        .collect();
    json!({ "table": spec.name, "columns": columns })
}
