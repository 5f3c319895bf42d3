use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tidegate_core::buffer::Recovery;
use tidegate_server::{Metrics, SchemaState, ServerOptions, Stages};
use tokio::sync::{mpsc, watch};

use super::own_logs::OwnLog;
use super::stop::{self, Signals, WayDown};
use super::{DataFolder, doors, drills, follow, parts, reconcile, schema, telemetry, templates};
use crate::settings::Settings;

/// A server whose doors are open.
pub(crate) struct Running {
    /// What the doors open to.
    pub(crate) stages: Stages,
    /// Where OTLP over HTTP comes in.
    pub(super) otlp_http: SocketAddr,
    way_down: WayDown,
}

/// Opens the doors and starts every part; the folder must outlive them.
///
/// With `own_logs` the server stores its own metrics and these records.
pub(crate) async fn start(
    settings: &Settings,
    folder: &DataFolder,
    metrics: Arc<Metrics>,
    own_logs: Option<mpsc::Receiver<OwnLog>>,
) -> Result<Running> {
    let doors = doors::open(&settings.listen).await?;
    let mut parts = parts::make(settings, folder).await?;
    let (schema, schema_state) = watch::channel(SchemaState::Waiting);
    let stages = parts.stages(metrics, schema_state.clone(), doors.addresses(&settings.listen));

    let (http, otlp_http) = (doors.http, doors.otlp_http);
    let (stop, stopped) = watch::channel(false);
    let options = ServerOptions { connections_max: settings.listen.connections_max, ..ServerOptions::default() };
    let serving = tokio::spawn(tidegate_server::serve(stages.clone(), doors.listeners, options, stopped.clone()));
    let batches = schema::bring_up(&parts, settings, schema, stopped.clone());
    reconcile::start(parts.store.clone(), parts.catalog.clone(), schema_state, stopped.clone());
    let interval_ms = settings.telemetry.interval_ms;
    let telemetry = own_logs.map(|logs| telemetry::start(stages.clone(), logs, interval_ms, stopped.clone()));
    // It ends with the others, and has nothing to bring to an end.
    tokio::spawn(tidegate_server::watch_replica(stages.clone(), stopped.clone()));
    // What it leaves is done after the next start.
    tokio::spawn(tidegate_server::run_exports(stages.clone(), stopped.clone()));
    tokio::spawn(tidegate_server::run_alerts(stages.clone(), stopped.clone()));
    tokio::spawn(tidegate_server::run_backups(stages.clone(), stopped.clone()));
    let drills = parts
        .drills
        .take()
        .map(|drills| drills::start(settings, drills.room, drills.backups, drills.asked, stopped.clone()));
    tokio::spawn(tidegate_server::run_lifecycle(stages.clone(), stopped.clone()));
    tokio::spawn(tidegate_server::run_mirrors(stages.clone(), stopped.clone()));
    tokio::spawn(tidegate_server::watch_primary(stages.clone(), stopped.clone()));
    if let Some(own) = follow::Own::of(settings, http) {
        tokio::spawn(follow::run(own, Arc::clone(&stages.tracing), stopped.clone()));
    }
    let templates = templates::start(parts.ingest.clone(), stopped);
    Ok(Running { stages, otlp_http, way_down: WayDown { parts, serving, batches, telemetry, templates, drills, stop } })
}

impl Running {
    /// Tells what was found in the log.
    pub(crate) const fn recovery(&self) -> &Recovery {
        &self.way_down.parts.recovery
    }

    /// Goes the way down; a second signal ends the process at once.
    pub(crate) async fn stop(self, signals: Signals) {
        stop::stop(self.way_down, signals).await;
    }
}
