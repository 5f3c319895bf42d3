use std::time::Duration;

use bytes::Bytes;
use tidegate_core::ingest::wire::Writer;
use tidegate_core::ingest::{Encoding, OtlpRequest};
use tidegate_model::{Signal, UnixNanos};
use tidegate_server::{Stages, metrics_request};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::Level;

use super::own_logs::OwnLog;

/// Records that go out as one request.
const LOGS_PER_REQUEST: usize = 512;
const RESOURCE: [(&str, &str); 2] = [("service.name", "tidegate"), ("service.version", env!("CARGO_PKG_VERSION"))];

/// Stores the server's own metrics and logs until it stops.
///
/// Nothing is logged on this way, whatever happens: a record about a record would never end.
pub(super) fn start(
    stages: Stages,
    mut logs: mpsc::Receiver<OwnLog>,
    interval_ms: u64,
    mut stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let started = stages.clock.now();
        let mut tick = interval(Duration::from_millis(interval_ms));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut records = Vec::with_capacity(LOGS_PER_REQUEST);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let body = metrics_request(&stages, started, &RESOURCE);
                    store(&stages, Signal::Metrics, body).await;
                }
                count = logs.recv_many(&mut records, LOGS_PER_REQUEST) => {
                    if count == 0 {
                        break;
                    }
                    let body = logs_request(stages.clock.now(), &records);
                    records.clear();
                    store(&stages, Signal::Logs, body).await;
                }
                () = stopped(&mut stop) => break,
            }
        }
    })
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender nobody could stop us any more: the process is ending.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn store(stages: &Stages, signal: Signal, body: Vec<u8>) {
    let request = OtlpRequest { signal, encoding: Encoding::Protobuf, body: Bytes::from(body), idempotency_key: None };
    if stages.ingest.otlp(request).await.is_err() {
        stages.metrics.own_log_dropped();
    }
}

fn logs_request(now: UnixNanos, records: &[OwnLog]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.message(1, |resource_logs| {
        resource_logs
            .message(1, |resource| RESOURCE.iter().for_each(|(name, value)| attribute(resource, 1, name, value)));
        resource_logs.message(2, |scope_logs| {
            scope_logs.message(1, |scope| scope.bytes(1, b"tidegate"));
            for record in records {
                scope_logs.message(2, |log| write_record(log, now, record));
            }
        });
    });
    writer.into_bytes()
}

fn write_record(log: &mut Writer, now: UnixNanos, record: &OwnLog) {
    log.fixed64(1, now.0.cast_unsigned());
    log.uint(2, severity_number(record.level));
    log.bytes(3, record.level.as_str().as_bytes());
    log.message(5, |body| body.bytes(1, record.message.as_bytes()));
    attribute(log, 6, "code.namespace", &record.target);
    record.fields.iter().for_each(|(name, value)| attribute(log, 6, name, value));
    log.fixed64(11, now.0.cast_unsigned());
}

fn attribute(writer: &mut Writer, field: u32, name: &str, value: &str) {
    writer.message(field, |pair| {
        pair.bytes(1, name.as_bytes());
        pair.message(2, |any| any.bytes(1, value.as_bytes()));
    });
}

const fn severity_number(level: Level) -> u64 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}
