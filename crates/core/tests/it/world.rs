//! A fresh world per test: its own folder, its own engine process, its own ports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_core::batch::{BatchOptions, Batcher, States};
use tidegate_core::buffer::{Buffer, BufferOptions, Remembered};
use tidegate_core::catalog::Catalog;
use tidegate_core::rollup::Rollup;
use tidegate_core::store::{Compression, Engine, EngineData, EngineOptions, Store, StoreOptions};
use tidegate_core::world::SystemClock;
use tidegate_model::Clock;

/// How long anything here may take before the test fails: a loaded machine is slow, a hang is for ever.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// An engine on a folder of its own.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let data = EngineData::Folder(dir.path().join("clickhouse"));
        let (engine, store) = Engine::start(engine_options(data)).expect("the engine starts");
        engine.ready(LIMIT).await.expect("the engine answers");
        Self { dir, engine, store }
    }

    /// Kills the engine as a crash would, and waits until another one answers.
    pub(crate) async fn kill_engine(&self) {
        let mut status = self.engine.status();
        let (pid, restarts) = {
            let now = status.borrow();
            (now.pid.expect("a running engine"), now.restarts)
        };
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("not zero");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it can be killed");
        let back = status.wait_for(|status| status.restarts > restarts);
        tokio::time::timeout(LIMIT, back).await.expect("its end is noticed").expect("the supervisor lives");
        self.engine.ready(LIMIT).await.expect("it is started again");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let status = self.engine.status();
        let address = status.borrow().address.clone().expect("a ready engine");
        address.parse().expect("an address")
    }

    /// Makes another client for the engine, at another address.
    pub(crate) fn store_at(&self, url: &str, compression: Option<Compression>) -> Store {
        let options = StoreOptions { url: url.into(), compression, ..self.engine.access().clone() };
        Store::new(options).expect("a store")
    }

    /// Opens buffer and catalog of this world's folder and starts the mover.
    pub(crate) async fn open(&self, store: &Store, options: BatchOptions) -> (States, Batcher) {
        let states = self.states(store).await;
        let batcher = Batcher::start(states.clone(), options).await.expect("the mover starts");
        (states, batcher)
    }

    pub(crate) async fn states(&self, store: &Store) -> States {
        self.states_at(store, Arc::new(SystemClock::start())).await
    }

    pub(crate) async fn states_at(&self, store: &Store, clock: Arc<dyn Clock>) -> States {
        let catalog = Catalog::open(&self.dir.path().join("catalog.db")).await.expect("a catalog");
        let stored = catalog.watermarks().await.expect("watermarks");
        let remembered = Remembered { stored, ..Remembered::default() };
        let (buffer, _) =
            Buffer::open(buffer_options(self.dir.path().join("wal")), clock.clone(), remembered).expect("a buffer");
        States { buffer, catalog, store: store.clone(), rollup: Some(Rollup::default()), clock }
    }

    /// Counts rows: all, and distinct numbers.
    pub(crate) async fn count(&self, table: &str) -> (u64, u64) {
        let sql = format!("SELECT count() AS rows, uniqExact(_seq) AS seqs FROM {table}");
        let rows = self.store.rows(&sql, &[]).await.expect("a count");
        (rows[0]["rows"].as_u64().expect("rows"), rows[0]["seqs"].as_u64().expect("numbers"))
    }

    pub(crate) async fn number(&self, sql: &str) -> u64 {
        let rows = self.store.rows(&format!("SELECT ({sql}) AS n"), &[]).await.expect("a number");
        rows[0]["n"].as_u64().unwrap_or_else(|| panic!("{sql}: {rows:?}"))
    }
}

pub(crate) fn engine_options(data: EngineData) -> EngineOptions {
    EngineOptions {
        binary: Some(engine_binary()),
        data,
        publish: None,
        max_memory: None,
        database: "tidegate".into(),
        arguments: Vec::new(),
    }
}

fn buffer_options(dir: PathBuf) -> BufferOptions {
    BufferOptions {
        dir,
        sync_always: true,
        sync_interval_ms: 100,
        hot_tail_bytes: 64 << 20,
        wal_bytes: 1 << 30,
        disk_free_bytes_min: 0,
        dedup_window_seconds: 600,
    }
}

/// Finds the engine's program: named by TIDEGATE_ENGINE, or beside the folder that this test runs from.
fn engine_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEGATE_ENGINE") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps/<test>");
    let binary = profile.join("tidegate-engine");
    assert!(
        binary.is_file(),
        "{} is missing; build it first: cargo build -p tidegate-chdb (or name it in TIDEGATE_ENGINE)",
        binary.display()
    );
    binary
}
