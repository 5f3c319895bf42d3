use serde_json::Value;
use tidegate_model::UnixNanos;
use tidegate_model::limits::AUDIT_ENTRIES_MAX;

use super::{Catalog, CatalogError};

/// What somebody did to a dataset, or tried to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The dataset.
    pub slug: String,
    /// When.
    pub at: UnixNanos,
    /// What: `dataset.created`, `schema.evolved`, …
    pub action: &'static str,
    /// Whether it was done.
    pub success: bool,
    /// Who; empty where nobody said.
    pub actor: String,
    /// What of it.
    pub detail: Value,
}

/// An entry as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Its number; later ones are larger.
    pub id: i64,
    /// When.
    pub at: UnixNanos,
    /// What.
    pub action: String,
    /// Whether it was done.
    pub success: bool,
    /// Who.
    pub actor: String,
    /// What of it, as JSON.
    pub detail: Value,
}

/// Which entries a list has.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Those of this action.
    pub action: Option<String>,
    /// Those that were done, or were not.
    pub success: Option<bool>,
    /// Those from then on.
    pub start: Option<UnixNanos>,
    /// Those up to then.
    pub end: Option<UnixNanos>,
    /// Those with a smaller number.
    pub before: Option<i64>,
}

type AuditRow = (i64, i64, String, bool, String, String);

impl Catalog {
    /// Writes an entry; of each dataset the newest are kept.
    pub async fn add_audit(&self, entry: &AuditEntry) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("write the audit log");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        sqlx::query("INSERT INTO dataset_audit (slug, at, action, success, actor, detail) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(&entry.slug)
            .bind(entry.at.0)
            .bind(entry.action)
            .bind(entry.success)
            .bind(&entry.actor)
            .bind(entry.detail.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        sqlx::query(
            "DELETE FROM dataset_audit WHERE slug = ?1 AND id <=
                 (SELECT id FROM dataset_audit WHERE slug = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(&entry.slug)
        .bind(AUDIT_ENTRIES_MAX)
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        transaction.commit().await.map_err(failed())
    }

    /// Lists entries of a dataset, newest first.
    pub async fn audits(&self, slug: &str, filter: &AuditFilter, limit: u32) -> Result<Vec<Audited>, CatalogError> {
        let rows: Vec<AuditRow> = sqlx::query_as(
            "SELECT id, at, action, success, actor, detail FROM dataset_audit
             WHERE slug = ?1 AND id < ?2 AND (?3 IS NULL OR action = ?3) AND (?4 IS NULL OR success = ?4)
                 AND at >= ?5 AND at <= ?6 ORDER BY id DESC LIMIT ?7",
        )
        .bind(slug)
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(&filter.action)
        .bind(filter.success)
        .bind(filter.start.map_or(i64::MIN, |at| at.0))
        .bind(filter.end.map_or(i64::MAX, |at| at.0))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read the audit log"))?;
        let entry = |(id, at, action, success, actor, detail): AuditRow| {
            let detail = serde_json::from_str(&detail);
            let detail = detail.map_err(|_| CatalogError::Corrupt { what: format!("the audit log of `{slug}`") })?;
            Ok(Audited { id, at: UnixNanos(at), action, success, actor, detail })
        };
        rows.into_iter().map(entry).collect()
    }
}
