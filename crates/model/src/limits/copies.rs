use super::DISK_FREE_BYTES_MIN;

/// Exports that wait at once; past it a request is told to come back. One is written at a time.
pub const EXPORTS_WAITING_MAX: u32 = 100;

/// Failed and removed exports that the list of a dataset keeps: a year of days, and some.
pub const EXPORTS_KEPT_IN_LIST: u32 = 400;

/// Exports of one page of a list.
pub const EXPORTS_PAGE_MAX: u32 = 1_000;

/// How often an export is begun before it is given up: one that ends the process must not do so for ever.
pub const EXPORT_ATTEMPTS_MAX: u32 = 3;

/// How long one export may take (seconds): 10 GB at 1 MB/s.
pub const EXPORT_SECONDS: u64 = 3 * 3_600;

/// Before an export that failed is begun again (milliseconds): an engine that died is there again.
pub const EXPORT_RETRY_MS: u64 = 2_000;

/// How often it is looked whether the schedule wants an export (seconds); it counts in hours.
pub const EXPORT_LOOK_SECONDS: u64 = 60;

/// Scheduled exports of a table whose files are kept, as the reference has it.
pub const EXPORTS_KEPT: u32 = 10;

/// Bytes of an export between two looks at the room on the disk.
pub const EXPORT_DISK_LOOK_BYTES: u64 = 64 << 20;

/// Free bytes on the disk below which an export gives up: well before writes of rows are refused.
pub const EXPORT_DISK_FREE_BYTES_MIN: u64 = 2 * DISK_FREE_BYTES_MIN;

/// Rows of an export's file that are decoded at once when it is read back: two columns of them.
pub const EXPORT_CHECK_ROWS: usize = 65_536;

/// How often an event is sent before it is given up: with the pauses below over half an hour.
pub const EXPORT_EVENT_ATTEMPTS_MAX: u32 = 16;

/// The pause after the first failure of an event (milliseconds); doubled after each further one.
pub const EXPORT_EVENT_PAUSE_MS: u64 = 250;

/// The longest of these pauses (milliseconds).
pub const EXPORT_EVENT_PAUSE_MAX_MS: u64 = 300_000;

/// How long a webhook may take to answer (milliseconds).
pub const EXPORT_EVENT_TIMEOUT_MS: u64 = 10_000;

/// How long a backup waits for the batches that are on their way (milliseconds): as a statement of ours may take.
pub const BACKUP_DRAIN_MS: u64 = 60_000;

/// How often it looks whether they have arrived (milliseconds).
pub const BACKUP_LOOK_MS: u64 = 10;

/// The name of a backup, in bytes: it is a folder's name, and stands in ClickHouse's own files.
pub const BACKUP_NAME_BYTES_MAX: usize = 64;

/// The body of a request for a backup, in bytes: two names.
pub const BACKUP_BODY_BYTES_MAX: usize = 4_096;

/// Bytes of an object that are sent or asked for at once; each piece is retried by itself, and two are in memory.
pub const S3_PIECE_BYTES: u64 = 16 << 20;

/// Pieces of one object: S3 takes 10,000, so that larger files are cut into larger pieces.
pub const S3_PIECES_MAX: u64 = 9_000;

/// How long one request to an S3 server may take (milliseconds): a piece at 300 kB/s.
pub const S3_REQUEST_MS: u64 = 60_000;

/// How long a connection to an S3 server may take (milliseconds).
pub const S3_CONNECT_MS: u64 = 5_000;

/// How often a request to an S3 server is sent again before what needs it fails; that has retries of its own.
pub const S3_RETRIES_MAX: usize = 5;

/// The pause before the first of these retries (milliseconds); doubled, with chance in it, before each further one.
pub const S3_RETRY_FIRST_MS: u64 = 100;

/// The longest of these pauses (milliseconds).
pub const S3_RETRY_PAUSE_MAX_MS: u64 = 5_000;

/// No request to an S3 server is sent again after so long (milliseconds).
pub const S3_RETRY_MS: u64 = 120_000;

/// An object that is read whole into memory, such as a manifest, in bytes: a backup's names each of its files.
pub const S3_TEXT_BYTES_MAX: u64 = 256 << 20;

/// Drills that are remembered: one a day for more than a year.
pub const BACKUP_DRILLS_KEPT: u32 = 400;

/// How often it is looked whether a backup or a drill is due (seconds); the settings count in hours.
pub const BACKUP_SCHEDULE_SECONDS: u64 = 60;

/// Backups of one chain: a restore reads all of them, and all of them must be sound.
pub const BACKUP_CHAIN_MAX: u32 = 7;

/// Drills that wait at once: one runs at a time, and each restores everything.
pub const BACKUP_DRILLS_WAITING_MAX: usize = 4;
/// How often it is looked what is past its retention (seconds), unless a setting says otherwise: partitions are days.
pub const LIFECYCLE_SECONDS: u64 = 900;

/// The longest freeze (seconds). It ends by itself then: nobody who is gone keeps a dataset closed.
pub const FREEZE_SECONDS_MAX: u64 = 3_600;

/// A freeze, where nobody says how long (seconds): minutes of rows are taken and compared in it, not a history.
pub const FREEZE_SECONDS: u64 = 300;

/// The body of a request about a migration, in bytes: names and fingerprints of files, or what a comparison came to.
pub const MIGRATION_BODY_BYTES_MAX: usize = 4 << 20;

/// What a migration says of its source, and where reads go, in bytes each.
pub const MIGRATION_SOURCE_BYTES_MAX: usize = 16 << 10;

/// The path of a file of an older engine, in bytes: it stands in each of its rows, once per batch.
pub const MIGRATION_FILE_BYTES_MAX: usize = 1_024;

/// Rows of one file for an older engine: as a batch, so that few files come of many rows.
pub const MIRROR_ROWS: u64 = 200_000;

/// How often it is looked whether an older engine lacks rows (milliseconds): it may be as far behind as ClickHouse is.
pub const MIRROR_LOOK_MS: u64 = 2_000;

/// The pause after a file for an older engine failed (milliseconds).
pub const MIRROR_RETRY_MS: u64 = 5_000;

/// Rows of an older engine that are sent in one request: a batch in memory, and a range that is sent again after a crash.
pub const PIECE_ROWS_MAX: u64 = 65_536;

/// The size of such a request as Parquet says it, before it is packed (bytes): half of what a request may have.
pub const PIECE_BYTES: u64 = 16 << 20;
