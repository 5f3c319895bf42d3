use std::collections::BTreeSet;

use super::BackupManifest;

/// Returns what the next scheduled backup refers to; `None`: it is full.
///
/// `all` is in the order in which they were taken; a chain has at most `chain_max` backups.
#[must_use]
pub fn next_base(all: &[BackupManifest], chain_max: u32) -> Option<String> {
    let newest = all.iter().rev().find(|one| one.is_scheduled)?;
    let (chain, is_whole) = chain_of(all, newest);
    (is_whole && chain.len() < chain_max as usize).then(|| newest.name.clone())
}

/// Returns the scheduled backups that have `keep` later ones and that nothing refers to which stays, the newest first.
///
/// Removed in this order, none that is left ever lacks what it refers to.
#[must_use]
pub fn outlived(all: &[BackupManifest], keep: u32) -> Vec<String> {
    let newest_first = || all.iter().rev().filter(|one| one.is_scheduled);
    let own = all.iter().filter(|one| !one.is_scheduled);
    let needed: BTreeSet<&str> =
        newest_first().take(keep as usize).chain(own).flat_map(|one| chain_of(all, one).0).collect();
    newest_first().filter(|one| !needed.contains(one.name.as_str())).map(|one| one.name.clone()).collect()
}

/// Returns a backup and those that it refers to, and whether all of them are there.
fn chain_of<'a>(all: &'a [BackupManifest], newest: &'a BackupManifest) -> (Vec<&'a str>, bool) {
    let mut chain = vec![newest.name.as_str()];
    let mut last = newest;
    while let Some(base) = &last.base {
        match all.iter().find(|one| one.name == base.name) {
            Some(found) if !chain.contains(&found.name.as_str()) => {
                chain.push(&found.name);
                last = found;
            }
            _ => return (chain, false),
        }
    }
    (chain, true)
}
