use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tidegate_core::catalog::{AlertMessage, CatalogError};
use tidegate_core::ingest::{Encoding, OtlpRequest};
use tidegate_model::limits::{
    ALERT_MESSAGE_ATTEMPTS_MAX, ALERT_MESSAGE_LOOK_SECONDS, ALERT_MESSAGE_PAUSE_MAX_MS, ALERT_MESSAGE_PAUSE_MS,
};
use tidegate_model::{Signal, UnixNanos};
use tokio::time::{sleep, timeout};

use super::mail::Mailer;
use super::{Receiver, To};
use crate::errors::chain;
use crate::stages::Stages;
use crate::webhook::{Posted, client, post, taken};

/// The receiver that is always there: every change becomes a row of `events`.
pub(super) const EVENTS: &str = "events";

/// How a message is sent.
enum Sender<'a> {
    Events,
    Webhook(reqwest::Client, &'a crate::webhook::Webhook),
    Slack(reqwest::Client, &'a str),
    Mail(Mailer),
}

/// Sends each receiver its messages.
pub(super) async fn run(stages: &Stages) {
    let own = stages.alerts.options.receivers.iter().map(|receiver| (receiver.name.as_str(), sender(receiver)));
    let all = own.chain([(EVENTS, Ok(Sender::Events))]);
    join_all(all.map(|(name, sender)| async move {
        match sender {
            Ok(sender) => send_all(stages, name, &sender).await,
            Err(why) => tracing::error!(receiver = name, why, "a receiver of alerts cannot be reached"),
        }
    }))
    .await;
}

fn sender(receiver: &Receiver) -> Result<Sender<'_>, String> {
    let client = || client().map_err(|error| chain(&error));
    Ok(match &receiver.to {
        To::Webhook(webhook) => Sender::Webhook(client()?, webhook),
        To::Slack { url } => Sender::Slack(client()?, url),
        To::Mail(options) => Sender::Mail(Mailer::new(options)?),
    })
}

async fn send_all(stages: &Stages, receiver: &str, sender: &Sender<'_>) {
    loop {
        // Before the look: what is announced after it is found by the next one.
        let told = stages.alerts.told.notified();
        match send_next(stages, receiver, sender).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(receiver, error = chain(&error), "the catalog does not tell the messages of alerts")
            }
        }
        let _ = timeout(Duration::from_secs(ALERT_MESSAGE_LOOK_SECONDS), told).await;
    }
}

/// Sends the oldest message once; says whether there was one.
async fn send_next(stages: &Stages, receiver: &str, sender: &Sender<'_>) -> Result<bool, CatalogError> {
    let Some(message) = stages.catalog.next_alert_message(receiver).await? else { return Ok(false) };
    let wait = message.due_at.0.saturating_sub(stages.clock.now().0);
    if wait > 0 {
        sleep(Duration::from_nanos(wait.unsigned_abs())).await;
    }
    let Err(why) = send(stages, sender, &message).await else {
        stages.catalog.forget_alert_message(message.number).await?;
        return Ok(true);
    };
    let attempts = message.attempts + 1;
    if attempts >= ALERT_MESSAGE_ATTEMPTS_MAX {
        tracing::error!(receiver, message = message.number, attempts, why, "a receiver takes no message of alerts");
        stages.catalog.forget_alert_message(message.number).await?;
        return Ok(true);
    }
    tracing::warn!(receiver, message = message.number, attempts, why, "a message of an alert is sent again");
    let pause = ALERT_MESSAGE_PAUSE_MS.saturating_mul(1 << (attempts - 1).min(32)).min(ALERT_MESSAGE_PAUSE_MAX_MS);
    let due_at =
        stages.clock.now().0.saturating_add(i64::try_from(pause).unwrap_or(i64::MAX).saturating_mul(1_000_000));
    stages.catalog.delay_alert_message(message.number, UnixNanos(due_at)).await?;
    Ok(true)
}

async fn send(stages: &Stages, sender: &Sender<'_>, message: &AlertMessage) -> Result<(), String> {
    match sender {
        Sender::Events => store(stages, message).await,
        Sender::Webhook(client, webhook) => {
            let posted = Posted { kind: "tidegate.alert", number: message.number, body: &message.body };
            post(client, webhook, posted, stages.clock.now()).await
        }
        Sender::Slack(client, url) => taken(client.post(*url), &slack(&told(message)).to_string()).await,
        Sender::Mail(mailer) => mailer.send(&told(message)).await,
    }
}

/// Stores a change as an event, once however often it is tried.
async fn store(stages: &Stages, message: &AlertMessage) -> Result<(), String> {
    let request = OtlpRequest {
        signal: Signal::Logs,
        encoding: Encoding::Json,
        body: Bytes::from(message.body.clone()),
        idempotency_key: Some(format!("tidegate-alert-{}-{}", message.number, message.due_at.0)),
    };
    stages.ingest.otlp(request).await.map(drop).map_err(|error| chain(&error))
}

fn told(message: &AlertMessage) -> Value {
    serde_json::from_str(&message.body).unwrap_or_default()
}

/// Returns a message as incoming webhooks of Slack, and of those that do as it does, take it.
fn slack(message: &Value) -> Value {
    let text = |name: &str| message[name].as_str().unwrap_or_default();
    let (status, severity) = (text("status"), text("severity"));
    let color = match (status, severity) {
        ("resolved", _) => "good",
        (_, "critical") => "danger",
        _ => "warning",
    };
    let labels = message["labels"].as_object().into_iter().flatten();
    let fields = labels.map(|(label, value)| json!({ "title": label, "value": value, "short": true }));
    json!({
        "text": format!("[{status}] {severity}: {}", text("summary")),
        "attachments": [{ "color": color, "fields": fields.collect::<Vec<_>>() }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_is_told_in_words_and_colours() {
        let message = json!({ "status": "firing", "severity": "critical", "summary": "web-1 is full", "labels": { "host": "web-1" } });
        let told = slack(&message);
        assert_eq!(told["text"], "[firing] critical: web-1 is full");
        assert_eq!(told["attachments"][0]["color"], "danger");
        assert_eq!(told["attachments"][0]["fields"][0]["value"], "web-1");
        assert_eq!(slack(&json!({ "status": "resolved" }))["attachments"][0]["color"], "good");
    }
}
