use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_core::backup::{Backups, Sources};
use tidegate_core::buffer::{Buffer, BufferOptions, Recovery, Remembered};
use tidegate_core::catalog::Catalog;
use tidegate_core::ingest::Ingest;
use tidegate_core::query::{Query, QueryOptions};
use tidegate_core::rollup::Rollup;
use tidegate_core::rollup::totals::Totals;
use tidegate_core::store::{Engine, EngineData, EngineOptions, Store, StoreOptions};
use tidegate_core::world::SystemClock;
use tidegate_model::limits::BODY_IDLE_MS;
use tidegate_model::{Clock, UnixNanos};
use tidegate_server::{
    Access, CardinalityState, ExportOptions, Exports, Metrics, Mirrors, ReplicaWatch, SchemaState, Stages, Webhook,
};
use tokio::sync::watch;

use super::DataFolder;
use crate::settings::{self, Backend, Settings};

/// Every state and mover but the batches, which wait for ClickHouse.
pub(super) struct Parts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) catalog: Catalog,
    pub(super) buffer: Buffer,
    pub(super) recovery: Recovery,
    pub(super) engine: Option<Engine>,
    pub(super) store: Store,
    pub(super) ingest: Ingest,
    pub(super) query: Query,
    /// Where the cardinality API saves its sessions.
    sessions: PathBuf,
    /// Signals whose rows are counted and not kept.
    unkept: Vec<&'static str>,
    /// Which scopes requests need.
    access: Access,
    exports: Exports,
    mirrors: Mirrors,
    replica_age_sla_ms: u64,
    admin_sql: bool,
    backups: Option<Backups>,
}

/// Opens the states, recovers what is in them, and starts the engine process without waiting for it.
pub(super) async fn make(settings: &Settings, folder: &DataFolder) -> Result<Parts> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    // First, so that it boots while the log is read.
    let backup_folder = backup_folder(settings)?;
    let (engine, store) = clickhouse(settings, folder, backup_folder.as_deref())?;
    let opened = Catalog::open(&folder.catalog()).await;
    let catalog = opened.with_context(|| format!("open the catalog {}", folder.catalog().display()))?;
    let (buffer, recovery) = open_buffer(settings, folder, &catalog, Arc::clone(&clock)).await?;
    let mut ingest = Ingest::open(buffer.clone(), catalog.clone(), Arc::clone(&clock)).await?;
    ingest = ingest.with_template_settings(settings.templates.of_miner()).await?.with_store(store.clone());
    if let Err(error) = ingest.finish_replays().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "refused rows that were sent again wait for the next replay"
        );
    }
    let mut rollup = settings.catalogue.enabled.then(Rollup::default);
    if settings.storage.backend != Backend::ClickHouse {
        // A server elsewhere may have further writers, of which this process would not know.
        rollup = rollup.map(|rollup| rollup.with_totals(Totals::default()));
    }
    if rollup.is_none() {
        ingest = ingest.without_templates();
    }
    let query = Query {
        buffer: buffer.clone(),
        store: store.clone(),
        catalog: catalog.clone(),
        rollup,
        options: query_options(&settings.query),
    };
    let backups = backup_folder.map(|folder_of_backups| {
        let (buffer, catalog, store) = (buffer.clone(), catalog.clone(), store.clone());
        let (sessions, clock, program) = (folder.sessions(), Arc::clone(&clock), env!("CARGO_PKG_VERSION"));
        Backups::new(folder_of_backups, Sources { buffer, catalog, store, sessions, clock, program })
    });
    Ok(Parts {
        backups,
        clock,
        catalog,
        buffer,
        recovery,
        engine,
        store,
        ingest,
        query,
        sessions: folder.sessions(),
        unkept: settings.retain.dropped(),
        access: access(&settings.access),
        exports: Exports::new(exports(&settings.exports, folder)?),
        mirrors: Mirrors::new(mirror_folder(settings, folder)?),
        replica_age_sla_ms: settings.freshness.replica_age_sla_ms,
        admin_sql: settings.query.admin_sql,
    })
}

impl Parts {
    /// Joins the parts for the doors.
    pub(super) fn stages(
        &self,
        metrics: Arc<Metrics>,
        schema: watch::Receiver<SchemaState>,
        addresses: Vec<(&'static str, String)>,
    ) -> Stages {
        Stages {
            ingest: self.ingest.clone(),
            query: self.query.clone(),
            buffer: self.buffer.clone(),
            catalog: self.catalog.clone(),
            store: self.store.clone(),
            engine: self.engine.as_ref().map(Engine::status),
            schema,
            metrics,
            clock: Arc::clone(&self.clock),
            addresses,
            cardinality: Arc::new(CardinalityState::new(Some(self.sessions.clone()), self.unkept.clone())),
            replica: Arc::new(ReplicaWatch::new(self.replica_age_sla_ms)),
            exports: self.exports.clone(),
            mirrors: self.mirrors.clone(),
            requests: Arc::default(),
            access: self.access.clone(),
            backups: self.backups.clone(),
            admin_sql: self.admin_sql,
            body_idle: Duration::from_millis(BODY_IDLE_MS),
        }
    }
}

fn access(own: &settings::Access) -> Access {
    Access {
        read_scope: own.read_scope.clone(),
        write_scope: own.write_scope.clone(),
        admin_scope: own.admin_scope.clone(),
    }
}

fn exports(own: &settings::Exports, folder: &DataFolder) -> Result<ExportOptions> {
    // What is listed of an export is where it is, wherever the server is started the next time.
    let below = if own.folder.is_empty() {
        folder.exports()
    } else {
        std::path::absolute(&own.folder).with_context(|| format!("find the folder of exports {}", own.folder))?
    };
    let webhook = Webhook { url: own.webhook_url.clone(), secret: own.webhook_secret.clone() };
    Ok(ExportOptions {
        folder: below,
        every_hours: own.every_hours,
        keep: own.keep,
        datasets: own.datasets.clone(),
        webhook: (!own.webhook_url.is_empty()).then_some(webhook),
    })
}

/// Names the folder of files for older engines.
fn mirror_folder(settings: &Settings, folder: &DataFolder) -> Result<PathBuf> {
    let own = &settings.mirror.folder;
    if own.as_os_str().is_empty() {
        return std::path::absolute(folder.mirror()).context("find the folder of mirrors");
    }
    std::path::absolute(own).with_context(|| format!("find the folder of mirrors {}", own.display()))
}

/// Makes the folder of backups, if there is to be one: the engine is locked to it, so it must be there.
fn backup_folder(settings: &Settings) -> Result<Option<PathBuf>> {
    let folder = &settings.backup.folder;
    if folder.as_os_str().is_empty() || settings.storage.backend != Backend::Embedded {
        return Ok(None);
    }
    let made = std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
    made.map(Some).with_context(|| {
        format!("the folder of backups {} cannot be made; mend `backup.folder` or its owner", folder.display())
    })
}

fn clickhouse(settings: &Settings, folder: &DataFolder, backups: Option<&Path>) -> Result<(Option<Engine>, Store)> {
    let data = match settings.storage.backend {
        Backend::ClickHouse => {
            let store = Store::new(store_options(&settings.clickhouse)).context("make the client for ClickHouse")?;
            return Ok((None, store));
        }
        Backend::Embedded => EngineData::Folder(folder.engine()),
        Backend::Memory => EngineData::Memory,
    };
    let (engine, store) = start_engine(settings, data, backups)?;
    Ok((Some(engine), store))
}

/// Starts the engine process on its data, with the disk `backups` in a folder that is there.
pub(crate) fn start_engine(settings: &Settings, data: EngineData, backups: Option<&Path>) -> Result<(Engine, Store)> {
    let own = &settings.engine;
    let mut arguments = vec![
        "--max-queries".to_owned(),
        own.queries_max.to_string(),
        "--background-pool".to_owned(),
        own.background_pool.to_string(),
    ];
    if !own.library.is_empty() {
        arguments.extend(["--lib".to_owned(), own.library.clone()]);
    }
    if let Some(folder) = backups {
        let folder = folder.to_str().with_context(|| format!("the path {} is not UTF-8", folder.display()))?;
        arguments.extend(["--backups".to_owned(), folder.to_owned()]);
    }
    let publish = &settings.listen.clickhouse_http;
    let started = Engine::start(EngineOptions {
        binary: (!own.program.is_empty()).then(|| PathBuf::from(&own.program)),
        data,
        publish: (!publish.is_empty()).then(|| publish.clone()),
        max_memory: (own.memory_bytes > 0).then_some(own.memory_bytes),
        database: settings.clickhouse.database.clone(),
        arguments,
    })?;
    Ok(started)
}

fn store_options(clickhouse: &settings::ClickHouse) -> StoreOptions {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    StoreOptions {
        url: clickhouse.address(),
        user: clickhouse.user.clone(),
        password: clickhouse.password.clone(),
        database: clickhouse.database.clone(),
        ca_cert: text(&clickhouse.ca_cert).map(PathBuf::from),
        reader: text(&clickhouse.reader_user).map(|user| (user, clickhouse.reader_password.clone())),
        cluster: text(&clickhouse.cluster),
        compression: None,
    }
}

pub(crate) async fn open_buffer(
    settings: &Settings,
    folder: &DataFolder,
    catalog: &Catalog,
    clock: Arc<dyn Clock>,
) -> Result<(Buffer, Recovery)> {
    let own = &settings.buffer;
    let window = i64::try_from(own.dedup_window_seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    let since = UnixNanos(clock.now().0.saturating_sub(window));
    let remembered = Remembered {
        stored: catalog.watermarks().await?,
        retries: catalog.retries(since).await?,
        counts: catalog.counts().await?,
    };
    let options = BufferOptions {
        dir: folder.wal(),
        sync_always: own.sync == settings::Sync::Always,
        sync_interval_ms: own.sync_interval_ms,
        hot_tail_bytes: own.hot_tail_bytes,
        wal_bytes: own.wal_bytes,
        disk_free_bytes_min: own.disk_free_bytes_min,
        dedup_window_seconds: own.dedup_window_seconds,
    };
    let opened = tokio::task::spawn_blocking(move || Buffer::open(options, clock, remembered)).await?;
    opened.with_context(|| format!("open the write-ahead log {}", folder.wal().display()))
}

fn query_options(query: &settings::Query) -> QueryOptions {
    QueryOptions {
        timeout: Duration::from_secs(query.seconds),
        memory_bytes: query.memory_bytes,
        result_rows: query.result_rows,
        result_bytes: query.result_bytes,
        fresh_wait: Duration::from_millis(query.fresh_wait_ms),
    }
}
