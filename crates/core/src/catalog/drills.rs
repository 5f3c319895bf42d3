use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tidegate_model::UnixNanos;
use tidegate_model::limits::BACKUP_DRILLS_KEPT;

use super::{Catalog, CatalogError};

/// A backup that was restored on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupDrill {
    /// Its name.
    pub backup: String,
    /// When the drill began.
    pub began_at: UnixNanos,
    /// When it ended.
    pub ended_at: UnixNanos,
    /// Stored rows that were recounted.
    pub rows: u64,
    /// How long the tables took to be there again (milliseconds).
    pub restore_ms: u64,
    /// How long recounting and hashing took (milliseconds).
    pub verify_ms: u64,
    /// Why it failed; `None`: the backup is good.
    pub error: Option<String>,
}

impl Catalog {
    /// Writes what became of a drill; the newest are kept.
    pub async fn add_backup_drill(&self, drill: &BackupDrill) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("write a drill");
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        sqlx::query(
            "INSERT INTO backup_drills (backup, began_at, ended_at, rows, restore_ms, verify_ms, error)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&drill.backup)
        .bind(drill.began_at.0)
        .bind(drill.ended_at.0)
        .bind(signed(drill.rows))
        .bind(signed(drill.restore_ms))
        .bind(signed(drill.verify_ms))
        .bind(&drill.error)
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        sqlx::query(
            "DELETE FROM backup_drills WHERE number <=
                 (SELECT number FROM backup_drills ORDER BY number DESC LIMIT 1 OFFSET ?)",
        )
        .bind(BACKUP_DRILLS_KEPT)
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        transaction.commit().await.map_err(failed())
    }

    /// Lists drills, the newest first.
    pub async fn backup_drills(&self) -> Result<Vec<BackupDrill>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM backup_drills ORDER BY number DESC").fetch_all(&self.pool).await;
        Ok(rows.map_err(CatalogError::database("list drills"))?.iter().map(drill).collect())
    }
}

fn drill(row: &SqliteRow) -> BackupDrill {
    let count = |name: &str| row.get::<i64, _>(name).cast_unsigned();
    BackupDrill {
        backup: row.get("backup"),
        began_at: UnixNanos(row.get("began_at")),
        ended_at: UnixNanos(row.get("ended_at")),
        rows: count("rows"),
        restore_ms: count("restore_ms"),
        verify_ms: count("verify_ms"),
        error: row.get("error"),
    }
}
