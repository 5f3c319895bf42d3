use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use tidegate_model::{BatchId, BufferId, Seq, SeqRange, TableName, UnixNanos};

use super::manifests::publish;
use super::{BatchRow, Catalog, CatalogError, Stored, table_name};

impl Catalog {
    /// Writes a cut, before its insert; a cut that is known already stays as it is.
    pub async fn add_batch(&self, batch: &BatchRow) -> Result<(), CatalogError> {
        sqlx::query(
            "INSERT INTO batches (id, table_name, first_seq, last_seq, sealed_at, stored_at, bytes, partitions)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(batch.id.as_str())
        .bind(batch.table.as_str())
        .bind(batch.range.first.0.cast_signed())
        .bind(batch.range.last.0.cast_signed())
        .bind(batch.sealed_at.0)
        .bind(batch.stored_at.map(|at| at.0))
        .bind(batch.bytes.cast_signed())
        .bind(batch.partitions)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("write a batch's cut"))?;
        Ok(())
    }

    /// Marks a batch as stored, moves the table's watermark to its end, remembers the unique keys of its rows and
    /// publishes its manifests; all or nothing.
    pub async fn store_batch(&self, id: &BatchId, at: UnixNanos, stored: &Stored<'_>) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("mark a batch as stored");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let row = sqlx::query(
            "UPDATE batches SET stored_at = coalesce(stored_at, ?), partitions = ? WHERE id = ?
             RETURNING table_name, last_seq",
        )
        .bind(at.0)
        .bind(stored.partitions)
        .bind(id.as_str())
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed())?;
        let (table, last): (String, i64) = (row.get(0), row.get(1));
        sqlx::query(
            "INSERT INTO watermarks (table_name, stored) VALUES (?, ?)
             ON CONFLICT (table_name) DO UPDATE SET stored = max(stored, excluded.stored)",
        )
        .bind(&table)
        .bind(last)
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        if !stored.unique_keys.is_empty() {
            add_unique_keys(&mut transaction, &table, stored.unique_keys).await.map_err(failed())?;
        }
        publish(&mut transaction, id, stored.sums, at).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())
    }

    /// Returns the batches that were cut and not stored, by table and range.
    pub async fn open_batches(&self) -> Result<Vec<BatchRow>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM batches WHERE stored_at IS NULL ORDER BY table_name, first_seq")
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the open batches"))?;
        rows.iter().map(batch).collect()
    }

    /// Returns the newest batches of a table (for `verify` and lists), newest first; `before`: only those that begin before it.
    pub async fn batches(
        &self,
        table: &TableName,
        limit: u32,
        before: Option<Seq>,
    ) -> Result<Vec<BatchRow>, CatalogError> {
        let rows =
            sqlx::query("SELECT * FROM batches WHERE table_name = ? AND first_seq < ? ORDER BY first_seq DESC LIMIT ?")
                .bind(table.as_str())
                .bind(before.map_or(i64::MAX, |seq| seq.0.cast_signed()))
                .bind(limit)
                .fetch_all(&self.pool)
                .await
                .map_err(CatalogError::database("read batches"))?;
        rows.iter().map(batch).collect()
    }

    /// Returns the stored watermark of every table.
    pub async fn watermarks(&self) -> Result<HashMap<TableName, Seq>, CatalogError> {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT table_name, stored FROM watermarks")
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the watermarks"))?;
        rows.into_iter().map(|(table, stored)| Ok((table_name(table)?, Seq(stored.cast_unsigned())))).collect()
    }

    /// Returns all remembered unique keys of a table.
    pub async fn unique_keys(&self, table: &TableName) -> Result<Vec<u64>, CatalogError> {
        let keys: Vec<(i64,)> = sqlx::query_as("SELECT key FROM unique_keys WHERE table_name = ?")
            .bind(table.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the unique keys"))?;
        Ok(keys.into_iter().map(|(key,)| key.cast_unsigned()).collect())
    }
}

/// Adds all keys with one statement: a table of them arrives as a JSON array of integers.
async fn add_unique_keys(connection: &mut SqliteConnection, table: &str, keys: &[u64]) -> Result<(), sqlx::Error> {
    let signed: Vec<String> = keys.iter().map(|key| key.cast_signed().to_string()).collect();
    sqlx::query("INSERT OR IGNORE INTO unique_keys (table_name, key) SELECT ?, value FROM json_each(?)")
        .bind(table)
        .bind(format!("[{}]", signed.join(",")))
        .execute(connection)
        .await?;
    Ok(())
}

fn batch(row: &SqliteRow) -> Result<BatchRow, CatalogError> {
    let table = table_name(row.get("table_name"))?;
    let seq = |column| Seq(row.get::<i64, _>(column).cast_unsigned());
    let range = SeqRange { first: seq("first_seq"), last: seq("last_seq") };
    Ok(BatchRow {
        id: batch_id(row.get("id"), &table, range)?,
        table,
        range,
        sealed_at: UnixNanos(row.get("sealed_at")),
        stored_at: row.get::<Option<i64>, _>("stored_at").map(UnixNanos),
        bytes: row.get::<i64, _>("bytes").cast_unsigned(),
        partitions: row.get("partitions"),
    })
}

/// The id holds table and range too; both must agree, or the insert would go out under another batch's token.
pub(super) fn batch_id(text: &str, table: &TableName, range: SeqRange) -> Result<BatchId, CatalogError> {
    text.split_once(':')
        .and_then(|(buffer, _)| u64::from_str_radix(buffer, 16).ok())
        .map(|buffer| BatchId::of(BufferId(buffer), table, range))
        .filter(|id| id.as_str() == text)
        .ok_or_else(|| CatalogError::Corrupt { what: format!("a batch with the id `{text}`") })
}
