//! Folders of exported rows: a Parquet file, its manifest, and their checksums.
//!
//! Owns: what is on disk of an export.
//!
//! ```text
//! <root>/<dataset>/<table>/<export>.part/   while it is written
//! <root>/<dataset>/<table>/<export>/        when it is whole
//!     rows.parquet       the rows
//!     manifest.json      what they are
//!     SHA256SUMS         of both, as `sha256sum --check` reads them
//! ```
//!
//! Invariants:
//! - A folder has its final name only after every byte in it is synced, and is then never changed.
//! - What a manifest says of rows was read back from the file, not taken from who wrote it.
//!
//! It never asks for rows, and never removes a folder that it was not told of.
//!
//! | file | holds |
//! |---|---|
//! | `folder.rs` | [`ExportFolder`]: begun, written, put into its place, removed |
//! | `contents.rs` | [`contents`]: which rows a file has |

mod contents;
mod folder;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use tidegate_model::ErrorKind;

pub use contents::{Contents, contents};
pub use folder::{ExportFile, ExportFolder, WrittenFile};

/// Why an export could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The disk failed.
    #[error("{step} {}", path.display())]
    Disk {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The disk is nearly full.
    #[error("the disk of {} has {free} free bytes, exports leave {least} alone; make room, or set `exports.folder`", path.display())]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// What is free.
        free: u64,
        /// What stays free.
        least: u64,
    },
    /// The file that was written cannot be read.
    #[error("read the exported file {} back", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// The file that was written holds other rows than it should.
    #[error("the exported file {} is wrong: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A task ended early.
    #[error("look at the exported file: the task ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl ExportError {
    /// Says what the caller does next.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Disk { .. } => ErrorKind::Unavailable,
            Self::DiskFull { .. } => ErrorKind::Overloaded,
            Self::Unreadable { .. } | Self::Wrong { .. } => ErrorKind::Corrupt,
            Self::Task(_) => ErrorKind::Internal,
        }
    }
}
