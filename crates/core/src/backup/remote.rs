use std::fs;
use std::path::{Component, Path};

use super::manifest::{self, CLICKHOUSE, MANIFEST, MANIFEST_SUM};
use super::{BackupError, BackupFile, BackupManifest, BaseBackup, blocking};
use crate::objects::{Bucket, ObjectError, Summed};

/// What ClickHouse says of its own backup: all that it reads of one that is referred to.
const CLICKHOUSE_LIST: &str = ".backup";

/// Sends a backup that is whole on the disk, and reads every object back; the manifest goes last, and makes it one.
pub(super) async fn send(bucket: &Bucket, working: &Path, manifest: &BackupManifest) -> Result<(), BackupError> {
    let name = &manifest.name;
    // What an attempt of this name left is in no manifest.
    bucket.remove_folder(name).await?;
    for file in &manifest.files {
        let told = Summed { bytes: file.bytes, sha256: file.sha256.clone() };
        send_one(bucket, (name, &file.path), working, Some(&told)).await?;
    }
    send_one(bucket, (name, MANIFEST_SUM), working, None).await?;
    send_one(bucket, (name, MANIFEST), working, None).await
}

/// Says whether there is a whole backup of this name.
pub(super) async fn is_backup(bucket: &Bucket, name: &str) -> Result<bool, BackupError> {
    Ok(bucket.has(&format!("{name}/{MANIFEST}")).await?)
}

/// Lists the manifests of all whole backups; one that cannot be read is told in the log.
pub(super) async fn list(bucket: &Bucket) -> Result<Vec<BackupManifest>, BackupError> {
    let mut found = Vec::new();
    for name in bucket.folders("").await? {
        match read(bucket, &name).await {
            Ok(one) => found.push(one.manifest),
            Err(BackupError::NotABackup(_)) => {}
            Err(error) => tracing::warn!(backup = bucket.url(&name), %error, "a backup cannot be read"),
        }
    }
    Ok(found)
}

/// Removes a backup, the manifest first: what a crash leaves is none.
pub(super) async fn remove(bucket: &Bucket, name: &str) -> Result<(), BackupError> {
    bucket.remove(&format!("{name}/{MANIFEST}")).await?;
    Ok(bucket.remove_folder(name).await?)
}

/// Puts what ClickHouse must read of a backup, to refer to it, into a folder.
pub(super) async fn stage_base(bucket: &Bucket, folder: &Path, name: String) -> Result<BaseBackup, BackupError> {
    let found = read(bucket, &name).await?;
    let path = format!("{CLICKHOUSE}/{CLICKHOUSE_LIST}");
    let told = found.manifest.files.iter().find(|file| file.path == path);
    let told = told.ok_or_else(|| damaged(bucket.url(&name), "does not tell of ClickHouse's part"))?;
    fetch_one(bucket, &name, told, &folder.join(&name)).await?;
    Ok(BaseBackup { name, manifest_sha256: found.sha256 })
}

/// Reads a backup and those that it refers to into a folder, each object compared with its manifest.
pub async fn fetch_chain(bucket: &Bucket, name: &str, into: &Path) -> Result<(), BackupError> {
    let mut next = Some(name.to_owned());
    while let Some(name) = next {
        let found = read(bucket, &name).await?;
        let place = into.join(&name);
        if place.exists() {
            return Err(damaged(bucket.url(&name), "refers to itself"));
        }
        for told in &found.manifest.files {
            fetch_one(bucket, &name, told, &place).await?;
        }
        let written = blocking(move || {
            fs::create_dir_all(&place)?;
            fs::write(place.join(MANIFEST_SUM), found.sum)?;
            fs::write(place.join(MANIFEST), found.text)
        });
        written.await.map_err(|error| BackupError::file(format!("write into {}", into.display()), error))?;
        next = found.manifest.base.map(|base| base.name);
    }
    Ok(())
}

/// A manifest as it lies in the bucket.
struct Found {
    manifest: BackupManifest,
    sha256: String,
    text: Vec<u8>,
    sum: Vec<u8>,
}

async fn read(bucket: &Bucket, name: &str) -> Result<Found, BackupError> {
    manifest::check_name(name)?;
    let (key, sum_key) = (format!("{name}/{MANIFEST}"), format!("{name}/{MANIFEST_SUM}"));
    let text = match bucket.get(&key).await {
        Err(ObjectError::Missing { .. }) => return Err(BackupError::NotABackup(bucket.url(name))),
        found => found?.to_vec(),
    };
    let sum = match bucket.get(&sum_key).await {
        Err(ObjectError::Missing { .. }) => return Err(damaged(bucket.url(&key), "has no checksum beside it")),
        found => found?.to_vec(),
    };
    let (manifest, sha256) = manifest::parse(&bucket.url(&key), &text, &String::from_utf8_lossy(&sum))?;
    if manifest.name != name {
        return Err(damaged(bucket.url(name), "is another backup under a wrong name"));
    }
    Ok(Found { manifest, sha256, text, sum })
}

async fn send_one(
    bucket: &Bucket,
    (name, path): (&str, &str),
    working: &Path,
    told: Option<&Summed>,
) -> Result<(), BackupError> {
    let key = format!("{name}/{path}");
    let sent = bucket.put_file(&key, &working.join(path)).await?;
    let found = bucket.sum(&key).await?;
    if found == sent && told.is_none_or(|told| *told == sent) {
        return Ok(());
    }
    Err(damaged(bucket.url(&key), "is not what was sent, right after it was"))
}

async fn fetch_one(bucket: &Bucket, name: &str, told: &BackupFile, place: &Path) -> Result<(), BackupError> {
    let key = format!("{name}/{}", told.path);
    if !Path::new(&told.path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(damaged(bucket.url(&key), "is no name of a file below the backup"));
    }
    let file = place.join(&told.path);
    let folder = file.parent().unwrap_or(place).to_owned();
    let made = blocking(move || fs::create_dir_all(folder)).await;
    made.map_err(|error| BackupError::file(format!("make the folder of {}", file.display()), error))?;
    let read = match bucket.get_file(&key, &file).await {
        Err(ObjectError::Missing { .. }) => return Err(damaged(bucket.url(&key), "is missing")),
        read => read?,
    };
    if read.bytes != told.bytes {
        let what = format!("has {} bytes, {} were written", read.bytes, told.bytes);
        return Err(damaged(bucket.url(&key), &what));
    }
    if read.sha256 == told.sha256 { Ok(()) } else { Err(damaged(bucket.url(&key), "is not what was written")) }
}

fn damaged(file: String, what: &str) -> BackupError {
    BackupError::Damaged { file, what: what.to_owned() }
}
