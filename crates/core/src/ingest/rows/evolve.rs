//! Changes of a dataset's schema: nothing is written to it meanwhile that the change was not checked against.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::{Value, json};
use tidegate_model::limits::DOUBLE_EXACT_MAX;
use tidegate_model::{ErrorKind, TableName, UnixNanos};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::RowsError;
use super::breaking::{self, Fate};
use super::decode::addressed;
use super::schema::Needed;
use super::service::{DatasetRequest, Planned};
use crate::buffer::Chunk;
use crate::catalog::{CatalogError, Dataset, DatasetRecord, DatasetStatus};
use crate::ingest::{Ingest, IngestError};

/// Gates that are remembered while nobody goes through them; a pointer each.
const GATES_KEPT: usize = 1_024;

/// One gate per table: requests go through together, a widening alone.
#[derive(Debug, Clone, Default)]
pub(in crate::ingest) struct Gates {
    tables: Arc<Mutex<HashMap<TableName, Arc<RwLock<()>>>>>,
}

/// Held until the request's rows are in the buffer.
#[derive(Debug)]
pub(super) enum Passage {
    Together(#[expect(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<()>),
    Alone(#[expect(dead_code, reason = "held, not read")] OwnedRwLockWriteGuard<()>),
}

impl Gates {
    pub(super) async fn pass(&self, table: &TableName, alone: bool) -> Passage {
        let gate = {
            let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            if tables.len() > GATES_KEPT {
                // Those that nobody goes through are made again when they are needed.
                tables.retain(|_, gate| Arc::strong_count(gate) > 1);
            }
            Arc::clone(tables.entry(table.clone()).or_default())
        };
        if alone { Passage::Alone(gate.write_owned().await) } else { Passage::Together(gate.read_owned().await) }
    }
}

impl Ingest {
    /// Refuses to make doubles of integers where one of them, hot or stored, is none exactly.
    pub(super) async fn check_exact(&self, dataset: &Dataset, columns: &[String]) -> Result<(), IngestError> {
        let table = &dataset.spec.name;
        let tails = self.buffer.snapshot(std::slice::from_ref(table));
        let chunks: Vec<Chunk> = tails.into_iter().flat_map(|tail| tail.chunks).collect();
        let names = columns.to_vec();
        let hot = tokio::task::spawn_blocking(move || large_in(&chunks, &names)).await.map_err(IngestError::Task)??;
        let found = match hot {
            Some(found) => Some(found),
            None => self.large_stored(dataset, columns).await?,
        };
        match found {
            None => Ok(()),
            Some((column, value)) => Err(breaking::refusal(&dataset.slug, &[Fate::Rounded { column, value }]).into()),
        }
    }

    /// Looks for such an integer in ClickHouse, which must answer: what cannot be looked at is not changed.
    async fn large_stored(&self, dataset: &Dataset, columns: &[String]) -> Result<Option<(String, i64)>, IngestError> {
        let store = self.store.as_ref().ok_or(IngestError::NoStore)?;
        match store.ensure_table(&dataset.spec).await {
            // There is not even the database: ClickHouse is just starting.
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(IngestError::NoStore),
            outcome => outcome?,
        }
        let bounds = columns.iter().enumerate().map(|(at, name)| {
            let name = name.replace('`', "");
            format!("toString(min(`{name}`)) AS low{at}, toString(max(`{name}`)) AS high{at}")
        });
        let bounds = bounds.collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {bounds} FROM `{}`.`{}`", store.database(), dataset.spec.name);
        let rows = store.rows(&sql, &[]).await?;
        let bound = |name: String| rows.first()?.get(&name).and_then(Value::as_str)?.parse::<i64>().ok();
        let places = columns.iter().enumerate();
        let mut found = places.flat_map(|(at, name)| ["low", "high"].map(|end| (name, bound(format!("{end}{at}")))));
        Ok(found.find_map(|(name, value)| value.filter(is_large).map(|value| (name.clone(), value))))
    }

    /// Writes the next version of a schema; a column that was widened is so in ClickHouse when this returns.
    pub(super) async fn put(&self, planned: &Planned) -> Result<(), IngestError> {
        let Planned { needed: Needed { dataset, widened, .. }, change, .. } = planned;
        self.check_table_is_free(dataset).await?;
        let now = self.clock.now();
        if self.catalog.record(&dataset.slug).is_none() {
            self.catalog.add_record(&described(planned, now)).await?;
        }
        self.catalog.put_dataset(dataset, change, now).await?;
        let action = match (dataset.version, widened.is_empty()) {
            (1, _) => "schema.created",
            (_, true) => "schema.evolved",
            (_, false) => "schema.widened",
        };
        let detail = json!({
            "tableName": dataset.label,
            "version": dataset.version,
            "checksum": dataset.canonical().checksum(),
            "addedColumns": change.added,
            "widenedColumns": widened,
            "requestedBackfill": change.backfill,
        });
        self.audit(&dataset.slug, (action, true), &change.actor, detail).await?;
        if !widened.is_empty() {
            self.store.as_ref().ok_or(IngestError::NoStore)?.ensure_table(&dataset.spec).await?;
        }
        Ok(())
    }

    /// Writes down that a schema was refused, where there is a dataset.
    pub(super) async fn tell_refusal(&self, request: &DatasetRequest, error: &RowsError) -> Result<(), IngestError> {
        let RowsError::Schema { slug, reasons, .. } = error else { return Ok(()) };
        let actor = addressed(request).map(|(_, actor)| actor).unwrap_or_default();
        self.audit(slug, ("schema.refused", false), &actor, json!({ "reasons": reasons })).await
    }

    /// Two slugs may lead to one table (`a-b`, `a_b`): the first one has it.
    async fn check_table_is_free(&self, dataset: &Dataset) -> Result<(), IngestError> {
        if dataset.version > 1 {
            return Ok(());
        }
        let owner = self.catalog.dataset_of(&dataset.spec.name).await?;
        match owner.filter(|other| (&other.slug, &other.label) != (&dataset.slug, &dataset.label)) {
            None => Ok(()),
            Some(other) => {
                let (slug, table) = (dataset.slug.clone(), dataset.spec.name.clone());
                let owner = format!("dataset `{}`", other.slug);
                Err(RowsError::TableTaken { slug, table, owner }.into())
            }
        }
    }
}

/// What is said of a dataset that its first rows make.
fn described(planned: &Planned, now: UnixNanos) -> DatasetRecord {
    let slug = planned.needed.dataset.slug.clone();
    DatasetRecord {
        name: planned.dataset_name.clone().unwrap_or_else(|| slug.clone()),
        slug,
        description: String::new(),
        status: DatasetStatus::Active,
        metadata: serde_json::Map::new(),
        storage_target: planned.storage_target.clone(),
        created_at: now,
        updated_at: now,
        created_by: planned.change.actor.clone(),
    }
}

fn is_large(value: &i64) -> bool {
    value.unsigned_abs() > DOUBLE_EXACT_MAX
}

/// Finds an integer that may be no double exactly in rows of the buffer; reads those that are not in memory.
fn large_in(chunks: &[Chunk], columns: &[String]) -> Result<Option<(String, i64)>, IngestError> {
    for chunk in chunks {
        let rows = chunk.rows()?;
        for name in columns {
            let integers = rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
            let large = integers.and_then(|integers| integers.iter().flatten().find(is_large));
            if let Some(value) = large {
                return Ok(Some((name.clone(), value)));
            }
        }
    }
    Ok(None)
}

/// Says whether another writer changed the schema meanwhile.
pub(super) fn is_stale(error: &IngestError) -> bool {
    matches!(error, IngestError::Catalog(CatalogError::StaleDataset { .. }))
}
