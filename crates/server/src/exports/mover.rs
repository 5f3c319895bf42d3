use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tidegate_core::catalog::{CatalogError, Export, ExportEnd, ExportState};
use tidegate_core::exports::{Contents, ExportError, ExportFolder, WrittenFile, contents};
use tidegate_core::query::{QueryError, WholeTable};
use tidegate_model::limits::{EXPORT_ATTEMPTS_MAX, EXPORT_LOOK_SECONDS, EXPORT_RETRY_MS};
use tidegate_model::{ErrorKind, Seq, TableSpec};
use tokio::time::{sleep, timeout};

use super::place::{Place, PlaceError};
use super::table::Table;
use crate::errors::chain;
use crate::stages::{SchemaState, Stages};

/// The version of manifests.
const FORMAT: u32 = 1;

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    /// There is no such table any more.
    #[error("the table is gone")]
    Gone,
    #[error("look up the table")]
    Catalog(#[from] CatalogError),
    #[error("read the rows")]
    Query(#[from] QueryError),
    #[error("write the files")]
    Files(#[from] ExportError),
    #[error("put the files into their place")]
    Place(#[from] PlaceError),
}

impl MoveError {
    /// Says whether another attempt may end better.
    fn is_passing(&self) -> bool {
        match self {
            Self::Gone => false,
            Self::Catalog(source) => source.kind().is_retryable(),
            // An answer that breaks off is an engine that ended.
            Self::Query(source) => source.kind().is_retryable() || matches!(source, QueryError::Store(_)),
            Self::Files(source) | Self::Place(PlaceError::Files(source)) => source.kind() == ErrorKind::Unavailable,
            Self::Place(PlaceError::Objects(source)) => source.kind() == ErrorKind::Unavailable,
            // Sent again it may arrive whole.
            Self::Place(PlaceError::Differs { .. }) => true,
            Self::Place(PlaceError::NoServer(_) | PlaceError::Manifest(..)) => false,
        }
    }
}

/// Writes exports, the oldest first, as long as there are any.
pub(super) async fn run(stages: &Stages) {
    // Without its sender the server is ending.
    if stages.schema.clone().wait_for(|state| *state == SchemaState::Current).await.is_err() {
        return;
    }
    loop {
        match step(stages).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(error = chain(&error), "the catalog does not tell the next export"),
        }
        // Nothing to do, or nothing that can be done: both end when somebody asks, or after a while.
        let _ = timeout(Duration::from_secs(EXPORT_LOOK_SECONDS), stages.exports.asked.notified()).await;
    }
}

/// Takes the next export on; says whether there was one.
async fn step(stages: &Stages) -> Result<bool, CatalogError> {
    let Some(export) = stages.catalog.next_export().await? else { return Ok(false) };
    let place = match Place::of(&stages.exports, &export) {
        Ok(place) => place,
        Err(error) => {
            tracing::error!(export = export.id, error = chain(&error), "an export failed");
            end(stages, &export, ExportEnd::Failed(chain(&error))).await?;
            return Ok(true);
        }
    };
    if export.state == ExportState::Running
        && let Ok(Some(manifest)) = place.whole().await
    {
        // The process ended between the files' end and the catalog.
        complete(stages, &export, &place, manifest).await?;
        return Ok(true);
    }
    if export.attempts >= EXPORT_ATTEMPTS_MAX {
        let why = format!("it was begun {EXPORT_ATTEMPTS_MAX} times, and the server ended each time");
        give_up(stages, &export, &place, why).await?;
        return Ok(true);
    }
    stages.catalog.begin_export(&export.id).await?;
    let export = Export { attempts: export.attempts + 1, ..export };
    match write(stages, &export, &place).await {
        Ok(manifest) => complete(stages, &export, &place, manifest).await?,
        Err(error) if error.is_passing() && export.attempts < EXPORT_ATTEMPTS_MAX => {
            tracing::warn!(export = export.id, error = chain(&error), "an export failed and is begun again");
            sleep(Duration::from_millis(EXPORT_RETRY_MS)).await;
        }
        Err(error) => give_up(stages, &export, &place, chain(&error)).await?,
    }
    Ok(true)
}

async fn complete(stages: &Stages, export: &Export, place: &Place, manifest: Value) -> Result<(), CatalogError> {
    end(stages, export, ExportEnd::Completed(manifest)).await?;
    if let Err(error) = place.clear().await {
        tracing::warn!(export = export.id, error = chain(&error), "files that were sent could not be removed");
    }
    if export.is_scheduled {
        remove_outlived(stages, export).await?;
    }
    Ok(())
}

async fn give_up(stages: &Stages, export: &Export, place: &Place, why: String) -> Result<(), CatalogError> {
    tracing::error!(export = export.id, table = %export.table, why, "an export failed");
    if let Err(error) = place.discard().await {
        tracing::warn!(export = export.id, error = chain(&error), "what the export left could not be removed");
    }
    end(stages, export, ExportEnd::Failed(why)).await
}

async fn end(stages: &Stages, export: &Export, how: ExportEnd) -> Result<(), CatalogError> {
    let now = stages.clock.now();
    let event = stages.exports.event_of_end(export, now, &how);
    let event = event.as_ref().map(|(kind, body)| (*kind, body.as_str()));
    stages.catalog.end_export(&export.id, now, &how, event).await?;
    stages.exports.told.notify_one();
    stages.metrics.copies.export_end(export, now, &how);
    if let ExportEnd::Completed(manifest) = &how {
        tracing::info!(export = export.id, table = %export.table, rows = %manifest["rows"], "an export is completed");
    }
    Ok(())
}

/// Writes the export's files and puts them into their place; what an earlier attempt has done is not done again.
async fn write(stages: &Stages, export: &Export, place: &Place) -> Result<Value, MoveError> {
    if let Some(manifest) = place.whole().await? {
        return Ok(manifest);
    }
    let manifest = match place.staged().await? {
        Some(manifest) => manifest,
        None => gather(stages, export, place.folder()).await?,
    };
    place.send().await?;
    Ok(manifest)
}

/// Reads the rows of one snapshot into the folder's file, looks at what is in it, and gives the folder its name.
async fn gather(stages: &Stages, export: &Export, folder: &ExportFolder) -> Result<Value, MoveError> {
    let table = Table::find(stages, &export.slug, &export.label).await?.ok_or(MoveError::Gone)?;
    let whole = WholeTable {
        spec: &table.spec,
        time_column: table.time_column.as_deref(),
        from: export.from,
        to: export.to,
        seqs: None,
        is_own_only: false,
        query_id: format!("export-{}-{}", export.id, export.attempts),
    };
    // Until ClickHouse has chosen the parts that it reads: rows that go meanwhile go of all of them, or of none.
    let kept = stages.store.keep_rows().await;
    let answer = stages.query.read_whole(&whole).await?;
    drop(kept);
    let watermark = answer.freshness.watermarks.first().map(|(_, seq)| *seq).unwrap_or_default();
    let mut file = folder.begin().await?;
    let mut body = answer.body;
    while let Some(piece) = body.next().await {
        file.write(&piece?).await?;
    }
    let written = file.finish().await?;
    let found = look_into(written.path.clone(), table.time_column.clone()).await?;
    if found.seqs.is_some_and(|seqs| seqs.last > watermark) {
        let what = format!("it has rows behind the snapshot, which ends with {watermark}");
        return Err(ExportError::Wrong { path: written.path, what }.into());
    }
    let manifest = manifest(stages, (export, &table), watermark, (&written, &found));
    folder.finish(&written, &manifest).await?;
    Ok(manifest)
}

async fn look_into(path: PathBuf, time_column: Option<String>) -> Result<Contents, ExportError> {
    tokio::task::spawn_blocking(move || contents(&path, time_column.as_deref())).await?
}

fn manifest(
    stages: &Stages,
    (export, table): (&Export, &Table),
    watermark: Seq,
    (written, found): (&WrittenFile, &Contents),
) -> Value {
    let own = table.spec.columns.iter().filter(|column| column.name != TableSpec::PARTITION);
    let columns = own.map(|column| json!({ "name": column.name, "type": column.kind.clickhouse() }));
    let seq = json!({ "name": TableSpec::SEQ, "type": "UInt64" });
    let file = json!({
        "name": written.name,
        "rows": found.rows,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "first_seq": found.seqs.map(|seqs| seqs.first),
        "last_seq": found.seqs.map(|seqs| seqs.last),
        "first_time": found.times.map(|times| times.0.to_string()),
        "last_time": found.times.map(|times| times.1.to_string()),
    });
    json!({
        "format": FORMAT,
        "export": export.id,
        "dataset": table.slug,
        "table_name": table.label,
        "table": table.spec.name,
        "schema_version": table.version,
        "columns": columns.chain([seq]).collect::<Vec<_>>(),
        "time_column": table.time_column,
        "from": export.from.map(|time| time.to_string()),
        "to": export.to.map(|time| time.to_string()),
        "watermark": watermark,
        "rows": found.rows,
        "bytes": written.bytes,
        "files": [file],
        "written_at": stages.clock.now().to_string(),
    })
}

/// Removes the files of scheduled exports that have enough later ones.
async fn remove_outlived(stages: &Stages, export: &Export) -> Result<(), CatalogError> {
    let keep = stages.exports.options.keep;
    if keep == 0 {
        return Ok(());
    }
    for old in stages.catalog.outlived_exports(&export.slug, &export.label, keep).await? {
        // First the word, then the deed: an export that is listed as completed has its files.
        stages.catalog.remove_export(&old.id).await?;
        stages.metrics.copies.export(&old, ExportState::Removed);
        let removed = async { Place::of(&stages.exports, &old)?.remove().await };
        match removed.await {
            Ok(()) => tracing::info!(export = old.id, "the files of an old export are removed"),
            Err(error) => tracing::error!(
                export = old.id,
                folder = old.folder,
                error = chain(&error),
                "the files of an old export could not be removed: remove them by hand"
            ),
        }
    }
    Ok(())
}
