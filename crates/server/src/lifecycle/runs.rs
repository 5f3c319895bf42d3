use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get as getting, post as posting};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::{AuditEntry, LifecycleRun};
use tidegate_core::expire::{ExpireError, Report, Wanted};
use tidegate_model::limits::{LIFECYCLE_PAGE_MAX, SQL_BODY_BYTES_MAX};

use super::policies::answer;
use crate::api::actor;
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::{Failure, chain};
use crate::routes::{Gives, Param, Route, Sends, get, post};
use crate::stages::Stages;
use crate::timestore::arguments;

/// Runs of one page, when the request does not say how many.
const PAGE_DEFAULT: u32 = 50;

const LISTED: &[Param] = &[
    Param::number("limit", PAGE_DEFAULT as u64, LIFECYCLE_PAGE_MAX as u64, "runs of a page"),
    Param::text("cursor", "the `next_cursor` of the page before"),
];

/// The routes of runs.
pub(super) fn routes() -> Vec<Route> {
    vec![
        post(
            "/admin/lifecycle/run",
            "Removes what is past its retention and moves what is old, or tells what it would do",
        )
        .sends(Sends::Json("LifecycleAsked"))
        .gives(&[(200, Gives::One("LifecycleReport"))])
        .refuses(&[401, 403, 404, 408, 413, 504])
        .by(posting(ask)),
        get("/admin/lifecycle/status", "Tells when a run was last, and whether a row is past its retention")
            .gives(&[(200, Gives::One("LifecycleStatus"))])
            .refuses(&[401, 403])
            .by(getting(status)),
        get("/admin/lifecycle/runs", "Lists runs with what each did, the newest first")
            .takes(&[LISTED])
            .gives(&[(200, Gives::One("LifecycleRuns"))])
            .refuses(&[401, 403])
            .by(getting(list)),
    ]
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    dataset_id: Option<String>,
    dataset_slug: Option<String>,
    operations: Option<Vec<Operation>>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Retention,
    Tiers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    limit: Option<u32>,
    cursor: Option<String>,
}

async fn ask(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let (parts, body) = request.into_parts();
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let asked: Asked = body::json_or_default(
            &body,
            r#"send {"datasetSlug":…,"operations":["retention","tiers"],"dryRun":…}, all optional"#,
        )?;
        let has = |operation| asked.operations.as_ref().is_none_or(|all| all.contains(&operation));
        let wanted = Wanted {
            retention: has(Operation::Retention),
            tiers: has(Operation::Tiers),
            is_dry: asked.dry_run,
            slug: asked.dataset_slug.or(asked.dataset_id),
        };
        let actor = actor(&parts.headers).unwrap_or_default();
        // A requester that leaves must not break a run off in its middle.
        let own = stages.clone();
        let run = tokio::spawn(async move { run(&own, &wanted, "request", &actor).await });
        let (number, report) =
            run.await.map_err(|error| Failure::of(tidegate_model::ErrorKind::Internal, &error))??;
        Ok(json!({ "run": number, "report": report }))
    };
    answer(&stages, outcome.await)
}

/// Does one run, and keeps what it did.
pub(super) async fn run(
    stages: &Stages,
    wanted: &Wanted,
    cause: &str,
    actor: &str,
) -> Result<(Option<i64>, Report), Failure> {
    let lifecycle = &stages.lifecycle;
    if wanted.is_dry {
        return Ok((None, lifecycle.expire.run(wanted).await.map_err(|error| failed(&error))?));
    }
    let unknown = |error: tidegate_core::catalog::CatalogError| Failure::of(error.kind(), &error);
    let number = stages.catalog.begin_run(cause, actor, stages.clock.now()).await.map_err(unknown)?;
    let outcome = lifecycle.expire.run(wanted).await;
    let now = stages.clock.now();
    match outcome {
        Ok(report) => {
            let told = json!(report);
            lifecycle.change(|state| {
                state.last_run = Some(now);
                state.rows_removed += report.rows_removed;
                state.bytes_removed += report.bytes_removed;
                state.bytes_moved += report.bytes_moved;
                state.failures += report.left;
            });
            if report.steps.is_empty() && cause == "schedule" {
                stages.catalog.forget_run(number).await.map_err(unknown)?;
                return Ok((None, report));
            }
            stages.catalog.end_run(number, now, Ok(&told)).await.map_err(unknown)?;
            audit(stages, number, &report, actor).await;
            let (rows, bytes, moved, left) =
                (report.rows_removed, report.bytes_removed, report.bytes_moved, report.left);
            tracing::info!(run = number, rows, bytes, moved, left, "a run of the lifecycle is done");
            Ok((Some(number), report))
        }
        Err(error) => {
            lifecycle.change(|state| state.failures += 1);
            stages.catalog.end_run(number, now, Err(&chain(&error))).await.map_err(unknown)?;
            Err(failed(&error))
        }
    }
}

/// Tells each dataset what went of it.
async fn audit(stages: &Stages, number: i64, report: &Report, actor: &str) {
    for step in &report.steps {
        if stages.catalog.record(&step.dataset).is_none() {
            continue;
        }
        let entry = AuditEntry {
            slug: step.dataset.clone(),
            at: stages.clock.now(),
            action: if step.action == "move" { "tier.partition.moved" } else { "retention.partition.deleted" },
            success: step.outcome == "done",
            actor: actor.to_owned(),
            detail: json!({ "run": number, "step": step }),
        };
        if let Err(error) = stages.catalog.add_audit(&entry).await {
            tracing::warn!(error = chain(&error), run = number, "a step of the lifecycle is not in the audit log");
        }
    }
}

async fn status(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    let told = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let open = stages.catalog.open_removals().await.map_err(|error| Failure::of(error.kind(), &error))?;
        let state = stages.lifecycle.state();
        let mut told = state.told();
        told["every_seconds"] = json!(stages.lifecycle.every.as_secs());
        told["has_cold_volume"] = json!(stages.lifecycle.expire.has_cold());
        told["open_removals"] = json!(open.len());
        told["rows_removed"] = json!(state.rows_removed);
        told["bytes_removed"] = json!(state.bytes_removed);
        told["bytes_moved"] = json!(state.bytes_moved);
        Ok(told)
    };
    answer(&stages, told.await)
}

async fn list(State(stages): State<Stages>, headers: HeaderMap, uri: Uri) -> Response {
    let told = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let asked: Listed = arguments(&uri)?;
        let limit = asked.limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=LIFECYCLE_PAGE_MAX).contains(&limit) {
            return Err(Failure::invalid(format!("`limit` is 1 to {LIFECYCLE_PAGE_MAX}, it is {limit}")));
        }
        let before = asked.cursor.map(|cursor| {
            cursor.parse().map_err(|_| Failure::invalid(format!("`cursor` is none that an answer gave: `{cursor}`")))
        });
        let runs = stages.catalog.runs(limit, before.transpose()?).await;
        let runs = runs.map_err(|error| Failure::of(error.kind(), &error))?;
        let next = runs.last().filter(|_| runs.len() == limit as usize).map(|last| last.number.to_string());
        Ok(json!({ "runs": runs.iter().map(told).collect::<Vec<_>>(), "next_cursor": next }))
    };
    answer(&stages, told.await)
}

fn told(run: &LifecycleRun) -> Value {
    json!({
        "run": run.number,
        "cause": run.cause,
        "actor": run.actor,
        "state": run.state,
        "began_at": run.began_at.to_string(),
        "ended_at": run.ended_at.map(|at| at.to_string()),
        "error": run.error,
        "report": run.report,
    })
}

fn failed(error: &ExpireError) -> Failure {
    Failure::of(error.kind(), error)
}
