use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidegate_alerts::Rule;
use tidegate_model::limits;
use tidegate_server::{TracingMode, TracingReads};
use tidegate_templates::UserMask;

/// Makes one section of the tree: its struct, its defaults, and what each of its settings does.
macro_rules! section {
    ($(#[$about:meta])* $name:ident, $explained:ident { $($(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[doc = $doc])+ pub(crate) $key: $kind,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        /// What each setting of the section does, by its name.
        pub(super) const $explained: &[(&str, &[&str])] = &[$((stringify!($key), &[$($doc),+])),+];
    };
}

section! {
    /// Every setting of Tidegate.
    Settings, SETTINGS {
        /// The data folder: write-ahead log, catalog, ClickHouse's own files. Made when absent.
        data: PathBuf = "./tidegate-data".into(),
        /// Where the doors are.
        listen: Listen = Listen::default(),
        /// Which ClickHouse holds the rows.
        storage: Storage = Storage::default(),
        /// The embedded ClickHouse.
        engine: Engine = Engine::default(),
        /// A ClickHouse server, where `storage.backend` is "clickhouse".
        clickhouse: ClickHouse = ClickHouse::default(),
        /// The write-ahead log and the hot tail.
        buffer: Buffer = Buffer::default(),
        /// When rows move from the log into ClickHouse.
        batch: Batch = Batch::default(),
        /// What came, counted beside it: metrics, span names, log templates, attributes, services.
        catalogue: Catalogue = Catalogue::default(),
        /// Which rows are kept once they are counted.
        retain: Retain = Retain::default(),
        /// How log templates are found, while the catalogue is on.
        templates: Templates = Templates::default(),
        /// Limits of every read; a request may ask for less.
        query: Query = Query::default(),
        /// Which scopes requests for datasets need.
        access: Access = Access::default(),
        /// How far ClickHouse may be behind.
        freshness: Freshness = Freshness::default(),
        /// Exports of tables to files.
        exports: Exports = Exports::default(),
        /// Rules that are asked every so often, and who is told.
        alerts: Alerts = Alerts::default(),
        /// Files of new rows for engines that datasets are moved from.
        mirror: Mirror = Mirror::default(),
        /// Copies of the data folder, taken while the server runs.
        backup: Backup = Backup::default(),
        /// How often rows past their retention go, and where old ones are kept.
        lifecycle: Lifecycle = Lifecycle::default(),
        /// How much may come into each dataset.
        quota: Quota = Quota::default(),
        /// An S3 server, for whatever is kept there.
        s3: S3 = S3::default(),
        /// Where spans of the tracing API are, beside ClickHouse, and what models cost.
        tracing: Tracing = Tracing::default(),
        /// What the server stores about itself.
        telemetry: Telemetry = Telemetry::default(),
        /// What the server prints.
        log: Log = Log::default(),
    }
}

section! {
    /// Where the doors are.
    Listen, LISTEN {
        /// SQL, datasets, health, metrics, the web page.
        http: String = "127.0.0.1:8080".into(),
        /// OTLP over HTTP.
        otlp_http: String = "127.0.0.1:4318".into(),
        /// OTLP over gRPC.
        otlp_grpc: String = "127.0.0.1:4317".into(),
        /// Publish the embedded ClickHouse's HTTP interface here, read-only, for any ClickHouse client. Empty: not at all.
        clickhouse_http: String = String::new(),
        /// Connections that each door keeps open at once.
        connections_max: usize = limits::CONNECTIONS_MAX,
    }
}

section! {
    /// Which ClickHouse holds the rows.
    Storage, STORAGE {
        /// "embedded": our own engine process on the data folder. "clickhouse": a server. "memory": the engine without
        /// a folder, everything is gone with the process. Also `STORAGE_BACKEND`.
        backend: Backend = Backend::Embedded,
    }
}

section! {
    /// The embedded ClickHouse.
    Engine, ENGINE {
        /// The program; empty: `tidegate-engine` beside `tidegate`. Also `TIDEGATE_ENGINE`.
        program: String = String::new(),
        /// libchdb's file; empty: searched beside the program and in `lib`. Also `TIDEGATE_LIBCHDB`.
        library: String = String::new(),
        /// Memory of all queries, merges and caches together, in bytes; 0: nine tenths of the machine's.
        memory_bytes: u64 = 0,
        /// Queries that run at once; further ones wait.
        queries_max: u32 = 64,
        /// Threads that merge parts.
        background_pool: u32 = 2,
    }
}

section! {
    /// A ClickHouse server.
    ClickHouse, CLICKHOUSE {
        /// `https://host:8443`; empty: made of the next three. Also `CLICKHOUSE_URL`.
        url: String = String::new(),
        /// The host. Also `CLICKHOUSE_HOST`.
        host: String = "localhost".into(),
        /// The port of its HTTP interface. Also `CLICKHOUSE_PORT`.
        port: u16 = 8443,
        /// HTTPS. Also `CLICKHOUSE_SECURE`.
        secure: bool = true,
        /// Check the server's certificate. It cannot be turned off: give `ca_cert` instead. Also `CLICKHOUSE_VERIFY`.
        verify: bool = true,
        /// PEM file of the authority that signed the server's certificate. Also `CLICKHOUSE_CA_CERT`.
        ca_cert: String = String::new(),
        /// The user that writes. Also `CLICKHOUSE_USER`.
        user: String = "default".into(),
        /// Its password. Also `CLICKHOUSE_PASSWORD`.
        password: String = String::new(),
        /// The user for users' queries; empty: the same as `user`, guarded by `readonly` alone.
        reader_user: String = String::new(),
        /// Its password.
        reader_password: String = String::new(),
        /// The database of all tables, made when absent; also the embedded engine's. Also `CLICKHOUSE_DATABASE`.
        database: String = "tidegate".into(),
        /// The cluster's name in ClickHouse's configuration; empty: one server.
        cluster: String = String::new(),
    }
}

section! {
    /// The write-ahead log and the hot tail.
    Buffer, BUFFER {
        /// "always": a request is acknowledged after its sync. "interval": before; a power cut then loses up to
        /// `sync_interval_ms` of acknowledged rows.
        sync: Sync = Sync::Always,
        /// The interval of the other form (milliseconds).
        sync_interval_ms: u64 = 200,
        /// Hot rows in memory; past it they stay on disk only and are read back.
        hot_tail_bytes: u64 = limits::HOT_TAIL_BYTES,
        /// Bytes of the log on disk past which writes are refused with a hint when to retry.
        wal_bytes: u64 = limits::WAL_BYTES,
        /// Free bytes on the disk below which writes are refused, so that ClickHouse can still merge.
        disk_free_bytes_min: u64 = limits::DISK_FREE_BYTES_MIN,
        /// How long a retry of a request is known as one (seconds).
        dedup_window_seconds: u64 = limits::DEDUP_WINDOW_SECONDS,
    }
}

section! {
    /// What came, counted beside it.
    Catalogue, CATALOGUE {
        /// Count every record, attribute and distinct value, and find the template of each log record.
        enabled: bool = true,
    }
}

section! {
    /// Which rows are kept once they are counted for the catalogue. Without the rows of a signal the catalogue still
    /// tells what came of it; SQL finds them for a few seconds only.
    Retain, RETAIN {
        /// Keep log records.
        logs: bool = true,
        /// Keep events, log records that have a name.
        events: bool = true,
        /// Keep spans.
        traces: bool = true,
        /// Keep data points; series are kept in any case, the catalogue needs them.
        metrics: bool = true,
        /// Log records go when they are so old (hours; 0: never): six months. `tidegate datasets retention logs` decides more,
        /// and with `--preview` tells what goes.
        logs_hours: u64 = limits::RETAIN_LOGS_HOURS,
        /// Events go when they are so old: a year.
        events_hours: u64 = limits::RETAIN_EVENTS_HOURS,
        /// Spans go when they are so old.
        traces_hours: u64 = 0,
        /// Data points go when they are so old: two years.
        metrics_hours: u64 = limits::RETAIN_METRICS_HOURS,
        /// What the catalogue counted goes when its hour is so old.
        catalogue_hours: u64 = 0,
        /// Rows of datasets go when they are so old, unless something else was decided for their dataset.
        datasets_hours: u64 = 0,
        /// Where `logs_hours`, `events_hours` and `metrics_hours` are what they are here, nothing goes for them until so
        /// long after the first start with them (hours); each start until then tells what will go.
        notice_hours: u64 = limits::RETAIN_NOTICE_HOURS,
    }
}

section! {
    /// How log templates are found.
    Templates, TEMPLATES {
        /// Variables of yours: `{ name = "ORDER", regex = 'order-[0-9]+' }` makes `order-17` the word `<ORDER>`. They are
        /// cut out in this order, before the built-in ones. At most 16; each costs time on every line (`docs/templates.md`).
        /// In the environment: TIDEGATE_TEMPLATES__MASKS="[{ name = 'ORDER', regex = 'order-[0-9]+' }]".
        masks: Vec<Mask> = Vec::new(),
        /// Built-in variables that are not cut out: "NUM", "HEX", "IP", "UUID", "MAC", "TIMESTAMP", "DURATION", "SIZE",
        /// "PATH", "URL", "EMAIL", "HOST", "FLAG", "ID".
        built_in_off: Vec<String> = Vec::new(),
        /// Of a body that is a JSON object, the text of the first of these keys is the line; its other keys are no part
        /// of the template. Empty: its keys are the template.
        message_fields: Vec<String> = tidegate_templates::Settings::default().message_fields,
    }
}

section! {
    /// When rows move from the log into ClickHouse.
    Batch, BATCH {
        /// A batch is sealed at so many rows. Late is cheap: merges dominate, and answers are fresh without it.
        rows: u64 = limits::BATCH_ROWS,
        /// A batch is sealed at so many bytes.
        bytes: u64 = limits::BATCH_BYTES,
        /// A batch is sealed when its oldest row has waited so long (milliseconds).
        age_ms: u64 = limits::BATCH_AGE_MS,
    }
}

section! {
    /// Limits of every read.
    Query, QUERY {
        /// A query runs at most so long.
        seconds: u64 = limits::QUERY_SECONDS,
        /// It uses at most so much memory in ClickHouse.
        memory_bytes: u64 = limits::QUERY_MEMORY_BYTES,
        /// It answers with at most so many rows; past it it fails, it is never cut short.
        result_rows: u64 = limits::QUERY_RESULT_ROWS,
        /// It answers with at most so many bytes; past it it fails.
        result_bytes: u64 = limits::QUERY_RESULT_BYTES,
        /// How long `min_watermark` waits for rows that are not acknowledged yet (milliseconds).
        fresh_wait_ms: u64 = limits::FRESH_WAIT_MS,
        /// Let `POST /sql/admin/clickhouse` run any statement in ClickHouse, with all rights. Whoever reaches the port can
        /// then change and remove rows.
        admin_sql: bool = false,
    }
}

section! {
    /// How far ClickHouse may be behind what was acknowledged. Answers are whole all the same: the rows that it lacks
    /// come from the hot tail.
    Freshness, FRESHNESS {
        /// The age of the oldest row that ClickHouse does not have, past which an alarm is raised: a line in the log,
        /// `timestore_replica_late` and `/health` (milliseconds; 0: never).
        replica_age_sla_ms: u64 = limits::REPLICA_AGE_SLA_MS,
    }
}

section! {
    /// Exports of tables to files (`docs/exports.md`).
    Exports, EXPORTS {
        /// The folder below which all exports are; empty: `exports` in the data folder.
        folder: String = String::new(),
        /// Where the exports of a dataset without a storage target of its own go: "local", the folder; "s3", the bucket of
        /// `[s3]`; or a target that somebody made.
        target: String = "local".into(),
        /// Every so many hours each dataset is exported whole; 0: never. 24 is once a day.
        every_hours: u64 = 0,
        /// So many of these exports of each table keep their files; 0: all.
        keep: u32 = limits::EXPORTS_KEPT,
        /// The datasets that are exported so; built-in tables are named like datasets. Empty: every active dataset, and no
        /// built-in table.
        datasets: Vec<String> = Vec::new(),
        /// Where it is told that an export was asked for, is completed or has failed; empty: nowhere.
        webhook_url: String = String::new(),
        /// What these messages are signed with.
        webhook_secret: String = String::new(),
    }
}

section! {
    /// Rules that are asked every so often, and who is told (`docs/alerts.md`).
    Alerts, ALERTS {
        /// Rules for processor, memory and disk of the hosts that an agent watches.
        defaults: bool = true,
        /// What still fires is told again after so many hours; 0: never.
        repeat_hours: u64 = 4,
        /// Further rules: `[[alerts.rules]]` with `name`, `sql` or `promql`, `above`, `below` or `anomaly`, …
        rules: Vec<Rule> = Vec::new(),
        /// The receiver `webhook`: where messages are posted as JSON; empty: nowhere.
        webhook_url: String = String::new(),
        /// What these messages are signed with.
        webhook_secret: String = String::new(),
        /// The receiver `slack`: an incoming webhook of Slack, or of one that takes the same; empty: none.
        slack_url: String = String::new(),
        /// The receiver `mail`: the mail server, like smtps://user:password@host:465; empty: none.
        smtp_server: String = String::new(),
        /// Who mail is from.
        smtp_from: String = String::new(),
        /// Who gets mail.
        smtp_to: Vec<String> = Vec::new(),
    }
}

section! {
    /// Files of new rows for engines that datasets are moved from (`docs/migrate.md`).
    Mirror, MIRROR {
        /// The folder below which they are, so that the older engine can read it; empty: `mirror` in the data folder.
        folder: PathBuf = PathBuf::new(),
    }
}

section! {
    /// Copies of the data folder, taken while the server runs (`docs/backup.md`).
    Backup, BACKUP {
        /// Where backups go: "folder", or "s3": the bucket of `[s3]`, below `backups`. The folder then holds each until it is
        /// there; empty: one in the data folder.
        target: BackupTarget = BackupTarget::Folder,
        /// The folder that `tidegate backup` writes to, best on another disk; made when absent. The embedded ClickHouse is
        /// let into it. Empty: no backups are taken.
        folder: PathBuf = PathBuf::new(),
        /// Every so many hours a backup is taken; 0: never. 24 is once a day.
        every_hours: u64 = 0,
        /// So many of these are kept, and those that they refer to; 0: all. What was taken by hand stays.
        keep: u32 = limits::BACKUPS_KEPT,
        /// At most so many of these refer to each other: every so many-th one is full; 1: each is.
        chain_max: u32 = limits::BACKUP_CHAIN_MAX,
        /// Every so many hours the newest backup is restored on trial, beside the server, and verified; 0: never.
        drill_hours: u64 = 0,
    }
}

section! {
    /// An S3 server, for whatever is kept there. Without a bucket nothing is.
    S3, S3_SETTINGS {
        /// `https://host:9000`; empty: Amazon's, of the region.
        endpoint: String = String::new(),
        /// The region that requests are signed for; servers of one's own take any.
        region: String = "us-east-1".into(),
        /// The bucket, which must be there.
        bucket: String = String::new(),
        /// What the name of every object begins with, such as `tidegate/production`.
        prefix: String = String::new(),
        /// Who asks. Also `AWS_ACCESS_KEY_ID`.
        access_key_id: String = String::new(),
        /// What requests are signed with. Also `AWS_SECRET_ACCESS_KEY`.
        secret_access_key: String = String::new(),
        /// Ask for `https://host/bucket/object`; false: `https://bucket.host/object`, which Amazon prefers.
        path_style: bool = true,
    }
}

section! {
    /// How often rows past their retention go, and where old ones are kept (`docs/lifecycle.md`).
    Lifecycle, LIFECYCLE {
        /// How often it is looked what is past its retention, and what is to be moved (seconds; 0: only when asked).
        every_seconds: u64 = limits::LIFECYCLE_SECONDS,
        /// A folder on another disk for old partitions; made when absent. The embedded ClickHouse is let into it. It cannot
        /// be taken away again while rows are there. Empty: none.
        cold_folder: PathBuf = PathBuf::new(),
        /// Keep old partitions on the server of `s3` instead; the embedded ClickHouse is let out to the network for that.
        cold_s3: bool = false,
        /// Bytes of the cold volume on S3 that are kept on the local disk when they are read; 0: none.
        cold_cache_bytes: u64 = limits::COLD_CACHE_BYTES,
        /// A partition goes to the cold volume when its last row is so old (hours; 0: never), unless something else was
        /// decided for its dataset.
        cold_after_hours: u64 = 0,
    }
}

section! {
    /// How much may come into each dataset, and into logs, spans and metrics; 0: as much as there is room for. Past it
    /// writes are answered with 429. `PUT /admin/datasets/{id}/quota` decides for one dataset.
    Quota, QUOTA {
        /// Rows a second.
        rows_per_second: u64 = 0,
        /// Bytes of request bodies a second, uncompressed.
        bytes_per_second: u64 = 0,
        /// Bytes that its tables take in ClickHouse.
        stored_bytes: u64 = 0,
    }
}

section! {
    /// Where spans of the tracing API are, beside ClickHouse, and what models cost (`docs/tracing-api.md`).
    Tracing, TRACING {
        /// The PostgreSQL that is the primary: `postgres://user:password@host/database`; empty: none. Also
        /// `TIDEGATE_POSTGRES`.
        postgres_url: String = String::new(),
        /// Its table, as schema.name; made when absent.
        postgres_table: String = "public.spans".into(),
        /// Of projects for which nothing else was decided: "postgres", "dual" or "clickhouse". With `USE_CLICKHOUSE` and a
        /// PostgreSQL it is "dual" (true) or "postgres" (false), unless it is set.
        mode: TracingMode = TracingMode::ClickHouse,
        /// Which side answers reads in mode "dual": "postgres" or "clickhouse".
        reads: TracingReads = TracingReads::Postgres,
        /// A file of prices of models, which go before those that are known, as `GET /tracing/prices` tells them; empty: none.
        prices: String = String::new(),
    }
}

section! {
    /// What the server stores about itself.
    Telemetry, TELEMETRY {
        /// Store the server's own metrics and logs, as the service `tidegate`.
        own: bool = true,
        /// How often its metrics are stored (milliseconds).
        interval_ms: u64 = limits::SELF_TELEMETRY_MS,
    }
}

section! {
    /// Which scopes requests for datasets need. They are read from the header `x-iam-scopes`, which a gateway before
    /// Tidegate must write: Tidegate knows no users. Empty: none.
    Access, ACCESS {
        /// For reads of datasets.
        read_scope: String = String::new(),
        /// For rows into datasets.
        write_scope: String = String::new(),
        /// For what is under `/admin`; whoever has it may do everything else too.
        admin_scope: String = String::new(),
    }
}

section! {
    /// What the server prints.
    Log, LOG {
        /// In the words of `RUST_LOG`: "info", "debug", "info,tidegate_core=debug".
        level: String = "info".into(),
        /// "json", "text", or "auto": text on a terminal, JSON elsewhere.
        format: LogFormat = LogFormat::Auto,
    }
}

/// A variable of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { name = \"ORDER\", regex = 'order-[0-9]+' }")]
pub(crate) struct Mask {
    /// What stands in the template, between angle brackets.
    pub(crate) name: String,
    /// What it finds.
    pub(crate) regex: String,
}

/// Which ClickHouse holds the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Backend {
    Embedded,
    ClickHouse,
    Memory,
}

/// When a request is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sync {
    Always,
    Interval,
}

/// Where backups go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BackupTarget {
    Folder,
    S3,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Json,
    Text,
}

impl Templates {
    /// Returns them as the miner takes them.
    pub(crate) fn of_miner(&self) -> tidegate_templates::Settings {
        let mask = |mask: &Mask| UserMask { name: mask.name.clone(), regex: mask.regex.clone() };
        tidegate_templates::Settings {
            masks: self.masks.iter().map(mask).collect(),
            built_in_off: self.built_in_off.clone(),
            message_fields: self.message_fields.clone(),
        }
    }
}

impl Retain {
    /// Returns the signals whose rows are not kept, as their settings are called.
    pub(crate) fn dropped(&self) -> Vec<&'static str> {
        // Events are counted as the log records that they came as.
        let signals = [("logs", self.logs && self.events), ("traces", self.traces), ("metrics", self.metrics)];
        signals.into_iter().filter(|(_, kept)| !kept).map(|(signal, _)| signal).collect()
    }
}

/// Returns what a setting or a section does, by its path.
pub(super) fn explained(path: &str) -> Option<&'static [&'static str]> {
    let (section, key) = path.split_once('.').map_or((SETTINGS, path), |(section, key)| (list(section), key));
    section.iter().find(|(name, _)| *name == key).map(|(_, lines)| *lines)
}

fn list(section: &str) -> &'static [(&'static str, &'static [&'static str])] {
    match section {
        "listen" => LISTEN,
        "storage" => STORAGE,
        "engine" => ENGINE,
        "clickhouse" => CLICKHOUSE,
        "buffer" => BUFFER,
        "batch" => BATCH,
        "catalogue" => CATALOGUE,
        "retain" => RETAIN,
        "templates" => TEMPLATES,
        "query" => QUERY,
        "access" => ACCESS,
        "freshness" => FRESHNESS,
        "exports" => EXPORTS,
        "alerts" => ALERTS,
        "mirror" => MIRROR,
        "backup" => BACKUP,
        "lifecycle" => LIFECYCLE,
        "quota" => QUOTA,
        "s3" => S3_SETTINGS,
        "tracing" => TRACING,
        "telemetry" => TELEMETRY,
        "log" => LOG,
        _ => &[],
    }
}
