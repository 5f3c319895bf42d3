use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidegate_load::Stack;

use super::super::Line;
use super::pace::percentile;

/// Reads at once: more than are due while the slowest of them is answered.
pub(super) const WORKERS: usize = 16;
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
const SESSION: &str = "bench";
const WATCHED: &str = "http.route";

/// Every GET of `/api/v1`, with names that the load generator sends; `{id}` is a template's id.
const ROUTES: [&str; 28] = [
    "health",
    "version",
    "summary",
    "metrics",
    "metrics/queue.length",
    "spans",
    "spans/GET%20%2Fhealthz",
    "span-patterns",
    "logs",
    "logs/INFO",
    "logs/by-service",
    "logs/service/checkout-0/severity/INFO",
    "logs/patterns",
    "logs/patterns/INFO/{id}",
    "services",
    "services/checkout-0/overview",
    "services/checkout-0/attributes",
    "cardinality/high",
    "cardinality/complexity",
    "attributes",
    "attributes/http.route",
    "attributes/http.route/services",
    "attributes/http.route/telemetry",
    "attributes/http.route/watch",
    "sessions",
    "sessions/bench",
    "sessions/bench/export",
    "sessions/diff?from=bench&to=live",
];

/// The routes in turn, and how long each took.
pub(super) struct Reads {
    client: reqwest::Client,
    base: String,
    template: String,
    took: RefCell<Vec<Vec<Duration>>>,
}

impl Reads {
    /// Makes what some routes tell of: a session, a watch, the id of a template.
    pub(super) async fn prepare(stack: &Stack) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(ANSWERED_WITHIN).build()?;
        let base = format!("http://{}/api/v1", stack.http);
        let post = async |path: &str, body: String| -> Result<()> {
            let request = client.post(format!("{base}/{path}")).header("content-type", "application/json");
            let answer = request.body(body).send().await?;
            ensure!(answer.status().is_success(), "{path}: {} {}", answer.status(), answer.text().await?);
            Ok(())
        };
        post("sessions", format!("{{\"name\":\"{SESSION}\"}}")).await?;
        post(&format!("attributes/{WATCHED}/watch"), String::new()).await?;
        let patterns = client.get(format!("{base}/logs/patterns?min_count=1")).send().await?.text().await?;
        let patterns: Value = serde_json::from_str(&patterns)?;
        let logged_at_info = |pattern: &&Value| pattern["severity_breakdown"].get("INFO").is_some();
        let template = patterns["patterns"].as_array().into_iter().flatten().find(logged_at_info);
        let template = template.and_then(|pattern| pattern["template_id"].as_str()).context("a template")?.to_owned();
        Ok(Self { client, base, template, took: RefCell::new(vec![Vec::new(); ROUTES.len()]) })
    }

    /// Asks the route whose turn it is; anything but a whole 200 is an error.
    pub(super) async fn ask(&self, number: u64) -> Result<()> {
        let at = usize::try_from(number)? % ROUTES.len();
        let path = ROUTES[at].replace("{id}", &self.template);
        let began = Instant::now();
        let answer = self.client.get(format!("{}/{path}", self.base)).send().await.with_context(|| path.clone())?;
        let (status, body) = (answer.status(), answer.bytes().await.with_context(|| path.clone())?);
        ensure!(status == 200, "{path}: {status} {}", String::from_utf8_lossy(&body));
        self.took.borrow_mut()[at].push(began.elapsed());
        Ok(())
    }

    /// Returns a line for each route, the slowest first.
    pub(super) fn lines(&self, kind: &'static str) -> Vec<Line> {
        let took = self.took.borrow();
        let mut lines: Vec<Line> = ROUTES
            .iter()
            .zip(took.iter())
            .map(|(route, took)| {
                let mut sorted = took.clone();
                sorted.sort_unstable();
                let [p50, p95] = [500, 950].map(|thousandth| percentile(&sorted, thousandth));
                let numbers = vec![("requests", sorted.len() as f64), ("p50 ms", p50), ("p95 ms", p95)];
                Line { kind, name: (*route).to_owned(), numbers }
            })
            .collect();
        lines.sort_by(|a, b| b.numbers[2].1.total_cmp(&a.numbers[2].1));
        lines
    }
}
