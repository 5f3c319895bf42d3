use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_model::limits::BACKUP_NAME_BYTES_MAX;
use tidegate_model::{Seq, TableName};

use super::BackupError;
use super::files::{sha256, write_synced};

/// The form of backups that this program writes; a newer one is refused.
const FORMAT: u32 = 1;

/// What ends the name of a backup that is not whole.
const PARTIAL: &str = ".partial";

pub(super) const MANIFEST: &str = "manifest.json";
/// As `sha256sum -c` reads it.
pub(super) const MANIFEST_SUM: &str = "manifest.json.sha256";

/// The folder of ClickHouse's own backup.
pub(super) const CLICKHOUSE: &str = "clickhouse";
/// The folder of the log.
pub(super) const WAL: &str = "wal";
/// The folder of saved sessions.
pub(super) const SESSIONS: &str = "sessions";
/// The catalog's file.
pub(super) const CATALOG: &str = "catalog.sqlite";

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// The form of the folder.
    pub format: u32,
    /// Its name, which is the folder's.
    pub name: String,
    /// The one that its tables refer to; none: it is full.
    pub base: Option<BaseBackup>,
    /// Whether the schedule took it, and may remove it.
    #[serde(default)]
    pub is_scheduled: bool,
    /// When it was begun: every row that was acknowledged before is in it.
    pub began_at: String,
    /// When all of it was on the disk.
    pub ended_at: String,
    /// For how long no batch moved (milliseconds).
    pub held_ms: u64,
    /// The version of Tidegate that took it.
    pub tidegate: String,
    /// The version of ClickHouse.
    pub clickhouse: String,
    /// The database of its tables.
    pub database: String,
    /// The buffer that its log is of.
    pub buffer: String,
    /// How far each table is in it.
    pub tables: Vec<BackupTable>,
    /// Bytes of its files.
    pub bytes: u64,
    /// All its files but this one.
    pub files: Vec<BackupFile>,
}

/// The backup that another refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseBackup {
    /// Its name; it lies beside the other.
    pub name: String,
    /// The checksum of its manifest.
    pub manifest_sha256: String,
}

/// How far a table is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTable {
    /// The table.
    pub table: TableName,
    /// Rows up to this one are in ClickHouse's part.
    pub stored: Seq,
    /// Rows behind them, up to this one, are in the log's.
    pub head: Seq,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its path in the backup.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its checksum.
    pub sha256: String,
}

/// Returns where ClickHouse's part of a backup lies on the disk `backups`.
#[must_use]
pub fn clickhouse_place(name: &str) -> String {
    format!("{name}/{CLICKHOUSE}")
}

impl BackupManifest {
    pub(super) const FORMAT: u32 = FORMAT;
}

/// Refuses what could not be a plain folder's name.
pub(super) fn check_name(name: &str) -> Result<(), BackupError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins_well && name.len() <= BACKUP_NAME_BYTES_MAX && name.bytes().all(is_plain) && !name.ends_with(PARTIAL) {
        return Ok(());
    }
    Err(BackupError::Name(name.to_owned()))
}

/// Returns the name of a backup while it is taken.
pub(super) fn partial(name: &str) -> String {
    format!("{name}{PARTIAL}")
}

/// Says whether a folder is a whole backup, by its names alone.
pub(super) fn is_backup(place: &Path) -> bool {
    let is_whole = place.file_name().and_then(|name| name.to_str()).is_some_and(|name| check_name(name).is_ok());
    is_whole && place.join(MANIFEST).is_file()
}

/// Writes the manifest, then its checksum, both synced.
pub(super) fn write(place: &Path, manifest: &BackupManifest) -> io::Result<()> {
    let text = serde_json::to_string_pretty(manifest)?;
    let sum = format!("{}  {MANIFEST}\n", sha256(text.as_bytes()));
    write_synced(&place.join(MANIFEST), text.as_bytes())?;
    write_synced(&place.join(MANIFEST_SUM), sum.as_bytes())
}

/// Reads the manifest, which must be what was written; returns it with its checksum.
pub(super) fn read(place: &Path) -> Result<(BackupManifest, String), BackupError> {
    if !is_backup(place) {
        return Err(BackupError::NotABackup(place.display().to_string()));
    }
    let (file, sum_file) = (place.join(MANIFEST), place.join(MANIFEST_SUM));
    let shown = file.display().to_string();
    let bytes = fs::read(&file).map_err(|error| BackupError::file(format!("read {shown}"), error))?;
    let told = fs::read_to_string(&sum_file).map_err(|error| BackupError::Damaged {
        file: shown.clone(),
        what: format!("has no checksum beside it: {error}"),
    })?;
    parse(&shown, &bytes, &told)
}

/// Reads the bytes of a manifest, which must have the checksum that is told beside it.
pub(super) fn parse(file: &str, bytes: &[u8], told: &str) -> Result<(BackupManifest, String), BackupError> {
    let damaged = |what: String| BackupError::Damaged { file: file.to_owned(), what };
    let sum = sha256(bytes);
    if told.split_whitespace().next() != Some(sum.as_str()) {
        return Err(damaged("is not what was written".to_owned()));
    }
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let unreadable = |error: serde_json::Error| damaged(format!("cannot be read: {error}"));
    let Format { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if format > FORMAT {
        return Err(BackupError::Newer { place: file.to_owned(), found: format, known: FORMAT });
    }
    Ok((serde_json::from_slice(bytes).map_err(unreadable)?, sum))
}
