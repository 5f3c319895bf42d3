use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tidegate_model::limits::{BACKUP_DRAIN_MS, BACKUP_LOOK_MS};
use tokio::time::{Instant, sleep, timeout};

use super::manifest::{self, CATALOG, CLICKHOUSE, SESSIONS, WAL, check_name, clickhouse_place, partial};
use super::{BackupAsked, BackupError, BackupManifest, BackupTable, BaseBackup, Sources, blocking, files, remote};
use crate::buffer::Buffer;
use crate::objects::Bucket;

/// Takes a backup under a temporary name, and gives it its own when all of it is on the disk.
pub(super) async fn take(
    (folder, bucket): (&Path, Option<&Bucket>),
    sources: &Sources,
    BackupAsked { name, base, is_scheduled }: BackupAsked,
) -> Result<BackupManifest, BackupError> {
    let name = name.unwrap_or_else(|| named_by_time(sources));
    check_name(&name)?;
    if let Some(bucket) = bucket {
        if remote::is_backup(bucket, &name).await? {
            return Err(BackupError::Exists(name));
        }
        // Nothing here outlives the backup that it was for.
        empty(folder)?;
    }
    let base = match (base, bucket) {
        (None, _) => None,
        (Some(base), None) => Some(base_of(folder, base)?),
        (Some(base), Some(bucket)) => Some(remote::stage_base(bucket, folder, base).await?),
    };
    let (place, working) = (folder.join(&name), folder.join(partial(&name)));
    let is_there =
        place.try_exists().map_err(|error| BackupError::file(format!("look for {}", place.display()), error));
    if is_there? {
        return Err(BackupError::Exists(name));
    }
    fs::create_dir(&working).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(partial(&name)),
        _ => BackupError::file(format!("make {}", working.display()), error),
    })?;
    let mut taken = gather(&working, sources, (name, is_scheduled), base).await;
    if let (Ok(manifest), Some(bucket)) = (&taken, bucket)
        && let Err(error) = remote::send(bucket, &working, manifest).await
    {
        taken = Err(error);
    }
    if taken.is_err()
        && let Err(error) = fs::remove_dir_all(&working)
    {
        tracing::warn!(folder = %working.display(), %error, "what is left of a failed backup could not be removed");
    }
    let manifest = taken?;
    if bucket.is_some() {
        empty(folder)?;
    } else {
        let named = fs::rename(&working, &place).and_then(|()| files::sync_folder(folder));
        named.map_err(|error| BackupError::file(format!("name the backup {}", place.display()), error))?;
    }
    tracing::info!(backup = manifest.name, bytes = manifest.bytes, held_ms = manifest.held_ms, "a backup was taken");
    Ok(manifest)
}

async fn gather(
    working: &Path,
    sources: &Sources,
    (name, is_scheduled): (String, bool),
    base: Option<BaseBackup>,
) -> Result<BackupManifest, BackupError> {
    let began_at = sources.clock.now();
    let (tables, held_ms) = copy_moment(working, sources, (&name, base.as_ref())).await?;
    let (sessions, copy) = (sources.sessions.clone(), working.join(SESSIONS));
    let root = working.to_owned();
    let sealed = blocking(move || files::copy_plain(&sessions, &copy).and_then(|()| files::seal(&root))).await;
    let files = sealed.map_err(|error| BackupError::file(format!("sync {}", working.display()), error))?;
    let manifest = BackupManifest {
        format: BackupManifest::FORMAT,
        name,
        base,
        is_scheduled,
        began_at: began_at.to_string(),
        ended_at: sources.clock.now().to_string(),
        held_ms,
        tidegate: sources.program.to_owned(),
        clickhouse: sources.store.version().await?,
        database: sources.store.database().to_owned(),
        buffer: sources.buffer.id().to_string(),
        tables,
        bytes: files.iter().map(|file| file.bytes).sum(),
        files,
    };
    let written = manifest::write(working, &manifest).and_then(|()| files::sync_folder(working));
    written.map_err(|error| BackupError::file(format!("write the manifest of {}", working.display()), error))?;
    Ok(manifest)
}

/// Copies log, tables and catalog while no batch is between two of them.
async fn copy_moment(
    working: &Path,
    sources: &Sources,
    (name, base): (&str, Option<&BaseBackup>),
) -> Result<(Vec<BackupTable>, u64), BackupError> {
    let Sources { buffer, catalog, store, .. } = sources;
    // Before the cuts are held: whoever removes rows holds some too, until the removal is done.
    let _kept = store.keep_rows().await;
    let began = Instant::now();
    let hold = buffer.hold_all();
    drained(buffer).await?;
    // The log first: a retry key that a trim moves from it into the catalog meanwhile is then in both, not in neither.
    let tails = buffer.copy_log(working.join(WAL)).await?;
    // The catalog last: a column that it knows and ClickHouse's copy lacks is added at the start, the reverse is drift.
    let place = clickhouse_place(&partial(name));
    store.write_backup(&place, base.map(|base| clickhouse_place(&base.name)).as_deref()).await?;
    catalog.copy_to(&working.join(CATALOG)).await?;
    drop(hold);
    if !working.join(CLICKHOUSE).is_dir() {
        let step = format!("find what ClickHouse wrote in {}", working.display());
        return Err(BackupError::file(step, io::ErrorKind::NotFound.into()));
    }
    let tables = tails.into_iter().map(|tail| BackupTable { table: tail.table, stored: tail.stored, head: tail.head });
    Ok((tables.collect(), u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)))
}

/// Waits until what was cut before the hold is in ClickHouse.
async fn drained(buffer: &Buffer) -> Result<(), BackupError> {
    let limit = Duration::from_millis(BACKUP_DRAIN_MS);
    let arrived = async {
        while buffer.has_open_cut() {
            sleep(Duration::from_millis(BACKUP_LOOK_MS)).await;
        }
    };
    timeout(limit, arrived).await.map_err(|_| BackupError::Undrained { seconds: limit.as_secs() })
}

/// Removes everything in the folder that backups wait in.
fn empty(folder: &Path) -> Result<(), BackupError> {
    let emptied = fs::read_dir(folder).and_then(|entries| {
        for entry in entries {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(())
    });
    emptied.map_err(|error| BackupError::file(format!("empty {}", folder.display()), error))
}

fn base_of(folder: &Path, name: String) -> Result<BaseBackup, BackupError> {
    check_name(&name)?;
    let (_, manifest_sha256) = manifest::read(&folder.join(&name))?;
    Ok(BaseBackup { name, manifest_sha256 })
}

/// Names a backup `20260131T090000Z`.
fn named_by_time(sources: &Sources) -> String {
    let now = sources.clock.now().to_string();
    let seconds = now.split(['.', 'Z']).next().unwrap_or_default();
    format!("{}Z", seconds.replace(['-', ':'], ""))
}
