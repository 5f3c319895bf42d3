use std::path::{Path, PathBuf};

/// The library's file name.
const FILE: &str = if cfg!(target_os = "macos") { "libchdb.dylib" } else { "libchdb.so" };

/// libchdb is nowhere.
#[derive(Debug, thiserror::Error)]
#[error(
    "{FILE} was not found (looked at: {looked_at}). Run `make libchdb` in the repository to fetch it, or name it with --lib"
)]
pub struct LibraryMissing {
    looked_at: String,
}

/// Finds libchdb: where `named` says; else beside the executable, in `lib` one folder up, and in `lib` two folders up
/// (from `target/release` that is the repository's).
pub fn find_library(named: Option<&Path>, executable: &Path) -> Result<PathBuf, LibraryMissing> {
    let places: Vec<PathBuf> = match named {
        Some(path) => vec![path.to_owned()],
        None => {
            let folder = executable.parent().unwrap_or(Path::new("."));
            vec![folder.join(FILE), folder.join("../lib").join(FILE), folder.join("../../lib").join(FILE)]
        }
    };
    match places.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => {
            let looked_at = places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            Err(LibraryMissing { looked_at })
        }
    }
}
