//! Services that are looked after: asked at their interval; a change becomes an event, each answer a metric.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::host::Host;
use crate::rows::{LogRow, Number, Point, Value};
use crate::settings::{Check, Names};

const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(5);
/// OpenTelemetry's severities of an event.
const INFO: (u8, &str) = (9, "INFO");
const ERROR: (u8, &str) = (17, "ERROR");

/// One service, and how it was when it was asked last.
#[derive(Debug)]
pub(crate) struct Checked {
    check: Check,
    was_up: Option<bool>,
}

/// What asking a service came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) is_up: bool,
    pub(crate) detail: String,
    pub(crate) took: Duration,
}

impl Checked {
    pub(crate) const fn new(check: Check) -> Self {
        Self { check, was_up: None }
    }

    pub(crate) fn interval(&self) -> Duration {
        self.check.interval_seconds.map_or(INTERVAL, Duration::from_secs)
    }

    /// Asks the service; never longer than its time-out.
    pub(crate) async fn ask(&self, http: &reqwest::Client) -> Answer {
        let limit = self.check.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
        let began = tokio::time::Instant::now();
        let outcome = match timeout(limit, self.look(http)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
        };
        let is_up = outcome.is_ok();
        let (Ok(detail) | Err(detail)) = outcome;
        Answer { is_up, detail, took: began.elapsed() }
    }

    async fn look(&self, http: &reqwest::Client) -> Result<String, String> {
        let check = &self.check;
        if let Some(url) = &check.http {
            let answer = http.get(url).send().await.map_err(|error| error.without_url().to_string())?;
            let status = answer.status();
            let is_right = match check.expect_status {
                Some(expected) => status.as_u16() == expected,
                None => status.is_success() || status.is_redirection(),
            };
            return if is_right { Ok(status.to_string()) } else { Err(status.to_string()) };
        }
        if let Some(address) = &check.tcp {
            return match TcpStream::connect(address).await {
                Ok(_) => Ok("connected".to_owned()),
                Err(error) => Err(error.to_string()),
            };
        }
        if let Some(unit) = &check.unit {
            return unit_state(unit).await;
        }
        let name = check.process.clone().unwrap_or_default();
        let running = tokio::task::spawn_blocking(move || Host::new(Names::Short, &[]).is_running(&name)).await;
        match running {
            Ok(true) => Ok("running".to_owned()),
            _ => Err("no such process".to_owned()),
        }
    }

    /// Notes an answer; returns the event when it is another than the last.
    pub(crate) fn note(&mut self, answer: &Answer, now: tidegate_model::UnixNanos) -> Option<LogRow> {
        let before = self.was_up.replace(answer.is_up);
        (before != Some(answer.is_up)).then(|| {
            let state = |is_up| if is_up { "up" } else { "down" };
            let (severity, severity_text) = if answer.is_up { INFO } else { ERROR };
            let name = &self.check.name;
            let text = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
            LogRow {
                time: Some(now),
                severity,
                severity_text: severity_text.to_owned(),
                body: format!("{name} is {}: {}", state(answer.is_up), answer.detail),
                attributes: vec![
                    text("service.check.name", name),
                    text("service.check.kind", self.kind()),
                    text("service.check.status", state(answer.is_up)),
                    text("service.check.status.before", before.map_or("unknown", state)),
                    text("service.check.detail", &answer.detail),
                ],
                event_name: "service_status",
                ..LogRow::default()
            }
        })
    }

    /// Returns the answer as metrics.
    pub(crate) fn points(&self, answer: &Answer) -> Vec<Point> {
        let tagged =
            |point: Point| point.with("service.check.name", &self.check.name).with("service.check.kind", self.kind());
        vec![
            tagged(Point::gauge("service.up", "1", Number::Int(u64::from(answer.is_up)))),
            tagged(Point::gauge("service.check.duration", "s", Number::Double(answer.took.as_secs_f64()))),
        ]
    }

    const fn kind(&self) -> &'static str {
        match &self.check {
            Check { http: Some(_), .. } => "http",
            Check { tcp: Some(_), .. } => "tcp",
            Check { unit: Some(_), .. } => "unit",
            _ => "process",
        }
    }
}

/// Asks systemd; a machine without it has no unit that is up.
async fn unit_state(unit: &str) -> Result<String, String> {
    let asked = Command::new("systemctl").args(["is-active", "--", unit]).kill_on_drop(true).output().await;
    let output = asked.map_err(|error| format!("systemctl cannot be asked: {error}"))?;
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(state);
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if state.is_empty() { reason } else { state })
}
