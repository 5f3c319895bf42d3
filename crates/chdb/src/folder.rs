use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file whose lock says that an engine holds the folder.
const LOCK_FILE: &str = "engine.lock";

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another engine runs on it.
    #[error("another engine already runs on the data folder `{0}`; stop it, or use another folder")]
    Held(String),
    /// It cannot be made or locked.
    #[error("open the data folder `{path}`")]
    Unusable {
        /// The folder.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The data folder, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
    /// The folder ends with the process: `--memory`.
    temporary: bool,
}

impl DataFolder {
    /// Makes the folder when absent and takes it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        Self::take(path, false)
    }

    /// Makes a folder that is removed on drop.
    pub fn temporary() -> Result<Self, FolderError> {
        let name = format!("tidegate-engine-{}-{:08x}", std::process::id(), rand::random::<u32>());
        Self::take(&std::env::temp_dir().join(name), true)
    }

    /// Returns the folder's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn take(path: &Path, temporary: bool) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::Unusable { path: path.display().to_string(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        let lock = File::create(path.join(LOCK_FILE)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock, temporary }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Held(path.display().to_string())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the temporary folder could not be removed");
        }
    }
}
