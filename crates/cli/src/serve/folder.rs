use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::settings::{Backend, Settings};

/// The layout that this program reads and writes; a newer one is refused.
pub(crate) const FOLDER_VERSION: u32 = 1;

const VERSION_FILE: &str = "version";
const LOCK_FILE: &str = "lock";
/// Is there until a restore into the folder has ended well.
const RESTORING_FILE: &str = "restoring";

/// The data folder, held by this process until it is dropped.
///
/// ```text
/// version          the layout's number
/// lock             held while a server runs
/// wal/             the write-ahead log
/// catalog.sqlite   datasets, batches, watermarks, retry keys
/// sessions/        what the catalogue knew at some moments, saved by name
/// mirror/          files for older engines, unless the settings name another folder
/// exports/         exported rows, unless the settings name another folder
/// staged/          a backup on its way to S3, unless the settings name another folder
/// drill/           a backup that is restored on trial, and goes afterwards
/// engine/          ClickHouse's own files
/// restoring        only while a backup is restored: nothing serves the folder
/// ```
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Removed at the end: the backend keeps nothing.
    is_temporary: bool,
    _lock: File,
}

impl DataFolder {
    /// Makes or opens the folder, checks its version, and locks it.
    pub(crate) fn open(settings: &Settings) -> Result<Self> {
        if settings.storage.backend == Backend::Memory {
            Self::temporary("memory")
        } else {
            Self::at(&settings.data, false)
        }
    }

    /// Makes a folder of this process that goes with it.
    pub(crate) fn temporary(purpose: &str) -> Result<Self> {
        Self::at(&std::env::temp_dir().join(format!("tidegate-{purpose}-{}", std::process::id())), true)
    }

    /// Takes an empty folder, made when absent, for a restore; nothing serves it before `restored`.
    pub(crate) fn restoring(path: &Path) -> Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("make the data folder {shown}"))?;
        if fs::read_dir(path).with_context(|| format!("list {shown}"))?.next().is_some() {
            bail!("the data folder {shown} is not empty; restore into another, or move it aside");
        }
        let marked = File::create_new(path.join(RESTORING_FILE)).and_then(|file| file.sync_all());
        marked.and_then(|()| File::open(path)?.sync_all()).with_context(|| format!("write into {shown}"))?;
        Self::take(path, false)
    }

    /// Ends a restore: all that it wrote is on the disk, and the folder may be served.
    pub(crate) fn restored(&self) -> Result<()> {
        // ClickHouse does not sync what it restores.
        rustix::fs::sync();
        let unmarked = fs::remove_file(self.path.join(RESTORING_FILE));
        let unmarked = unmarked.and_then(|()| File::open(&self.path)?.sync_all());
        unmarked.with_context(|| format!("end the restore into {}", self.path.display()))
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn at(path: &Path, is_temporary: bool) -> Result<Self> {
        if path.join(RESTORING_FILE).exists() {
            bail!(
                "a restore into {} was not finished, so it lacks rows; remove the folder and restore again",
                path.display()
            );
        }
        Self::take(path, is_temporary)
    }

    fn take(path: &Path, is_temporary: bool) -> Result<Self> {
        let shown = path.display().to_string();
        fs::create_dir_all(path).with_context(|| {
            format!("the data folder {shown} cannot be made; name another with --data, or mend its owner")
        })?;
        let lock = lock(path)?;
        check_version(path)?;
        // The engine is a process of its own, with a folder of its own for its working directory.
        let path = path.canonicalize().with_context(|| format!("find the data folder {shown}"))?;
        Ok(Self { path, is_temporary, _lock: lock })
    }

    /// The folder of the write-ahead log.
    pub(crate) fn wal(&self) -> PathBuf {
        self.path.join("wal")
    }

    /// The folder of saved sessions; made with the first.
    pub(crate) fn sessions(&self) -> PathBuf {
        self.path.join("sessions")
    }

    /// The folder of files for older engines, unless the settings name another; made with the first.
    pub(crate) fn mirror(&self) -> PathBuf {
        self.path.join("mirror")
    }

    /// The folder of exports, unless the settings name another; made with the first.
    pub(crate) fn exports(&self) -> PathBuf {
        self.path.join("exports")
    }

    /// The folder of a backup until it is on its S3 server.
    pub(crate) fn staged_backups(&self) -> PathBuf {
        self.path.join("staged")
    }

    /// The folder in which backups are restored on trial.
    pub(crate) fn drills(&self) -> PathBuf {
        self.path.join("drill")
    }

    /// The catalog's file.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog.sqlite")
    }

    /// The engine's folder.
    pub(crate) fn engine(&self) -> PathBuf {
        self.path.join("engine")
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(folder = %self.path.display(), %error, "the temporary folder could not be removed");
        }
    }
}

/// Returns the version of the layout in a folder; `None`: nothing is in it yet.
pub(crate) fn read_version(folder: &Path) -> Result<Option<u32>> {
    let file = folder.join(VERSION_FILE);
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let version = text.trim().parse();
    version.map(Some).with_context(|| {
        format!("{} must hold a number, it holds {:?}; is this Tidegate's data folder?", file.display(), text.trim())
    })
}

fn lock(folder: &Path) -> Result<File> {
    let file = folder.join(LOCK_FILE);
    let lock = File::options().create(true).append(true).open(&file);
    let lock = lock.with_context(|| format!("{} cannot be opened; mend the folder's owner", file.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!(
            "another `tidegate serve` uses the data folder {}; stop it, or name another folder with --data",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", file.display())),
    }
}

fn check_version(folder: &Path) -> Result<()> {
    match read_version(folder)? {
        Some(found) if found > FOLDER_VERSION => bail!(
            "the data folder {} was written by a newer Tidegate (its layout {found}, this program knows {FOLDER_VERSION}); \
             start that version or a newer one",
            folder.display()
        ),
        Some(_) => Ok(()),
        None => write_version(folder).with_context(|| format!("write the version of {}", folder.display())),
    }
}

fn write_version(folder: &Path) -> std::io::Result<()> {
    let mut file = File::create(folder.join(VERSION_FILE))?;
    writeln!(file, "{FOLDER_VERSION}")?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}
