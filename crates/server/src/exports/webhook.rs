use std::time::Duration;

use tidegate_core::catalog::{CatalogError, ExportEvent};
use tidegate_model::limits::{
    EXPORT_EVENT_ATTEMPTS_MAX, EXPORT_EVENT_PAUSE_MAX_MS, EXPORT_EVENT_PAUSE_MS, EXPORT_LOOK_SECONDS,
};
use tokio::time::{sleep, timeout};

use crate::errors::chain;
use crate::stages::Stages;
use crate::webhook::{Posted, Webhook, client, post};

/// Sends events, one after the other, each until it is taken or given up.
pub(super) async fn run(stages: &Stages) {
    let Some(webhook) = &stages.exports.options.webhook else { return };
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = chain(&error), "the webhook of exports cannot be called");
            return;
        }
    };
    loop {
        match send_next(stages, webhook, &client).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(error = chain(&error), "the catalog does not tell the events of exports"),
        }
        // An event that nobody announces is of an earlier process, and was found at the start.
        let _ = timeout(Duration::from_secs(EXPORT_LOOK_SECONDS), stages.exports.told.notified()).await;
    }
}

/// Sends the oldest event once; says whether there was one.
async fn send_next(stages: &Stages, webhook: &Webhook, client: &reqwest::Client) -> Result<bool, CatalogError> {
    let Some(event) = stages.catalog.next_export_event().await? else { return Ok(false) };
    let why = match send(stages, webhook, client, &event).await {
        Ok(()) => {
            stages.catalog.forget_export_event(event.number).await?;
            return Ok(true);
        }
        Err(why) => why,
    };
    let attempts = event.attempts + 1;
    if attempts >= EXPORT_EVENT_ATTEMPTS_MAX {
        tracing::error!(
            event = event.number,
            kind = event.kind,
            attempts,
            why,
            "the webhook of exports takes no event"
        );
        stages.catalog.forget_export_event(event.number).await?;
        return Ok(true);
    }
    tracing::warn!(event = event.number, kind = event.kind, attempts, why, "an event of exports is sent again");
    stages.catalog.count_export_event(event.number).await?;
    sleep(pause(attempts)).await;
    Ok(true)
}

async fn send(stages: &Stages, webhook: &Webhook, client: &reqwest::Client, event: &ExportEvent) -> Result<(), String> {
    let posted = Posted { kind: &event.kind, number: event.number, body: &event.body };
    post(client, webhook, posted, stages.clock.now()).await
}

fn pause(attempts: u32) -> Duration {
    let doubled = EXPORT_EVENT_PAUSE_MS.saturating_mul(1 << (attempts - 1).min(32));
    Duration::from_millis(doubled.min(EXPORT_EVENT_PAUSE_MAX_MS))
}
