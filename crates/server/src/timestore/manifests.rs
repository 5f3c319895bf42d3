use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get as getting, post as posting};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::{Dataset, Manifest, ManifestFilter, ManifestPlace};
use tidegate_core::verify;
use tidegate_model::limits::MANIFESTS_PAGE_MAX;
use tidegate_model::{
    ErrorKind, ManifestState, PartitionDay, Seq, TableName, UnixNanos, partition_date, partition_of_date, tables,
};

use super::arguments;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Kind, Param, Route, get, post};
use crate::stages::Stages;

/// Manifests of one page, when the request does not say how many.
const PAGE_DEFAULT: u32 = 100;

const LISTED: &[Param] = &[
    TABLE,
    Param::text("shard", "only of this UTC day, `2026-01-31`"),
    Param {
        name: "state",
        kind: Kind::Word { words: &["draft", "published", "superseded", "expired"], default: false },
        about: "only in this state",
    },
    Param::number("limit", PAGE_DEFAULT as u64, MANIFESTS_PAGE_MAX as u64, "manifests of a page"),
    Param::text("cursor", "the `next_cursor` of the page before"),
];
const TABLE: Param = Param::text("tableName", "the table of the dataset, `records` unless said otherwise");
const ACCEPTED: &[Param] =
    &[TABLE, Param { name: "manifest", kind: Kind::Needed, about: "the id of a published manifest" }];

/// The routes of manifests.
pub(super) fn routes() -> Vec<Route> {
    const GIVES: &[(u16, Gives)] = &[(200, Gives::One("Manifests"))];
    vec![
        get("/datasets/{slug}/manifests", "Lists what each batch put into each partition, the newest first")
            .takes(&[LISTED])
            .gives(GIVES)
            .refuses(&[401, 403, 404])
            .by(getting(list)),
        get("/admin/datasets/{id}/manifest", "Does the same")
            .takes(&[LISTED])
            .gives(GIVES)
            .refuses(&[401, 403, 404])
            .by(getting(list)),
        post("/admin/datasets/{id}/manifest/supersede", "Accepts what ClickHouse holds as a manifest's rows")
            .takes(&[ACCEPTED])
            .gives(&[(200, Gives::One("Manifest"))])
            .refuses(&[401, 403, 404, 409, 504])
            .by(posting(supersede)),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(rename = "tableName")]
    table: Option<String>,
    shard: Option<String>,
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    #[serde(rename = "tableName")]
    table: Option<String>,
    manifest: String,
}

async fn list(State(stages): State<Stages>, Path(slug): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    match listed(&stages, &headers, &slug, &uri).await {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn listed(stages: &Stages, headers: &HeaderMap, slug: &str, uri: &Uri) -> Result<Value, Failure> {
    let want = if uri.path().starts_with("/admin/") { Want::Admin } else { Want::Read };
    check(&stages.access, headers, want, stages.catalog.record(slug).as_ref())?;
    let asked: Listed = arguments(uri)?;
    let table = table_of(stages, slug, asked.table.as_deref()).await?;
    let shard = asked.shard.as_deref().map(shard_of).transpose()?;
    let state = asked.state.as_deref().map(str::parse::<ManifestState>).transpose().map_err(Failure::invalid)?;
    let limit = asked.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=MANIFESTS_PAGE_MAX).contains(&limit) {
        return Err(Failure::invalid(format!("`limit` is 1 to {MANIFESTS_PAGE_MAX}, it is {limit}")));
    }
    let after = asked.cursor.as_deref().map(place_of).transpose()?;
    let filter = ManifestFilter { table: table.clone(), shard, state, limit: limit + 1, after };
    let failed = |error| Failure::of(ErrorKind::Unavailable, &error);
    let mut found = stages.catalog.manifests(&filter).await.map_err(failed)?;
    let totals = stages.catalog.manifest_totals(&table, shard, None).await.map_err(failed)?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| has_more).map(|last| {
        let (seq, partition, version) = last.place();
        format!("{seq}.{partition}.{version}")
    });
    Ok(json!({
        "dataset": slug,
        "table": table,
        "shard": shard.map(partition_date),
        "manifests": found.iter().map(told).collect::<Vec<_>>(),
        "next_cursor": next,
        "published": {
            "manifests": totals.manifests,
            "partitions": totals.partitions,
            "rows": totals.rows,
            "bytes": totals.bytes,
        },
    }))
}

async fn supersede(State(stages): State<Stages>, Path(slug): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    match superseded(&stages, &headers, &slug, &uri).await {
        Ok(manifest) => Json(told(&manifest)).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn superseded(stages: &Stages, headers: &HeaderMap, slug: &str, uri: &Uri) -> Result<Manifest, Failure> {
    check(&stages.access, headers, Want::Admin, None)?;
    let Accepted { table, manifest: id } = arguments(uri)?;
    let table = table_of(stages, slug, table.as_deref()).await?;
    let found = stages.catalog.manifest(&table, &id).await.map_err(|error| Failure::of(error.kind(), &error))?;
    let Some(published) = found else {
        return Err(Failure::new(ErrorKind::NotFound, format!("`{slug}` has no published manifest `{id}`"))
            .with_hint("GET /datasets/{slug}/manifests?state=published lists them"));
    };
    let sum = verify::sum_stored(&published, &stages.catalog, &stages.store).await;
    let sum = sum.map_err(|error| Failure::of(error.kind(), &error))?;
    let next = stages.catalog.supersede_manifest(&published, &sum, stages.clock.now()).await;
    let next = next.map_err(|error| Failure::of(error.kind(), &error))?;
    tracing::warn!(manifest = id, rows = published.sum.rows, now = sum.rows, "a manifest was superseded on request");
    Ok(next)
}

/// Finds a dataset's table, or a built-in one by its name.
async fn table_of(stages: &Stages, slug: &str, label: Option<&str>) -> Result<TableName, Failure> {
    let label = label.unwrap_or(Dataset::RECORDS);
    let dataset = stages.catalog.dataset(slug, label).await.map_err(|error| Failure::of(error.kind(), &error))?;
    if let Some(dataset) = dataset {
        return Ok(dataset.spec.name);
    }
    let built_in = tables::all().into_iter().find(|spec| spec.name.as_str() == slug);
    built_in.map(|spec| spec.name.clone()).ok_or_else(|| {
        Failure::new(ErrorKind::NotFound, format!("there is no dataset `{slug}` with a table `{label}`"))
    })
}

fn shard_of(text: &str) -> Result<PartitionDay, Failure> {
    partition_of_date(text)
        .ok_or_else(|| Failure::invalid(format!("`shard` is a UTC day such as 2026-01-31, it is `{text}`")))
}

fn place_of(text: &str) -> Result<ManifestPlace, Failure> {
    let mut parts = text.split('.');
    let place = (|| {
        let seq = Seq(parts.next()?.parse().ok()?);
        let place = (seq, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(place)
    })();
    place.ok_or_else(|| Failure::invalid(format!("`cursor` is the `next_cursor` of a page, it is `{text}`")))
}

fn told(manifest: &Manifest) -> Value {
    let time = |time: Option<UnixNanos>| time.map(|time| time.to_string());
    json!({
        "id": manifest.id(),
        "batch": manifest.batch,
        "state": manifest.state.as_str(),
        "version": manifest.version,
        "partition": partition_date(manifest.partition),
        "shard": partition_date(manifest.partition),
        "first_seq": manifest.sum.range.map(|range| range.first),
        "last_seq": manifest.sum.range.map(|range| range.last),
        "rows": manifest.sum.rows,
        "bytes": manifest.sum.bytes,
        "first_time": time(manifest.sum.times.map(|times| times.0)),
        "last_time": time(manifest.sum.times.map(|times| times.1)),
        "checksum": manifest.checksum().map(|sum| format!("{sum:016x}")),
        "columns": manifest.columns.iter().map(|column| &column.name).collect::<Vec<_>>(),
        "schema_version": manifest.schema_version,
        "tier": manifest.tier,
        "drafted_at": manifest.drafted_at.to_string(),
        "published_at": time(manifest.published_at),
        "superseded_at": time(manifest.superseded_at),
        "expired_at": time(manifest.expired_at),
    })
}
