use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};
use sqlx::SqlitePool;
use tidegate_model::UnixNanos;

use super::{Catalog, CatalogError};

/// What is said of a dataset as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRecord {
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether it takes rows.
    pub status: DatasetStatus,
    /// What its owners say of it, an object.
    pub metadata: Map<String, Value>,
    /// Where it is kept, if that was told.
    pub storage_target: Option<String>,
    /// When it came.
    pub created_at: UnixNanos,
    /// When this was last changed; no two states have the same.
    pub updated_at: UnixNanos,
    /// Who made it; empty where nobody said.
    pub created_by: String,
}

impl DatasetRecord {
    /// Returns who answers for it together with other datasets: `tenant` of its metadata.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.metadata.get("tenant").and_then(Value::as_str).filter(|tenant| !tenant.is_empty())
    }
}

/// Whether a dataset takes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetStatus {
    /// It does.
    Active,
    /// It is read only.
    Archived,
}

impl DatasetStatus {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }

    /// Finds a status by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Active, Self::Archived].into_iter().find(|status| status.as_str() == name)
    }
}

/// Which datasets a list has.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// Those behind this slug.
    pub after: Option<String>,
    /// Those of this status.
    pub status: Option<DatasetStatus>,
    /// Those whose slug, name or description has this text, in any case.
    pub search: String,
}

/// All records; who takes rows does not wait for the disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    by_slug: Arc<RwLock<BTreeMap<String, DatasetRecord>>>,
}

type RecordRow = (String, String, String, String, String, Option<String>, i64, i64, String);

impl Records {
    pub(super) async fn read(pool: &SqlitePool) -> Result<Self, CatalogError> {
        let rows: Vec<RecordRow> = sqlx::query_as(
            "SELECT slug, name, description, status, metadata, storage_target, created_at, updated_at, created_by
             FROM datasets",
        )
        .fetch_all(pool)
        .await
        .map_err(CatalogError::database("read what is said of datasets"))?;
        let records = Self::default();
        for row in rows {
            records.learn(record(row)?);
        }
        Ok(records)
    }

    pub(super) fn learn(&self, record: DatasetRecord) {
        let mut records = self.by_slug.write().unwrap_or_else(PoisonError::into_inner);
        let is_newer = |known: &DatasetRecord| known.updated_at < record.updated_at;
        if records.get(&record.slug).is_none_or(is_newer) {
            records.insert(record.slug.clone(), record);
        }
    }
}

impl Catalog {
    /// Returns what is said of a dataset.
    #[must_use]
    pub fn record(&self, slug: &str) -> Option<DatasetRecord> {
        self.records.by_slug.read().unwrap_or_else(PoisonError::into_inner).get(slug).cloned()
    }

    /// Lists datasets by slug, at most so many.
    #[must_use]
    pub fn records(&self, filter: &RecordFilter, limit: usize) -> Vec<DatasetRecord> {
        let search = filter.search.to_lowercase();
        let is_wanted = |record: &&DatasetRecord| {
            let texts = [&record.slug, &record.name, &record.description];
            filter.after.as_ref().is_none_or(|after| record.slug > *after)
                && filter.status.is_none_or(|status| record.status == status)
                && texts.iter().any(|text| text.to_lowercase().contains(&search))
        };
        let records = self.records.by_slug.read().unwrap_or_else(PoisonError::into_inner);
        records.values().filter(is_wanted).take(limit).cloned().collect()
    }

    /// Adds a dataset that no row has made; `false`: there is one already.
    pub async fn add_record(&self, record: &DatasetRecord) -> Result<bool, CatalogError> {
        let added = sqlx::query(
            "INSERT INTO datasets
                 (slug, name, description, status, metadata, storage_target, created_at, updated_at, created_by)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (slug) DO NOTHING",
        )
        .bind(&record.slug)
        .bind(&record.name)
        .bind(&record.description)
        .bind(record.status.as_str())
        .bind(Value::Object(record.metadata.clone()).to_string())
        .bind(&record.storage_target)
        .bind(record.created_at.0)
        .bind(record.updated_at.0)
        .bind(&record.created_by)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("add a dataset"))?;
        let is_added = added.rows_affected() > 0;
        if is_added {
            self.records.learn(record.clone());
        }
        Ok(is_added)
    }

    /// Changes what is said of a dataset, if nobody did since `before`; `false`: somebody did.
    pub async fn change_record(&self, record: &DatasetRecord, before: UnixNanos) -> Result<bool, CatalogError> {
        let changed = sqlx::query(
            "UPDATE datasets SET name = ?, description = ?, status = ?, metadata = ?, storage_target = ?, updated_at = ?
             WHERE slug = ? AND updated_at = ?",
        )
        .bind(&record.name)
        .bind(&record.description)
        .bind(record.status.as_str())
        .bind(Value::Object(record.metadata.clone()).to_string())
        .bind(&record.storage_target)
        .bind(record.updated_at.0)
        .bind(&record.slug)
        .bind(before.0)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("change a dataset"))?;
        let is_changed = changed.rows_affected() > 0;
        if is_changed {
            self.records.learn(record.clone());
        }
        Ok(is_changed)
    }
}

fn record(row: RecordRow) -> Result<DatasetRecord, CatalogError> {
    let (slug, name, description, status, metadata, storage_target, created_at, updated_at, created_by) = row;
    let unreadable = |what: &str| CatalogError::Corrupt { what: format!("the {what} of dataset `{slug}`") };
    let status = DatasetStatus::named(&status).ok_or_else(|| unreadable("status"))?;
    let metadata = serde_json::from_str(&metadata).map_err(|_| unreadable("metadata"))?;
    let (created_at, updated_at) = (UnixNanos(created_at), UnixNanos(updated_at));
    Ok(DatasetRecord { slug, name, description, status, metadata, storage_target, created_at, updated_at, created_by })
}
