use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_model::limits::{EXPORT_DISK_FREE_BYTES_MIN, EXPORT_DISK_LOOK_BYTES};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

use super::ExportError;

const ROWS: &str = "rows.parquet";
const MANIFEST: &str = "manifest.json";
const CHECKSUMS: &str = "SHA256SUMS";

/// The folder of one export.
#[derive(Debug, Clone)]
pub struct ExportFolder {
    whole: PathBuf,
    part: PathBuf,
}

/// The file of rows while it is written.
#[derive(Debug)]
pub struct ExportFile {
    path: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    /// When so much is written, the room on the disk is looked at.
    look_at: u64,
}

/// A file that is whole and synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name in the export's folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

impl ExportFolder {
    /// Names the folder; touches nothing.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        let mut part = folder.as_os_str().to_owned();
        part.push(".part");
        Self { whole: folder.to_owned(), part: part.into() }
    }

    /// Begins the file of rows; what an earlier attempt left is removed.
    pub async fn begin(&self) -> Result<ExportFile, ExportError> {
        self.discard().await?;
        fs::create_dir_all(&self.part).await.map_err(failed("make the folder", &self.part))?;
        let path = self.part.join(ROWS);
        let file = File::create_new(&path).await.map_err(failed("make the file", &path))?;
        Ok(ExportFile { path, file, hash: Sha256::new(), bytes: 0, look_at: 0 })
    }

    /// Writes manifest and checksums beside the rows, and puts the folder into its place.
    pub async fn finish(&self, rows: &WrittenFile, manifest: &Value) -> Result<(), ExportError> {
        let text = format!("{manifest:#}\n");
        self.write(MANIFEST, &text).await?;
        let sums = format!("{}  {ROWS}\n{}  {MANIFEST}\n", rows.sha256, hex::encode(Sha256::digest(&text)));
        self.write(CHECKSUMS, &sums).await?;
        sync_dir(&self.part).await?;
        fs::rename(&self.part, &self.whole).await.map_err(failed("name the folder", &self.whole))?;
        // The folders above may be new too.
        for dir in self.whole.ancestors().skip(1).take(3) {
            sync_dir(dir).await?;
        }
        Ok(())
    }

    /// Returns the manifest of a folder that is in its place.
    pub async fn manifest(&self) -> Result<Option<Value>, ExportError> {
        let path = self.whole.join(MANIFEST);
        match fs::read(&path).await {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| ExportError::Wrong { path, what: error.to_string() }),
            Err(error) if error.kind() == IoKind::NotFound => Ok(None),
            Err(error) => Err(failed("read the manifest", &path)(error)),
        }
    }

    /// Returns the files of a folder that is in its place, the manifest last.
    #[must_use]
    pub fn files(&self) -> [(&'static str, PathBuf); 3] {
        [ROWS, CHECKSUMS, MANIFEST].map(|name| (name, self.whole.join(name)))
    }

    /// Removes what an attempt has left.
    pub async fn discard(&self) -> Result<(), ExportError> {
        remove(&self.part).await
    }

    /// Removes the export.
    pub async fn remove(&self) -> Result<(), ExportError> {
        remove(&self.whole).await
    }

    async fn write(&self, name: &str, text: &str) -> Result<(), ExportError> {
        let path = self.part.join(name);
        let written = async {
            let mut file = File::create_new(&path).await?;
            file.write_all(text.as_bytes()).await?;
            file.flush().await?;
            file.sync_all().await
        };
        written.await.map_err(failed("write the file", &path))
    }
}

impl ExportFile {
    /// Appends a piece.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), ExportError> {
        if self.bytes >= self.look_at {
            self.check_room()?;
            self.look_at = self.bytes + EXPORT_DISK_LOOK_BYTES;
        }
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        self.file.write_all(piece).await.map_err(failed("write the file", &self.path))
    }

    /// Syncs the file.
    pub async fn finish(mut self) -> Result<WrittenFile, ExportError> {
        let synced = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        synced.await.map_err(failed("sync the file", &self.path))?;
        let sha256 = hex::encode(self.hash.finalize());
        Ok(WrittenFile { path: self.path, name: ROWS.to_owned(), bytes: self.bytes, sha256 })
    }

    fn check_room(&self) -> Result<(), ExportError> {
        let stat =
            rustix::fs::statvfs(&self.path).map_err(|errno| failed("look at the disk of", &self.path)(errno.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < EXPORT_DISK_FREE_BYTES_MIN {
            return Err(ExportError::DiskFull { path: self.path.clone(), free, least: EXPORT_DISK_FREE_BYTES_MIN });
        }
        Ok(())
    }
}

async fn remove(dir: &Path) -> Result<(), ExportError> {
    match fs::remove_dir_all(dir).await {
        Err(error) if error.kind() != IoKind::NotFound => Err(failed("remove the folder", dir)(error)),
        _ => Ok(()),
    }
}

async fn sync_dir(dir: &Path) -> Result<(), ExportError> {
    let synced = async { File::open(dir).await?.sync_all().await };
    synced.await.map_err(failed("sync the folder", dir))
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ExportError {
    let path = path.to_owned();
    move |source| ExportError::Disk { step, path, source }
}
