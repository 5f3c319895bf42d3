use std::io;

use tidegate_model::ErrorKind;
use tidegate_model::limits::BACKUP_NAME_BYTES_MAX;

use crate::buffer::BufferError;
use crate::catalog::CatalogError;
use crate::objects::ObjectError;
use crate::store::StoreError;

/// Why a backup could not be taken, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The name is none.
    #[error(
        "a backup's name has 1 to {BACKUP_NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`, begins with a letter or digit and does not end in `.partial`; it is `{0}`"
    )]
    Name(String),
    /// There is one of this name, or what a crash left of it.
    #[error("`{0}` is in the folder of backups already; choose another name, or remove it if it is a `.partial`")]
    Exists(String),
    /// One is being taken.
    #[error("another backup is being taken; wait for its end")]
    Running,
    /// Batches do not arrive in ClickHouse.
    #[error("batches have not arrived in ClickHouse within {seconds} s, so there is no moment to copy; see /health")]
    Undrained {
        /// How long was waited.
        seconds: u64,
    },
    /// There is no such backup.
    #[error("{0} is no backup: it has no manifest.json")]
    NotABackup(String),
    /// A newer program wrote it.
    #[error(
        "{place} was written by a newer Tidegate (its format {found}, this program knows {known}); use that version"
    )]
    Newer {
        /// The backup.
        place: String,
        /// Its format.
        found: u32,
        /// The one known.
        known: u32,
    },
    /// It is not what was written.
    #[error("the backup is damaged: {file} {what}; use another backup")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The disk failed.
    #[error("{step}")]
    File {
        /// What was tried.
        step: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The log could not be copied.
    #[error("copy the write-ahead log")]
    Buffer(#[from] BufferError),
    /// The catalog could not be copied.
    #[error("copy the catalog")]
    Catalog(#[from] CatalogError),
    /// The bucket of backups failed.
    #[error("reach the bucket of backups")]
    Objects(#[from] ObjectError),
    /// ClickHouse failed.
    #[error("back ClickHouse up")]
    Store(#[from] StoreError),
}

impl BackupError {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Name(_) | Self::Newer { .. } => ErrorKind::Invalid,
            Self::Exists(_) | Self::Running => ErrorKind::Conflict,
            Self::NotABackup(_) => ErrorKind::NotFound,
            Self::Undrained { .. } => ErrorKind::Unavailable,
            Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::File { .. } => ErrorKind::Internal,
            Self::Buffer(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Objects(error) => error.kind(),
        }
    }

    pub(super) fn file(step: impl Into<String>, source: io::Error) -> Self {
        Self::File { step: step.into(), source }
    }
}
