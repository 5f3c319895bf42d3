use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as deleting, get as getting, post as posting};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_alerts::{Labels, Matcher, Rule, Silence, State as AlertState, summary};
use tidegate_model::limits::SQL_BODY_BYTES_MAX;
use tidegate_model::{ErrorKind, UnixNanos};

use super::Watched;
use super::told::all_labels;
use crate::api::actor;
use crate::body;
use crate::cardinality::unix_seconds;
use crate::datasets::{Want, check};
use crate::errors::Failure;
use crate::routes::{Gives, Route, Sends, delete, get, post};
use crate::stages::Stages;

/// The routes of alerts and silences.
pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/admin/alerts", "Lists alerts that are not fine: pending, firing, without data")
            .gives(&[(200, Gives::One("Alerts"))])
            .refuses(&[401, 403])
            .by(getting(list)),
        get("/admin/alerts/silences", "Lists silences that are not over")
            .gives(&[(200, Gives::One("AlertSilences"))])
            .refuses(&[401, 403])
            .by(getting(silences)),
        post("/admin/alerts/silences", "Tells nobody of some alerts for a while")
            .sends(Sends::Json("AlertSilenceAsked"))
            .gives(&[(201, Gives::One("AlertSilenceOne"))])
            .refuses(&[401, 403, 408, 413, 429])
            .by(posting(silence)),
        delete("/admin/alerts/silences/{number}", "Ends a silence")
            .gives(&[(204, Gives::Nothing)])
            .refuses(&[401, 403, 404])
            .by(deleting(end)),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    matchers: Vec<Matcher>,
    from: Option<String>,
    to: String,
    #[serde(default)]
    comment: String,
}

async fn list(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    if let Err(failure) = check(&stages.access, &headers, Want::Admin, None) {
        return failure.answer(&stages.request_id());
    }
    let now = stages.clock.now();
    let watched = stages.alerts.lock();
    let mut alerts = Vec::new();
    for ((name, labels), alert) in &watched.alerts {
        let rule = watched.rules.iter().find(|watch| watch.rule.name == *name).map(|watch| &watch.rule);
        alerts.extend(rule.map(|rule| told(&watched, (rule, labels), &alert.state, now)));
    }
    Json(json!({ "alerts": alerts })).into_response()
}

fn told(watched: &Watched, (rule, labels): (&Rule, &Labels), state: &AlertState, now: UnixNanos) -> Value {
    let all = all_labels(rule, labels);
    json!({
        "rule": rule.name,
        "severity": rule.severity.as_str(),
        "state": state.phase.as_str(),
        "since": UnixNanos(state.since).to_string(),
        "value": state.value,
        "summary": summary(rule, labels, state.value),
        "silenced": watched.silences.iter().any(|(_, silence)| silence.holds(&all, now.0)),
        "labels": all,
    })
}

async fn silences(State(stages): State<Stages>, headers: HeaderMap) -> Response {
    let outcome = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let all = stages.catalog.alert_silences(stages.clock.now()).await;
        let all = all.map_err(|error| Failure::of(error.kind(), &error))?;
        let told = |saved: &tidegate_core::catalog::SavedSilence| {
            let silence: Silence = serde_json::from_str(&saved.silence).ok()?;
            let mut told = told_silence(saved.number, &silence);
            told["created_at"] = json!(saved.created_at.to_string());
            told["created_by"] = json!(saved.created_by);
            Some(told)
        };
        Ok::<_, Failure>(json!({ "silences": all.iter().filter_map(told).collect::<Vec<_>>() }))
    };
    match outcome.await {
        Ok(told) => Json(told).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn silence(State(stages): State<Stages>, request: Request) -> Response {
    let outcome = async {
        let (parts, body) = request.into_parts();
        check(&stages.access, &parts.headers, Want::Admin, None)?;
        let body = body::read(&parts.headers, body, SQL_BODY_BYTES_MAX, stages.body_idle).await?;
        let example =
            r#"send {"matchers":[{"label":"alertname","value":"cpu"}],"to":"2026-01-31T09:00:00Z","comment":…}"#;
        let asked: Asked = body::json(&body, example)?;
        let now = stages.clock.now();
        let time = |name: &str, text: &str| {
            let seconds = unix_seconds(text).and_then(|seconds| seconds.checked_mul(1_000_000_000));
            seconds.ok_or_else(|| {
                Failure::invalid(format!("`{name}` is a time such as 2026-01-31T09:00:00Z, it is `{text}`"))
            })
        };
        let from = asked.from.as_deref().map_or(Ok(now.0), |text| time("from", text))?;
        let silence = Silence { matchers: asked.matchers, from, to: time("to", &asked.to)?, comment: asked.comment };
        silence.check().map_err(Failure::invalid)?;
        let text = serde_json::to_string(&silence).map_err(|error| Failure::invalid(error.to_string()))?;
        let by = actor(&parts.headers).unwrap_or_default();
        let number = stages.catalog.add_alert_silence(&text, UnixNanos(silence.to), (now, &by)).await;
        let number = number.map_err(|error| Failure::of(error.kind(), &error))?;
        stages.alerts.lock().silences.push((number, silence.clone()));
        Ok::<_, Failure>(json!({ "silence": told_silence(number, &silence) }))
    };
    match outcome.await {
        Ok(told) => (StatusCode::CREATED, Json(told)).into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

async fn end(State(stages): State<Stages>, Path(number): Path<String>, headers: HeaderMap) -> Response {
    let outcome = async {
        check(&stages.access, &headers, Want::Admin, None)?;
        let unknown = || Failure::new(ErrorKind::NotFound, format!("there is no silence {number}"));
        let number: i64 = number.parse().map_err(|_| unknown())?;
        let gone = stages.catalog.forget_alert_silence(number).await;
        if !gone.map_err(|error| Failure::of(error.kind(), &error))? {
            return Err(unknown());
        }
        stages.alerts.lock().silences.retain(|(known, _)| *known != number);
        Ok(())
    };
    match outcome.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(failure) => failure.answer(&stages.request_id()),
    }
}

fn told_silence(number: i64, silence: &Silence) -> Value {
    json!({
        "number": number,
        "matchers": silence.matchers,
        "from": UnixNanos(silence.from).to_string(),
        "to": UnixNanos(silence.to).to_string(),
        "comment": silence.comment,
    })
}
