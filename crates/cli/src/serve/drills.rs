use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tidegate_core::backup::{Backups, fetch_chain};
use tidegate_model::limits::EXPORT_DISK_FREE_BYTES_MIN;
use tidegate_server::{DrillAsked, DrillProof};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::restore::rebuild;
use crate::settings::Settings;

/// Restores backups on trial, one at a time, into a folder that nobody serves and that goes with each.
pub(super) fn start(
    settings: &Settings,
    room: PathBuf,
    backups: Backups,
    mut asked: mpsc::Receiver<DrillAsked>,
    mut stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let mut settings = settings.clone();
    settings.data = room.join("data");
    // The engine is for the drill alone.
    settings.listen.clickhouse_http.clear();
    tokio::spawn(async move {
        clear(&room);
        while let Some(DrillAsked { chain, answer }) = asked.recv().await {
            let outcome = tokio::select! {
                outcome = rehearse(&settings, &room, &backups, &chain) => outcome,
                _ = stop.wait_for(|stop| *stop) => Err(anyhow::anyhow!("the server is stopping")),
            };
            clear(&room);
            // Nobody may wait any more.
            let _ = answer.send(outcome.map_err(|error| format!("{error:#}")));
        }
    })
}

async fn rehearse(
    settings: &Settings,
    room: &Path,
    backups: &Backups,
    chain: &[tidegate_core::backup::BackupManifest],
) -> Result<DrillProof> {
    let newest = chain.first().context("find the backup")?;
    std::fs::create_dir_all(room).with_context(|| format!("make {}", room.display()))?;
    let copies = if backups.bucket().is_some() { 2 } else { 1 };
    let needed = chain.iter().map(|one| one.bytes).sum::<u64>() * copies + EXPORT_DISK_FREE_BYTES_MIN;
    let stat = rustix::fs::statvfs(room).with_context(|| format!("look at the disk of {}", room.display()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    ensure!(
        free >= needed,
        "the disk of {} has {free} free bytes, a drill of `{}` needs {needed}; make room, or drill elsewhere with \
         `tidegate restore --verify`",
        room.display(),
        newest.name
    );
    let from = match backups.bucket() {
        None => backups.folder().join(&newest.name),
        Some(bucket) => {
            let staged = room.join("staged");
            fetch_chain(bucket, &newest.name, &staged).await?;
            staged.join(&newest.name)
        }
    };
    let rebuilt = rebuild(settings, &from, true, &|line| tracing::debug!(line, "a drill goes on")).await?;
    let proved = rebuilt.proved.context("a drill proves")?;
    Ok(DrillProof { rows: proved.rows, restored_in: rebuilt.took, verified_in: proved.took })
}

fn clear(room: &Path) {
    if room.exists()
        && let Err(error) = std::fs::remove_dir_all(room)
    {
        tracing::warn!(folder = %room.display(), %error, "what a drill left could not be removed");
    }
}
