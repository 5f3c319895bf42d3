use std::time::Duration;

use tidegate_core::batch::{BatchError, BatchOptions, Batcher, States};
use tidegate_core::buffer::Buffer;
use tidegate_model::limits::STOP_FLUSH_MS;
use tidegate_model::tables::{
    EVENTS, LOGS, METRIC_EXPONENTIAL_HISTOGRAMS, METRIC_HISTOGRAMS, METRIC_SAMPLES, METRIC_SUMMARIES, SPANS,
};
use tidegate_model::{ROLL_UPS, TableName, chain};
use tidegate_server::SchemaState;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::parts::Parts;
use crate::settings::{Retain, Settings};

/// Looks again after so long; ClickHouse may be starting for minutes, rows wait in the log meanwhile.
const RETRY: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Makes the tables once ClickHouse answers, then moves batches.
///
/// Returns the mover; or nothing when the server was stopped, and ClickHouse did not answer within the time of a flush.
pub(super) fn bring_up(
    parts: &Parts,
    settings: &Settings,
    state: watch::Sender<SchemaState>,
    mut stop: watch::Receiver<bool>,
) -> JoinHandle<Option<Batcher>> {
    let states = States {
        buffer: parts.buffer.clone(),
        catalog: parts.catalog.clone(),
        store: parts.store.clone(),
        rollup: parts.query.rollup.clone(),
        clock: std::sync::Arc::clone(&parts.clock),
    };
    let options = BatchOptions {
        rows: settings.batch.rows,
        bytes: settings.batch.bytes,
        age_ms: settings.batch.age_ms,
        dedup_window_seconds: settings.buffer.dedup_window_seconds,
        unkept: unkept(&settings.retain),
        ..BatchOptions::default()
    };
    tokio::spawn(async move {
        tokio::select! {
            () = migrate(&states, &state) => {}
            () = given_up(&mut stop, &states.buffer) => return None,
        }
        match Batcher::start(states, options).await {
            Ok(batcher) => Some(batcher),
            Err(error) => {
                // Rows are still taken and durable; a person must look why they cannot move.
                tracing::error!(error = &error as &dyn std::error::Error, "batches cannot be moved to ClickHouse");
                state.send_replace(SchemaState::Failed(error.to_string()));
                None
            }
        }
    })
}

/// Returns the tables whose rows are only counted.
fn unkept(retain: &Retain) -> Vec<TableName> {
    let points = [&*METRIC_SAMPLES, &*METRIC_HISTOGRAMS, &*METRIC_EXPONENTIAL_HISTOGRAMS, &*METRIC_SUMMARIES];
    let tables = [
        (retain.logs, vec![&*LOGS]),
        (retain.events, vec![&*EVENTS]),
        (retain.traces, vec![&*SPANS]),
        (retain.metrics, points.to_vec()),
    ];
    let unkept = tables.into_iter().filter(|(kept, _)| !kept).flat_map(|(_, tables)| tables);
    unkept.map(|spec| spec.name.clone()).collect()
}

/// Waits until there is no sense in waiting for ClickHouse any more: stopped, and nothing to flush or no time left.
async fn given_up(stop: &mut watch::Receiver<bool>, buffer: &Buffer) {
    drop(stop.wait_for(|stop| *stop).await);
    if buffer.status().iter().any(|tail| tail.head > tail.stored) {
        tokio::time::sleep(Duration::from_millis(STOP_FLUSH_MS)).await;
    }
}

async fn migrate(states: &States, state: &watch::Sender<SchemaState>) {
    let mut pause = RETRY;
    loop {
        let outcome = match states.store.ping().await {
            Ok(()) => make_tables(states).await.map_err(|error| SchemaState::Failed(chain(&error))),
            Err(_) => Err(SchemaState::Waiting),
        };
        match outcome {
            Ok(()) => break,
            Err(told) => {
                if let SchemaState::Failed(why) = &told {
                    tracing::error!(why, "the tables could not be made, trying again");
                    pause = (pause * 2).min(RETRY_MAX);
                }
                state.send_replace(told);
            }
        }
        tokio::time::sleep(pause).await;
    }
    state.send_replace(SchemaState::Current);
    tracing::info!("ClickHouse has our tables");
}

/// Makes the tables, and fills the roll-ups of those that have none yet, before a batch is on its way.
async fn make_tables(states: &States) -> Result<(), BatchError> {
    states.store.migrate().await?;
    let stored = states.catalog.watermarks().await?;
    for table in ROLL_UPS.iter().map(|roll_ups| (roll_ups.of)()) {
        states.store.raise_roll_ups(table, stored.get(table).copied().unwrap_or_default()).await?;
    }
    Ok(())
}
