use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get as getting, put as putting};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::catalog::{AuditEntry, Policy, PolicyKind};
use tidegate_model::ErrorKind;
use tidegate_model::limits::SQL_BODY_BYTES_MAX;
use tidegate_primary::{Capture, Primary};
use tidegate_traces::{DATASET, Sql, TABLE, Uuid};

use super::choice::{TracingChoice, TracingMode, TracingReads};
use super::follow;
use super::read::Reader;
use crate::api::actor;
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::{Failure, chain};
use crate::routes::{Gives, Route, Sends, get, put};
use crate::stages::Stages;

const ALL: &str = "/tracing/modes";
const ONE: &str = "/tracing/modes/{project_id}";

/// The routes of modes.
pub(super) fn routes() -> Vec<Route> {
    vec![
        get(ALL, "Tells where spans of projects are written and read")
            .gives(&[(200, Gives::One("TracingModes"))])
            .refuses(&[401, 403])
            .by(getting(tell_all)),
        get(ONE, "Tells where spans of a project are written and read")
            .gives(&[(200, Gives::One("TracingMode"))])
            .refuses(&[401, 403])
            .by(getting(tell)),
        put(ONE, "Switches where spans of a project are written and read")
            .sends(Sends::Json("TracingModeAsked"))
            .gives(&[(200, Gives::One("TracingMode"))])
            .refuses(&[401, 403, 408, 409, 413, 504])
            .by(putting(decide)),
    ]
}

/// What a project is to be switched to.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    mode: TracingMode,
    /// Left out: as it is.
    reads: Option<TracingReads>,
    /// Spans may be out of sight, on the side that is left.
    #[serde(default)]
    force: bool,
}

async fn tell_all(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    let told = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let decided = stages.catalog.policies::<TracingChoice>(PolicyKind::Tracing).await;
        let decided = decided.map_err(|error| Failure::of(error.kind(), &error))?;
        let modes = decided.into_iter().map(|own| {
            json!({
                "project_id": own.slug,
                "mode": own.policy.mode,
                "reads": own.policy.reads,
                "updated_at": own.updated_at.to_string(),
                "updated_by": own.updated_by,
            })
        });
        Ok(json!({
            "default": stages.tracing.choices.default,
            "primary": follow::told(&stages),
            "modes": modes.collect::<Vec<_>>(),
        }))
    };
    answer(&stages, told.await)
}

async fn tell(State(stages): State<Stages>, Path(project): Path<String>, headers: HeaderMap) -> Response {
    let told = || {
        check(&stages.access, &headers, Want::Admin, None)?;
        let project = Uuid::read(&project, "the path").map_err(|error| super::invalid(&error))?;
        Ok(told(&stages, project))
    };
    answer(&stages, told())
}

fn told(stages: &Stages, project: Uuid) -> Value {
    let (choice, is_own) = stages.tracing.choices.of(project);
    let source = if is_own { "project" } else { "settings" };
    json!({ "project_id": project.to_string(), "mode": choice.mode, "reads": choice.reads, "source": source })
}

async fn decide(State(stages): State<Stages>, Path(project): Path<String>, request: Request) -> Response {
    let outcome = async {
        let (parts, body) = request.into_parts();
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let project = Uuid::read(&project, "the path").map_err(|error| super::invalid(&error))?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let wanted: Wanted =
            body::json(&body, r#"send {"mode":"postgres|dual|clickhouse","reads":"postgres|clickhouse"}"#)?;
        let (all, by) = (stages.clone(), actor(&parts.headers).unwrap_or_default());
        // It goes on when its client goes away: the catalog and this process are to know the same.
        let switched = tokio::spawn(async move { switched(&all, project, wanted, by).await });
        switched.await.map_err(|error| Failure::of(ErrorKind::Internal, &error))??;
        Ok(told(&stages, project))
    };
    answer(&stages, outcome.await)
}

fn answer(stages: &Stages, told: Result<Value, Failure>) -> Response {
    match told {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

/// Switches while nobody writes spans of the project: what came before is on the side that it was written to.
async fn switched(stages: &Stages, project: Uuid, wanted: Wanted, by: String) -> Result<(), Failure> {
    let _alone = stages.tracing.alone(project).await;
    let (before, _) = stages.tracing.choices.of(project);
    let choice = TracingChoice { mode: wanted.mode, reads: wanted.reads.unwrap_or(before.reads) };
    let why = match stages.tracing.primary() {
        None if choice.mode == TracingMode::ClickHouse => Vec::new(),
        None => vec![
            "there is no PostgreSQL: set tracing.postgres_url (TIDEGATE_POSTGRES), and start the server again"
                .to_owned(),
        ],
        Some(primary) => reasons(stages, primary, (project, before.mode), wanted).await?,
    };
    let detail = json!({
        "project_id": project.to_string(),
        "mode": choice.mode,
        "reads": choice.reads,
        "before": before,
        "force": wanted.force,
        "why": why,
    });
    if !why.is_empty() {
        audit(stages, false, by, detail).await;
        let message = format!("the project stays in mode `{}`: {}", before.mode.as_str(), why.join("; "));
        let failure = Failure::new(ErrorKind::Conflict, message)
            .with_hint("nothing was changed; docs/tracing-api.md has the steps");
        return Err(Failure { more: vec![("reasons", json!(why))], ..failure });
    }
    let policy = Policy {
        slug: project.to_string(),
        label: String::new(),
        policy: choice,
        updated_at: stages.clock.now(),
        updated_by: by.clone(),
    };
    let kept = stages.catalog.put_policy(PolicyKind::Tracing, &policy).await;
    kept.map_err(|error| Failure::of(error.kind(), &error))?;
    stages.tracing.choices.set(project, choice);
    tracing::info!(
        project = project.to_string(),
        mode = choice.mode.as_str(),
        "spans of a project are written elsewhere"
    );
    audit(stages, true, by, detail).await;
    Ok(())
}

async fn audit(stages: &Stages, success: bool, actor: String, detail: Value) {
    let (slug, at, action) = (DATASET.to_owned(), stages.clock.now(), "tracing.mode");
    // What was done stays done.
    if let Err(error) = stages.catalog.add_audit(&AuditEntry { slug, at, action, success, actor, detail }).await {
        tracing::warn!(error = chain(&error), action, "a switch is not in the audit log");
    }
}

/// Says what keeps a project from being switched; nothing: it may be.
async fn reasons(
    stages: &Stages,
    primary: &Primary,
    (project, before): (Uuid, TracingMode),
    wanted: Wanted,
) -> Result<Vec<String>, Failure> {
    if before == wanted.mode {
        return Ok(Vec::new());
    }
    let capture = primary.capture().await?;
    let mut why = Vec::new();
    let is_taken = capture.as_ref().is_some_and(|capture| follow::migration_of(stages, capture).is_some());
    if wanted.mode == TracingMode::Dual && !is_taken {
        why.push(format!(
            "changes of {0} are not captured for ClickHouse: run `tidegate migrate postgres --table {0} --dataset {DATASET} \
             --time created_at --capture`",
            primary.table()
        ));
    }
    if before == TracingMode::ClickHouse && !wanted.force {
        why.push(
            "spans that were written to ClickHouse are not in PostgreSQL, and would be out of sight: `force` allows it"
                .to_owned(),
        );
    }
    if wanted.mode == TracingMode::ClickHouse && !wanted.force {
        why.extend(blockers(stages, primary, capture.as_ref()).await?);
    }
    if let Some(capture) = capture.filter(|_| before == TracingMode::ClickHouse && why.is_empty()) {
        primary.number_above(&capture, newest_version(stages, project).await?).await?;
    }
    Ok(why)
}

/// Says why ClickHouse may lack spans that PostgreSQL has.
async fn blockers(stages: &Stages, primary: &Primary, capture: Option<&Capture>) -> Result<Vec<String>, Failure> {
    let found = capture.and_then(|capture| Some((capture, follow::migration_of(stages, capture)?)));
    let Some((capture, migration)) = found else {
        return Ok(vec![format!(
            "{} is not being moved to the dataset {DATASET} with its changes captured",
            primary.table()
        )]);
    };
    let mut why = Vec::new();
    if !follow::is_drained(stages, primary, capture).await? {
        let lag = primary.lag(capture).await?;
        why.push(format!("{} changes are not in ClickHouse yet, the oldest for {} s", lag.rows, lag.seconds));
    }
    match follow::left(stages, &migration).await.map_err(|error| Failure::of(error.kind(), &error))? {
        0 => {}
        u64::MAX => why.push("nothing of the table was planned yet".to_owned()),
        left => why.push(format!("{left} blocks of the table are not taken yet")),
    }
    match &migration.validation {
        None => why.push(format!("both sides were not compared: run `tidegate migrate validate {DATASET}`")),
        Some(came_to) if came_to["equal"] != true => why.push("the last comparison found differences".to_owned()),
        Some(_) => {}
    }
    Ok(why)
}

/// Returns the newest version that ClickHouse has of any span of a project: PostgreSQL's changes are to be newer.
async fn newest_version(stages: &Stages, project: Uuid) -> Result<u64, Failure> {
    let (reader, mut sql) = (Reader { stages, project, id: stages.request_id() }, Sql::default());
    let text = format!("SELECT toString(max(`row_version`)) AS v FROM {TABLE} WHERE {}", reader.scope(&mut sql));
    let rows = reader.rows(text, sql).await?;
    let version = rows.first().and_then(|row| row.at("v")).and_then(tidegate_traces::Json::as_text);
    Ok(version.and_then(|version| version.parse().ok()).unwrap_or(0))
}
