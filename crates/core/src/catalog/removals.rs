use sqlx::{Row, SqliteConnection};
use tidegate_model::{PartitionDay, RowsSum, Seq, TableName, UnixNanos};

use super::manifests::supersede;
use super::{Catalog, CatalogError, Manifest, table_name};

/// Stored rows that are to go: the catalog knows of it before ClickHouse does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The table.
    pub table: TableName,
    /// The partition that they are in.
    pub partition: PartitionDay,
    /// Only those from before this time; `None`: all.
    pub before: Option<UnixNanos>,
    /// Only those up to this number: others came later.
    pub last: Seq,
    /// When it began.
    pub at: UnixNanos,
}

/// Rows of a table that were stored and removed since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpiredRows {
    /// How many they were.
    pub rows: u64,
    /// Their bytes, as manifests count them.
    pub bytes: u64,
}

/// What is known of a partition by its published manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The partition.
    pub partition: PartitionDay,
    /// Its rows.
    pub rows: u64,
    /// The earliest and the latest time of a row, where rows have times.
    pub times: Option<(UnixNanos, UnixNanos)>,
}

impl Catalog {
    /// Notes that rows are to go, and that their manifests no longer tell of them, in one; returns the removal's number.
    ///
    /// `left` has what stays of each manifest that loses rows, where only some of the partition go.
    pub async fn begin_removal(&self, removal: &Removal, left: &[(Manifest, RowsSum)]) -> Result<i64, CatalogError> {
        let failed = || CatalogError::database("begin a removal of rows");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let number = sqlx::query(
            "INSERT INTO removals (table_name, partition_day, before, last_seq, begun_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(removal.table.as_str())
        .bind(removal.partition)
        .bind(removal.before.map(|before| before.0))
        .bind(removal.last.0.cast_signed())
        .bind(removal.at.0)
        .execute(&mut *transaction)
        .await
        .map_err(failed())?
        .last_insert_rowid();
        let gone = match removal.before {
            None => expire_all(&mut transaction, removal).await.map_err(failed())?,
            Some(_) => expire_some(&mut transaction, removal, left).await?,
        };
        recount_shard(&mut transaction, removal).await.map_err(failed())?;
        sqlx::query(
            "INSERT INTO expired_rows (table_name, row_count, byte_count) VALUES (?, ?, ?)
             ON CONFLICT (table_name) DO UPDATE SET
                 row_count = row_count + excluded.row_count, byte_count = byte_count + excluded.byte_count",
        )
        .bind(removal.table.as_str())
        .bind(gone.rows.cast_signed())
        .bind(gone.bytes.cast_signed())
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(number)
    }

    /// Forgets a removal: ClickHouse does not have the rows any more.
    pub async fn end_removal(&self, number: i64) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM removals WHERE id = ?")
            .bind(number)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("end a removal of rows"))?;
        Ok(())
    }

    /// Returns the removals that began and did not end, the oldest first.
    pub async fn open_removals(&self) -> Result<Vec<(i64, Removal)>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM removals ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the open removals"))?;
        let removal = |row: sqlx::sqlite::SqliteRow| {
            let removal = Removal {
                table: table_name(row.get("table_name"))?,
                partition: row.get("partition_day"),
                before: row.get::<Option<i64>, _>("before").map(UnixNanos),
                last: Seq(row.get::<i64, _>("last_seq").cast_unsigned()),
                at: UnixNanos(row.get("begun_at")),
            };
            Ok((row.get("id"), removal))
        };
        rows.into_iter().map(removal).collect()
    }

    /// Returns how many stored rows of each table were removed since.
    pub async fn expired_rows(&self) -> Result<Vec<(TableName, ExpiredRows)>, CatalogError> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT table_name, row_count, byte_count FROM expired_rows")
                .fetch_all(&self.pool)
                .await
                .map_err(CatalogError::database("read the expired rows"))?;
        let told = |(table, rows, bytes): (String, i64, i64)| {
            Ok((table_name(table)?, ExpiredRows { rows: rows.cast_unsigned(), bytes: bytes.cast_unsigned() }))
        };
        rows.into_iter().map(told).collect()
    }

    /// Returns what the published manifests say of each partition of a table.
    pub async fn shards(&self, table: &TableName) -> Result<Vec<Shard>, CatalogError> {
        let rows: Vec<(PartitionDay, i64, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT partition_day, row_count, first_time, last_time FROM shards WHERE table_name = ? ORDER BY 1",
        )
        .bind(table.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read the partitions of a table"))?;
        let shard = |(partition, rows, first, last): (_, i64, Option<i64>, Option<i64>)| Shard {
            partition,
            rows: rows.cast_unsigned(),
            times: first.zip(last).map(|(first, last)| (UnixNanos(first), UnixNanos(last))),
        };
        Ok(rows.into_iter().map(shard).collect())
    }

    /// Returns the published manifests of a partition that have a row from before a time.
    pub async fn manifests_before(
        &self,
        table: &TableName,
        partition: PartitionDay,
        before: UnixNanos,
    ) -> Result<Vec<Manifest>, CatalogError> {
        let rows = sqlx::query(
            "SELECT m.*, c.columns FROM manifests m JOIN manifest_columns c ON c.id = m.columns_id
             WHERE m.table_name = ? AND m.partition_day = ? AND m.state = 'published' AND m.first_time < ?
             ORDER BY m.batch_first",
        )
        .bind(table.as_str())
        .bind(partition)
        .bind(before.0)
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read the manifests of a partition"))?;
        rows.iter().map(super::manifests::manifest).collect()
    }

    /// Notes where ClickHouse keeps a partition.
    pub async fn set_tier(&self, table: &TableName, partition: PartitionDay, tier: &str) -> Result<(), CatalogError> {
        sqlx::query(
            "UPDATE manifests SET tier = ?1 WHERE table_name = ?2 AND partition_day = ?3 AND state = 'published' AND tier <> ?1",
        )
        .bind(tier)
        .bind(table.as_str())
        .bind(partition)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("note the tier of a partition"))?;
        Ok(())
    }
}

async fn expire_all(connection: &mut SqliteConnection, removal: &Removal) -> Result<ExpiredRows, sqlx::Error> {
    let (rows, bytes): (i64, i64) = sqlx::query_as(
        "SELECT coalesce(sum(row_count), 0), coalesce(sum(byte_count), 0) FROM manifests
         WHERE table_name = ? AND partition_day = ? AND state = 'published'",
    )
    .bind(removal.table.as_str())
    .bind(removal.partition)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE manifests SET state = 'expired', expired_at = ?
         WHERE table_name = ? AND partition_day = ? AND state = 'published'",
    )
    .bind(removal.at.0)
    .bind(removal.table.as_str())
    .bind(removal.partition)
    .execute(connection)
    .await?;
    Ok(ExpiredRows { rows: rows.cast_unsigned(), bytes: bytes.cast_unsigned() })
}

async fn expire_some(
    connection: &mut SqliteConnection,
    removal: &Removal,
    left: &[(Manifest, RowsSum)],
) -> Result<ExpiredRows, CatalogError> {
    let mut gone = ExpiredRows::default();
    for (manifest, sum) in left {
        if sum.rows > 0 {
            supersede(connection, manifest, sum, removal.at).await?;
        } else {
            let expired = sqlx::query(
                "UPDATE manifests SET state = 'expired', expired_at = ?
                 WHERE batch_id = ? AND partition_day = ? AND version = ? AND state = 'published'",
            )
            .bind(removal.at.0)
            .bind(manifest.batch.as_str())
            .bind(manifest.partition)
            .bind(manifest.version)
            .execute(&mut *connection)
            .await
            .map_err(CatalogError::database("expire a manifest"))?;
            if expired.rows_affected() == 0 {
                return Err(CatalogError::StaleManifest { manifest: manifest.id() });
            }
        }
        gone.rows += manifest.sum.rows.saturating_sub(sum.rows);
        gone.bytes += manifest.sum.bytes.saturating_sub(sum.bytes);
    }
    Ok(gone)
}

/// Adds the published manifests of a partition up again: their times have become narrower.
async fn recount_shard(connection: &mut SqliteConnection, removal: &Removal) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM shards WHERE table_name = ? AND partition_day = ?")
        .bind(removal.table.as_str())
        .bind(removal.partition)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO shards (table_name, partition_day, manifest_count, row_count, byte_count, first_time, last_time)
         SELECT table_name, partition_day, count(*), sum(row_count), sum(byte_count), min(first_time), max(last_time)
         FROM manifests WHERE table_name = ? AND partition_day = ? AND state = 'published' GROUP BY 1, 2",
    )
    .bind(removal.table.as_str())
    .bind(removal.partition)
    .execute(connection)
    .await
    .map(drop)
}
