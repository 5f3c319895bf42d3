//! Tables that are not what the catalog says: found on every replica, and mended where that loses nothing.

use std::collections::HashMap;

use serde_json::Value;
use tidegate_model::TableSpec;

use super::client::literal;
use super::{Store, StoreError};

/// A column that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The server.
    pub replica: String,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Its type there; `None`: it is not there.
    pub found: Option<String>,
    /// The type that it should have.
    pub wanted: String,
    /// It is as it should be now.
    pub is_mended: bool,
}

impl Store {
    /// Compares the tables on every server with these; adds columns that are lacking and finishes widenings. A table
    /// that no batch has made yet is no drift.
    pub async fn reconcile(&self, tables: &[&TableSpec]) -> Result<Vec<Drift>, StoreError> {
        let mut all = Vec::new();
        for table in tables {
            let before = self.drifts(table).await?;
            if before.is_empty() {
                continue;
            }
            // What only a person can mend is told, and keeps nothing else from being mended.
            let mended = match self.ensure_table(table).await {
                Ok(()) => true,
                Err(StoreError::OtherType { .. }) => false,
                Err(error) => return Err(error),
            };
            let left = self.drifts(table).await?;
            for drift in before {
                let is_left = left.iter().any(|left| (&left.replica, &left.column) == (&drift.replica, &drift.column));
                tracing::warn!(
                    table = drift.table,
                    column = drift.column,
                    found = drift.found,
                    wanted = drift.wanted,
                    replica = drift.replica,
                    mended,
                    "a column is not what the catalog says"
                );
                all.push(Drift { is_mended: !is_left, ..drift });
            }
        }
        Ok(all)
    }

    async fn drifts(&self, table: &TableSpec) -> Result<Vec<Drift>, StoreError> {
        let source = match self.cluster() {
            None => "system.columns".to_owned(),
            Some(cluster) => format!("clusterAllReplicas({}, system.columns)", literal(cluster)),
        };
        let sql = format!(
            "SELECT hostName() AS replica, name, type FROM {source} \
             WHERE database = {{database:String}} AND table = {{table:String}}"
        );
        let stored = self.ddl().stored_name(table.name.as_str());
        let rows = self.system_rows(&sql, &[("database", self.database()), ("table", &stored)]).await?;
        let mut replicas: HashMap<&str, HashMap<&str, &str>> = HashMap::new();
        for row in &rows {
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
            replicas.entry(text("replica")).or_default().insert(text("name"), text("type"));
        }
        let mut drifts = Vec::new();
        for (replica, columns) in &replicas {
            for column in &table.columns {
                let (found, wanted) = (columns.get(column.name.as_str()), table.clickhouse(column));
                if found.is_none_or(|found| *found != wanted) {
                    drifts.push(Drift {
                        replica: (*replica).to_owned(),
                        table: stored.clone(),
                        column: column.name.clone(),
                        found: found.map(|found| (*found).to_owned()),
                        wanted,
                        is_mended: false,
                    });
                }
            }
        }
        drifts.sort_by(|a, b| (&a.replica, &a.column).cmp(&(&b.replica, &b.column)));
        Ok(drifts)
    }
}
