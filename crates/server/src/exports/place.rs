use std::path::Path;

use serde_json::Value;
use tidegate_core::catalog::Export;
use tidegate_core::exports::{ExportError, ExportFolder};
use tidegate_core::objects::{Bucket, BucketOptions, ObjectError};

use super::Exports;

const SCHEME: &str = "s3://";
/// Where files wait until they are sent; no dataset's name begins with a point.
const STAGED: &str = ".sending";
/// Says that an export is whole: it is written last, and removed first.
const MANIFEST: &str = "manifest.json";

/// Why an export's files could not be put where they belong.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("write the files")]
    Files(#[from] ExportError),
    #[error("send the files")]
    Objects(#[from] ObjectError),
    #[error("{object} is not what was sent ({sent}), it is {found}; see whether anything else writes there")]
    Differs { object: String, sent: String, found: String },
    #[error("{0} is on an S3 server, and the settings name none; set `[s3]` and start again")]
    NoServer(String),
    #[error("the manifest {0} cannot be read")]
    Manifest(String, #[source] serde_json::Error),
}

/// Where an export's files are written, and where they end.
pub(super) enum Place {
    /// They stay where they are written.
    Folder(ExportFolder),
    /// They are written into a folder, sent, and removed there.
    Objects { staged: ExportFolder, bucket: Bucket, key: String },
}

impl Place {
    /// Finds the place of an export.
    pub(super) fn of(exports: &Exports, export: &Export) -> Result<Self, PlaceError> {
        let Some(path) = export.folder.strip_prefix(SCHEME) else {
            return Ok(Self::Folder(ExportFolder::at(Path::new(&export.folder))));
        };
        let own = exports.options.bucket.as_ref().ok_or_else(|| PlaceError::NoServer(export.folder.clone()))?;
        let (name, key) = path.split_once('/').unwrap_or((path, ""));
        let options = BucketOptions { bucket: name.to_owned(), prefix: String::new(), ..own.options().clone() };
        let staged = ExportFolder::at(&exports.options.folder.join(STAGED).join(&export.id));
        Ok(Self::Objects { staged, bucket: Bucket::new(options)?, key: key.to_owned() })
    }

    /// Returns the folder that files are written into.
    pub(super) const fn folder(&self) -> &ExportFolder {
        match self {
            Self::Folder(folder) | Self::Objects { staged: folder, .. } => folder,
        }
    }

    /// Returns the manifest of an export that is whole, and in its place.
    pub(super) async fn whole(&self) -> Result<Option<Value>, PlaceError> {
        match self {
            Self::Folder(folder) => Ok(folder.manifest().await?),
            Self::Objects { bucket, key, .. } => {
                let key = format!("{key}/{MANIFEST}");
                match bucket.get(&key).await {
                    Ok(text) => {
                        let read = serde_json::from_slice(&text);
                        read.map(Some).map_err(|error| PlaceError::Manifest(bucket.url(&key), error))
                    }
                    Err(ObjectError::Missing { .. }) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Returns the manifest of files that are whole, and not in their place yet.
    pub(super) async fn staged(&self) -> Result<Option<Value>, PlaceError> {
        match self {
            Self::Folder(_) => Ok(None),
            Self::Objects { staged, .. } => Ok(staged.manifest().await?),
        }
    }

    /// Sends files that are whole, the manifest last, and reads each back.
    pub(super) async fn send(&self) -> Result<(), PlaceError> {
        let Self::Objects { staged, bucket, key } = self else { return Ok(()) };
        for (name, file) in staged.files() {
            put_checked(bucket, &format!("{key}/{name}"), &file).await?;
        }
        Ok(())
    }

    /// Removes what was needed on the way.
    pub(super) async fn clear(&self) -> Result<(), PlaceError> {
        if let Self::Objects { staged, .. } = self {
            staged.remove().await?;
        }
        Ok(())
    }

    /// Removes what an attempt has left, also where the files belong.
    pub(super) async fn discard(&self) -> Result<(), PlaceError> {
        match self {
            Self::Folder(folder) => Ok(folder.discard().await?),
            Self::Objects { staged, .. } => {
                staged.discard().await?;
                self.remove().await
            }
        }
    }

    /// Removes the export.
    pub(super) async fn remove(&self) -> Result<(), PlaceError> {
        match self {
            Self::Folder(folder) => Ok(folder.remove().await?),
            Self::Objects { staged, bucket, key } => {
                staged.remove().await?;
                bucket.remove(&format!("{key}/{MANIFEST}")).await?;
                Ok(bucket.remove_folder(key).await?)
            }
        }
    }
}

async fn put_checked(bucket: &Bucket, key: &str, file: &Path) -> Result<(), PlaceError> {
    let sent = bucket.put_file(key, file).await?;
    let found = bucket.sum(key).await?;
    if found == sent {
        return Ok(());
    }
    let told = |sum: &tidegate_core::objects::Summed| format!("{} bytes, SHA-256 {}", sum.bytes, sum.sha256);
    Err(PlaceError::Differs { object: bucket.url(key), sent: told(&sent), found: told(&found) })
}
