use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post as posting;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::Dataset;
use tidegate_model::limits::SQL_BODY_BYTES_MAX;
use tidegate_model::{ErrorKind, PartitionDay, partition_date, partition_of_date};

use super::policies::answer;
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, post};
use crate::stages::Stages;

/// The routes of prewarming.
pub(super) fn routes() -> Vec<Route> {
    vec![
        post("/admin/lifecycle/prewarm", "Reads partitions of a table, so that the cache of the cold volume has them")
            .sends(Sends::Json("PrewarmAsked"))
            .gives(&[(200, Gives::One("Prewarmed"))])
            .refuses(&[401, 403, 404, 408, 413, 504])
            .by(posting(prewarm)),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    dataset_slug: String,
    table_name: Option<String>,
    from_shard: String,
    to_shard: Option<String>,
}

async fn prewarm(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let (parts, body) = request.into_parts();
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let asked: Asked =
            body::json(&body, r#"send {"datasetSlug":…,"tableName":…,"fromShard":"2026-01-01","toShard":…}"#)?;
        warmed(&stages, &asked).await
    };
    answer(&stages, outcome.await)
}

async fn warmed(stages: &Stages, asked: &Asked) -> Result<Value, Failure> {
    let from = shard(&asked.from_shard)?;
    let to = asked.to_shard.as_deref().map_or(Ok(from), shard)?;
    let label = asked.table_name.as_deref().unwrap_or(Dataset::RECORDS);
    let targets = stages.lifecycle.expire.targets(Some(&asked.dataset_slug)).await;
    let targets = targets.map_err(|error| Failure::of(error.kind(), &error))?;
    let target = targets
        .into_iter()
        .find(|target| target.label == label)
        .ok_or_else(|| Failure::new(ErrorKind::NotFound, format!("`{}` has no table `{label}`", asked.dataset_slug)))?;
    let began = stages.clock.monotonic();
    let rows = stages.store.read_partitions(&target.spec.name, from, to).await;
    let rows = rows.map_err(|error| Failure::of(error.kind(), &error))?;
    let took = stages.clock.monotonic().saturating_sub(began);
    Ok(json!({
        "table": target.spec.name,
        "from_shard": partition_date(from),
        "to_shard": partition_date(to),
        "rows": rows,
        "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }))
}

fn shard(text: &str) -> Result<PartitionDay, Failure> {
    partition_of_date(text)
        .ok_or_else(|| Failure::invalid(format!("a shard is a UTC day such as 2026-01-31, not `{text}`")))
}
