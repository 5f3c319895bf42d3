use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_core::buffer::{Buffer, BufferOptions, Remembered};
use tidegate_core::catalog::Catalog;
use tidegate_core::expire::{self, Expire};
use tidegate_core::ingest::Ingest;
use tidegate_core::query::{Query, QueryOptions};
use tidegate_core::rollup::Rollup;
use tidegate_core::store::{Store, StoreOptions};
use tidegate_core::world::SystemClock;
use tidegate_model::{Clock, Retention, limits};
use tidegate_server::{
    ExportOptions, Exports, Lifecycle, Listeners, Metrics, Mirrors, ReplicaWatch, SchemaState, ServerOptions, Stages,
    serve,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a test wants other than usual.
pub(crate) struct HouseOptions {
    pub(crate) wal_bytes: u64,
    pub(crate) body_idle: Duration,
    pub(crate) doors: ServerOptions,
}

impl Default for HouseOptions {
    fn default() -> Self {
        let body_idle = Duration::from_millis(limits::BODY_IDLE_MS);
        Self { wal_bytes: limits::WAL_BYTES, body_idle, doors: ServerOptions::default() }
    }
}

/// A server on loopback, on free ports.
pub(crate) struct House {
    pub(crate) http: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) client: reqwest::Client,
    serving: JoinHandle<()>,
    stop: watch::Sender<bool>,
    schema: watch::Sender<SchemaState>,
    _folder: TempDir,
}

impl House {
    /// Opens a server with the usual budgets.
    pub(crate) async fn open() -> Self {
        Self::with(HouseOptions::default()).await
    }

    /// Opens a server as the test wants it.
    pub(crate) async fn with(options: HouseOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (schema, schema_state) = watch::channel(SchemaState::Waiting);
        let stages = stages(&folder, &options, schema_state).await;
        let listeners = Listeners { http: listener().await, otlp_http: listener().await, otlp_grpc: listener().await };
        let [http, otlp_http, otlp_grpc] = [&listeners.http, &listeners.otlp_http, &listeners.otlp_grpc]
            .map(|listener| listener.local_addr().expect("an address"));
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(stages, listeners, options.doors, stopped));
        let client = reqwest::Client::new();
        Self { http, otlp_http, otlp_grpc, client, serving, stop, schema, _folder: folder }
    }

    /// Lets queries pass to a ClickHouse that then does not answer.
    pub(crate) fn tables_are_made(&self) {
        self.schema.send_replace(SchemaState::Current);
    }

    /// Asks the main API for JSON.
    pub(crate) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let answer = self.client.get(format!("http://{}{path}", self.http)).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    /// Returns one table's counts: received, stored, hot, rejected, duplicate.
    pub(crate) async fn ledger(&self, table: &str) -> [u64; 5] {
        let (_, ledger) = self.get("/ledger").await;
        let row = ledger["tables"].as_array().expect("tables").iter().find(|row| row["table"] == table).cloned();
        let row = row.unwrap_or_default();
        ["received", "stored", "hot", "rejected", "duplicate"].map(|name| row[name].as_u64().unwrap_or(0))
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn close(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(20), self.serving).await.expect("it ends").expect("without a panic");
    }
}

async fn stages(folder: &TempDir, house: &HouseOptions, schema: watch::Receiver<SchemaState>) -> Stages {
    // A second test finds the provider installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let catalog = Catalog::in_memory().await.expect("a catalog");
    let options = BufferOptions {
        dir: folder.path().join("wal"),
        sync_always: true,
        sync_interval_ms: 100,
        hot_tail_bytes: limits::HOT_TAIL_BYTES,
        wal_bytes: house.wal_bytes,
        disk_free_bytes_min: 0,
        dedup_window_seconds: limits::DEDUP_WINDOW_SECONDS,
    };
    let (buffer, _) = Buffer::open(options, Arc::clone(&clock), Remembered::default()).expect("a buffer");
    let away =
        StoreOptions { url: "http://127.0.0.1:1".into(), database: "tidegate".into(), ..StoreOptions::default() };
    let store = Store::new(away).expect("a client");
    let ingest = Ingest::open(buffer.clone(), catalog.clone(), Arc::clone(&clock)).await.expect("ingest");
    let options = QueryOptions { timeout: Duration::from_millis(300), ..QueryOptions::default() };
    let rollup = Some(Rollup::default());
    let query = Query { buffer: buffer.clone(), store: store.clone(), catalog: catalog.clone(), rollup, options };
    let lifecycle = Expire::new(expire::Sources {
        buffer: buffer.clone(),
        catalog: catalog.clone(),
        store: store.clone(),
        rollup: None,
        clock: Arc::clone(&clock),
        defaults: Vec::new(),
        of_datasets: Retention::default(),
        cold_policy: None,
    });
    Stages {
        ingest,
        query,
        buffer,
        catalog,
        store,
        engine: None,
        schema,
        metrics: Arc::new(Metrics::new()),
        clock,
        addresses: Vec::new(),
        cardinality: Arc::default(),
        replica: Arc::new(ReplicaWatch::new(limits::REPLICA_AGE_SLA_MS)),
        alerts: Arc::default(),
        exports: Exports::new(ExportOptions::on_demand(folder.path().join("exports"))),
        lifecycle: Arc::new(Lifecycle::new(lifecycle, Duration::ZERO)),
        mirrors: Mirrors::new(folder.path().join("mirror")),
        tracing: Arc::default(),
        requests: Arc::default(),
        access: tidegate_server::Access::default(),
        backups: None,
        admin_sql: false,
        large_bodies: Arc::new(tidegate_server::LargeBodies::new(folder.path().to_owned())),
        body_idle: house.body_idle,
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}
