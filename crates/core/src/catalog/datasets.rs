use tidegate_model::{ColumnSpec, TableSpec, UnixNanos};

use super::{Catalog, CatalogError, Dataset, table_name};

type DatasetRow = (String, u32, String, String, Option<String>);

impl Catalog {
    /// Finds a dataset, with the newest version of its schema.
    pub async fn dataset(&self, slug: &str) -> Result<Option<Dataset>, CatalogError> {
        let row: Option<DatasetRow> = sqlx::query_as(
            "SELECT slug, version, table_name, columns, time_column FROM datasets
             WHERE slug = ? ORDER BY version DESC LIMIT 1",
        )
        .bind(slug)
        .fetch_optional(&self.pool)
        .await
        .map_err(CatalogError::database("read a dataset"))?;
        row.map(dataset).transpose()
    }

    /// Lists all datasets by slug, each with the newest version of its schema.
    pub async fn datasets(&self) -> Result<Vec<Dataset>, CatalogError> {
        let rows: Vec<DatasetRow> = sqlx::query_as(
            "SELECT slug, max(version), table_name, columns, time_column FROM datasets GROUP BY slug ORDER BY slug",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(CatalogError::database("read the datasets"))?;
        rows.into_iter().map(dataset).collect()
    }

    /// Adds a dataset, or the next version of its schema; fails if another writer was faster.
    pub async fn put_dataset(&self, dataset: &Dataset, at: UnixNanos) -> Result<(), CatalogError> {
        let columns = serde_json::to_string(&dataset.spec.columns)
            .map_err(|_| CatalogError::Corrupt { what: format!("the columns of dataset `{}`", dataset.slug) })?;
        let added = sqlx::query(
            "INSERT INTO datasets (slug, version, table_name, columns, time_column, created_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE ?2 = (SELECT coalesce(max(version), 0) + 1 FROM datasets WHERE slug = ?1)",
        )
        .bind(&dataset.slug)
        .bind(dataset.version)
        .bind(dataset.spec.name.as_str())
        .bind(columns)
        .bind(&dataset.time_column)
        .bind(at.0)
        .execute(&self.pool)
        .await
        .map_err(CatalogError::database("write a dataset"))?;
        if added.rows_affected() == 0 {
            return Err(CatalogError::StaleDataset { slug: dataset.slug.clone(), version: dataset.version });
        }
        Ok(())
    }
}

fn dataset((slug, version, table, columns, time_column): DatasetRow) -> Result<Dataset, CatalogError> {
    let columns: Vec<ColumnSpec> = serde_json::from_str(&columns)
        .map_err(|_| CatalogError::Corrupt { what: format!("the columns of dataset `{slug}`") })?;
    let spec = TableSpec { name: table_name(table)?, columns, unique_key: None, roll_up: None };
    Ok(Dataset { slug, version, spec, time_column })
}
