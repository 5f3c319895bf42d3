use std::io;
use std::sync::Arc;

use tidegate_model::ErrorKind;

/// When a full disk or a spent budget is worth another try: about as long as a batch takes to leave.
pub(super) const RETRY_AFTER_MS: u64 = 5_000;

/// Why the buffer refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BufferError {
    /// The retry key is known with other content.
    #[error("the idempotency key was used before with other content")]
    KeyConflict,
    /// The request cannot become a frame, however often it is tried.
    #[error("the request cannot be written to the write-ahead log: {0}")]
    Unfit(String),
    /// A budget is spent (`what`: WAL bytes, free disk); retry after so many milliseconds.
    #[error("{what}")]
    Full {
        /// Which budget, and its numbers.
        what: String,
        /// When to try again.
        retry_after_ms: u64,
    },
    /// A sync failed; nothing is acknowledged until a restart has recovered.
    #[error("a sync of the write-ahead log failed ({cause}); restart to recover, nothing is acknowledged until then")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The buffer is shutting down.
    #[error("the buffer is shutting down")]
    Closed,
    /// Another process has the folder open.
    #[error("another process has the write-ahead log in {dir} open; stop it, or start with another data folder")]
    Locked {
        /// The folder.
        dir: String,
    },
    /// The folder was written by another version.
    #[error(
        "{file} has version {found} of the write-ahead log's format, this program knows version {known}; start the Tidegate that wrote it, let it flush, then upgrade"
    )]
    Version {
        /// The segment.
        file: String,
        /// Its version.
        found: u32,
        /// The one known here.
        known: u32,
    },
    /// Stored bytes are not what was written.
    #[error("the write-ahead log is damaged: {0}")]
    Corrupt(String),
    /// The disk failed otherwise.
    #[error("{step}")]
    Io {
        /// What was tried.
        step: String,
        /// Why it failed.
        source: Arc<io::Error>,
    },
}

impl BufferError {
    /// Says what the caller does next.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::KeyConflict => ErrorKind::Conflict,
            Self::Unfit(_) | Self::Version { .. } => ErrorKind::Invalid,
            Self::Full { .. } => ErrorKind::Overloaded,
            Self::Poisoned { .. } | Self::Closed => ErrorKind::Closed,
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Io { .. } | Self::Locked { .. } => ErrorKind::Unavailable,
        }
    }

    /// Names the step that the disk failed at; a full disk is a spent budget.
    pub(super) fn io(step: impl Into<String>, source: io::Error) -> Self {
        let step = step.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { what: format!("no space left on the disk: {step}"), retry_after_ms: RETRY_AFTER_MS }
            }
            _ => Self::Io { step, source: Arc::new(source) },
        }
    }
}
