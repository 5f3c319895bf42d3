use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tidegate_model::limits::{EXPORTS_KEPT_IN_LIST, EXPORTS_WAITING_MAX};
use tidegate_model::{TableName, UnixNanos};

use super::export_events::{NewEvent, add_event};
use super::{Catalog, CatalogError, table_name};

/// Where an export is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportState {
    /// It was asked for.
    Queued,
    /// Its files are being written.
    Running,
    /// Its files are whole, synced and in their place.
    Completed,
    /// It was given up, and has no files.
    Failed,
    /// It was completed, and its files were removed for later ones.
    Removed,
}

impl ExportState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Removed];

    /// Returns the state's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Removed => "removed",
        }
    }
}

/// An export of one table, from the moment that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name, which no other has.
    pub id: String,
    /// The dataset, or the built-in table.
    pub slug: String,
    /// The table of the dataset.
    pub label: String,
    /// The table.
    pub table: TableName,
    /// Where it is in its life.
    pub state: ExportState,
    /// Whether the schedule asked for it.
    pub is_scheduled: bool,
    /// Only rows from then on.
    pub from: Option<UnixNanos>,
    /// Only rows before then.
    pub to: Option<UnixNanos>,
    /// The folder of its files, or where their objects are: `s3://bucket/…`.
    pub folder: String,
    /// The storage target that this is of.
    pub target: String,
    /// Who asked for it; empty where nobody said.
    pub actor: String,
    /// How often it was begun.
    pub attempts: u32,
    /// When it was asked for.
    pub created_at: UnixNanos,
    /// When it was completed or given up.
    pub finished_at: Option<UnixNanos>,
    /// Why it failed.
    pub error: Option<String>,
    /// What its files hold, once they are whole.
    pub manifest: Option<Value>,
}

/// How an export ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportEnd {
    /// Its files are in their place; this is their manifest.
    Completed(Value),
    /// It was given up, and why.
    Failed(String),
}

/// What a list of exports is narrowed down to.
#[derive(Debug, Clone)]
pub struct ExportFilter {
    /// The dataset, or the built-in table.
    pub slug: String,
    /// Only those of this table of it.
    pub label: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Only those that were asked for before this one.
    pub before: Option<String>,
}

impl Catalog {
    /// Writes an export that was asked for, with what the webhook is told of it.
    pub async fn add_export(&self, export: &Export, event: Option<NewEvent<'_>>) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("write an export");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let added = sqlx::query(
            "INSERT INTO exports
                 (id, slug, label, table_name, state, is_scheduled, time_from, time_to, folder, target, actor, attempts, created_at)
             SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
             WHERE (SELECT count(*) FROM exports WHERE state IN ('queued', 'running')) < ?",
        )
        .bind(&export.id)
        .bind(&export.slug)
        .bind(&export.label)
        .bind(export.table.as_str())
        .bind(export.state.as_str())
        .bind(export.is_scheduled)
        .bind(export.from.map(|time| time.0))
        .bind(export.to.map(|time| time.0))
        .bind(&export.folder)
        .bind(&export.target)
        .bind(&export.actor)
        .bind(export.attempts)
        .bind(export.created_at.0)
        .bind(EXPORTS_WAITING_MAX)
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        if added.rows_affected() == 0 {
            return Err(CatalogError::TooManyExports { most: EXPORTS_WAITING_MAX });
        }
        add_event(&mut transaction, event).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())
    }

    /// Returns the export that is to be written next: the oldest that has not ended.
    pub async fn next_export(&self) -> Result<Option<Export>, CatalogError> {
        let sql = "SELECT * FROM exports WHERE state IN ('queued', 'running') ORDER BY created_at, id LIMIT 1";
        let row = sqlx::query(sql).fetch_optional(&self.pool).await;
        row.map_err(CatalogError::database("find the next export"))?.as_ref().map(export).transpose()
    }

    /// Notes that an export's files are being written, and counts how often.
    pub async fn begin_export(&self, id: &str) -> Result<(), CatalogError> {
        sqlx::query("UPDATE exports SET state = 'running', attempts = attempts + 1 WHERE id = ?")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("begin an export"))?;
        Ok(())
    }

    /// Ends an export, with what the webhook is told of it; the list of its dataset is kept to its newest.
    pub async fn end_export(
        &self,
        id: &str,
        at: UnixNanos,
        end: &ExportEnd,
        event: Option<NewEvent<'_>>,
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("end an export");
        let (state, error, manifest) = match end {
            ExportEnd::Completed(manifest) => (ExportState::Completed, None, Some(manifest.to_string())),
            ExportEnd::Failed(error) => (ExportState::Failed, Some(error), None),
        };
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        sqlx::query("UPDATE exports SET state = ?, finished_at = ?, error = ?, manifest = ? WHERE id = ?")
            .bind(state.as_str())
            .bind(at.0)
            .bind(error)
            .bind(manifest)
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        sqlx::query(
            "DELETE FROM exports WHERE id IN (
                 SELECT id FROM exports WHERE slug = (SELECT slug FROM exports WHERE id = ?)
                     AND state IN ('failed', 'removed') ORDER BY created_at DESC, id DESC LIMIT -1 OFFSET ?)",
        )
        .bind(id)
        .bind(EXPORTS_KEPT_IN_LIST)
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        add_event(&mut transaction, event).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())
    }

    /// Finds an export of a dataset.
    pub async fn export(&self, slug: &str, id: &str) -> Result<Option<Export>, CatalogError> {
        let row = sqlx::query("SELECT * FROM exports WHERE slug = ? AND id = ?")
            .bind(slug)
            .bind(id)
            .fetch_optional(&self.pool)
            .await;
        row.map_err(CatalogError::database("read an export"))?.as_ref().map(export).transpose()
    }

    /// Lists exports, the newest first.
    pub async fn exports(&self, filter: &ExportFilter) -> Result<Vec<Export>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM exports WHERE slug = ?1 AND (?2 IS NULL OR label = ?2)
                 AND (?3 IS NULL OR (created_at, id) < (SELECT created_at, id FROM exports WHERE id = ?3))
             ORDER BY created_at DESC, id DESC LIMIT ?4",
        )
        .bind(&filter.slug)
        .bind(&filter.label)
        .bind(&filter.before)
        .bind(filter.limit)
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("list exports"))?;
        rows.iter().map(export).collect()
    }

    /// Returns when the schedule asked last for an export of a table.
    pub async fn last_scheduled_export(&self, slug: &str, label: &str) -> Result<Option<UnixNanos>, CatalogError> {
        let sql = "SELECT max(created_at) FROM exports WHERE slug = ? AND label = ? AND is_scheduled";
        let last: Option<i64> = sqlx::query_scalar(sql)
            .bind(slug)
            .bind(label)
            .fetch_one(&self.pool)
            .await
            .map_err(CatalogError::database("find the last scheduled export"))?;
        Ok(last.map(UnixNanos))
    }

    /// Returns the completed exports of the schedule that have at least `keep` later ones of the same table.
    pub async fn outlived_exports(&self, slug: &str, label: &str, keep: u32) -> Result<Vec<Export>, CatalogError> {
        let rows = sqlx::query(
            "SELECT * FROM exports WHERE slug = ? AND label = ? AND is_scheduled AND state = 'completed'
             ORDER BY created_at DESC, id DESC LIMIT -1 OFFSET ?",
        )
        .bind(slug)
        .bind(label)
        .bind(keep)
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("find exports that may go"))?;
        rows.iter().map(export).collect()
    }

    /// Notes that a completed export's files are about to be removed.
    pub async fn remove_export(&self, id: &str) -> Result<(), CatalogError> {
        sqlx::query("UPDATE exports SET state = 'removed' WHERE id = ? AND state = 'completed'")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("note that an export is removed"))?;
        Ok(())
    }
}

fn export(row: &SqliteRow) -> Result<Export, CatalogError> {
    let id: String = row.get("id");
    let corrupt = |what: &str| CatalogError::Corrupt { what: format!("{what} of the export `{id}`") };
    let word: &str = row.get("state");
    let state =
        ExportState::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| corrupt("the state"))?;
    let manifest: Option<&str> = row.get("manifest");
    let manifest = manifest.map(serde_json::from_str).transpose().map_err(|_| corrupt("the manifest"))?;
    let time = |name: &str| row.get::<Option<i64>, _>(name).map(UnixNanos);
    Ok(Export {
        slug: row.get("slug"),
        label: row.get("label"),
        table: table_name(row.get("table_name"))?,
        state,
        is_scheduled: row.get("is_scheduled"),
        from: time("time_from"),
        to: time("time_to"),
        folder: row.get("folder"),
        target: row.get("target"),
        actor: row.get("actor"),
        attempts: row.get("attempts"),
        created_at: UnixNanos(row.get("created_at")),
        finished_at: time("finished_at"),
        error: row.get("error"),
        manifest,
        id,
    })
}
