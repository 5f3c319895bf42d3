use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file whose lock says that an engine holds the folder.
const LOCK_FILE: &str = "engine.lock";

/// How the names of temporary folders begin.
const TEMPORARY_PREFIX: &str = "tidegate-engine-";

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
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        let name = format!("{TEMPORARY_PREFIX}{}-{:08x}", std::process::id(), rand::random::<u32>());
        Self::take(&parent.join(name), true)
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
    /// Empties a temporary folder. Under Landlock the folder itself stays, for the next engine to remove.
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::debug!(%error, path = %self.path.display(), "the temporary folder could not be removed");
        }
    }
}

/// Removes the temporary folders of engines that are gone: empty ones, and those that a crash left locked by no one.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX)) {
        let path = entry.path();
        let held = File::open(path.join(LOCK_FILE)).is_ok_and(|lock| lock.try_lock().is_err());
        if !held && let Err(error) = fs::remove_dir_all(&path) {
            tracing::debug!(%error, path = %path.display(), "an abandoned folder could not be removed");
        }
    }
}
