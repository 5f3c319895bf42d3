use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as deleting, get as getting, post as posting, put as putting};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::{AuditEntry, Policy, PolicyKind};
use tidegate_core::expire::{ExpireError, Target};
use tidegate_model::limits::{RETENTION_GRACE_SECONDS, SQL_BODY_BYTES_MAX};
use tidegate_model::{ErrorKind, Retention, partition_date};

use crate::api::actor;
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Param, Route, Sends, delete, get, post, put};
use crate::stages::Stages;
use crate::timestore::arguments;

const TABLE: &[Param] = &[Param::text("tableName", "a table of the dataset; without it all that have no own policy")];
const PATH: &str = "/admin/datasets/{id}/retention";
/// What a body should have been.
const EXAMPLE: &str =
    r#"send {"mode":…,"rules":{"maxAgeHours":…,"maxTotalBytes":…},"deleteGraceMinutes":…,"coldStorageAfterHours":…}"#;
const PREVIEW: &str = "/admin/datasets/{id}/retention/preview";
const HOUR: u64 = 3_600;
/// A million years: a number that is larger is a mistake.
const HOURS_MAX: u64 = 8_766_000_000;

/// The routes of policies.
pub(super) fn routes() -> Vec<Route> {
    const GIVES: &[(u16, Gives)] = &[(200, Gives::One("Retention"))];
    vec![
        get(PATH, "Tells how long rows of a dataset are kept, and which partitions they are in")
            .takes(&[TABLE])
            .gives(GIVES)
            .refuses(&[401, 403, 404, 504])
            .by(getting(tell)),
        put(PATH, "Decides how long rows of a dataset are kept, and when they go to the cold volume")
            .takes(&[TABLE])
            .sends(Sends::Json("RetentionPolicy"))
            .gives(GIVES)
            .refuses(&[401, 403, 404, 408, 413, 504])
            .by(putting(decide)),
        delete(PATH, "Forgets what was decided: the settings hold again")
            .takes(&[TABLE])
            .gives(&[(204, Gives::Nothing)])
            .refuses(&[401, 403, 404])
            .by(deleting(forget)),
        post(
            PREVIEW,
            "Tells what a retention would remove, and removes nothing; without a body, the one that holds or will hold",
        )
        .takes(&[TABLE])
        .sends(Sends::Json("RetentionPolicy"))
        .gives(&[(200, Gives::One("RetentionPreview"))])
        .refuses(&[401, 403, 404, 408, 413, 504])
        .by(posting(preview)),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "tableName")]
    table: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Decided {
    mode: Option<Mode>,
    #[serde(default)]
    rules: Rules,
    delete_grace_minutes: Option<u64>,
    cold_storage_after_hours: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rules {
    max_age_hours: Option<u64>,
    max_total_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Time,
    Size,
    Hybrid,
    None,
}

async fn tell(State(stages): State<Stages>, Path(slug): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    let told = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let named: Named = arguments(&uri)?;
        told(&stages, &slug, named.table.as_deref()).await
    };
    answer(&stages, told.await)
}

async fn decide(State(stages): State<Stages>, Path(slug): Path<String>, uri: Uri, request: Request) -> Response {
    let outcome = async {
        let (parts, body) = request.into_parts();
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let named: Named = arguments(&uri)?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let decided: Decided = body::json(&body, EXAMPLE)?;
        let retention = checked(&stages, &decided)?;
        let actor = actor(&parts.headers).unwrap_or_default();
        keep(&stages, (&slug, named.table.as_deref()), retention, actor).await?;
        told(&stages, &slug, named.table.as_deref()).await
    };
    answer(&stages, outcome.await)
}

async fn forget(State(stages): State<Stages>, Path(slug): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    let outcome = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let named: Named = arguments(&uri)?;
        let label = named.table.as_deref().unwrap_or_default();
        let removed = stages.catalog.remove_policy(PolicyKind::Retention, &slug, label).await;
        let removed = removed.map_err(|error| Failure::of(error.kind(), &error))?;
        if !removed {
            return Err(Failure::new(ErrorKind::NotFound, format!("nothing was decided for `{slug}`")));
        }
        audit(&stages, &slug, json!({ "tableName": named.table, "forgotten": true }), actor(&headers)).await
    };
    match outcome.await {
        Ok(()) => http::StatusCode::NO_CONTENT.into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn preview(State(stages): State<Stages>, Path(slug): Path<String>, uri: Uri, request: Request) -> Response {
    let outcome = async {
        let (parts, body) = request.into_parts();
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let named: Named = arguments(&uri)?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let asked = if body.is_empty() { None } else { Some(checked(&stages, &body::json(&body, EXAMPLE)?)?) };
        let mut tables = Vec::new();
        for target in targets(&stages, &slug, named.table.as_deref()).await? {
            let own = target.pending.map_or(target.retention, |pending| pending.retention);
            let retention = asked.unwrap_or(own);
            let preview = stages.lifecycle.expire.preview(&target, &retention).await;
            let preview = preview.map_err(|error| Failure::of(error.kind(), &error))?;
            tables.push(json!({
                "tableName": target.label,
                "table": target.spec.name,
                "policy": body_of(&retention),
                "rows": preview.rows,
                "bytes": preview.bytes,
                "partitions": preview.partitions,
                "oldest": preview.oldest.map(|time| time.to_string()),
                "before": preview.before.map(|time| time.to_string()),
            }));
        }
        Ok(json!({ "dataset": slug, "tables": tables }))
    };
    answer(&stages, outcome.await)
}

/// Makes of a request's body what is kept, or says what is wrong with it.
fn checked(stages: &Stages, decided: &Decided) -> Result<Retention, Failure> {
    let Rules { max_age_hours, max_total_bytes } = decided.rules;
    let found = match (max_age_hours.is_some(), max_total_bytes.is_some()) {
        (true, true) => Mode::Hybrid,
        (true, false) => Mode::Time,
        (false, true) => Mode::Size,
        (false, false) => Mode::None,
    };
    if let Some(mode) = decided.mode.filter(|mode| *mode != found) {
        let wanted = match mode {
            Mode::Time => "`rules.maxAgeHours` alone",
            Mode::Size => "`rules.maxTotalBytes` alone",
            Mode::Hybrid => "both `rules.maxAgeHours` and `rules.maxTotalBytes`",
            Mode::None => "no rules",
        };
        return Err(Failure::invalid(format!("this `mode` needs {wanted}")));
    }
    for (name, value) in [
        ("rules.maxAgeHours", max_age_hours),
        ("coldStorageAfterHours", decided.cold_storage_after_hours),
        ("rules.maxTotalBytes", max_total_bytes.map(|bytes| bytes.min(1))),
    ] {
        if value.is_some_and(|value| value == 0 || value > HOURS_MAX) {
            return Err(Failure::invalid(format!(
                "`{name}` is a number from 1 on, and not absurd; leave it out for none"
            )));
        }
    }
    if decided.cold_storage_after_hours.is_some() && !stages.lifecycle.expire.has_cold() {
        return Err(Failure::invalid("this server has no cold volume, so `coldStorageAfterHours` would do nothing")
            .with_hint("set `lifecycle.cold_folder` or `lifecycle.cold_s3`, and start again: docs/lifecycle.md"));
    }
    let grace = decided.delete_grace_minutes.map_or(RETENTION_GRACE_SECONDS, |minutes| minutes.saturating_mul(60));
    Ok(Retention {
        max_age: max_age_hours.map(|hours| hours * HOUR),
        max_bytes: max_total_bytes,
        grace,
        cold_after: decided.cold_storage_after_hours.map(|hours| hours * HOUR),
    })
}

async fn keep(
    stages: &Stages,
    (slug, table): (&str, Option<&str>),
    policy: Retention,
    actor: String,
) -> Result<(), Failure> {
    // Whose rows must stay is refused, also where there are none yet.
    targets(stages, slug, table).await?;
    let policy = Policy {
        slug: slug.to_owned(),
        label: table.unwrap_or_default().to_owned(),
        policy,
        updated_at: stages.clock.now(),
        updated_by: actor.clone(),
    };
    let kept = stages.catalog.put_policy(PolicyKind::Retention, &policy).await;
    kept.map_err(|error| Failure::of(error.kind(), &error))?;
    audit(stages, slug, json!({ "tableName": table, "policy": body_of(&policy.policy) }), Some(actor)).await
}

async fn audit(stages: &Stages, slug: &str, detail: Value, actor: Option<String>) -> Result<(), Failure> {
    let entry = AuditEntry {
        slug: slug.to_owned(),
        at: stages.clock.now(),
        action: "retention.updated",
        success: true,
        actor: actor.unwrap_or_default(),
        detail,
    };
    stages.catalog.add_audit(&entry).await.map_err(|error| Failure::of(error.kind(), &error))
}

/// Finds the tables that are meant; a dataset that has none yet is there all the same.
async fn targets(stages: &Stages, slug: &str, table: Option<&str>) -> Result<Vec<Target>, Failure> {
    let found = match stages.lifecycle.expire.targets(Some(slug)).await {
        Err(ExpireError::UnknownTable(_)) if stages.catalog.record(slug).is_some() => Vec::new(),
        found => found.map_err(|error| Failure::of(error.kind(), &error))?,
    };
    let wanted: Vec<_> = found.into_iter().filter(|target| table.is_none_or(|table| table == target.label)).collect();
    match table {
        Some(table) if wanted.is_empty() => {
            Err(Failure::new(ErrorKind::NotFound, format!("`{slug}` has no table `{table}`")))
        }
        _ => Ok(wanted),
    }
}

async fn told(stages: &Stages, slug: &str, table: Option<&str>) -> Result<Value, Failure> {
    let mut tables = Vec::new();
    for target in targets(stages, slug, table).await? {
        let partitions = stages.lifecycle.expire.partitions(&target).await;
        let partitions = partitions.map_err(|error| Failure::of(error.kind(), &error))?;
        let listed = partitions.iter().map(|partition| {
            json!({
                "partition": partition_date(partition.state.partition),
                "rows": partition.state.rows,
                "bytes": partition.state.bytes,
                "first_time": partition.state.times.0.to_string(),
                "last_time": partition.state.times.1.to_string(),
                "tier": partition.tier,
            })
        });
        tables.push(json!({
            "tableName": target.label,
            "table": target.spec.name,
            "source": target.source,
            "policy": body_of(&target.retention),
            "pending": target.pending.map(|pending| json!({
                "policy": body_of(&pending.retention),
                "from": pending.from.to_string(),
            })),
            "partitions": listed.collect::<Vec<_>>(),
        }));
    }
    Ok(json!({ "dataset": slug, "tables": tables }))
}

/// Writes a policy as it is sent.
fn body_of(retention: &Retention) -> Value {
    let mode = match (retention.max_age, retention.max_bytes) {
        (Some(_), Some(_)) => "hybrid",
        (Some(_), None) => "time",
        (None, Some(_)) => "size",
        (None, None) => "none",
    };
    json!({
        "mode": mode,
        "rules": { "maxAgeHours": retention.max_age.map(|age| age / HOUR), "maxTotalBytes": retention.max_bytes },
        "deleteGraceMinutes": retention.grace / 60,
        "coldStorageAfterHours": retention.cold_after.map(|age| age / HOUR),
    })
}

pub(super) fn answer(stages: &Stages, told: Result<Value, Failure>) -> Response {
    match told {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}
