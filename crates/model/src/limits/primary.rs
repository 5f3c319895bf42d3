/// Connections to the PostgreSQL of the tracing API: its servers take a hundred by default, and applications need theirs.
pub const PRIMARY_CONNECTIONS_MAX: u32 = 16;

/// How long a request waits for one of them (milliseconds), also while PostgreSQL is away: then it is told to come back.
pub const PRIMARY_CONNECT_MS: u64 = 2_000;

/// How long one statement may take there, and all of a read (seconds): what clients of the API are used to.
pub const PRIMARY_SECONDS: u64 = 15;

/// Rows of PostgreSQL that one read looks at: what a filter asks of them is asked here, at a hundred thousand in a second or two.
pub const PRIMARY_READ_ROWS_MAX: u64 = 200_000;

/// Bytes of these rows: in memory they take a few times as many.
pub const PRIMARY_READ_BYTES_MAX: u64 = 256 << 20;

/// Rows that are fetched at first: so many tell how large they are.
pub const PRIMARY_FETCH_ROWS: u64 = 16;

/// Rows that are fetched at once later, at the most: a page of an answer is mostly among them.
pub const PRIMARY_FETCH_ROWS_MAX: u64 = 500;

/// Bytes that are fetched at once later, as far as earlier rows tell: a short page of large rows asks for few of them.
pub const PRIMARY_FETCH_BYTES: u64 = 8 << 20;

/// Traces whose spans are fetched at once.
pub const PRIMARY_TRACES_AT_ONCE: usize = 500;

/// Transactions that are begun again after a deadlock or a conflict; who still fails is told to come back.
pub const PRIMARY_ATTEMPTS_MAX: u32 = 4;

/// How long a read waits until ClickHouse has all that PostgreSQL had committed (milliseconds); then PostgreSQL answers it.
pub const PRIMARY_LEVEL_MS: u64 = 1_000;

/// How often it looks meanwhile (milliseconds).
pub const PRIMARY_LEVEL_LOOK_MS: u64 = 20;

/// How often it is looked how far ClickHouse is behind PostgreSQL (milliseconds).
pub const PRIMARY_LOOK_MS: u64 = 1_000;

/// How often changes are asked for that nobody of this process made (milliseconds).
pub const PRIMARY_FOLLOW_MS: u64 = 250;

/// The pause after a side was away (milliseconds).
pub const PRIMARY_AWAY_MS: u64 = 2_000;

/// How long ClickHouse may take for a read that PostgreSQL could answer too (milliseconds): half of what both may take.
pub const PRIMARY_CLICKHOUSE_MS: u64 = 7_000;
