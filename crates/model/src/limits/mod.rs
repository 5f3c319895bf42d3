//! Every limit that is not a setting, with the reason for its number. Settings have their defaults here too.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | what comes in, is buffered, stored and asked for |
//! | `alerts.rs` | alerts |
//! | `catalogue.rs` | what is counted, and what reads of it may take |
//! | `copies.rs` | exports, backups, buckets, moves from older engines |
//! | `lifecycle.rs` | how long rows stay, and how many may come |
//! | `primary.rs` | PostgreSQL as the primary of the tracing API |

mod alerts;
mod catalogue;
mod copies;
mod lifecycle;
mod primary;

pub use alerts::*;
pub use catalogue::*;
pub use copies::*;
pub use lifecycle::*;
pub use primary::*;

/// A table's name, in bytes: a ClickHouse folder name holds it with room for suffixes, and existing clients allow 120.
pub const TABLE_NAME_BYTES_MAX: usize = 120;

/// A request's body before decompression: OTLP exporters send at most a few MiB; 64 leaves room for backfills.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;

/// A request's body after decompression; past it the request is refused, so a bomb costs no more than this.
pub const REQUEST_INFLATED_BYTES_MAX: usize = 64 << 20;

/// What is read of a body that is refused for its size, so that its client, which still sends, sees the answer.
pub const DISCARDED_BYTES_MAX: usize = 256 << 20;

/// A larger body of rows, packed or not, which waits on the disk: what a day's file of a busy service takes. Past it there is `tidegate ingest`, which has no limit.
pub const LARGE_BODY_BYTES_MAX: u64 = 8 << 30;

/// A part of a larger body: enough for a request's fixed costs to vanish.
pub const LARGE_BODY_PART_BYTES: usize = 16 << 20;

/// Larger bodies that are taken at once: each holds a core and its room on the disk.
pub const LARGE_BODIES_MAX: usize = 2;

/// Rows of one request, and items of the lists in them: an empty record takes two bytes on the wire and 250 as a row.
pub const REQUEST_ROWS_MAX: usize = 1 << 20;

/// What a request's resources and scopes may take when repeated in each row; past it the request is refused.
pub const REQUEST_EXPANDED_BYTES_MAX: usize = 256 << 20;

/// Requests that wait for a core to decode them; past it they are refused with a retry hint. At a millisecond each they wait a quarter of a second.
pub const INGEST_WAITING_MAX: usize = 512;

/// When a request that found too many waiting is worth another try (milliseconds).
pub const INGEST_RETRY_AFTER_MS: u64 = 250;

/// Nesting of attribute values (arrays and key-value lists): what protobuf libraries allow by default is 100; real data stays under 5.
pub const VALUE_DEPTH_MAX: usize = 32;

/// Rejections that one answer spells out; the rest is only counted.
pub const REJECTIONS_LISTED_MAX: usize = 100;

/// How long a byte-identical request, or one with the same idempotency key, counts as a retry (seconds).
pub const DEDUP_WINDOW_SECONDS: u64 = 600;

/// Keys that the dedup window holds; past it the oldest are forgotten early, and counted. 64 bytes each: 64 MiB.
pub const DEDUP_KEYS_MAX: usize = 1 << 20;

/// One WAL segment: large enough that a file switch is rare, small enough that trimming keeps up.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// One WAL frame: a request at its limit, with the overhead of its Arrow form.
pub const FRAME_BYTES_MAX: usize = 512 << 20;

/// Seal a batch at this many rows (`labs`: merges cost half as much at 200 k rows a batch as at 10 k).
pub const BATCH_ROWS: u64 = 200_000;

/// Seal a batch at this many bytes of hot rows.
pub const BATCH_BYTES: u64 = 64 << 20;

/// Seal a batch whose oldest row has waited this long (milliseconds); freshness does not depend on it.
pub const BATCH_AGE_MS: u64 = 5_000;

/// What a request was told, kept in its frame for a retry: an OTLP partial success with a message is far below.
pub const ANSWER_BYTES_MAX: usize = 4 << 10;

/// Tables that one frame brings rows for: OTLP metrics use 5; datasets one.
pub const FRAME_SECTIONS_MAX: usize = 1_024;

/// Bytes that wait for the commit thread; past it appends are refused: a disk that takes 100 MB/s needs 1.3 s for them.
pub const APPEND_QUEUE_BYTES_MAX: u64 = 128 << 20;

/// Bytes that one sync covers at most, so that the first request of a group does not wait for all others to be written.
pub const COMMIT_GROUP_BYTES: u64 = 8 << 20;

/// Files of trimmed segments that are kept to be written again (syncing written blocks is three times as fast).
pub const SPARE_SEGMENTS_MAX: usize = 2;

/// How often the free disk space is asked for (milliseconds): `statvfs` is cheap, and a second of writes fits the reserve.
pub const DISK_FREE_CHECK_MS: u64 = 1_000;

/// Hot rows held in memory before further ones stay on disk only and are read back for a query or an insert: two
/// batches, the one in flight and the one that fills. The server holds about 260 MiB beside them under full load.
pub const HOT_TAIL_BYTES: u64 = 2 * BATCH_BYTES;

/// WAL bytes on disk past which writes are refused: an hour of an absent ClickHouse at 10 k rows/s is about 14 GB.
pub const WAL_BYTES: u64 = 16 << 30;

/// Free disk space below which writes are refused, so that ClickHouse can still merge.
pub const DISK_FREE_BYTES_MIN: u64 = 1 << 30;

/// How long a stop may take to flush the hot tail (milliseconds).
pub const STOP_FLUSH_MS: u64 = 10_000;

/// How long `min_watermark` and `requireFresh` wait (milliseconds).
pub const FRESH_WAIT_MS: u64 = 2_000;

/// How old the oldest row may be that ClickHouse does not have before an alarm is raised (milliseconds): a batch waits
/// 5 s and is inserted in one, so twice that and more means that something holds it up.
pub const REPLICA_AGE_SLA_MS: u64 = 15_000;

/// How long `/ready` and `/health` wait for a sign of life of a ClickHouse elsewhere (milliseconds): whoever asks them has
/// a second, mostly.
pub const READY_PING_MS: u64 = 500;

/// How often that age is looked at (milliseconds), for the log.
pub const REPLICA_LOOK_MS: u64 = 1_000;

/// A user's SQL text, in bytes.
pub const SQL_BYTES_MAX: usize = 100_000;

/// A user's query runs at most this long (seconds).
pub const QUERY_SECONDS: u64 = 30;

/// A user's query uses at most this much memory in the engine (bytes).
pub const QUERY_MEMORY_BYTES: u64 = 2 << 30;

/// A user's query answers with at most this many rows; past it the query fails, it is never cut short.
pub const QUERY_RESULT_ROWS: u64 = 10_000_000;

/// A user's query answers with at most this many bytes before compression.
pub const QUERY_RESULT_BYTES: u64 = 4 << 30;

/// A user's SQL: ClickHouse's own default of `max_query_size`.
pub const QUERY_SQL_BYTES_MAX: usize = 256 << 10;

/// Hot rows that travel with one query, encoded; four times the hot tail's memory. A larger tail means that ClickHouse
/// has been away for long, and then the query fails with that reason instead of leaving rows out.
pub const QUERY_HOT_BYTES_MAX: u64 = 4 * HOT_TAIL_BYTES;

/// How often a read that waits for rows looks again (milliseconds).
pub const QUERY_WAIT_POLL_MS: u64 = 10;

/// The first pause before a read asks an engine again that does not answer (milliseconds); an engine restarts in 300.
pub const QUERY_RETRY_MS: u64 = 50;

/// Opening a connection to ClickHouse (milliseconds): past it the machine is away, not slow.
pub const STORE_CONNECT_MS: u64 = 5_000;

/// An unused connection to ClickHouse is closed after this (milliseconds): below ClickHouse's own `keep_alive_timeout` of 10 s.
pub const STORE_IDLE_MS: u64 = 8_000;

/// ClickHouse's sign of life (milliseconds).
pub const STORE_PING_MS: u64 = 5_000;

/// One of our own statements, DDL on a busy cluster included (milliseconds).
pub const STORE_STATEMENT_MS: u64 = 60_000;

/// One insert (milliseconds): a batch takes about a second; past this it is tried again under its token.
pub const STORE_INSERT_MS: u64 = 300_000;

/// How often our own statement is tried again when ClickHouse could not be reached, and the first pause (milliseconds, doubled each time).
pub const STORE_RETRIES: u32 = 3;

/// See [`STORE_RETRIES`].
pub const STORE_RETRY_MS: u64 = 50;

/// An error's text from ClickHouse: it may quote the statement; 16 KiB is also ClickHouse's own limit in the middle of an answer.
pub const STORE_ERROR_BYTES_MAX: usize = 16 << 10;

/// How long the engine may take until it answers (milliseconds): 0.3 s when empty, longer when it loads many parts.
pub const ENGINE_READY_MS: u64 = 120_000;

/// The first pause before the engine is started again (milliseconds), doubled each time it dies young.
pub const ENGINE_BACKOFF_MS_MIN: u64 = 100;

/// The longest such pause (milliseconds): an engine whose fault was mended is back soon.
pub const ENGINE_BACKOFF_MS_MAX: u64 = 10_000;

/// An engine that lived so long did not die young (milliseconds).
pub const ENGINE_STEADY_MS: u64 = 60_000;

/// How long the engine may take to stop before it is killed (milliseconds): it ends its queries within 8 s.
pub const ENGINE_STOP_MS: u64 = 10_000;

/// Batches of different tables in flight at once: the engine gains nothing from more on two cores, and each holds a few pieces of encoded rows.
pub const BATCH_TABLES_AT_ONCE: usize = 2;

/// A compressed Arrow stream goes to ClickHouse in pieces of about this many bytes: few calls, and memory is freed as they are sent.
pub const BATCH_PIECE_BYTES: usize = 256 << 10;

/// Pieces of an insert that wait for the socket; past it the encoder waits. 8,192 log records are about ten of them.
pub const BATCH_PIECES_WAITING_MAX: usize = 8;

/// Buffers below this are copied together: a piece of its own in a request costs more than copying so many bytes.
pub const SENT_COPIED_BYTES_MAX: usize = 16 << 10;

/// The first pause before a batch is tried again (milliseconds), doubled each time.
pub const BATCH_RETRY_MS_MIN: u64 = 100;

/// The longest such pause (milliseconds): a ClickHouse that came back is used soon.
pub const BATCH_RETRY_MS_MAX: u64 = 10_000;

/// The pause after a refusal that only a person can mend (milliseconds).
pub const BATCH_STUCK_RETRY_MS: u64 = 30_000;

/// How often a table's watermark is promoted in ClickHouse while more of its rows wait (milliseconds): an insert each.
pub const BATCH_PROMOTE_MS: u64 = 1_000;

/// How often the mover looks whether a batch is due, while rows wait (milliseconds).
pub const BATCH_LOOK_MS: u64 = 25;

/// How often the ledger's counts are saved (milliseconds); a crash loses the counts, never the rows, of this time.
pub const BATCH_SAVE_MS: u64 = 1_000;

/// A request's body may pause for so long (milliseconds): longer than a stall of a bad network, shorter than patience.
pub const BODY_IDLE_MS: u64 = 30_000;

/// A connection sends its request's head within this (milliseconds), so that silent ones do not pile up.
pub const HEAD_READ_MS: u64 = 30_000;

/// Connections of one listener; past it the next one waits for one to end. A file handle each, of the usual 65,536.
pub const CONNECTIONS_MAX: usize = 8_192;

/// Requests in flight on one gRPC connection: exporters use 1, collectors a few tens.
pub const GRPC_STREAMS_MAX: u32 = 256;

/// Flow-control window of a gRPC stream (bytes): a request of 4 MiB needs no round trip of window updates.
pub const GRPC_STREAM_WINDOW_BYTES: u32 = 4 << 20;

/// Flow-control window of a gRPC connection (bytes): four full streams.
pub const GRPC_CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// A dataset's columns: each costs a file and a merge in ClickHouse; wider rows are usually a mistake in the producer.
pub const DATASET_COLUMNS_MAX: usize = 1_000;

/// A column's name, in bytes: what existing clients allow for names.
pub const COLUMN_NAME_BYTES_MAX: usize = 120;

/// A dataset's slug, in bytes: one label of a domain name.
pub const SLUG_BYTES_MAX: usize = 63;

/// An idempotency key, in bytes: what existing clients allow.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Refused rows of one request that are kept to be mended; a file with more has one fault many times.
pub const QUARANTINE_REQUEST_ROWS_MAX: usize = 10_000;

/// How often tables are compared with the catalog (seconds): drift comes from people, and rarely.
pub const RECONCILE_SECONDS: u64 = 3_600;

/// Refused rows that a dataset has in quarantine; past it further ones are refused as ever, and not kept.
pub const QUARANTINE_ROWS_MAX: i64 = 100_000;

/// Bytes of a dataset's refused rows in quarantine.
pub const QUARANTINE_BYTES_MAX: i64 = 64 << 20;

/// A refused row that is kept, in bytes; nobody mends a larger one by hand.
pub const QUARANTINE_ROW_BYTES_MAX: usize = 64 << 10;

/// How long it is remembered what became of a refused row (seconds): longer than any retry.
pub const QUARANTINE_FORGET_SECONDS: i64 = 86_400;

/// Refused rows that are sent again together.
pub const QUARANTINE_REPLAY_ROWS_MAX: usize = 1_000;

/// Entries of a dataset's audit log; about 200 bytes each.
pub const AUDIT_ENTRIES_MAX: i64 = 10_000;

/// The name of who asks, in bytes: an account's name or an address, with room.
pub const ACTOR_BYTES_MAX: usize = 255;

/// What a request says of its partition, in bytes: it stands in every row, once per batch.
pub const PARTITION_BYTES_MAX: usize = 16 << 10;

/// How often the server stores its own metrics (milliseconds).
pub const SELF_TELEMETRY_MS: u64 = 10_000;

/// Own log records that wait to be stored; past it they are counted and only printed.
pub const SELF_LOGS_QUEUED_MAX: usize = 4_096;

/// Parameters of one statement: more than that is data, and belongs into a table.
pub const SQL_PARAMETERS_MAX: usize = 1_000;

/// The body of a request for SQL: the longest SQL as JSON, with parameters.
pub const SQL_BODY_BYTES_MAX: usize = 1 << 20;

/// Rows times columns of one request of rows: absent values cost memory too, up to 8 bytes each, so 512 MiB.
pub const REQUEST_CELLS_MAX: usize = 64 << 20;

/// Every integer up to here, of either sign, is a double exactly; 2^53 + 1 is not.
pub const DOUBLE_EXACT_MAX: u64 = 1 << 53;

/// Values in arrays and maps of one column of one request: 24 bytes each while they are read, so 200 MiB.
pub const REQUEST_ITEMS_MAX: usize = 8 << 20;

/// How long a query waits for the tables of a ClickHouse that is starting (milliseconds); the embedded one needs half a second.
pub const SCHEMA_WAIT_MS: u64 = 10_000;

/// Rows of a file that are read at once: enough for a request's fixed costs to vanish, and a progress bar still moves.
pub const FILE_BATCH_ROWS: usize = 16_384;

/// Bytes of an NDJSON file that are read at once.
pub const FILE_SLICE_BYTES: usize = 4 << 20;

/// The body that a piece of a file becomes; larger ones are cut, well below what a server takes.
pub const FILE_REQUEST_BYTES_MAX: usize = 32 << 20;

/// Manifests whose rows are hashed again together: as many as one recount has batches, mostly one each.
pub const VERIFY_MANIFESTS_AT_ONCE: u32 = 200;

/// Rows that one statement hashes again, if they are of more than one manifest: at 1 to 3 µs a row far below the time
/// of a statement.
pub const VERIFY_ROWS_AT_ONCE: u64 = 4_000_000;

/// Manifests of one page of a list: half a day of batches of a busy dataset.
pub const MANIFESTS_PAGE_MAX: u32 = 10_000;

/// Rows of one page of a dataset's answer, when the request does not say how many.
pub const DATASET_QUERY_ROWS: u64 = 10_000;

/// The most rows of one page of a dataset's answer: what existing clients may ask for.
pub const DATASET_QUERY_ROWS_MAX: u64 = 500_000;

/// Room that a part of a dataset's answer has from the start.
pub const DATASET_ANSWER_PIECE_BYTES: usize = 256 << 10;

/// Parts of a block of a dataset's answer: a connection is not woken for every few rows, and the first ones leave early.
pub const DATASET_ANSWER_BLOCK_PARTS: usize = 8;

/// Parts of one dataset's answer that are written at the same time.
pub const DATASET_ANSWER_PARTS_WRITTEN: usize = 2;

/// What ClickHouse puts into one block of a dataset's answer, by the rows' usual size: a block is in memory as a whole.
pub const DATASET_ANSWER_BLOCK_BYTES: u64 = 4 << 20;

/// The most rows of such a block: a larger one costs as much a row.
pub const DATASET_ANSWER_BLOCK_ROWS_MAX: u64 = 16_384;

/// What is told of one bucket of time: more is a mistake, and each keeps a state in ClickHouse.
pub const DATASET_AGGREGATIONS_MAX: usize = 100;

/// Rows that a statement of an operator answers with, when the request does not say how many.
pub const ADMIN_SQL_ROWS: u64 = 10_000;

/// The most of them: the answer is held in memory, and what is larger goes through `/sql/read`.
pub const ADMIN_SQL_ROWS_MAX: u64 = 100_000;

/// Bytes that a statement of an operator answers with.
pub const ADMIN_SQL_BYTES_MAX: u64 = 64 << 20;

/// Statements that may be saved: a list of more is read by nobody.
pub const SAVED_SQL_MAX: u32 = 10_000;

/// The id of a saved statement, in bytes.
pub const SAVED_SQL_ID_BYTES_MAX: usize = 128;

/// The label of a saved statement, in bytes: a line.
pub const SAVED_SQL_LABEL_BYTES_MAX: usize = 1_024;

/// What a client remembers of a saved statement's last run, in bytes.
pub const SAVED_SQL_STATS_BYTES_MAX: usize = 16 << 10;

/// How long ClickHouse may write or read a backup (milliseconds): 100 GB at 30 MB/s. Batches wait for so long at most.
pub const STORE_BACKUP_MS: u64 = 3_600_000;

/// How often it is asked whether it has done so (milliseconds).
pub const STORE_BACKUP_LOOK_MS: u64 = 50;

/// Storage targets that are remembered: places, not datasets; a list of them is answered whole.
pub const STORAGE_TARGETS_MAX: u32 = 1_000;

/// Scheduled backups that are kept: a week of days.
pub const BACKUPS_KEPT: u32 = 7;

/// Bytes of the cold volume that are cached on the local disk: a day or two of what is asked for again.
pub const COLD_CACHE_BYTES: u64 = 10 << 30;

/// A producer whose table is frozen for a cut-over asks again after so many milliseconds: most freezes take seconds.
pub const FROZEN_RETRY_AFTER_MS: u64 = 1_000;

/// Values of one column that are told apart when a source is compared; past it their number is not compared.
pub const DISTINCT_VALUES_MAX: usize = 1 << 20;

/// Rows that differ which a comparison lists; all are counted.
pub const DIFFERENCES_LISTED_MAX: usize = 100;

/// Log records, events or data points of one page, when the request does not say how many.
pub const TELEMETRY_ROWS: u64 = 1_000;

/// The most of them in one page: they are put together in memory.
pub const TELEMETRY_ROWS_MAX: u64 = 10_000;

/// Buckets of time in one answer: a week of minutes.
pub const TELEMETRY_BUCKETS_MAX: u64 = 10_080;

/// Words of a text search: each is looked up in the index by itself.
pub const SEARCH_WORDS_MAX: usize = 50;

/// Readers that follow new rows at a time: each looks at every row of its table.
pub const TAIL_READERS_MAX: usize = 32;

/// How often it is looked for new rows for such a reader (milliseconds): people read no faster.
pub const TAIL_LOOK_MS: u64 = 25;

/// Rows that such a reader is given from ClickHouse when it is behind; past them it is told what it missed.
pub const TAIL_CATCH_UP_ROWS: u64 = 10_000;

/// How long such a reader hears nothing at most (milliseconds): proxies close a connection that is quiet for a minute.
pub const TAIL_SIGN_OF_LIFE_MS: u64 = 15_000;

/// Steps of a PromQL range query: Prometheus' own limit.
pub const PROMQL_STEPS_MAX: usize = 11_000;

/// Series that the selectors of a PromQL query may mean together: their labels are held in memory while it runs.
pub const PROMQL_SERIES_MAX: usize = 200_000;

/// Metrics whose names are looked at for one: a fleet has some thousand.
pub const PROMQL_NAMES_MAX: usize = 200_000;

/// Samples, or values at steps, that a PromQL query may read: 16 bytes each, so 320 MB. Prometheus allows 50,000,000.
pub const PROMQL_POINTS_MAX: usize = 20_000_000;

/// The same as ClickHouse sends them (bytes): a sample with its time and its number has 25.
pub const PROMQL_RESULT_BYTES: u64 = 512 << 20;

/// Series that a statement names one by one; past it only their metrics: a statement has at most 256 KiB.
pub const PROMQL_FINGERPRINTS_INLINE_MAX: usize = 2_000;

/// The body of a PromQL request in a form (bytes): as much as an SQL statement may have.
pub const PROMQL_BODY_BYTES_MAX: usize = 256 << 10;

/// Spans of one trace in one answer, which is put together in memory: five times what large traces have.
pub const TRACE_SPANS_MAX: u64 = 500_000;

/// Pairs of services in one map: a hundred services that all call each other.
pub const SERVICE_MAP_EDGES_MAX: u64 = 10_000;
