/// How long a caller waits for the catalog before it is told (milliseconds): a commit takes one sync, far less.
pub const CATALOG_WAIT_MS: u64 = 30_000;

/// Names of metrics, spans and severities that the catalogue tells apart, over all signals; further ones are counted
/// together. 8 bytes each, and far more than a fleet has: the reference asks for lists of 100,000 metrics.
pub const CATALOG_NAMES_MAX: usize = 1 << 19;

/// Services that the catalogue tells apart.
pub const CATALOG_SERVICES_MAX: usize = 1 << 16;

/// Keys of attributes, by signal and scope, that the catalogue tells apart.
pub const CATALOG_KEYS_MAX: usize = 1 << 16;

/// Values of one key whose text the catalogue keeps: nobody browses more; their number stays exact past it.
pub const CATALOG_VALUES_PER_KEY: usize = 10_000;

/// Values of all keys whose text the catalogue keeps; 16 bytes each in memory.
pub const CATALOG_VALUES_MAX: usize = 1 << 21;

/// What is kept of a value's text, in bytes: enough to know it again.
pub const CATALOG_VALUE_BYTES: usize = 1_024;

/// What is kept of a body as an example, in bytes.
pub const CATALOG_EXAMPLE_BYTES: usize = 256;

/// Rows of `catalog_signals` that one batch makes; what further names, services and hours bring is counted together.
/// A group takes about 400 bytes while the batch is counted; a batch of the usual size never has so many.
pub const CATALOG_GROUPS_PER_BATCH: usize = 1 << 18;

/// Rows of `catalog_attributes` that one batch makes before further keys are counted together; about 150 bytes each.
pub const CATALOG_ATTRIBUTES_PER_BATCH: usize = 1 << 18;

/// Distinct values (their hashes, 8 bytes each) that one row of `catalog_attributes` takes, to about 3 %: what comes
/// past it is counted as `unlisted`. ClickHouse holds several times as much while it merges such a row.
pub const CATALOG_HASHES_PER_ROW: usize = 1 << 21;

/// A key with more distinct values than this counts as one of high cardinality, as in the reference.
pub const CATALOG_HIGH_CARDINALITY: u64 = 100;

/// Rows of `catalog_attributes` with many values whose number is watched at once; 8 KiB each.
pub const CATALOG_WIDE_ROWS_MAX: usize = 2_048;

/// Hot rows that are counted together for reads of the catalogue; about 15 ms of work.
pub const CATALOG_HOT_BLOCK_ROWS: u64 = 32_768;

/// Series whose attributes are remembered for the catalogue, about 400 bytes each; others are looked up again.
pub const CATALOG_SERIES_KEPT: usize = 1 << 16;

/// Series that one statement looks up: with 21 bytes each it stays well below ClickHouse's 256 KiB of SQL.
pub const CATALOG_SERIES_PER_LOOKUP: usize = 5_000;

/// Qualities (kinds, events, scopes, …) kept of one row of `catalog_signals` and one batch.
pub const CATALOG_FACETS_MAX: usize = 256;

/// What the catalogue of all hours may take in memory, in bytes, about: 100,000 metrics of ten keys fit.
pub const CATALOG_TOTALS_BYTES: usize = 192 << 20;

/// What is kept as JSON of templates in services, in bytes: ten lists of 120 templates in services as the bench has them.
pub const CATALOG_KEPT_BYTES: usize = 4 << 20;

/// Rows that a reader counts without another thread: at most about a millisecond.
pub const COUNTED_INLINE_ROWS: u64 = 64;

/// When nobody has read it for so long, it is dropped (seconds).
pub const CATALOG_TOTALS_UNREAD_SECONDS: u64 = 900;

/// After a failure the tables are not read into memory again for so long (seconds).
pub const CATALOG_TOTALS_RETRY_SECONDS: u64 = 5;

/// Items of a list of the catalogue that are read and sent together; the reference streams longer ones as well.
pub const CATALOG_PIECE_ITEMS: usize = 1_000;

/// How often what is known of log templates is saved, if it changed (milliseconds): words that were found to vary since
/// then are found again after a crash. Ids do not depend on it, and a state is mostly below 1 MiB.
pub const TEMPLATES_SAVE_MS: u64 = 2_000;

/// Sessions that are kept, as the reference has it.
pub const CATALOG_SESSIONS_MAX: usize = 50;

/// One row of a session as JSON, in bytes: six million distinct values of one attribute in one hour.
pub const CATALOG_SESSION_ROW_BYTES_MAX: usize = 128 << 20;

/// One session as JSON, in bytes, as the reference has it; 100,000 metrics of ten keys are about 60 MB.
pub const CATALOG_SESSION_BYTES_MAX: u64 = 1 << 30;
