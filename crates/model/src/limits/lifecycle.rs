/// How long log records are kept (hours), unless a setting says otherwise: 183 days, six months.
pub const RETAIN_LOGS_HOURS: u64 = 183 * 24;
/// How long events are kept (hours), unless a setting says otherwise: a year.
pub const RETAIN_EVENTS_HOURS: u64 = 365 * 24;
/// How long data points are kept (hours), unless a setting says otherwise: two years.
pub const RETAIN_METRICS_HOURS: u64 = 2 * 365 * 24;
/// How long after its first start with such a default nothing goes for it (hours): two weeks, in which somebody reads what
/// every start tells, and decides otherwise.
pub const RETAIN_NOTICE_HOURS: u64 = 14 * 24;
/// How long a row may stay past its retention (seconds), unless said otherwise: a day's partition goes whole then.
pub const RETENTION_GRACE_SECONDS: u64 = 86_400;

/// How long a removal waits for batches of its table that are on their way, and for copies and recounts that need the
/// rows (milliseconds); then the next run does it.
pub const LIFECYCLE_DRAIN_MS: u64 = 10_000;

/// How often it looks whether they have arrived (milliseconds).
pub const LIFECYCLE_LOOK_MS: u64 = 10;

/// How long ClickHouse may take to remove rows from a partition or to move one (milliseconds): 100 GB at 30 MB/s.
pub const LIFECYCLE_WORK_MS: u64 = 3_600_000;

/// Steps that the report of one run lists; all are counted.
pub const LIFECYCLE_STEPS_LISTED_MAX: usize = 1_000;

/// Runs that the catalog keeps: ten days of one each quarter of an hour.
pub const LIFECYCLE_RUNS_KEPT: u32 = 1_000;

/// Runs of one page of a list.
pub const LIFECYCLE_PAGE_MAX: u32 = 1_000;

/// How often it is looked whether a row is past its retention and grace (milliseconds): one question of each table to the
/// catalog.
pub const LIFECYCLE_ALARM_LOOK_MS: u64 = 5_000;

/// The longest that a request past a quota is told to wait (milliseconds): then it may be worth a try whatever was taken ahead.
pub const QUOTA_RETRY_MS_MAX: u64 = 60_000;

/// When a request into a dataset that is full is worth another try (milliseconds): its size is looked at so often.
pub const QUOTA_STORED_RETRY_MS: u64 = 30_000;

/// How often it is looked how much each dataset has stored (milliseconds), while some quota says how much it may.
pub const QUOTA_LOOK_MS: u64 = 2_000;
/// Migrations that a list has: a team moves a few tables, once.
pub const MIGRATIONS_LISTED_MAX: u32 = 500;

/// Memory that filling a roll-up with a day of rows may take in ClickHouse before it goes on on disk: a quarter of the
/// smallest machine.
pub const ROLL_UP_FILL_BYTES: u64 = 536_870_912;

/// How often a read asks roll-ups before it asks rows, when a batch on its way has merged with stored rows.
pub const ROLL_UP_TRIES: u32 = 8;

/// The pause between two of these (milliseconds): most batches are noted as stored within one or two.
pub const ROLL_UP_PAUSE_MS: u64 = 60;
