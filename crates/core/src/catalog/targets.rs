use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tidegate_model::UnixNanos;
use tidegate_model::limits::STORAGE_TARGETS_MAX;

use super::{Catalog, CatalogError};

/// A place that exports may go to, made by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageTarget {
    /// Its name, which no other has.
    pub id: String,
    /// Where it is.
    pub place: TargetPlace,
    /// What it is for.
    pub description: String,
    /// Who made it; empty where nobody said.
    pub created_by: String,
    /// When.
    pub created_at: UnixNanos,
}

/// Where a storage target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPlace {
    /// A folder below that of all exports.
    Folder(String),
    /// On the S3 server of the settings.
    Objects {
        /// The bucket.
        bucket: String,
        /// What keys begin with; empty: nothing.
        prefix: String,
    },
}

impl TargetPlace {
    /// Returns the kind's name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Folder(_) => "local",
            Self::Objects { .. } => "s3",
        }
    }

    /// Folder, bucket and prefix.
    fn columns(&self) -> (&str, &str, &str) {
        match self {
            Self::Folder(folder) => (folder, "", ""),
            Self::Objects { bucket, prefix } => ("", bucket, prefix),
        }
    }
}

impl Catalog {
    /// Writes a target; says whether its name was free.
    pub async fn add_storage_target(&self, target: &StorageTarget) -> Result<bool, CatalogError> {
        let (folder, bucket, prefix) = target.place.columns();
        let added = sqlx::query(
            "INSERT INTO storage_targets (id, kind, folder, bucket, prefix, description, created_by, created_at)
             SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM storage_targets) < ?
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&target.id)
        .bind(target.place.kind())
        .bind(folder)
        .bind(bucket)
        .bind(prefix)
        .bind(&target.description)
        .bind(&target.created_by)
        .bind(target.created_at.0)
        .bind(STORAGE_TARGETS_MAX)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("write a storage target"))?;
        Ok(added.rows_affected() > 0)
    }

    /// Changes a target; says whether it could be: its place is not changed while something uses it.
    pub async fn change_storage_target(&self, target: &StorageTarget) -> Result<bool, CatalogError> {
        let (folder, bucket, prefix) = target.place.columns();
        let changed = sqlx::query(
            "UPDATE storage_targets SET folder = ?2, bucket = ?3, prefix = ?4, description = ?5
             WHERE id = ?1 AND ((folder = ?2 AND bucket = ?3 AND prefix = ?4)
                 OR (NOT EXISTS (SELECT 1 FROM datasets WHERE storage_target = ?1)
                     AND NOT EXISTS (SELECT 1 FROM exports WHERE target = ?1 AND state IN ('queued', 'running'))))",
        )
        .bind(&target.id)
        .bind(folder)
        .bind(bucket)
        .bind(prefix)
        .bind(&target.description)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("change a storage target"))?;
        Ok(changed.rows_affected() > 0)
    }

    /// Removes a target; says whether it could be: nothing may use it.
    pub async fn remove_storage_target(&self, id: &str) -> Result<bool, CatalogError> {
        let removed = sqlx::query(
            "DELETE FROM storage_targets
             WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM datasets WHERE storage_target = ?1)
                 AND NOT EXISTS (SELECT 1 FROM exports WHERE target = ?1 AND state IN ('queued', 'running'))",
        );
        let removed = removed.bind(id).execute(&self.pool).await;
        Ok(removed.map_err(CatalogError::database("remove a storage target"))?.rows_affected() > 0)
    }

    /// Finds a target.
    pub async fn storage_target(&self, id: &str) -> Result<Option<StorageTarget>, CatalogError> {
        let row = sqlx::query("SELECT * FROM storage_targets WHERE id = ?").bind(id).fetch_optional(&self.pool).await;
        row.map_err(CatalogError::database("read a storage target"))?.as_ref().map(target).transpose()
    }

    /// Lists all targets, by name.
    pub async fn storage_targets(&self) -> Result<Vec<StorageTarget>, CatalogError> {
        let rows = sqlx::query("SELECT * FROM storage_targets ORDER BY id").fetch_all(&self.pool).await;
        rows.map_err(CatalogError::database("list storage targets"))?.iter().map(target).collect()
    }
}

fn target(row: &SqliteRow) -> Result<StorageTarget, CatalogError> {
    let id: String = row.get("id");
    let place = match row.get("kind") {
        "local" => TargetPlace::Folder(row.get("folder")),
        "s3" => TargetPlace::Objects { bucket: row.get("bucket"), prefix: row.get("prefix") },
        _ => return Err(CatalogError::Corrupt { what: format!("the kind of the storage target `{id}`") }),
    };
    let (description, created_by) = (row.get("description"), row.get("created_by"));
    Ok(StorageTarget { id, place, description, created_by, created_at: UnixNanos(row.get("created_at")) })
}
