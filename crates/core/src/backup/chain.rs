use std::fs;
use std::path::Path;

use super::manifest::{self, CATALOG, SESSIONS, WAL};
use super::{BackupError, BackupManifest, files};

/// Checks every file of a backup and of those that it refers to, each beside it; returns them, the newest first.
pub fn check_chain(place: &Path) -> Result<Vec<BackupManifest>, BackupError> {
    let mut place = place.to_owned();
    let mut expected: Option<String> = None;
    let mut chain: Vec<BackupManifest> = Vec::new();
    loop {
        let (found, sum) = manifest::read(&place)?;
        let damaged = |what: &str| BackupError::Damaged { file: place.display().to_string(), what: what.to_owned() };
        if place.file_name().and_then(|name| name.to_str()) != Some(found.name.as_str()) {
            return Err(damaged(&format!(
                "is the backup `{}` under another name; later ones refer to it by its own",
                found.name
            )));
        }
        if expected.is_some_and(|expected| expected != sum) {
            return Err(damaged("is not the backup that the later one refers to"));
        }
        check_files(&place, &found)?;
        let base = found.base.clone();
        chain.push(found);
        let Some(base) = base else { return Ok(chain) };
        if chain.iter().any(|known| known.name == base.name) {
            return Err(damaged("refers to itself"));
        }
        place.set_file_name(&base.name);
        expected = Some(base.manifest_sha256);
    }
}

/// Copies what is not ClickHouse's of a backup into a data folder.
pub fn copy_states(place: &Path, data: &Path) -> Result<(), BackupError> {
    let copied = files::copy_plain(&place.join(WAL), &data.join(WAL))
        .and_then(|()| files::copy_plain(&place.join(SESSIONS), &data.join(SESSIONS)))
        .and_then(|()| fs::copy(place.join(CATALOG), data.join(CATALOG)).map(drop));
    copied.map_err(|error| BackupError::file(format!("copy {} into {}", place.display(), data.display()), error))
}

fn check_files(place: &Path, manifest: &BackupManifest) -> Result<(), BackupError> {
    for told in &manifest.files {
        let file = place.join(&told.path);
        let found = files::damage(place, told);
        let found = found.map_err(|error| BackupError::file(format!("read {}", file.display()), error))?;
        if let Some(what) = found {
            return Err(BackupError::Damaged { file: file.display().to_string(), what });
        }
    }
    Ok(())
}
