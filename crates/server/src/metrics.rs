//! The closed list of metrics, in Prometheus's form. Every refused row is counted with its reason.

use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use tidegate_core::ingest::{Admitted, Reason};
use tidegate_core::store::EngineState;
use tidegate_core::verify::Ledger;
use tidegate_model::Signal;

use crate::backups::BackupOffice;
use crate::copies::Copies;
use crate::errors::{Failure, kind_name};
use crate::migrations;
use crate::stages::Stages;

/// From a fast disk's sync to the longest query.
const SECONDS: [f64; 14] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// The door that a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Grpc,
    Http,
    /// The main API, for datasets.
    Api,
    /// Prometheus' remote write.
    RemoteWrite,
}

/// Every metric of the server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_bytes: IntCounterVec,
    request_seconds: HistogramVec,
    accepted_rows: IntCounterVec,
    refused_rows: IntCounterVec,
    queries: IntCounterVec,
    catalogue_answers: IntCounterVec,
    query_seconds: HistogramVec,
    connections: IntGaugeVec,
    ledger_rows: IntGaugeVec,
    hot_tail_rows: IntGauge,
    hot_tail_bytes: IntGauge,
    wal_bytes: IntGauge,
    replica_age_ms: IntGauge,
    replica_late: IntGauge,
    replica_alarms: IntGauge,
    alerts_firing: IntGauge,
    alert_rules_failing: IntGauge,
    lifecycle: LifecycleGauges,
    moves: Moves,
    engine_up: IntGauge,
    engine_restarts: IntGauge,
    retry_keys_evicted: IntGauge,
    log_templates: IntGauge,
    log_lines_overflowed: IntGauge,
    pub(crate) copies: Copies,
    own_logs_dropped: IntCounter,
    resident_bytes: IntGauge,
    uptime_seconds: Gauge,
}

/// How far older engines are behind, and ClickHouse behind the PostgreSQL of the tracing API.
#[derive(Debug)]
struct Moves {
    mirror_lag_rows: IntGaugeVec,
    mirror_failures: IntCounter,
    lag_rows: IntGauge,
    lag_seconds: IntGauge,
    failures: IntGauge,
    fallbacks: IntCounter,
}

/// What became of rows past their retention, and of requests past a quota.
#[derive(Debug)]
struct LifecycleGauges {
    lifecycle_rows_removed: IntGauge,
    lifecycle_bytes_removed: IntGauge,
    lifecycle_bytes_moved: IntGauge,
    lifecycle_steps_left: IntGauge,
    quota_refusals: IntGaugeVec,
    retention_late: IntGauge,
    retention_alarms: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every metric, each at zero.
    #[must_use]
    pub fn new() -> Self {
        let list = List(Registry::new());
        Self {
            requests: list.counters(
                "tidegate_requests_total",
                "Requests by door, signal and outcome",
                &["door", "signal", "outcome"],
            ),
            request_bytes: list.counters(
                "tidegate_request_bytes_total",
                "Bytes of request bodies as they came",
                &["door", "signal"],
            ),
            request_seconds: list.seconds(
                "tidegate_request_seconds",
                "From a whole body to its acknowledgement",
                &["door", "signal"],
            ),
            accepted_rows: list.counters("tidegate_accepted_rows_total", "Rows acknowledged", &["signal"]),
            refused_rows: list.counters(
                "tidegate_refused_rows_total",
                "Rows refused, by reason",
                &["signal", "reason"],
            ),
            queries: list.counters("tidegate_queries_total", "Reads by outcome", &["outcome"]),
            catalogue_answers: list.counters(
                "tidegate_catalogue_answers_total",
                "Questions about the catalogue, by what answered: memory or its tables",
                &["from"],
            ),
            query_seconds: list.seconds("tidegate_query_seconds", "From a query to the first bytes of its answer", &[]),
            connections: list.gauges("tidegate_connections", "Open connections", &["door"]),
            ledger_rows: list.gauges(
                "tidegate_ledger_rows",
                "The ledger: received = stored + hot + rejected + duplicate",
                &["table", "state"],
            ),
            hot_tail_rows: list.gauge("timestore_hot_tail_rows", "Rows that are durable and not yet in ClickHouse"),
            hot_tail_bytes: list.gauge("tidegate_hot_tail_bytes", "Bytes of hot rows in memory"),
            wal_bytes: list.gauge("tidegate_wal_bytes", "Bytes of the write-ahead log on disk"),
            replica_age_ms: list
                .gauge("timestore_replica_age_ms", "Age of the oldest row that ClickHouse does not have"),
            replica_late: list.gauge("timestore_replica_late", "1 while that age is past what is agreed"),
            replica_alarms: list.gauge("timestore_replica_alarms", "How often it went past it since the start"),
            alerts_firing: list.gauge("tidegate_alerts_firing", "Alerts that fire or have no data"),
            alert_rules_failing: list.gauge("tidegate_alert_rules_failing", "Rules whose last question got no answer"),
            lifecycle: LifecycleGauges::new(&list),
            moves: Moves::new(&list),
            engine_up: list.gauge("tidegate_engine_up", "1 while the engine answers"),
            engine_restarts: list.gauge("tidegate_engine_restarts", "How often the engine was started again"),
            retry_keys_evicted: list
                .gauge("tidegate_retry_keys_evicted", "Retry keys forgotten within their window for want of room"),
            log_templates: list
                .gauge("tidegate_log_templates", "Log templates that are remembered, merged ones included"),
            log_lines_overflowed: list
                .gauge("tidegate_log_lines_overflowed", "Log records under the overflow template since the start"),
            copies: Copies::new(&list),
            own_logs_dropped: list.counter(
                "tidegate_own_logs_dropped_total",
                "The server's own log records that were printed and not stored",
            ),
            resident_bytes: list.gauge("tidegate_resident_bytes", "Memory of the server without its engine"),
            uptime_seconds: list.float("tidegate_uptime_seconds", "Since the server's start"),
            registry: list.0,
        }
    }

    /// Counts one request that brings rows.
    pub(crate) fn request(
        &self,
        door: Door,
        signal: Signal,
        bytes: usize,
        took: Duration,
        outcome: &Result<Admitted, Failure>,
    ) {
        let (door, signal) = (door.as_str(), signal.as_str());
        let word = match outcome {
            Ok(_) => "ok",
            Err(failure) => kind_name(failure.kind),
        };
        self.requests.with_label_values(&[door, signal, word]).inc();
        self.request_bytes.with_label_values(&[door, signal]).inc_by(bytes as u64);
        self.request_seconds.with_label_values(&[door, signal]).observe(took.as_secs_f64());
        if let Ok(admitted) = outcome {
            self.rows(signal, admitted);
        }
    }

    /// Counts the rows of one request, under a signal's name or `rows` for datasets.
    pub(crate) fn rows(&self, signal: &str, admitted: &Admitted) {
        self.accepted_rows.with_label_values(&[signal]).inc_by(admitted.accepted);
        for (reason, count) in Reason::ALL.iter().zip(admitted.rejected.counts).filter(|(_, count)| *count > 0) {
            self.refused_rows.with_label_values(&[signal, reason.as_str()]).inc_by(count);
        }
    }

    /// Counts one read, up to the first bytes of its answer.
    pub(crate) fn query(&self, took: Duration, outcome: Result<(), &Failure>) {
        let word = outcome.map_or_else(|failure| kind_name(failure.kind), |()| "ok");
        self.queries.with_label_values(&[word]).inc();
        self.query_seconds.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
    }

    /// Counts a question about the catalogue.
    pub(crate) fn catalogue_answer(&self, from: &str) {
        self.catalogue_answers.with_label_values(&[from]).inc();
    }

    /// Counts an answer that broke on its way.
    pub(crate) fn query_broken(&self) {
        self.queries.with_label_values(&["broken"]).inc();
    }

    /// Counts a file for an older engine that failed.
    pub(crate) fn mirror_failed(&self) {
        self.moves.mirror_failures.inc();
    }

    /// Counts a read of spans that PostgreSQL answers in the place of ClickHouse.
    pub(crate) fn tracing_fell_back(&self) {
        self.moves.fallbacks.inc();
    }

    /// Returns the gauge of a door's connections.
    pub(crate) fn connections(&self, door: &str) -> IntGauge {
        self.connections.with_label_values(&[door])
    }

    /// Counts an own log record that was not stored.
    pub fn own_log_dropped(&self) {
        self.own_logs_dropped.inc();
    }

    /// Takes the state of the stages and returns everything.
    pub(crate) fn gather(&self, stages: &Stages) -> Vec<MetricFamily> {
        for tail in stages.buffer.status() {
            let ledger = Ledger::from(&tail);
            let states = [
                ("received", ledger.received),
                ("stored", ledger.stored),
                ("hot", ledger.hot),
                ("rejected", ledger.rejected),
                ("duplicate", ledger.duplicate),
            ];
            for (state, rows) in states {
                self.ledger_rows.with_label_values(&[tail.table.as_str(), state]).set(signed(rows));
            }
        }
        let replica = stages.replica.look(&stages.buffer);
        self.hot_tail_rows.set(signed(replica.hot_rows));
        self.replica_age_ms.set(signed(replica.age_ms));
        self.replica_late.set(i64::from(replica.is_late));
        self.replica_alarms.set(signed(replica.alarms));
        self.copies.alarm(stages.backups.as_ref().is_some_and(BackupOffice::is_alarmed));
        let (firing, failing) = stages.alerts.counts();
        self.alerts_firing.set(signed(firing as u64));
        self.alert_rules_failing.set(signed(failing as u64));
        self.lifecycle.set(stages);
        self.moves.set(stages);
        self.hot_tail_bytes.set(signed(stages.buffer.hot_bytes()));
        self.wal_bytes.set(signed(stages.buffer.wal_bytes()));
        self.retry_keys_evicted.set(signed(stages.buffer.retries_evicted()));
        let templates = stages.ingest.template_stats().unwrap_or_default();
        self.log_templates.set(signed(templates.templates));
        self.log_lines_overflowed.set(signed(templates.overflowed));
        if let Some(engine) = &stages.engine {
            let status = engine.borrow();
            self.engine_up.set(i64::from(status.state == EngineState::Ready));
            self.engine_restarts.set(signed(status.restarts));
        }
        self.resident_bytes.set(signed(resident_bytes().unwrap_or(0)));
        self.uptime_seconds.set(stages.clock.monotonic().as_secs_f64());
        self.registry.gather()
    }

    /// Returns everything in Prometheus's text form.
    pub(crate) fn text(&self, stages: &Stages) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.gather(stages))
    }
}

impl Moves {
    fn new(list: &List) -> Self {
        Self {
            mirror_lag_rows: list.gauges(
                "tidegate_mirror_lag_rows",
                "Rows that an older engine cannot have yet, of a dataset's table that is mirrored to it",
                &["dataset", "table"],
            ),
            mirror_failures: list
                .counter("tidegate_mirror_failures_total", "Files for older engines that failed and were tried again"),
            lag_rows: list
                .gauge("tidegate_tracing_lag_rows", "Changes of spans in PostgreSQL that are not in ClickHouse yet"),
            lag_seconds: list
                .gauge("tidegate_tracing_lag_seconds", "Age of the oldest of these changes when it was looked last"),
            failures: list
                .gauge("tidegate_tracing_failures", "How often bringing these changes failed since the start"),
            fallbacks: list.counter(
                "tidegate_tracing_fallbacks_total",
                "Reads of spans that PostgreSQL answered in the place of ClickHouse",
            ),
        }
    }

    fn set(&self, stages: &Stages) {
        // A mirror that was stopped is behind nobody.
        self.mirror_lag_rows.reset();
        for mirror in migrations::healths(stages) {
            let names =
                [mirror["dataset"].as_str().unwrap_or_default(), mirror["tableName"].as_str().unwrap_or_default()];
            self.mirror_lag_rows.with_label_values(&names).set(signed(mirror["lagRows"].as_u64().unwrap_or(0)));
        }
        let (lag_rows, lag_seconds, failures) = stages.tracing.follow.counts();
        self.lag_rows.set(signed(lag_rows));
        self.lag_seconds.set(signed(lag_seconds));
        self.failures.set(signed(failures));
    }
}

impl LifecycleGauges {
    fn new(list: &List) -> Self {
        Self {
            lifecycle_rows_removed: list.gauge(
                "tidegate_lifecycle_rows_removed",
                "Rows past their retention that were removed since the start",
            ),
            lifecycle_bytes_removed: list.gauge("tidegate_lifecycle_bytes_removed", "Bytes that they took on disk"),
            lifecycle_bytes_moved: list
                .gauge("tidegate_lifecycle_bytes_moved", "Bytes that were moved to the cold volume since the start"),
            lifecycle_steps_left: list
                .gauge("tidegate_lifecycle_steps_left", "Steps of runs that were postponed or failed since the start"),
            quota_refusals: list.gauges(
                "tidegate_quota_refusals",
                "Requests refused since the start because a quota was spent",
                &["quota"],
            ),
            retention_late: list
                .gauge("timestore_retention_late", "1 while a stored row is past its retention and grace"),
            retention_alarms: list.gauge("timestore_retention_alarms", "How often that began since the start"),
        }
    }

    fn set(&self, stages: &Stages) {
        let lifecycle = stages.lifecycle.state();
        self.lifecycle_rows_removed.set(signed(lifecycle.rows_removed));
        self.lifecycle_bytes_removed.set(signed(lifecycle.bytes_removed));
        self.lifecycle_bytes_moved.set(signed(lifecycle.bytes_moved));
        self.lifecycle_steps_left.set(signed(lifecycle.failures));
        for (quota, refused) in stages.ingest.quotas().refused() {
            self.quota_refusals.with_label_values(&[quota]).set(signed(refused));
        }
        self.retention_late.set(i64::from(lifecycle.is_late));
        self.retention_alarms.set(signed(lifecycle.alarms));
    }
}

impl Door {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "otlp_grpc",
            Self::Http => "otlp_http",
            Self::Api => "http",
            Self::RemoteWrite => "remote_write",
        }
    }
}

/// Makes metrics; their names are constants of this file, so that making them cannot fail.
pub(crate) struct List(Registry);

impl List {
    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    pub(crate) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    fn float(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub(crate) fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.add(HistogramVec::new(options, labels))
    }

    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("the names in this file are valid: `every_metric_registers` makes them");
        self.0.register(Box::new(collector.clone())).expect("the names in this file differ");
        collector
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads the resident memory of this process where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers() {
        let metrics = Metrics::new();
        metrics.query(Duration::from_millis(3), Ok(()));
        let text = TextEncoder::new().encode_to_string(&metrics.registry.gather()).expect("text");
        for name in
            ["tidegate_queries_total{outcome=\"ok\"} 1", "timestore_hot_tail_rows 0", "timestore_replica_age_ms 0"]
        {
            assert!(text.contains(name), "{name} is missing in\n{text}");
        }
    }
}
