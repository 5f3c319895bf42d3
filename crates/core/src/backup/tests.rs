use std::fs;

use super::files::{copy_plain, damage, seal};
use super::manifest::{check_name, is_backup};
use super::{BackupManifest, BaseBackup, next_base, outlived};

#[test]
fn only_plain_names_are_names() {
    for name in ["a", "20260131T090000Z", "nightly-2_b.1"] {
        assert!(check_name(name).is_ok(), "{name}");
    }
    let long = "a".repeat(65);
    for name in ["", ".", "..", "../a", "a/b", "-a", ".a", "a b", "a'b", "a.partial", "é", long.as_str()] {
        assert!(check_name(name).is_err(), "{name}");
    }
}

#[test]
fn every_file_is_known_and_every_change_of_one_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    fs::create_dir_all(root.join("a/b")).expect("folders");
    for (path, text) in [("a/b/deep", "1234"), ("a/next", ""), ("top", "x")] {
        fs::write(root.join(path), text).expect("a file");
    }
    let files = seal(root).expect("sealed");
    let told: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert_eq!(told, [("a/b/deep", 4), ("a/next", 0), ("top", 1)]);
    // The checksum that `sha256sum` tells of nothing.
    assert_eq!(files[1].sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let found = |at: usize| damage(root, &files[at]).expect("readable");
    assert!((0..3).all(|at| found(at).is_none()));
    fs::write(root.join("a/b/deep"), "1334").expect("changed");
    fs::write(root.join("a/next"), "y").expect("longer");
    fs::remove_file(root.join("top")).expect("gone");
    let texts = [found(0), found(1), found(2)].map(Option::unwrap_or_default);
    assert_eq!(texts, ["is not what was written", "has 1 bytes, 0 were written", "is missing"]);
}

#[test]
fn a_folder_that_is_not_there_is_copied_as_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, into) = (folder.path().join("from"), folder.path().join("into"));
    copy_plain(&from, &into).expect("nothing to do");
    assert!(!into.exists() && !is_backup(folder.path()));
    fs::create_dir_all(from.join("below")).expect("folders");
    fs::write(from.join("file"), "x").expect("a file");
    copy_plain(&from, &into).expect("copied");
    assert_eq!(fs::read_dir(&into).expect("a copy").count(), 1);
}

fn backup(name: &str, base: Option<&str>, is_scheduled: bool) -> BackupManifest {
    let base = base.map(|base| BaseBackup { name: base.to_owned(), manifest_sha256: String::new() });
    BackupManifest {
        format: 1,
        name: name.to_owned(),
        base,
        is_scheduled,
        began_at: String::new(),
        ended_at: String::new(),
        held_ms: 0,
        tidegate: String::new(),
        clickhouse: String::new(),
        database: String::new(),
        buffer: String::new(),
        tables: Vec::new(),
        bytes: 0,
        files: Vec::new(),
    }
}

#[test]
fn what_another_backup_refers_to_is_never_outlived() {
    let all = [
        backup("a", None, true),
        backup("b", Some("a"), true),
        backup("c", Some("b"), true),
        backup("d", None, true),
        backup("e", Some("d"), true),
    ];
    assert_eq!(outlived(&all, 9), [] as [&str; 0]);
    assert_eq!(outlived(&all, 3), [] as [&str; 0], "c needs b and a");
    assert_eq!(outlived(&all, 2), ["c", "b", "a"]);
    assert_eq!(outlived(&all, 1), ["c", "b", "a"], "e needs d");
    let by_hand = [all.as_slice(), &[backup("own", Some("b"), false)]].concat();
    assert_eq!(outlived(&by_hand, 1), ["c"], "what somebody took by hand stays, and what it needs");
}

#[test]
fn a_chain_ends_where_it_is_long_enough_or_broken() {
    let all = [backup("a", None, true), backup("b", Some("a"), true), backup("own", None, false)];
    assert_eq!(next_base(&all, 3).as_deref(), Some("b"));
    assert_eq!(next_base(&all, 2), None);
    assert_eq!(next_base(&all[1..], 3), None, "its base is gone");
    assert_eq!(next_base(&all[2..], 3), None, "nothing of the schedule is there");
}
