use tidegate_model::{RetryKey, StoredRetry, TableName, UnixNanos};

use super::{Catalog, CatalogError, table_name};

/// Key, content, time, answer.
type RetryRow = (Vec<u8>, Vec<u8>, i64, Vec<u8>);

impl Catalog {
    /// Keeps retry keys and forgets those from before `expired`.
    pub async fn keep_retries(&self, retries: &[StoredRetry], expired: UnixNanos) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("keep retry keys");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        sqlx::query("DELETE FROM retries WHERE at < ?")
            .bind(expired.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        for kept in retries {
            sqlx::query("INSERT OR REPLACE INTO retries (key, content, at, answer) VALUES (?, ?, ?, ?)")
                .bind(kept.retry.key.to_be_bytes().as_slice())
                .bind(kept.retry.content.to_be_bytes().as_slice())
                .bind(kept.at.0)
                .bind(kept.answer.as_slice())
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Returns the retry keys from `since` on, oldest first.
    pub async fn retries(&self, since: UnixNanos) -> Result<Vec<StoredRetry>, CatalogError> {
        let rows: Vec<RetryRow> =
            sqlx::query_as("SELECT key, content, at, answer FROM retries WHERE at >= ? ORDER BY at")
                .bind(since.0)
                .fetch_all(&self.pool)
                .await
                .map_err(CatalogError::database("read retry keys"))?;
        rows.into_iter()
            .map(|(key, content, at, answer)| {
                let retry = RetryKey { key: hash(&key)?, content: hash(&content)? };
                Ok(StoredRetry { retry, at: UnixNanos(at), answer })
            })
            .collect()
    }

    /// Saves the counts of rejected and duplicate rows of each table.
    pub async fn save_counts(&self, counts: &[(TableName, u64, u64)]) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("save the ledger's counts");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for (table, rejected, duplicate) in counts {
            sqlx::query("INSERT OR REPLACE INTO counts (table_name, rejected, duplicate) VALUES (?, ?, ?)")
                .bind(table.as_str())
                .bind(rejected.cast_signed())
                .bind(duplicate.cast_signed())
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Returns the counts last saved: table, rejected, duplicate.
    pub async fn counts(&self) -> Result<Vec<(TableName, u64, u64)>, CatalogError> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT table_name, rejected, duplicate FROM counts ORDER BY table_name")
                .fetch_all(&self.pool)
                .await
                .map_err(CatalogError::database("read the ledger's counts"))?;
        rows.into_iter()
            .map(|(table, rejected, duplicate)| {
                Ok((table_name(table)?, rejected.cast_unsigned(), duplicate.cast_unsigned()))
            })
            .collect()
    }
}

fn hash(bytes: &[u8]) -> Result<u128, CatalogError> {
    let bytes = bytes.try_into().map_err(|_| CatalogError::Corrupt { what: "a retry key of another length".into() })?;
    Ok(u128::from_be_bytes(bytes))
}
