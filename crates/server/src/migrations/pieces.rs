use futures_util::TryStreamExt;
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_core::catalog::{Migration, TakenPiece};
use tidegate_core::ingest::Admitted;
use tidegate_core::query::{Format, ReadRequest};
use tidegate_model::limits::MIGRATION_FILE_BYTES_MAX;
use tidegate_model::{ErrorKind, MigrationPiece};

use super::{failed, number};
use crate::api::tables_are_there;
use crate::errors::Failure;
use crate::stages::Stages;

/// The header that says which rows of an older engine a request brings.
const PIECE_HEADER: &str = "x-tidegate-piece";

/// Reads which rows of an older engine a request brings.
pub(crate) fn piece_of(headers: &HeaderMap) -> Result<Option<MigrationPiece>, Failure> {
    let Some(value) = headers.get(PIECE_HEADER) else { return Ok(None) };
    let wrong = |why: String| Failure::invalid(format!("the header {PIECE_HEADER} cannot be read: {why}"));
    let piece: MigrationPiece = serde_json::from_slice(value.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let is_plain = piece.migration.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if piece.file.len() > MIGRATION_FILE_BYTES_MAX || !is_plain {
        return Err(wrong(format!(
            "a file has at most {MIGRATION_FILE_BYTES_MAX} bytes, a migration the id that it was given"
        )));
    }
    Ok(Some(piece))
}

/// Returns the key by which the same rows are known within the dedup window; after it the rows themselves tell.
pub(crate) fn retry_key(piece: &MigrationPiece) -> String {
    format!("migration:{}", hex::encode(Sha256::digest(piece.attributes())))
}

/// Notes rows that were taken. A note that is lost in a crash is made again from the rows.
pub(crate) async fn note(stages: &Stages, piece: MigrationPiece, admitted: &Admitted) -> Result<(), Failure> {
    let taken = TakenPiece { piece, accepted: admitted.accepted };
    stages.catalog.add_migration_pieces(&[taken]).await.map_err(|error| failed(&error))
}

/// Lists what was taken. The rows are asked too: they know of pieces whose note a crash has kept from being made.
pub(super) async fn taken(stages: &Stages, migration: &Migration) -> Result<Vec<TakenPiece>, Failure> {
    let found = in_rows(stages, migration).await?;
    stages.catalog.add_migration_pieces(&found).await.map_err(|error| failed(&error))?;
    stages.catalog.migration_pieces(&migration.id).await.map_err(|error| failed(&error))
}

async fn in_rows(stages: &Stages, migration: &Migration) -> Result<Vec<TakenPiece>, Failure> {
    let dataset = stages.catalog.dataset(&migration.slug, &migration.label).await.map_err(|error| failed(&error))?;
    // Before the first piece the table has no such column, or is not there.
    let dataset = dataset.filter(|dataset| dataset.spec.column("_partition_attributes").is_some());
    let Some(dataset) = dataset else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT `_partition_attributes` AS piece, toString(count()) AS found FROM `{}` \
         WHERE startsWith(`_partition_attributes`, '{}\"') GROUP BY piece",
        dataset.spec.name,
        MigrationPiece::prefix(&migration.id),
    );
    let told = || Failure::new(ErrorKind::Internal, "the rows do not tell what was taken");
    tables_are_there(stages).await?;
    let answer = rows(stages, sql).await?;
    let piece = |row: &Value| {
        let piece: MigrationPiece = serde_json::from_str(row["piece"].as_str()?).ok()?;
        Some(TakenPiece { piece, accepted: number(&row["found"])? })
    };
    answer.iter().map(|row| piece(row).ok_or_else(told)).collect()
}

/// Answers a statement of ours with rows as JSON objects.
async fn rows(stages: &Stages, sql: String) -> Result<Vec<Value>, Failure> {
    let format = Format::named("ndjson").unwrap_or(Format::JSON);
    let request = ReadRequest {
        sql,
        params: Vec::new(),
        format,
        min_watermark: None,
        max_rows: None,
        timeout: None,
        query_id: stages.request_id(),
    };
    let answer = stages.query.read(request).await?;
    let body = answer.body.try_fold(Vec::new(), async |mut all, piece| {
        all.extend_from_slice(&piece);
        Ok(all)
    });
    let body = body.await?;
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = lines.map(serde_json::from_slice).collect::<Result<Vec<_>, _>>();
    read.map_err(|error| Failure::of(ErrorKind::Internal, &error))
}
