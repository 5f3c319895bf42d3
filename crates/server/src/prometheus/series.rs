use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tidegate_core::query::{PromqlFailure, PromqlSeries};
use tidegate_promql::{METRIC_NAME, Selector, selector};

use super::answer::{failed, success, unanswered};
use super::asked::Asked;
use crate::api::tables_are_there;
use crate::errors::Failure;
use crate::stages::Stages;

/// Answers `series`.
pub(super) async fn series(State(stages): State<Stages>, request: Request) -> Response {
    let told = told(&stages, request, true, |all, limit| {
        let labels: BTreeSet<_> = all.iter().map(|series| &series.labels).collect();
        let texts = |labels: &tidegate_promql::Labels| {
            labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
        };
        labels.into_iter().take(limit).map(|labels| Value::Object(texts(labels))).collect()
    });
    told.await
}

/// Answers `labels`.
pub(super) async fn labels(State(stages): State<Stages>, request: Request) -> Response {
    let told = told(&stages, request, false, |all, limit| {
        let names: BTreeSet<_> = all.iter().flat_map(|series| series.labels.iter().map(|(name, _)| name)).collect();
        names.into_iter().take(limit).map(Value::from).collect()
    });
    told.await
}

/// Answers `label/{name}/values`.
pub(super) async fn values(State(stages): State<Stages>, Path(name): Path<String>, request: Request) -> Response {
    let told = told(&stages, request, false, |all, limit| {
        let values: BTreeSet<_> = all.iter().map(|series| series.labels.get(&name)).collect();
        values.into_iter().filter(|value| !value.is_empty()).take(limit).map(Value::from).collect()
    });
    told.await
}

/// Answers `metadata`.
pub(super) async fn metadata(State(stages): State<Stages>, request: Request) -> Response {
    let asked = match Asked::read(&stages, request).await {
        Ok(asked) => asked,
        Err(failure) => return failed(&failure),
    };
    let limit = match asked.limit() {
        Ok(limit) => limit,
        Err(failure) => return failed(&failure),
    };
    let all = match found(&stages, &[]).await {
        Ok(all) => all,
        Err(response) => return response,
    };
    let mut metrics: BTreeMap<String, BTreeSet<(&str, &str, &str)>> = BTreeMap::new();
    for series in &all {
        let name = series.labels.get(METRIC_NAME);
        if asked.text("metric").is_none_or(|asked| asked == name) {
            metrics.entry(name.to_owned()).or_default().insert((series.kind, &series.description, &series.unit));
        }
    }
    let one = |(kind, help, unit): (&str, &str, &str)| json!({ "type": kind, "help": help, "unit": unit });
    let listed: serde_json::Map<_, _> = metrics
        .into_iter()
        .take(limit)
        .map(|(name, all)| (name, all.into_iter().map(one).collect::<Vec<_>>().into()))
        .collect();
    success(&Value::Object(listed))
}

async fn told(
    stages: &Stages,
    request: Request,
    is_match_needed: bool,
    tell: impl Fn(&[PromqlSeries], usize) -> Vec<Value>,
) -> Response {
    let asked = match Asked::read(stages, request).await {
        Ok(asked) => asked,
        Err(failure) => return failed(&failure),
    };
    let (selectors, limit) = match narrowed(&asked, is_match_needed) {
        Ok(narrowed) => narrowed,
        Err(failure) => return failed(&failure),
    };
    match found(stages, &selectors).await {
        Ok(all) => success(&Value::Array(tell(&all, limit))),
        Err(response) => response,
    }
}

fn narrowed(asked: &Asked, is_match_needed: bool) -> Result<(Vec<Selector>, usize), Failure> {
    // They change nothing, but a mistake in them is told.
    for name in ["start", "end"] {
        asked.time(name)?;
    }
    let selectors: Result<Vec<_>, _> = asked.all("match[]").map(selector).collect();
    let selectors = selectors.map_err(|error| Failure::invalid(format!("invalid parameter \"match[]\": {error}")))?;
    if is_match_needed && selectors.is_empty() {
        return Err(Failure::invalid("no match[] parameter provided"));
    }
    Ok((selectors, asked.limit()?))
}

async fn found(stages: &Stages, selectors: &[Selector]) -> Result<Vec<PromqlSeries>, Response> {
    let began = Instant::now();
    tables_are_there(stages).await.map_err(|failure| failed(&failure))?;
    let told: Result<_, PromqlFailure> = stages.query.promql_series(selectors, &stages.request_id()).await;
    match told {
        Ok(all) => {
            stages.metrics.query(began.elapsed(), Ok(()));
            Ok(all)
        }
        Err(error) => {
            let (response, failure) = unanswered(error);
            stages.metrics.query(began.elapsed(), Err(&failure));
            Err(response)
        }
    }
}
