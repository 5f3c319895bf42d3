use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_core::batch::Batcher;
use tidegate_model::limits::STOP_FLUSH_MS;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::parts::Parts;

/// The exit code after a second signal: rows are left in the log, durable, and nobody was told how many.
pub(crate) const ENDED_AT_ONCE: i32 = 6;

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Mutex<Signal>,
    interrupt: Mutex<Signal>,
}

/// What is stopped, in this order: doors, own telemetry, templates, batches, log, engine.
pub(super) struct WayDown {
    pub(super) parts: Parts,
    pub(super) serving: JoinHandle<()>,
    pub(super) batches: JoinHandle<Option<Batcher>>,
    pub(super) telemetry: Option<JoinHandle<()>>,
    pub(super) templates: JoinHandle<()>,
    pub(super) drills: Option<JoinHandle<()>>,
    pub(super) stop: watch::Sender<bool>,
}

impl Signals {
    /// Takes the signals over from their default, which is to end at once.
    pub(crate) fn listen() -> Result<Self> {
        let terminate = Mutex::new(signal(SignalKind::terminate())?);
        Ok(Self { terminate, interrupt: Mutex::new(signal(SignalKind::interrupt())?) })
    }

    /// Waits for one of them.
    pub(crate) async fn first(&self) {
        let (mut terminate, mut interrupt) = (self.terminate.lock().await, self.interrupt.lock().await);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Goes the way down; a second signal ends the process at once, and the log still has every acknowledged row.
pub(super) async fn stop(way_down: WayDown, signals: Signals) {
    tracing::info!(limit_ms = STOP_FLUSH_MS, "stopping: no request is taken any more, hot rows are stored");
    tokio::select! {
        () = go_down(way_down) => {}
        () = signals.first() => {
            tracing::warn!("a second signal: ending at once, what is in the log is recovered at the next start");
            std::process::exit(ENDED_AT_ONCE);
        }
    }
}

async fn go_down(way_down: WayDown) {
    let WayDown { parts, serving, batches, telemetry, templates, drills, stop } = way_down;
    stop.send_replace(true);
    ended("the doors", serving.await);
    if let Some(telemetry) = telemetry {
        ended("the own telemetry", telemetry.await);
    }
    ended("the templates", templates.await);
    // It ends by itself when nobody asks any more; what it leaves is removed at the next start.
    drop(drills);
    let began = Instant::now();
    if let Ok(Some(batcher)) = batches.await {
        let limit = Duration::from_millis(STOP_FLUSH_MS).saturating_sub(began.elapsed());
        for left in batcher.stop(limit).await {
            let reason = left.reason.as_deref().unwrap_or("no time");
            tracing::warn!(table = %left.table, rows = left.rows, reason, "rows stay in the log until the next start");
        }
    }
    if let Err(error) = parts.buffer.close().await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the log could not be closed; it is recovered at the next start"
        );
    }
    if let Some(engine) = &parts.engine {
        engine.stop().await;
    }
    parts.catalog.close().await;
    let hot: u64 = parts.buffer.status().iter().map(|tail| tail.head.0 - tail.stored.0).sum();
    tracing::info!(rows_in_the_log = hot, "stopped");
}

fn ended(what: &str, outcome: Result<(), tokio::task::JoinError>) {
    if let Err(error) = outcome {
        tracing::error!(what, error = &error as &dyn std::error::Error, "a part ended with a panic");
    }
}
