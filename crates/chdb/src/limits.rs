//! Limits of the engine's own that are not settings, with the reason for each number.

use std::time::Duration;

/// Plain bytes in one compressed block: what ClickHouse's servers write.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// Bytes of one compressed block that is accepted; ClickHouse allows 1 GiB, its clients send 1 MiB.
pub(crate) const BLOCK_BYTES_MAX: usize = 256 << 20;

/// A query's text; ClickHouse's own default of `max_query_size` is 256 KiB, generated SQL may be longer.
pub(crate) const QUERY_BYTES_MAX: usize = 16 << 20;

/// The part of a body before an `INSERT`'s data begins.
pub(crate) const INSERT_HEAD_BYTES_MAX: usize = 1 << 20;

/// The answer's first bytes that are held back, so that an error among them still has its own status: as ClickHouse does.
pub(crate) const ANSWER_HEAD_BYTES: usize = 1 << 20;

/// The same for `wait_end_of_query`; a longer answer is streamed all the same, so that memory stays bounded.
pub(crate) const WHOLE_ANSWER_BYTES_MAX: usize = 64 << 20;

/// Pieces of a body on their way between a socket and a query's thread.
pub(crate) const PIECES_IN_FLIGHT: usize = 4;

/// Bytes handed to an insert at once: few calls, little memory.
pub(crate) const APPEND_BYTES: usize = 256 << 10;

/// Bytes read from a query's pipe at once: a pipe's own capacity.
pub(crate) const PIPE_READ_BYTES: usize = 64 << 10;

/// Connections that are held ready: opening one costs 0.8 ms.
pub(crate) const CONNECTIONS_READY: usize = 8;

/// A form field of a multipart body that is a parameter, not a table.
pub(crate) const FORM_FIELD_BYTES_MAX: usize = 16 << 20;

/// Tables that may travel with one query.
pub(crate) const EXTERNAL_TABLES_MAX: usize = 64;

/// Sessions that may be open at once: each holds a connection and its temporary tables.
pub(crate) const SESSIONS_MAX: usize = 1_000;

/// A session's life without a request, where the client names none, and the longest: ClickHouse's own numbers.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// How often a query that was told to end is told again, until it did.
pub(crate) const KILL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a stop waits for killed queries; past it the process ends with them.
pub const STOP_WAIT: Duration = Duration::from_secs(8);

/// A request's headers: query ids, settings and tokens fit many times.
pub(crate) const HEADER_BYTES_MAX: usize = 1 << 20;
