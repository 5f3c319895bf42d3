use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use tidegate_model::{ColumnSpec, TableName, TableSpec, UnixNanos};

use super::{CanonicalSchema, Catalog, CatalogError, table_name};

/// One table of a dataset, with a version of its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The dataset's name in paths: `[a-z0-9][a-z0-9-_]*`.
    pub slug: String,
    /// The name of this table in the dataset; [`Dataset::RECORDS`] where no other is given.
    pub label: String,
    /// The version of the table's schema, from 1.
    pub version: u32,
    /// The table and its columns.
    pub spec: TableSpec,
    /// The column with a row's time, if it has one.
    pub time_column: Option<String>,
}

impl Dataset {
    /// The table of rows that name none.
    pub const RECORDS: &str = "records";

    /// Returns the schema in the form in which it is compared.
    #[must_use]
    pub fn canonical(&self) -> CanonicalSchema {
        CanonicalSchema::of(&self.spec)
    }
}

/// What made a version of a schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchemaChange {
    /// Who asked for it; empty where nobody said.
    pub actor: String,
    /// Columns that came.
    pub added: Vec<String>,
    /// Columns that were widened.
    pub widened: Vec<String>,
    /// Whether rows from before have the defaults of the columns that came.
    pub backfill: bool,
}

/// A version of a schema, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaVersion {
    /// The table as of this version.
    pub dataset: Dataset,
    /// What made it.
    pub change: SchemaChange,
    /// When.
    pub at: UnixNanos,
}

/// The newest version of every table; who asks for one does not wait for the disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    tables: Arc<RwLock<BTreeMap<(String, String), Dataset>>>,
}

/// Slug, label, version, table, columns, time column, change, time.
type VersionRow = (String, String, u32, String, String, Option<String>, String, i64);

const COLUMNS: &str = "SELECT slug, label, version, table_name, columns, time_column, change, created_at";

impl Known {
    fn read_locked(&self) -> RwLockReadGuard<'_, BTreeMap<(String, String), Dataset>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn read(pool: &SqlitePool) -> Result<Self, CatalogError> {
        let known = Self::default();
        let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} FROM dataset_versions ORDER BY slug, label, version"));
        let rows: Vec<VersionRow> =
            sqlx::query_as(sql).fetch_all(pool).await.map_err(CatalogError::database("read the datasets"))?;
        for row in rows {
            known.learn(version(row)?.dataset);
        }
        Ok(known)
    }

    fn learn(&self, dataset: Dataset) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let key = (dataset.slug.clone(), dataset.label.clone());
        if tables.get(&key).is_none_or(|known| known.version < dataset.version) {
            tables.insert(key, dataset);
        }
    }
}

impl Catalog {
    /// Finds a table of a dataset, with the newest version of its schema.
    pub async fn dataset(&self, slug: &str, label: &str) -> Result<Option<Dataset>, CatalogError> {
        Ok(self.known.read_locked().get(&(slug.to_owned(), label.to_owned())).cloned())
    }

    /// Finds the dataset's table that has this name in ClickHouse.
    pub async fn dataset_of(&self, table: &TableName) -> Result<Option<Dataset>, CatalogError> {
        Ok(self.known.read_locked().values().find(|dataset| dataset.spec.name == *table).cloned())
    }

    /// Lists the tables of all datasets by slug and label, each with the newest version of its schema.
    pub async fn datasets(&self) -> Result<Vec<Dataset>, CatalogError> {
        Ok(self.known.read_locked().values().cloned().collect())
    }

    /// Lists those tables of datasets whose name in ClickHouse is wanted.
    pub async fn datasets_named(&self, is_wanted: impl Fn(&TableName) -> bool) -> Result<Vec<Dataset>, CatalogError> {
        let wanted = |dataset: &&Dataset| is_wanted(&dataset.spec.name);
        Ok(self.known.read_locked().values().filter(wanted).cloned().collect())
    }

    /// Returns every version of a table's schema, from the first on.
    pub async fn schema_versions(&self, slug: &str, label: &str) -> Result<Vec<SchemaVersion>, CatalogError> {
        let sql = format!("{COLUMNS} FROM dataset_versions WHERE slug = ? AND label = ? ORDER BY version");
        let rows: Vec<VersionRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(slug)
            .bind(label)
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the versions of a schema"))?;
        rows.into_iter().map(version).collect()
    }

    /// Adds a table of a dataset, or the next version of its schema; fails if another writer was faster.
    pub async fn put_dataset(
        &self,
        dataset: &Dataset,
        change: &SchemaChange,
        at: UnixNanos,
    ) -> Result<(), CatalogError> {
        let unreadable = |_| CatalogError::Corrupt { what: format!("the columns of dataset `{}`", dataset.slug) };
        let columns = serde_json::to_string(&dataset.spec.columns).map_err(unreadable)?;
        let change = serde_json::to_string(change).map_err(unreadable)?;
        let failed = || CatalogError::database("write a dataset");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let added = sqlx::query(
            "INSERT INTO dataset_versions
                 (slug, label, version, table_name, columns, time_column, change, created_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
             WHERE ?3 = (SELECT coalesce(max(version), 0) + 1 FROM dataset_versions WHERE slug = ?1 AND label = ?2)",
        )
        .bind(&dataset.slug)
        .bind(&dataset.label)
        .bind(dataset.version)
        .bind(dataset.spec.name.as_str())
        .bind(columns)
        .bind(&dataset.time_column)
        .bind(change)
        .bind(at.0)
        .execute(&mut *transaction)
        .await
        .map_err(failed())?;
        if added.rows_affected() == 0 {
            return Err(CatalogError::StaleDataset { slug: dataset.slug.clone(), version: dataset.version });
        }
        transaction.commit().await.map_err(failed())?;
        self.known.learn(dataset.clone());
        Ok(())
    }
}

fn version(row: VersionRow) -> Result<SchemaVersion, CatalogError> {
    let (slug, label, version, table, columns, time_column, change, at) = row;
    let unreadable = |what: &str| CatalogError::Corrupt { what: format!("{what} of dataset `{slug}`") };
    let columns: Vec<ColumnSpec> = serde_json::from_str(&columns).map_err(|_| unreadable("the columns"))?;
    let change = serde_json::from_str(&change).map_err(|_| unreadable("a change of the schema"))?;
    let spec = TableSpec { name: table_name(table)?, columns, unique_key: None, roll_up: None };
    Ok(SchemaVersion { dataset: Dataset { slug, label, version, spec, time_column }, change, at: UnixNanos(at) })
}
