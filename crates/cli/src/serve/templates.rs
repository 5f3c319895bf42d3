use std::time::Duration;

use tidegate_core::ingest::Ingest;
use tidegate_model::limits::TEMPLATES_SAVE_MS;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Saves what is known of log templates now and then, and once more at the end.
pub(super) fn start(ingest: Ingest, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut stopped = false;
        while !stopped {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(TEMPLATES_SAVE_MS)) => {}
                _ = stop.wait_for(|stop| *stop) => stopped = true,
            }
            if let Err(error) = ingest.save_templates().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what is known of log templates could not be saved; ids stay, merges would be found again"
                );
            }
        }
    })
}
