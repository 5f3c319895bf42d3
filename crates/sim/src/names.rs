use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::rngs::StdRng;

/// The names of files: as programs see them, and as the disk has them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    shown: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    /// What was done since the last sync of the folder.
    changes: Vec<Change>,
}

/// One change of the names.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Add(PathBuf, u64),
    Remove(PathBuf),
    Move(PathBuf, PathBuf),
}

impl Names {
    pub(crate) fn find(&self, path: &Path) -> Option<u64> {
        self.shown.get(path).copied()
    }

    /// Returns the names in a folder.
    pub(crate) fn inside(&self, dir: &Path) -> Vec<String> {
        let inside = self.shown.keys().filter(|path| path.parent() == Some(dir));
        inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    /// Says whether a file has a name, or would have one after a power cut.
    pub(crate) fn holds(&self, file: u64) -> bool {
        self.shown.values().chain(self.durable.values()).any(|named| *named == file)
    }

    pub(crate) fn change(&mut self, change: Change) {
        apply(&mut self.shown, change.clone());
        self.changes.push(change);
    }

    pub(crate) fn sync(&mut self) {
        self.durable.clone_from(&self.shown);
        self.changes.clear();
    }

    /// Cuts the power: as in a journal, of the changes that were not synced some of the first survive.
    pub(crate) fn cut_power(&mut self, chance: &mut StdRng) {
        let survive = chance.random_range(0..=self.changes.len());
        for change in self.changes.drain(..).take(survive) {
            apply(&mut self.durable, change);
        }
        self.shown.clone_from(&self.durable);
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: Change) {
    match change {
        Change::Add(path, file) => {
            names.insert(path, file);
        }
        Change::Remove(path) => {
            names.remove(&path);
        }
        Change::Move(from, to) => {
            if let Some(file) = names.remove(&from) {
                names.insert(to, file);
            }
        }
    }
}
