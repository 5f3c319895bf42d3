use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as deleting, get as getting, post as posting, put as putting};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tidegate_alerts::{Judgement, Rule};
use tidegate_core::catalog::SavedRule;
use tidegate_model::ErrorKind;
use tidegate_model::limits::SQL_BODY_BYTES_MAX;

use super::Watch;
use super::ask::ask;
use super::usual::usual;
use crate::api::{actor, tables_are_there};
use crate::body;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, delete, get, post, put};
use crate::stages::Stages;

const EXAMPLE: &str = r#"send {"name":"errors","sql":"SELECT service_name, count() AS value FROM logs WHERE … GROUP BY service_name","above":10,"for":"5m"}"#;

/// The routes of rules.
pub(super) fn routes() -> Vec<Route> {
    const ONE: &str = "/admin/alerts/rules/{name}";
    const TOLD: &[(u16, Gives)] = &[(200, Gives::One("AlertRuleOne"))];
    const KEPT: &[(u16, Gives)] = &[(200, Gives::One("AlertRuleOne")), (201, Gives::One("AlertRuleOne"))];
    vec![
        get("/admin/alerts/rules", "Lists rules of alerts, those of the settings first")
            .gives(&[(200, Gives::One("AlertRules"))])
            .refuses(&[401, 403])
            .by(getting(list)),
        get(ONE, "Tells one rule").gives(TOLD).refuses(&[401, 403, 404]).by(getting(one)),
        put(ONE, "Makes a rule, or changes it")
            .sends(Sends::Json("AlertRule"))
            .gives(KEPT)
            .refuses(&[401, 403, 408, 409, 413, 429])
            .by(putting(keep)),
        delete(ONE, "Forgets a rule; what fires by it is over")
            .gives(&[(204, Gives::Nothing)])
            .refuses(&[401, 403, 404, 409])
            .by(deleting(forget)),
        post("/admin/alerts/try", "Asks a rule once and judges the answer; nothing is kept and nobody is told")
            .sends(Sends::Json("AlertRule"))
            .gives(&[(200, Gives::One("AlertTrial"))])
            .refuses(&[401, 403, 404, 408, 413, 429, 504])
            .by(posting(attempt)),
    ]
}

async fn list(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    if let Err(failure) = check(&stages.access, &headers, Want::Admin, None) {
        return failure.answer(&stages.request_id());
    }
    let rules: Vec<Value> = stages.alerts.lock().rules.iter().map(told).collect();
    Json(json!({ "rules": rules })).into_response()
}

async fn one(State(stages): State<Stages>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let outcome = check(&stages.access, &headers, Want::Admin, None).and_then(|()| {
        let watched = stages.alerts.lock();
        let found = watched.rules.iter().find(|watch| watch.rule.name == name);
        found.map(|watch| json!({ "rule": told(watch) })).ok_or_else(|| unknown(&name))
    });
    match outcome {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn keep(State(stages): State<Stages>, Path(name): Path<String>, request: Request) -> Response {
    let outcome = async {
        let (rule, actor) = read(&stages, request).await?;
        if rule.name != name {
            let message = format!("the path names the rule `{name}`, the body `{}`: make them the same", rule.name);
            return Err(Failure::invalid(message));
        }
        is_free(&stages, &name)?;
        let unknown = rule
            .receivers
            .iter()
            .find(|name| !stages.alerts.options.receivers.iter().any(|known| known.name == **name));
        if let Some(receiver) = unknown {
            return Err(Failure::invalid(format!(
                "there is no receiver `{receiver}`: the settings name them, under `alerts`"
            )));
        }
        let text = serde_json::to_string(&rule).map_err(|error| Failure::invalid(error.to_string()))?;
        let saved = SavedRule { name, rule: text, updated_at: stages.clock.now(), updated_by: actor };
        let is_new = stages.catalog.keep_alert_rule(&saved).await.map_err(|error| Failure::of(error.kind(), &error))?;
        stages.alerts.reload(&stages).await.map_err(|error| Failure::of(error.kind(), &error))?;
        Ok((saved.name, if is_new { StatusCode::CREATED } else { StatusCode::OK }))
    };
    match outcome.await {
        Ok((name, status)) => {
            let watched = stages.alerts.lock();
            let kept = watched.rules.iter().find(|watch| watch.rule.name == name).map(told);
            (status, Json(json!({ "rule": kept }))).into_response()
        }
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn forget(State(stages): State<Stages>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let outcome = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        is_free(&stages, &name)?;
        let gone = stages.catalog.forget_alert_rule(&name).await.map_err(|error| Failure::of(error.kind(), &error))?;
        if !gone {
            return Err(unknown(&name));
        }
        stages.alerts.reload(&stages).await.map_err(|error| Failure::of(error.kind(), &error))
    };
    match outcome.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn attempt(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let (rule, _) = read(&stages, request).await?;
        tables_are_there(&stages).await?;
        let now = stages.clock.now();
        let answered = ask(&stages, &rule, now).await?;
        let usual = match rule.anomaly {
            Some(anomaly) => Some(usual(&stages, (&rule, anomaly), now).await?),
            None => None,
        };
        let judged = answered.iter().map(|(labels, value)| {
            let usual = usual.as_ref().and_then(|usual| usual.get(labels));
            let judgement = match Judgement::of(&rule, *value, usual) {
                Judgement::Bad => "bad",
                Judgement::Between => "between",
                Judgement::Good => "good",
                Judgement::Absent => "absent",
            };
            let usual = usual.map(|usual| json!({ "median": usual.median, "deviation": usual.deviation }));
            json!({ "labels": labels, "value": value, "judgement": judgement, "usual": usual })
        });
        Ok::<_, Failure>(json!({ "series": judged.collect::<Vec<_>>() }))
    };
    match outcome.await {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn read(stages: &Stages, request: Request) -> Result<(Rule, String), Failure> {
    let (parts, body) = request.into_parts();
    check(&stages.access, &parts.headers, Want::Admin, None)?;
    let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
    let rule: Rule = body::json(&body, EXAMPLE)?;
    rule.check().map_err(|error| Failure::invalid(error.to_string()))?;
    Ok((rule, actor(&parts.headers).unwrap_or_default()))
}

/// Refuses to change what the settings say.
fn is_free(stages: &Stages, name: &str) -> Result<(), Failure> {
    if !stages.alerts.options.rules.iter().any(|rule| rule.name == name) {
        return Ok(());
    }
    let failure = Failure::new(ErrorKind::Conflict, format!("the rule `{name}` is one of the settings"));
    Err(failure.with_hint("change it there, or give yours another name"))
}

fn unknown(name: &str) -> Failure {
    Failure::new(ErrorKind::NotFound, format!("there is no rule `{name}`"))
        .with_hint("GET /admin/alerts/rules lists them")
}

fn told(watch: &Watch) -> Value {
    let mut told = serde_json::to_value(&watch.rule).unwrap_or_default();
    told["source"] = json!(if watch.is_fixed { "settings" } else { "api" });
    told["answered_at"] = json!(watch.answered_at.map(|at| at.to_string()));
    told["failure"] = json!(watch.failure);
    told
}
