//! Every limit of the agent that is not a setting, with the reason for its number.

/// A file of the agent's queue, in bytes: delivered ones go as wholes, and a full disk should be met at a file's start.
pub(crate) const AGENT_SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// The smallest file of the agent's queue, in bytes: below it most of a small queue would be heads and snapshots.
pub(crate) const AGENT_SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// What the agent's queue may take on the disk (bytes): a busy machine's hour of logs, packed.
pub(crate) const AGENT_QUEUE_BYTES: u64 = 512 << 20;

/// What the agent puts into one request (bytes before it is packed): far below what a server takes, and what it holds
/// in memory at a time.
pub(crate) const AGENT_REQUEST_BYTES: usize = 1 << 20;

/// Pieces of rows that wait for the queue; past it sources are not read on: a few requests' worth.
pub(crate) const AGENT_PIECES_MAX: usize = 8;

/// What is read of one file before others get their turn (bytes).
pub(crate) const AGENT_READ_BYTES: usize = 256 << 10;

/// A line of a file, or lines joined to one row (bytes); what is longer becomes several rows that say so.
pub(crate) const AGENT_LINE_BYTES_MAX: usize = 64 << 10;

/// The first bytes of a file that tell it from others.
pub(crate) const AGENT_FINGERPRINT_BYTES: usize = 256;

/// Files that are followed at once; further ones wait and are told of: each takes a handle and half a kilobyte.
pub(crate) const AGENT_FILES_MAX: usize = 4_096;

/// The first and the longest pause before a request is sent again (milliseconds): a restart is met soon, a long outage
/// costs two tries a minute.
pub(crate) const AGENT_RETRY_MS: (u64, u64) = (200, 30_000);

/// How long a server may take for one request (milliseconds).
pub(crate) const AGENT_SEND_MS: u64 = 30_000;
