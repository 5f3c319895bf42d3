use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use tidegate_model::{BatchId, ColumnSpec, ManifestState, PartitionDay, RowsSum, Seq, SeqRange, TableName, UnixNanos};
use twox_hash::XxHash3_64;

use super::{BatchRow, Catalog, CatalogError, Manifest, table_name};

/// What a list of manifests is narrowed down to.
#[derive(Debug, Clone)]
pub struct ManifestFilter {
    /// The table.
    pub table: TableName,
    /// Only of this partition, which is a UTC day.
    pub shard: Option<PartitionDay>,
    /// Only in this state.
    pub state: Option<ManifestState>,
    /// At most so many.
    pub limit: u32,
    /// Only those after this one in the list.
    pub after: Option<ManifestPlace>,
}

/// A manifest's place in a list: the beginning of its batch, its partition, its version; newest first.
pub type ManifestPlace = (Seq, PartitionDay, u32);

/// What the manifests of a list are together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ManifestTotals {
    /// How many they are.
    pub manifests: u64,
    /// Different partitions among them.
    pub partitions: u64,
    /// Rows that they tell of.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The latest time among them.
    pub last_time: Option<UnixNanos>,
}

impl Catalog {
    /// Writes what a batch will put into each partition, before its inserts; what is known already stays as it is.
    pub async fn draft_manifests(
        &self,
        batch: &BatchRow,
        (partitions, columns): (&[PartitionDay], &[ColumnSpec]),
        (schema_version, at): (Option<u32>, UnixNanos),
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("write the drafts of manifests");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let columns_id = keep_columns(&mut transaction, columns).await?;
        for partition in partitions {
            let draft = Manifest {
                batch: batch.id.clone(),
                batch_range: batch.range,
                partition: *partition,
                version: 1,
                table: batch.table.clone(),
                state: ManifestState::Draft,
                sum: RowsSum::default(),
                columns: Vec::new(),
                schema_version,
                tier: Manifest::TIER_HOT.to_owned(),
                drafted_at: at,
                published_at: None,
                superseded_at: None,
                expired_at: None,
            };
            insert(&mut transaction, &draft, columns_id).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Lists manifests, those of the newest rows first.
    pub async fn manifests(&self, filter: &ManifestFilter) -> Result<Vec<Manifest>, CatalogError> {
        let (seq, partition, version) = filter.after.unwrap_or((Seq(i64::MAX.cast_unsigned()), 0, 0));
        let rows = sqlx::query(
            "SELECT m.*, c.columns FROM manifests m JOIN manifest_columns c ON c.id = m.columns_id
             WHERE m.table_name = ?1 AND (?2 IS NULL OR m.partition_day = ?2) AND (?3 IS NULL OR m.state = ?3)
             AND (m.batch_first, m.partition_day, m.version) < (?4, ?5, ?6)
             ORDER BY m.batch_first DESC, m.partition_day DESC, m.version DESC LIMIT ?7",
        )
        .bind(filter.table.as_str())
        .bind(filter.shard)
        .bind(filter.state.map(ManifestState::as_str))
        .bind(seq.0.cast_signed())
        .bind(partition)
        .bind(version)
        .bind(filter.limit)
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read manifests"))?;
        rows.iter().map(manifest).collect()
    }

    /// Returns the published manifests of the batches that begin above `after`, in the order of their rows; at most
    /// so many, the last batch perhaps not whole.
    pub async fn published(
        &self,
        table: &TableName,
        after: Option<ManifestPlace>,
        limit: u32,
    ) -> Result<Vec<Manifest>, CatalogError> {
        let (seq, partition, version) = after.unwrap_or_default();
        let rows = sqlx::query(
            "SELECT m.*, c.columns FROM manifests m JOIN manifest_columns c ON c.id = m.columns_id
             WHERE m.table_name = ?1 AND m.state = 'published'
             AND (m.batch_first, m.partition_day, m.version) > (?2, ?3, ?4)
             ORDER BY m.batch_first, m.partition_day, m.version LIMIT ?5",
        )
        .bind(table.as_str())
        .bind(seq.0.cast_signed())
        .bind(partition)
        .bind(version)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read the published manifests"))?;
        rows.iter().map(manifest).collect()
    }

    /// Finds the published manifest with an id.
    pub async fn manifest(&self, table: &TableName, id: &str) -> Result<Option<Manifest>, CatalogError> {
        let row = sqlx::query(
            "SELECT m.*, c.columns FROM manifests m JOIN manifest_columns c ON c.id = m.columns_id
             WHERE m.table_name = ?1 AND m.state = 'published'
             AND m.batch_id || ':' || m.partition_day || ':' || m.version = ?2",
        )
        .bind(table.as_str())
        .bind(id)
        .fetch_optional(&self.pool)
        .await
        .map_err(CatalogError::database("read a manifest"))?;
        row.as_ref().map(manifest).transpose()
    }

    /// Returns the rows that batches have now whose manifests were superseded or have expired, by the batch's id.
    pub async fn rows_of_changed_batches(&self, table: &TableName) -> Result<HashMap<String, u64>, CatalogError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT batch_id, sum(CASE WHEN state = 'published' THEN row_count ELSE 0 END) FROM manifests
             WHERE table_name = ?1 GROUP BY batch_id HAVING max(version) > 1 OR max(state = 'expired') = 1",
        )
        .bind(table.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read the superseded manifests"))?;
        Ok(rows.into_iter().map(|(batch, rows)| (batch, rows.cast_unsigned())).collect())
    }

    /// Adds up the published manifests of a table: of all its partitions, of one, or of those that may have a row in a
    /// span of time.
    pub async fn manifest_totals(
        &self,
        table: &TableName,
        shard: Option<PartitionDay>,
        times: Option<(UnixNanos, UnixNanos)>,
    ) -> Result<ManifestTotals, CatalogError> {
        let row = sqlx::query(
            "SELECT coalesce(sum(manifest_count), 0) AS manifests, count(*) AS partitions,
                    coalesce(sum(row_count), 0) AS row_count, coalesce(sum(byte_count), 0) AS byte_count,
                    max(last_time) AS last_time
             FROM shards WHERE table_name = ?1 AND (?2 IS NULL OR partition_day = ?2)
             AND (?3 IS NULL OR first_time IS NULL OR (first_time <= ?4 AND last_time >= ?3))",
        )
        .bind(table.as_str())
        .bind(shard)
        .bind(times.map(|times| times.0.0))
        .bind(times.map(|times| times.1.0))
        .fetch_one(&self.pool)
        .await
        .map_err(CatalogError::database("add up manifests"))?;
        let count = |name| row.get::<i64, _>(name).cast_unsigned();
        Ok(ManifestTotals {
            manifests: count("manifests"),
            partitions: count("partitions"),
            rows: count("row_count"),
            bytes: count("byte_count"),
            last_time: row.get::<Option<i64>, _>("last_time").map(UnixNanos),
        })
    }

    /// Puts a later version of a manifest in the place of the published one: its rows were changed on purpose.
    ///
    /// Fails when another was faster, or none is published.
    pub async fn supersede_manifest(
        &self,
        published: &Manifest,
        sum: &RowsSum,
        at: UnixNanos,
    ) -> Result<Manifest, CatalogError> {
        let failed = || CatalogError::database("supersede a manifest");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let next = supersede(&mut transaction, published, sum, at).await?;
        sqlx::query("UPDATE shards SET row_count = row_count + ? WHERE table_name = ? AND partition_day = ?")
            .bind(sum.rows.cast_signed() - published.sum.rows.cast_signed())
            .bind(published.table.as_str())
            .bind(published.partition)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(next)
    }
}

/// Puts a later version of a manifest in the place of the published one.
pub(super) async fn supersede(
    connection: &mut SqliteConnection,
    published: &Manifest,
    sum: &RowsSum,
    at: UnixNanos,
) -> Result<Manifest, CatalogError> {
    let failed = || CatalogError::database("supersede a manifest");
    let superseded = sqlx::query(
        "UPDATE manifests SET state = 'superseded', superseded_at = ?
         WHERE batch_id = ? AND partition_day = ? AND version = ? AND state = 'published' RETURNING columns_id",
    )
    .bind(at.0)
    .bind(published.batch.as_str())
    .bind(published.partition)
    .bind(published.version)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed())?;
    let Some(superseded) = superseded else {
        return Err(CatalogError::StaleManifest { manifest: published.id() });
    };
    let next = Manifest {
        version: published.version + 1,
        sum: *sum,
        drafted_at: at,
        published_at: Some(at),
        superseded_at: None,
        state: ManifestState::Published,
        ..published.clone()
    };
    insert(connection, &next, superseded.get("columns_id")).await.map_err(failed())?;
    Ok(next)
}

/// Publishes the drafts of a batch, in the transaction that marks it as stored.
pub(super) async fn publish(
    connection: &mut SqliteConnection,
    batch: &BatchId,
    sums: &[(PartitionDay, RowsSum)],
    at: UnixNanos,
) -> Result<(), sqlx::Error> {
    for (partition, sum) in sums {
        let published = sqlx::query(
            "UPDATE manifests SET state = 'published', published_at = ?, first_seq = ?, last_seq = ?, row_count = ?,
                    byte_count = ?, first_time = ?, last_time = ?, checksum = ?
             WHERE batch_id = ? AND partition_day = ? AND state = 'draft' RETURNING table_name",
        )
        .bind(at.0)
        .bind(sum.range.map(|range| range.first.0.cast_signed()))
        .bind(sum.range.map(|range| range.last.0.cast_signed()))
        .bind(sum.rows.cast_signed())
        .bind(sum.bytes.cast_signed())
        .bind(sum.times.map(|times| times.0.0))
        .bind(sum.times.map(|times| times.1.0))
        .bind(sum.checksum.cast_signed())
        .bind(batch.as_str())
        .bind(partition)
        .fetch_optional(&mut *connection)
        .await?;
        // A batch that is stored again publishes nothing, and adds nothing.
        if let Some(published) = published {
            add_to_shard(connection, published.get("table_name"), *partition, sum).await?;
        }
    }
    Ok(())
}

async fn add_to_shard(
    connection: &mut SqliteConnection,
    table: &str,
    partition: PartitionDay,
    sum: &RowsSum,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO shards (table_name, partition_day, manifest_count, row_count, byte_count, first_time, last_time)
         VALUES (?, ?, 1, ?, ?, ?, ?)
         ON CONFLICT (table_name, partition_day) DO UPDATE SET
             manifest_count = manifest_count + 1, row_count = row_count + excluded.row_count,
             byte_count = byte_count + excluded.byte_count,
             first_time = min(coalesce(first_time, excluded.first_time), coalesce(excluded.first_time, first_time)),
             last_time = max(coalesce(last_time, excluded.last_time), coalesce(excluded.last_time, last_time))",
    )
    .bind(table)
    .bind(partition)
    .bind(sum.rows.cast_signed())
    .bind(sum.bytes.cast_signed())
    .bind(sum.times.map(|times| times.0.0))
    .bind(sum.times.map(|times| times.1.0))
    .execute(connection)
    .await
    .map(drop)
}

async fn keep_columns(connection: &mut SqliteConnection, columns: &[ColumnSpec]) -> Result<i64, CatalogError> {
    let json = serde_json::to_string(columns)
        .map_err(|_| CatalogError::Corrupt { what: "the columns of a manifest".to_owned() })?;
    let id = XxHash3_64::oneshot(json.as_bytes()).cast_signed();
    sqlx::query("INSERT OR IGNORE INTO manifest_columns (id, columns) VALUES (?, ?)")
        .bind(id)
        .bind(json)
        .execute(connection)
        .await
        .map_err(CatalogError::database("keep the columns of manifests"))?;
    Ok(id)
}

async fn insert(connection: &mut SqliteConnection, manifest: &Manifest, columns_id: i64) -> Result<(), sqlx::Error> {
    let Manifest { batch_range, sum, .. } = manifest;
    sqlx::query(
        "INSERT INTO manifests (batch_id, partition_day, version, table_name, state, batch_first, batch_last, first_seq,
             last_seq, row_count, byte_count, first_time, last_time, checksum, columns_id, schema_version, tier,
             drafted_at, published_at, superseded_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (batch_id, partition_day, version) DO NOTHING",
    )
    .bind(manifest.batch.as_str())
    .bind(manifest.partition)
    .bind(manifest.version)
    .bind(manifest.table.as_str())
    .bind(manifest.state.as_str())
    .bind(batch_range.first.0.cast_signed())
    .bind(batch_range.last.0.cast_signed())
    .bind(sum.range.map(|range| range.first.0.cast_signed()))
    .bind(sum.range.map(|range| range.last.0.cast_signed()))
    .bind(sum.rows.cast_signed())
    .bind(sum.bytes.cast_signed())
    .bind(sum.times.map(|times| times.0.0))
    .bind(sum.times.map(|times| times.1.0))
    .bind(sum.checksum.cast_signed())
    .bind(columns_id)
    .bind(manifest.schema_version)
    .bind(&manifest.tier)
    .bind(manifest.drafted_at.0)
    .bind(manifest.published_at.map(|at| at.0))
    .bind(manifest.superseded_at.map(|at| at.0))
    .execute(connection)
    .await
    .map(drop)
}

pub(super) fn manifest(row: &SqliteRow) -> Result<Manifest, CatalogError> {
    let table = table_name(row.get("table_name"))?;
    let seq = |column| row.get::<Option<i64>, _>(column).map(|seq| Seq(seq.cast_unsigned()));
    let time = |column| row.get::<Option<i64>, _>(column).map(UnixNanos);
    let count = |column| row.get::<Option<i64>, _>(column).unwrap_or(0).cast_unsigned();
    let batch_range =
        SeqRange { first: seq("batch_first").unwrap_or_default(), last: seq("batch_last").unwrap_or_default() };
    let corrupt = |what: &str| CatalogError::Corrupt { what: format!("a manifest of `{table}` with {what}") };
    let columns = serde_json::from_str(row.get("columns")).map_err(|_| corrupt("unreadable columns"))?;
    let state = row.get::<&str, _>("state").parse().map_err(|_| corrupt("an unknown state"))?;
    Ok(Manifest {
        batch: super::batches::batch_id(row.get("batch_id"), &table, batch_range)?,
        batch_range,
        partition: row.get("partition_day"),
        version: row.get("version"),
        state,
        sum: RowsSum {
            rows: count("row_count"),
            bytes: count("byte_count"),
            checksum: count("checksum"),
            range: seq("first_seq").zip(seq("last_seq")).map(|(first, last)| SeqRange { first, last }),
            times: time("first_time").zip(time("last_time")),
        },
        columns,
        schema_version: row.get("schema_version"),
        tier: row.get("tier"),
        drafted_at: UnixNanos(row.get("drafted_at")),
        published_at: time("published_at"),
        superseded_at: time("superseded_at"),
        expired_at: time("expired_at"),
        table,
    })
}
