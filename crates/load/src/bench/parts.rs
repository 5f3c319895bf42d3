use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One part of a MergeTree table, by its folder's name: `partition_first_last_level`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    partition: String,
    first_block: u64,
    last_block: u64,
    level: u64,
}

/// Returns the bytes of all active parts of the tables whose names begin with `prefix`.
///
/// It reads the engine's folder, so that no query disturbs what is measured. Parts that a merge has replaced stay on
/// disk for some minutes; they are those that lie within another part, and are not counted.
pub(super) fn stored_bytes(data: &Path, prefix: &str) -> Result<f64> {
    let database = find_database(data).with_context(|| format!("no database below {}", data.display()))?;
    let mut bytes = 0;
    for table in fs::read_dir(database)? {
        let table = table?;
        if table.file_name().to_string_lossy().starts_with(prefix) {
            bytes += active_bytes(&table.path())?;
        }
    }
    Ok(bytes as f64)
}

fn active_bytes(table: &Path) -> Result<u64> {
    let folders: Vec<PathBuf> = fs::read_dir(table)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let parts: Vec<(Part, &PathBuf)> = folders.iter().filter_map(|folder| Some((Part::of(folder)?, folder))).collect();
    let is_active = |part: &Part| !parts.iter().any(|(other, _)| other != part && other.covers(part));
    parts.iter().filter(|(part, _)| is_active(part)).map(|(_, folder)| folder_bytes(folder)).sum()
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    fs::read_dir(folder)?.map(|file| Ok(file?.metadata()?.len())).sum()
}

/// Finds `data/tidegate`, where ClickHouse links a database's tables by name.
fn find_database(folder: &Path) -> Option<PathBuf> {
    let here = folder.join("data").join("tidegate");
    if here.is_dir() {
        return Some(here);
    }
    let below = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    below.filter(|path| path.is_dir() && !path.is_symlink()).find_map(|path| find_database(&path))
}

impl Part {
    fn of(folder: &Path) -> Option<Self> {
        let mut words = folder.file_name()?.to_str()?.rsplitn(4, '_');
        let [level, last_block, first_block] =
            [words.next()?, words.next()?, words.next()?].map(|word| word.parse().ok());
        Some(Self {
            partition: words.next()?.to_owned(),
            first_block: first_block?,
            last_block: last_block?,
            level: level?,
        })
    }

    fn covers(&self, other: &Self) -> bool {
        self.partition == other.partition
            && self.first_block <= other.first_block
            && self.last_block >= other.last_block
            && self.level > other.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_were_merged_away_are_not_counted() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let table = folder.path().join("engine/data/tidegate/logs");
        for (part, bytes) in
            [("20261121_1_1_0", 10), ("20261121_2_2_0", 20), ("20261121_1_2_1", 25), ("20261122_3_3_0", 7)]
        {
            fs::create_dir_all(table.join(part))?;
            fs::write(table.join(part).join("data.bin"), vec![0; bytes])?;
        }
        fs::create_dir_all(table.join("detached"))?;
        assert!((stored_bytes(folder.path(), "logs")? - 32.0).abs() < 0.1);
        Ok(())
    }
}
