use std::collections::HashMap;

use tidegate_model::{ErrorKind, TableName, TableSpec, tables};
use tokio::sync::Mutex;

use super::BatchError;
use crate::catalog::Catalog;
use crate::store::Store;

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
    ) -> Result<TableSpec, BatchError> {
        let spec = describe(table, catalog).await?;
        let mut ready = self.ready.lock().await;
        if !ready.is_migrated {
            store.migrate().await?;
            ready.is_migrated = true;
        }
        if ready.tables.get(table) != Some(&spec) {
            store.ensure_table(&spec).await?;
            ready.tables.insert(table.clone(), spec.clone());
        }
        Ok(spec)
    }

    /// Looks again at everything when ClickHouse does not know a table: an engine in memory starts empty.
    pub(super) async fn doubt(&self, error: &BatchError) {
        if error.kind() == ErrorKind::NotFound {
            *self.ready.lock().await = Ready::default();
        }
    }
}

/// Finds a table among the built-in ones, then among the datasets.
async fn describe(table: &TableName, catalog: &Catalog) -> Result<TableSpec, BatchError> {
    if let Some(built_in) = tables::all().into_iter().find(|spec| spec.name == *table) {
        return Ok(built_in.clone());
    }
    let dataset = catalog.dataset_of(table).await?;
    dataset.map(|dataset| dataset.spec).ok_or_else(|| BatchError::UnknownTable { table: table.clone() })
}
