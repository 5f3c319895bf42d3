use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as deleting, get as getting, put as putting};
use http::HeaderMap;
use serde_json::{Value, json};
use tidegate_core::catalog::{AuditEntry, Policy, PolicyKind, RecordFilter};
use tidegate_core::ingest::Quota;
use tidegate_model::ErrorKind;
use tidegate_model::limits::{QUOTA_LOOK_MS, SQL_BODY_BYTES_MAX};
use tokio::time::sleep;

use super::policies::answer;
use crate::api::actor;
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::{Failure, chain};
use crate::routes::{Gives, Route, Sends, delete, get, put};
use crate::stages::Stages;

const PATH: &str = "/admin/datasets/{id}/quota";
const TENANT: &str = "/admin/tenants/{tenant}/quota";
/// What OTLP requests bring is counted by signal.
const SIGNALS: [&str; 3] = ["logs", "spans", "metrics"];

/// The routes of quotas.
pub(super) fn routes() -> Vec<Route> {
    const GIVES: &[(u16, Gives)] = &[(200, Gives::One("Quota"))];
    const TENANT_GIVES: &[(u16, Gives)] = &[(200, Gives::One("TenantQuota"))];
    vec![
        get(PATH, "Tells how much may come into a dataset, and how much it has stored")
            .gives(GIVES)
            .refuses(&[401, 403, 404])
            .by(getting(tell)),
        put(PATH, "Decides how much may come into a dataset; past it writes are answered with 429")
            .sends(Sends::Json("QuotaLimits"))
            .gives(GIVES)
            .refuses(&[401, 403, 404, 408, 413])
            .by(putting(decide)),
        delete(PATH, "Forgets what was decided: the settings hold again")
            .gives(&[(204, Gives::Nothing)])
            .refuses(&[401, 403, 404])
            .by(deleting(forget)),
        get(TENANT, "Tells how much may come into all datasets of one tenant, and how much they have stored")
            .gives(TENANT_GIVES)
            .refuses(&[401, 403, 404])
            .by(getting(tell_tenant)),
        put(TENANT, "Decides how much may come into all datasets of one tenant (`metadata.tenant`) together")
            .sends(Sends::Json("QuotaLimits"))
            .gives(TENANT_GIVES)
            .refuses(&[401, 403, 408, 413])
            .by(putting(decide_tenant)),
        delete(TENANT, "Forgets what was decided for a tenant: each dataset's own quota holds")
            .gives(&[(204, Gives::Nothing)])
            .refuses(&[401, 403, 404])
            .by(deleting(forget_tenant)),
    ]
}

async fn tell(State(stages): State<Stages>, Path(slug): Path<String>, headers: HeaderMap) -> Response {
    let told = known(&stages, &headers, &slug).map(|()| told(&stages, &slug));
    answer(&stages, told)
}

async fn decide(State(stages): State<Stages>, Path(slug): Path<String>, request: Request) -> Response {
    let outcome = async {
        let (parts, body) = request.into_parts();
        known(&stages, &parts.headers, &slug)?;
        let quota = wanted(&stages, &parts.headers, body).await?;
        let by = actor(&parts.headers).unwrap_or_default();
        let policy = Policy {
            slug: slug.clone(),
            label: String::new(),
            policy: quota,
            updated_at: stages.clock.now(),
            updated_by: by.clone(),
        };
        let kept = stages.catalog.put_policy(PolicyKind::Quota, &policy).await;
        kept.map_err(|error| Failure::of(error.kind(), &error))?;
        stages.ingest.quotas().set(&slug, Some(quota));
        audit(&stages, &slug, json!({ "quota": quota }), by).await?;
        Ok(told(&stages, &slug))
    };
    answer(&stages, outcome.await)
}

async fn wanted(stages: &Stages, headers: &HeaderMap, body: Body) -> Result<Quota, Failure> {
    let body = body::read(headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let quota: Quota = body::json(&body, r#"send {"rowsPerSecond":…,"bytesPerSecond":…,"storedBytes":…}"#)?;
    if [quota.rows_per_second, quota.bytes_per_second, quota.stored_bytes].contains(&Some(0)) {
        return Err(Failure::invalid("a quota is a number from 1 on; leave it out for none")
            .with_hint("to take no more rows, archive the dataset"));
    }
    Ok(quota)
}

async fn forget(State(stages): State<Stages>, Path(slug): Path<String>, headers: HeaderMap) -> Response {
    let outcome = async {
        known(&stages, &headers, &slug)?;
        let removed = stages.catalog.remove_policy(PolicyKind::Quota, &slug, "").await;
        if !removed.map_err(|error| Failure::of(error.kind(), &error))? {
            return Err(Failure::new(ErrorKind::NotFound, format!("no quota was decided for `{slug}`")));
        }
        stages.ingest.quotas().set(&slug, None);
        audit(&stages, &slug, json!({ "forgotten": true }), actor(&headers).unwrap_or_default()).await
    };
    match outcome.await {
        Ok(()) => http::StatusCode::NO_CONTENT.into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

fn known(stages: &Stages, headers: &HeaderMap, slug: &str) -> Result<(), Failure> {
    check(&stages.access, headers, Want::Admin, None)?;
    if stages.catalog.record(slug).is_some() || SIGNALS.contains(&slug) {
        return Ok(());
    }
    Err(Failure::new(ErrorKind::NotFound, format!("there is no dataset `{slug}`"))
        .with_hint("what OTLP brings is counted as logs, spans and metrics"))
}

fn told(stages: &Stages, slug: &str) -> Value {
    let quotas = stages.ingest.quotas();
    let (quota, is_own) = quotas.of(slug);
    json!({
        "dataset": slug,
        "source": if is_own { "dataset" } else { "settings" },
        "quota": quota,
        "stored_bytes": quotas.stored(slug),
    })
}

async fn tell_tenant(State(stages): State<Stages>, Path(tenant): Path<String>, headers: HeaderMap) -> Response {
    let told = || {
        check(&stages.access, &headers, Want::Admin, None)?;
        let has_quota = stages.ingest.quotas().of_tenant(&tenant).1;
        if !has_quota && datasets_of(&stages, &tenant).is_empty() {
            return Err(Failure::new(ErrorKind::NotFound, format!("there is no tenant `{tenant}`"))
                .with_hint("a dataset's tenant is what its metadata says: {\"tenant\":\"…\"}"));
        }
        Ok(told_tenant(&stages, &tenant))
    };
    answer(&stages, told())
}

async fn decide_tenant(State(stages): State<Stages>, Path(tenant): Path<String>, request: Request) -> Response {
    let outcome = async {
        let (parts, body) = request.into_parts();
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let quota = wanted(&stages, &parts.headers, body).await?;
        let by = actor(&parts.headers).unwrap_or_default();
        let (slug, label, updated_at) = (tenant.clone(), String::new(), stages.clock.now());
        let policy = Policy { slug, label, policy: quota, updated_at, updated_by: by.clone() };
        let kept = stages.catalog.put_policy(PolicyKind::TenantQuota, &policy).await;
        kept.map_err(|error| Failure::of(error.kind(), &error))?;
        stages.ingest.quotas().set_tenant(&tenant, Some(quota));
        audit(&stages, "", json!({ "tenant": tenant, "quota": quota }), by).await?;
        Ok(told_tenant(&stages, &tenant))
    };
    answer(&stages, outcome.await)
}

async fn forget_tenant(State(stages): State<Stages>, Path(tenant): Path<String>, headers: HeaderMap) -> Response {
    let outcome = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let removed = stages.catalog.remove_policy(PolicyKind::TenantQuota, &tenant, "").await;
        if !removed.map_err(|error| Failure::of(error.kind(), &error))? {
            return Err(Failure::new(ErrorKind::NotFound, format!("no quota was decided for the tenant `{tenant}`")));
        }
        stages.ingest.quotas().set_tenant(&tenant, None);
        let detail = json!({ "tenant": tenant, "forgotten": true });
        audit(&stages, "", detail, actor(&headers).unwrap_or_default()).await
    };
    match outcome.await {
        Ok(()) => http::StatusCode::NO_CONTENT.into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

fn told_tenant(stages: &Stages, tenant: &str) -> Value {
    let quotas = stages.ingest.quotas();
    json!({
        "tenant": tenant,
        "datasets": datasets_of(stages, tenant),
        "quota": quotas.of_tenant(tenant).0,
        "stored_bytes": quotas.stored_of_tenant(tenant),
    })
}

fn datasets_of(stages: &Stages, tenant: &str) -> Vec<String> {
    let all = stages.catalog.records(&RecordFilter::default(), usize::MAX);
    all.into_iter().filter(|record| record.tenant() == Some(tenant)).map(|record| record.slug).collect()
}

async fn audit(stages: &Stages, slug: &str, detail: Value, actor: String) -> Result<(), Failure> {
    let entry = AuditEntry {
        slug: slug.to_owned(),
        at: stages.clock.now(),
        action: "quota.updated",
        success: true,
        actor,
        detail,
    };
    stages.catalog.add_audit(&entry).await.map_err(|error| Failure::of(error.kind(), &error))
}

/// Looks how much each dataset has stored, while some quota says how much it may.
pub(super) async fn watch(stages: &Stages) {
    loop {
        if stages.ingest.quotas().counts_stored() {
            match stored(stages).await {
                Ok(stored) => stages.ingest.quotas().set_stored(&stored, &by_tenant(stages, &stored)),
                // What was seen last holds on: ClickHouse is away, and nothing is stored meanwhile.
                Err(failure) => tracing::debug!(why = failure.message, "the sizes of datasets are not known anew"),
            }
        }
        sleep(Duration::from_millis(QUOTA_LOOK_MS)).await;
    }
}

fn by_tenant(stages: &Stages, stored: &HashMap<String, u64>) -> HashMap<String, u64> {
    let mut sums: HashMap<String, u64> = HashMap::new();
    for (slug, bytes) in stored {
        let record = stages.catalog.record(slug);
        if let Some(tenant) = record.as_ref().and_then(|record| record.tenant()) {
            *sums.entry(tenant.to_owned()).or_default() += bytes;
        }
    }
    sums
}

async fn stored(stages: &Stages) -> Result<HashMap<String, u64>, Failure> {
    let datasets = stages.catalog.datasets().await.map_err(|error| Failure::of(error.kind(), &error))?;
    let tables = stages.store.stored_bytes().await.map_err(|error| {
        tracing::debug!(error = chain(&error), "clickhouse does not tell the sizes of tables");
        Failure::new(error.kind(), error.to_string())
    })?;
    let mut stored: HashMap<String, u64> = HashMap::new();
    for (table, bytes) in tables {
        let dataset = datasets.iter().find(|dataset| dataset.spec.name.as_str() == table);
        let slug = match dataset {
            Some(dataset) => dataset.slug.clone(),
            None if table.starts_with("metric_") => "metrics".to_owned(),
            None => table,
        };
        *stored.entry(slug).or_default() += bytes;
    }
    Ok(stored)
}
