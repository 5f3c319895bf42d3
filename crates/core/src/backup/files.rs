use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::BackupFile;

/// Bytes that are hashed at once.
const PIECE_BYTES: usize = 1 << 20;

/// Syncs every file and folder below `root`, and returns the files with their checksums, by path.
pub(super) fn seal(root: &Path) -> io::Result<Vec<BackupFile>> {
    let mut files = Vec::new();
    seal_folder(root, "", &mut files)?;
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Says what is wrong with a file of a backup, if anything is.
pub(super) fn damage(root: &Path, told: &BackupFile) -> io::Result<Option<String>> {
    let path = root.join(&told.path);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("is missing".to_owned())),
        opened => opened?,
    };
    let (bytes, sum) = hash(&mut file)?;
    if bytes != told.bytes {
        return Ok(Some(format!("has {bytes} bytes, {} were written", told.bytes)));
    }
    Ok((sum != told.sha256).then(|| "is not what was written".to_owned()))
}

/// Returns the checksum of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Writes a file that is not there yet, and syncs it.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Copies the plain files of a folder, if it is there; one that goes meanwhile is not missed.
pub(super) fn copy_plain(from: &Path, into: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    fs::create_dir_all(into)?;
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        match fs::copy(entry.path(), into.join(entry.file_name())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => {
                File::open(into.join(entry.file_name())).and_then(|copy| copy.sync_all()).and(copied.map(drop))?
            }
        }
    }
    sync_folder(into)
}

fn seal_folder(folder: &Path, path: &str, files: &mut Vec<BackupFile>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| {
            io::Error::new(io::ErrorKind::InvalidData, format!("a file has no name in UTF-8: {}", name.display()))
        })?;
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        if entry.file_type()?.is_dir() {
            seal_folder(&entry.path(), &path, files)?;
            continue;
        }
        let mut file = File::open(entry.path())?;
        let (bytes, sha256) = hash(&mut file)?;
        file.sync_all()?;
        files.push(BackupFile { path, bytes, sha256 });
    }
    sync_folder(folder)
}

fn hash(file: &mut File) -> io::Result<(u64, String)> {
    let (mut sum, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((bytes, hex::encode(sum.finalize()))),
            read => {
                sum.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
}
