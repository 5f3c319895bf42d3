use std::collections::HashMap;

use tidegate_model::{ErrorKind, Seq, TableName, TableSpec, tables};
use tokio::sync::Mutex;

use super::BatchError;
use crate::catalog::Catalog;
use crate::store::Store;

/// Where the rows of a table go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) spec: TableSpec,
    /// The version of the dataset's schema; `None` for built-in tables.
    pub(super) schema_version: Option<u32>,
    /// The dataset, if it is one's.
    pub(super) slug: Option<String>,
    pub(super) time_column: Option<String>,
}

/// The tables that inserts go to, as far as they were made ready since the start.
#[derive(Debug, Default)]
pub(super) struct Targets {
    ready: Mutex<Ready>,
}

#[derive(Debug, Default)]
struct Ready {
    is_migrated: bool,
    tables: HashMap<TableName, TableSpec>,
}

impl Targets {
    /// Returns the table's description, after ClickHouse has a table that fits it.
    pub(super) async fn ready(
        &self,
        table: &TableName,
        catalog: &Catalog,
        store: &Store,
    ) -> Result<Target, BatchError> {
        let target = describe(table, catalog).await?;
        let mut ready = self.ready.lock().await;
        if !ready.is_migrated {
            store.migrate().await?;
            ready.is_migrated = true;
        }
        if ready.tables.get(table) != Some(&target.spec) {
            store.ensure_table(&target.spec).await?;
            // Of its own table only: another's batch may be on its way.
            store.raise_roll_ups(table, stored(table, catalog).await?).await?;
            ready.tables.insert(table.clone(), target.spec.clone());
        }
        Ok(target)
    }

    /// Looks again at everything when ClickHouse does not know a table: an engine in memory starts empty.
    pub(super) async fn doubt(&self, error: &BatchError) {
        if error.kind() == ErrorKind::NotFound {
            *self.ready.lock().await = Ready::default();
        }
    }
}

/// Returns up to which row a table is known to be stored: those above are inserted after this, or again.
async fn stored(table: &TableName, catalog: &Catalog) -> Result<Seq, BatchError> {
    Ok(catalog.watermarks().await?.get(table).copied().unwrap_or_default())
}

/// Finds a table among the built-in ones, then among the datasets.
async fn describe(table: &TableName, catalog: &Catalog) -> Result<Target, BatchError> {
    if let Some(built_in) = tables::all().into_iter().find(|spec| spec.name == *table) {
        let time_column = tables::time_column(built_in).map(str::to_owned);
        return Ok(Target { spec: built_in.clone(), schema_version: None, slug: None, time_column });
    }
    let Some(dataset) = catalog.dataset_of(table).await? else {
        return Err(BatchError::UnknownTable { table: table.clone() });
    };
    Ok(Target {
        schema_version: Some(dataset.version),
        slug: Some(dataset.slug),
        time_column: dataset.time_column,
        spec: dataset.spec,
    })
}
