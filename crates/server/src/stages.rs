use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_core::buffer::Buffer;
use tidegate_core::catalog::Catalog;
use tidegate_core::ingest::Ingest;
use tidegate_core::query::Query;
use tidegate_core::store::{EngineStatus, Store};
use tidegate_model::Clock;
use tokio::sync::watch;

use crate::alerts::Alerts;
use crate::api::LargeBodies;
use crate::backups::BackupOffice;
use crate::cardinality::CardinalityState;
use crate::datasets::Access;
use crate::exports::Exports;
use crate::freshness::ReplicaWatch;
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::migrations::Mirrors;
use crate::tracing::Tracing;

/// What the doors open to; clones share it.
#[derive(Debug, Clone)]
pub struct Stages {
    /// Takes rows in.
    pub ingest: Ingest,
    /// Answers reads.
    pub query: Query,
    /// Knows the ledger and whether writes pass.
    pub buffer: Buffer,
    /// Knows the datasets.
    pub catalog: Catalog,
    /// Reaches ClickHouse.
    pub store: Store,
    /// How the engine process is; `None` where ClickHouse is a server elsewhere.
    pub engine: Option<watch::Receiver<EngineStatus>>,
    /// Whether ClickHouse has our tables.
    pub schema: watch::Receiver<SchemaState>,
    /// Counts what passes.
    pub metrics: Arc<Metrics>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where the doors are: a name and an address each.
    pub addresses: Vec<(&'static str, String)>,
    /// What the cardinality API remembers.
    pub cardinality: Arc<CardinalityState>,
    /// Watches how far ClickHouse is behind.
    pub replica: Arc<ReplicaWatch>,
    /// Where exports go, and who is told.
    pub exports: Exports,
    /// Removes rows that are past their retention.
    pub lifecycle: Arc<Lifecycle>,
    /// Rules that are asked every so often, and who is told.
    pub alerts: Arc<Alerts>,
    /// Files for older engines.
    pub mirrors: Mirrors,
    /// What the tracing API keeps between requests.
    pub tracing: Arc<Tracing>,
    /// Numbers the requests of this process.
    pub requests: Arc<AtomicU64>,
    /// Which scopes requests need.
    pub access: Access,
    /// Takes backups; `None`: there is no folder for them.
    pub backups: Option<BackupOffice>,
    /// Whether operators' SQL is let through to ClickHouse.
    pub admin_sql: bool,
    /// Where bodies wait that are too large for memory.
    pub large_bodies: Arc<LargeBodies>,
    /// How long a request's body may pause.
    pub body_idle: Duration,
}

/// Whether ClickHouse has our tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Not yet: ClickHouse has not answered.
    Waiting,
    /// It has.
    Current,
    /// They could not be made; tried again.
    Failed(String),
}

impl Stages {
    /// Returns an id that no other request has, also not one of an earlier process.
    pub(crate) fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{number:x}", self.clock.now().0)
    }
}
