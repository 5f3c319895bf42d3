use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_core::backup::{Backups, Sources};
use tidegate_core::buffer::{Buffer, BufferOptions, Recovery, Remembered};
use tidegate_core::catalog::{Catalog, PolicyKind};
use tidegate_core::expire::{self, Expire, TableDefault};
use tidegate_core::ingest::{Ingest, Quota};
use tidegate_core::objects::{Bucket, BucketOptions};
use tidegate_core::query::{Query, QueryOptions};
use tidegate_core::rollup::Rollup;
use tidegate_core::rollup::totals::Totals;
use tidegate_core::store::{Engine, EngineData, EngineOptions, Store, StoreOptions};
use tidegate_core::world::SystemClock;
use tidegate_model::limits::{
    BACKUP_DRILLS_WAITING_MAX, BODY_IDLE_MS, RETAIN_EVENTS_HOURS, RETAIN_LOGS_HOURS, RETAIN_METRICS_HOURS,
    RETENTION_GRACE_SECONDS,
};
use tidegate_model::tables::{
    CATALOG_ATTRIBUTES, CATALOG_SIGNALS, EVENTS, LOGS, METRIC_EXPONENTIAL_HISTOGRAMS, METRIC_HISTOGRAMS,
    METRIC_SAMPLES, METRIC_SUMMARIES, SPANS,
};
use tidegate_model::{Clock, Retention, UnixNanos};
use tidegate_primary::Primary;
use tidegate_server::{
    Access, Alerts, BackupOffice, BackupPlan, CardinalityState, DrillAsked, ExportOptions, Exports, LargeBodies,
    Lifecycle, Metrics, Mirrors, ReplicaWatch, SchemaState, Stages, Tracing, TracingChoice, Webhook,
};
use tidegate_traces::{Prices, Uuid};
use tokio::sync::{mpsc, watch};

use super::DataFolder;
use super::tiers::{self, Tiers};
use crate::settings::{self, Backend, BackupTarget, Settings};

/// What the names of backups begin with in the bucket of the settings.
const BACKUPS: &str = "backups";

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
    alerts: Arc<Alerts>,
    lifecycle: Arc<Lifecycle>,
    mirrors: Mirrors,
    tracing: Arc<Tracing>,
    replica_age_sla_ms: u64,
    admin_sql: bool,
    large_bodies: Arc<LargeBodies>,
    backups: Option<BackupOffice>,
    /// Who restores on trial; taken once.
    pub(super) drills: Option<Drills>,
}

/// What restoring on trial needs.
pub(super) struct Drills {
    pub(super) backups: Backups,
    pub(super) room: PathBuf,
    pub(super) asked: mpsc::Receiver<DrillAsked>,
}

/// Opens the states, recovers what is in them, and starts the engine process without waiting for it.
pub(super) async fn make(settings: &Settings, folder: &DataFolder) -> Result<Parts> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    // First, so that it boots while the log is read.
    let backup_folder = backup_folder(settings, folder)?;
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
    set_quotas(settings, &ingest, &catalog).await?;
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
    let bucket = bucket(&settings.s3)?;
    let backups = backup_folder.map(|folder_of_backups| {
        let (buffer, catalog, store) = (buffer.clone(), catalog.clone(), store.clone());
        let (sessions, clock, program) = (folder.sessions(), Arc::clone(&clock), env!("CARGO_PKG_VERSION"));
        let taken = Backups::new(folder_of_backups, Sources { buffer, catalog, store, sessions, clock, program });
        let taken = match bucket.as_ref().filter(|_| settings.backup.target == BackupTarget::S3) {
            Some(bucket) => taken.sent_to(bucket.below(BACKUPS)),
            None => taken,
        };
        let (asks, asked) = mpsc::channel(BACKUP_DRILLS_WAITING_MAX);
        let drills = Drills { backups: taken.clone(), room: folder.drills(), asked };
        (BackupOffice::new(taken, plan(&settings.backup), asks), drills)
    });
    let (backups, drills) = backups.unzip();
    let lifecycle = Arc::new(lifecycle(settings, &query, &clock));
    let tracing = Arc::new(tracing(settings, &catalog).await?);
    Ok(Parts {
        backups,
        drills,
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
        lifecycle,
        exports: Exports::new(exports(&settings.exports, folder, bucket)?),
        alerts: Arc::new(Alerts::new(settings.alerts.options().map_err(anyhow::Error::msg)?)),
        mirrors: Mirrors::new(mirror_folder(settings, folder)?),
        tracing,
        replica_age_sla_ms: settings.freshness.replica_age_sla_ms,
        admin_sql: settings.query.admin_sql,
        large_bodies: Arc::new(LargeBodies::new(folder.path().to_owned())),
    })
}

/// Prepares the tracing API: which PostgreSQL it has, and which projects are there.
async fn tracing(settings: &Settings, catalog: &Catalog) -> Result<Tracing> {
    let own = &settings.tracing;
    let tracing = Tracing::new(prices(&own.prices)?);
    let Some(options) = own.primary().map_err(anyhow::Error::msg)? else { return Ok(tracing) };
    let primary = Primary::new(options).context("read tracing.postgres_url")?;
    let decided = catalog.policies::<TracingChoice>(PolicyKind::Tracing).await?;
    let decided = decided.into_iter().map(|own| Ok((Uuid::read(&own.slug, "project_id")?, own.policy)));
    let decided =
        decided.collect::<Result<Vec<_>, tidegate_traces::Invalid>>().context("read the modes of projects")?;
    Ok(tracing.with_primary(primary, TracingChoice { mode: own.mode, reads: own.reads }, decided))
}

/// Returns what models cost: what a file says goes before what is known.
fn prices(file: &str) -> Result<Prices> {
    let mut prices = Prices::known().context("read the prices that are known")?;
    if !file.is_empty() {
        let text = std::fs::read_to_string(file).with_context(|| format!("tracing.prices: read {file}"))?;
        prices.override_with(Prices::read(&text).with_context(|| format!("tracing.prices: {file}"))?);
    }
    Ok(prices)
}

/// Says how much may come into each dataset: what was decided of it by itself goes before the settings.
async fn set_quotas(settings: &Settings, ingest: &Ingest, catalog: &Catalog) -> Result<()> {
    let some = |limit: u64| (limit > 0).then_some(limit);
    ingest.quotas().set_default(Quota {
        rows_per_second: some(settings.quota.rows_per_second),
        bytes_per_second: some(settings.quota.bytes_per_second),
        stored_bytes: some(settings.quota.stored_bytes),
    });
    for own in catalog.policies::<Quota>(PolicyKind::Quota).await? {
        ingest.quotas().set(&own.slug, Some(own.policy));
    }
    for own in catalog.policies::<Quota>(PolicyKind::TenantQuota).await? {
        ingest.quotas().set_tenant(&own.slug, Some(own.policy));
    }
    Ok(())
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
            alerts: Arc::clone(&self.alerts),
            lifecycle: Arc::clone(&self.lifecycle),
            mirrors: self.mirrors.clone(),
            tracing: Arc::clone(&self.tracing),
            requests: Arc::default(),
            access: self.access.clone(),
            backups: self.backups.clone(),
            admin_sql: self.admin_sql,
            large_bodies: Arc::clone(&self.large_bodies),
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

fn exports(own: &settings::Exports, folder: &DataFolder, bucket: Option<Bucket>) -> Result<ExportOptions> {
    // What is listed of an export is where it is, wherever the server is started the next time.
    let below = if own.folder.is_empty() {
        folder.exports()
    } else {
        std::path::absolute(&own.folder).with_context(|| format!("find the folder of exports {}", own.folder))?
    };
    let webhook = Webhook { url: own.webhook_url.clone(), secret: own.webhook_secret.clone() };
    let target = own.target.clone();
    Ok(ExportOptions {
        folder: below,
        bucket,
        target,
        every_hours: own.every_hours,
        keep: own.keep,
        datasets: own.datasets.clone(),
        webhook: (!own.webhook_url.is_empty()).then_some(webhook),
    })
}

const fn plan(own: &settings::Backup) -> BackupPlan {
    let settings::Backup { every_hours, keep, chain_max, drill_hours, .. } = own;
    BackupPlan { every_hours: *every_hours, keep: *keep, chain_max: *chain_max, drill_hours: *drill_hours }
}

/// Prepares requests to the bucket that the settings name, if they name one.
pub(crate) fn bucket(s3: &settings::S3) -> Result<Option<Bucket>> {
    if s3.bucket.is_empty() {
        return Ok(None);
    }
    let options = BucketOptions {
        endpoint: s3.address(),
        region: s3.region.clone(),
        bucket: s3.bucket.clone(),
        prefix: s3.prefix.clone(),
        access_key_id: s3.access_key_id.clone(),
        secret_access_key: s3.secret_access_key.clone(),
        path_style: s3.path_style,
    };
    Ok(Some(Bucket::new(options)?))
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
fn backup_folder(settings: &Settings, data: &DataFolder) -> Result<Option<PathBuf>> {
    let own = &settings.backup.folder;
    let folder = match settings.backup.target {
        BackupTarget::Folder => own.clone(),
        BackupTarget::S3 if own.as_os_str().is_empty() => data.staged_backups(),
        BackupTarget::S3 => own.join("staged"),
    };
    if folder.as_os_str().is_empty() || settings.storage.backend != Backend::Embedded {
        return Ok(None);
    }
    let made = std::fs::create_dir_all(&folder).and_then(|()| folder.canonicalize());
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

/// Starts the engine process on its data, with the disk `backups` in a folder that is there, and the cold volume if the
/// settings have one.
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
        arguments.extend(["--backups".to_owned(), path_text(folder)?]);
    }
    if let EngineData::Folder(engine) = &data
        && let Some(tiers) = Tiers::write(settings, engine)?
    {
        arguments.extend(["--extra-config".to_owned(), path_text(&tiers.config)?]);
        if let Some(folder) = &tiers.folder {
            arguments.extend(["--allow-path".to_owned(), path_text(folder)?]);
        }
        if tiers.network {
            arguments.push("--storage-network".to_owned());
        }
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

fn path_text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("the path {} is not UTF-8", path.display()))
}

/// Joins what removes and moves stored rows.
fn lifecycle(settings: &Settings, query: &Query, clock: &Arc<dyn Clock>) -> Lifecycle {
    let own = &settings.lifecycle;
    let has_cold =
        settings.storage.backend == Backend::Embedded && (own.cold_s3 || !own.cold_folder.as_os_str().is_empty());
    let cold_after = (own.cold_after_hours > 0).then(|| own.cold_after_hours.saturating_mul(3_600));
    let kept = |hours: u64| Retention {
        max_age: (hours > 0).then(|| hours.saturating_mul(3_600)),
        max_bytes: None,
        grace: RETENTION_GRACE_SECONDS,
        cold_after,
    };
    let retain = &settings.retain;
    let points = [&*METRIC_SAMPLES, &*METRIC_HISTOGRAMS, &*METRIC_EXPONENTIAL_HISTOGRAMS, &*METRIC_SUMMARIES];
    // Without an own word the program decides, and gives notice.
    let of_table = [
        (retain.logs_hours, Some(RETAIN_LOGS_HOURS), vec![&*LOGS]),
        (retain.events_hours, Some(RETAIN_EVENTS_HOURS), vec![&*EVENTS]),
        (retain.traces_hours, None, vec![&*SPANS]),
        (retain.metrics_hours, Some(RETAIN_METRICS_HOURS), points.to_vec()),
        (retain.catalogue_hours, None, vec![&*CATALOG_SIGNALS, &*CATALOG_ATTRIBUTES]),
    ];
    let notice = retain.notice_hours.saturating_mul(3_600);
    let defaults = of_table.into_iter().flat_map(|(hours, ours, specs)| {
        let notice = (ours == Some(hours)).then_some(notice);
        specs.into_iter().map(move |spec| TableDefault { table: spec.name.clone(), retention: kept(hours), notice })
    });
    let sources = expire::Sources {
        buffer: query.buffer.clone(),
        catalog: query.catalog.clone(),
        store: query.store.clone(),
        rollup: query.rollup.clone(),
        clock: Arc::clone(clock),
        defaults: defaults.collect(),
        of_datasets: kept(retain.datasets_hours),
        cold_policy: has_cold.then_some(tiers::POLICY),
    };
    Lifecycle::new(Expire::new(sources), Duration::from_secs(own.every_seconds))
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
