use std::time::Instant;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::get as getting;
use tidegate_core::query::telemetry::{ServiceMapFilter, SpanExport};
use tidegate_model::{ErrorKind, UnixNanos};

use super::asked::{Asked, READ};
use super::reads::answer;
use crate::api::{streamed, tables_are_there};
use crate::errors::Failure;
use crate::routes::{Gives, Kind, Param, Route, get};
use crate::stages::Stages;

/// A trace's id has so many digits.
const ID_DIGITS: usize = 32;

const SIDES: &[Param] =
    &[Param::text("left", "the id of the first trace"), Param::text("right", "the id of the second trace")];
const TIMES: &[Param] = &[
    Param { name: "from", kind: Kind::Time, about: "spans that began not before; must be there" },
    Param { name: "to", kind: Kind::Time, about: "spans that began before; must be there" },
];
const RATE: &[Param] =
    &[Param::text("rate", "which part of the traces is read, in hundredths: 0.01 to 1, which is all of them")];
const SERVICE: &[Param] = &[Param::text("service", "spans of this service alone")];

/// The table of these routes.
pub(super) fn routes() -> Vec<Route> {
    const LINES: &[(u16, Gives)] = &[(200, Gives::Media(&["application/x-ndjson"]))];
    let reading = |path, about, takes, gives| get(path, about).takes(takes).gives(gives).refuses(&[404, 409, 429, 504]);
    vec![
        reading(
            "/v1/json/traces/{trace_id}",
            "Tells a whole trace: its spans as a tree, and its critical path",
            &[READ],
            &[(200, Gives::One("Trace"))],
        )
        .by(getting(trace)),
        reading(
            "/v1/json/traces/compare",
            "Compares two traces, operation by operation",
            &[SIDES, READ],
            &[(200, Gives::One("TraceComparison"))],
        )
        .by(getting(compare)),
        reading(
            "/v1/json/services/map",
            "Tells which services call which",
            &[TIMES, RATE, READ],
            &[(200, Gives::One("ServiceMap"))],
        )
        .by(getting(map)),
        reading("/v1/json/spans/export", "Sends all spans of a time, one a line", &[TIMES, SERVICE, READ], LINES)
            .by(getting(export)),
    ]
}

/// Answers `GET /v1/json/traces/{trace_id}`.
async fn trace(State(stages): State<Stages>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |request| {
        let (id, asking) = (trace_id("the path", &id)?, Asked::parse(query.as_deref(), &[READ])?.asking(request)?);
        tables_are_there(&stages).await?;
        let (trace, freshness) = stages.query.trace(&id, &asking).await?;
        Ok((trace.ok_or_else(|| unknown(&id))?, freshness))
    })
    .await
}

/// Answers `GET /v1/json/traces/compare`.
async fn compare(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |request| {
        let asked = Asked::parse(query.as_deref(), &[SIDES, READ])?;
        let (left, right) = (asked.trace("left")?, asked.trace("right")?);
        let asking = asked.asking(request)?;
        tables_are_there(&stages).await?;
        let (compared, freshness) = stages.query.compared([&left, &right], &asking).await?;
        Ok((compared.map_err(|lacking| unknown(&lacking))?, freshness))
    })
    .await
}

/// Answers `GET /v1/json/services/map`.
async fn map(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    answer(&stages, async |request| {
        let asked = Asked::parse(query.as_deref(), &[TIMES, RATE, READ])?;
        let (from, to) = asked.times()?;
        let (wanted, asking) = (ServiceMapFilter { from, to, percent: asked.percent()? }, asked.asking(request)?);
        tables_are_there(&stages).await?;
        Ok(stages.query.service_map(&wanted, &asking).await?)
    })
    .await
}

/// Answers `GET /v1/json/spans/export`.
async fn export(State(stages): State<Stages>, RawQuery(query): RawQuery) -> Response {
    let (began, id) = (Instant::now(), stages.request_id());
    let outcome = async {
        let asked = Asked::parse(query.as_deref(), &[TIMES, SERVICE, READ])?;
        let (from, to) = asked.times()?;
        let wanted = SpanExport { from, to, service: asked.one("service").map(str::to_owned) };
        let asking = asked.asking(&id)?;
        tables_are_there(&stages).await?;
        Ok::<_, Failure>(stages.query.export_spans(&wanted, &asking).await?)
    };
    match outcome.await {
        Ok(lines) => {
            stages.metrics.query(began.elapsed(), Ok(()));
            streamed(stages, lines, &id)
        }
        Err(failure) => {
            stages.metrics.query(began.elapsed(), Err(&failure));
            failure.answer(&id)
        }
    }
}

impl Asked {
    fn trace(&self, name: &'static str) -> Result<String, Failure> {
        let id = self.one(name).ok_or_else(|| Failure::invalid(format!("`{name}` must be there: a trace's id")))?;
        trace_id(&format!("`{name}`"), id)
    }

    fn times(&self) -> Result<(UnixNanos, UnixNanos), Failure> {
        let lacks =
            |name: &str| Failure::invalid(format!("`{name}` must be there: a time such as 2026-01-31T09:00:00Z"));
        let from = self.time("from")?.ok_or_else(|| lacks("from"))?;
        let to = self.time("to")?.ok_or_else(|| lacks("to"))?;
        if from < to {
            Ok((from, to))
        } else {
            Err(Failure::invalid("`to` is not behind `from`: no span is between them"))
        }
    }

    /// Returns a rate as whole hundredths: traces are drawn by a number below a hundred.
    fn percent(&self) -> Result<u8, Failure> {
        let Some(text) = self.one("rate") else { return Ok(100) };
        let rate = text.parse::<f64>().ok();
        let found =
            (1..=100).find(|percent| rate.is_some_and(|rate| (rate * 100.0 - f64::from(*percent)).abs() < 1e-6));
        found.ok_or_else(|| Failure::invalid(format!("`rate` is 0.01 to 1 in whole hundredths, it is `{text}`")))
    }
}

fn trace_id(place: &str, text: &str) -> Result<String, Failure> {
    if text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let shown: String = text.chars().take(100).collect();
    Err(Failure::invalid(format!("a trace's id is {ID_DIGITS} digits of 0-9 and a-f, {place} has `{shown}`")))
}

fn unknown(id: &str) -> Failure {
    Failure::new(ErrorKind::NotFound, format!("there is no span of the trace {id}"))
        .with_hint("ids are in `trace_id` of spans and logs; spans that were removed by retention are gone")
}
