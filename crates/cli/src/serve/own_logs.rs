use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use tidegate_model::limits::SELF_LOGS_QUEUED_MAX;
use tidegate_server::Metrics;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// One log record of the server itself.
#[derive(Debug)]
pub(crate) struct OwnLog {
    /// Its level.
    pub(super) level: Level,
    /// The module that wrote it.
    pub(super) target: String,
    /// Its message.
    pub(super) message: String,
    /// Its fields.
    pub(super) fields: Vec<(&'static str, String)>,
}

/// Keeps records for the store, as many as fit; further ones are counted.
pub(super) struct OwnLogs {
    records: mpsc::Sender<OwnLog>,
    metrics: Arc<Metrics>,
}

/// Makes the queue between the log and the store.
pub(super) fn channel(metrics: Arc<Metrics>) -> (OwnLogs, mpsc::Receiver<OwnLog>) {
    let (records, receiver) = mpsc::channel(SELF_LOGS_QUEUED_MAX);
    (OwnLogs { records, metrics }, receiver)
}

impl<S: Subscriber> Layer<S> for OwnLogs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, target) = (*event.metadata().level(), event.metadata().target().to_owned());
        let record = OwnLog { level, target, message: fields.message, fields: fields.others };
        if self.records.try_send(record).is_err() {
            self.metrics.own_log_dropped();
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.others.push((name, value.to_owned())),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(inner) = cause {
            write!(text, ": {inner}").expect("a String takes all text");
            cause = inner.source();
        }
        self.others.push((field.name(), text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.others.push((name, format!("{value:?}"))),
        }
    }
}
