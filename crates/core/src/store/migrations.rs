//! The schema's numbered steps. Each is made of statements that may run twice, and is noted when it is done: a
//! migration that was interrupted anywhere is simply run again, there is no half-done state to mend by hand.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;
use tidegate_model::{ColumnKind, ColumnSpec, ErrorKind, ROLL_UPS, SAVED, TableSpec, tables};

use super::client::literal;
use super::schema::Ddl;
use super::{Store, StoreError};

/// The oldest server that will do: the first with text indexes for everybody. Since 25.11 an exception in the middle of an
/// answer is marked with a tag.
const SERVER_MIN: (u32, u32) = (26, 2);
const SERVER_MIN_TEXT: &str = "26.2";

/// A step of the schema that is still to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStep {
    /// Its number.
    pub version: u64,
    /// What it does.
    pub name: &'static str,
    /// The statements, in order.
    pub statements: Vec<String>,
}

/// Number, name and statements of every step, in order.
type StepDefinition = (u64, &'static str, fn(&Ddl<'_>) -> Vec<String>);

const STEPS: [StepDefinition; 8] = [
    (1, "built-in tables", |ddl| tables::all().into_iter().flat_map(|spec| ddl.create_table(spec)).collect()),
    (2, "trace ranges", |ddl| ddl.trace_ranges()),
    (3, "catalogue", |ddl| {
        tables::all()
            .into_iter()
            .filter(|spec| spec.roll_up.is_some())
            .flat_map(|spec| ddl.create_table(spec))
            .collect()
    }),
    (4, "copies of sessions", |ddl| SAVED.iter().flat_map(|saved| ddl.session_copy(saved)).collect()),
    (5, "watermarks", |ddl| ddl.create_table(&tables::INGEST_WATERMARKS)),
    (6, "events", |ddl| ddl.create_table(&tables::EVENTS)),
    (7, "indexes of searches", |ddl| ddl.add_search_indexes(&tables::LOGS)),
    // Their views are made when they have been filled with the rows that are there: `roll_ups.rs`.
    (8, "roll-ups", |ddl| ROLL_UPS.iter().flat_map(|roll_ups| ddl.roll_ups(roll_ups)).collect()),
];

/// The steps that are done, a row each.
static SCHEMA_VERSIONS: LazyLock<TableSpec> = LazyLock::new(|| {
    let columns = [("version", ColumnKind::U64), ("name", ColumnKind::Word), ("applied_at", ColumnKind::Timestamp)];
    let name = "tidegate_schema".parse().expect("a valid name: every test of this file parses it");
    TableSpec::new(name, columns.map(|(name, kind)| ColumnSpec::new(name, kind)))
});

impl Store {
    /// Brings the database to this program's schema; refuses one that a newer version wrote.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        for step in self.migration_plan().await? {
            for statement in &step.statements {
                self.execute(statement).await?;
            }
            tracing::info!(version = step.version, name = step.name, "a step of the schema is done");
        }
        for spec in tables::all() {
            self.add_lacking_columns(spec).await?;
        }
        Ok(())
    }

    /// Returns what [`Store::migrate`] would do now, and does nothing.
    pub async fn migration_plan(&self) -> Result<Vec<MigrationStep>, StoreError> {
        self.check_server().await?;
        let done = self.schema_version().await?;
        let known = STEPS[STEPS.len() - 1].0;
        if done > known {
            return Err(StoreError::Newer { database: self.database().to_owned(), found: done, known });
        }
        Ok(STEPS.iter().filter(|(version, ..)| *version > done).map(|step| self.step(step)).collect())
    }

    /// Makes a table and all that belongs to it, or adds the columns that it lacks.
    pub async fn ensure_table(&self, table: &TableSpec) -> Result<(), StoreError> {
        for statement in self.ddl().create_table(table) {
            self.execute(&statement).await?;
        }
        self.add_lacking_columns(table).await?;
        self.set_ready(table);
        Ok(())
    }

    /// Does the same unless it was done for this form of the table already; another one may be there by now only where
    /// somebody else made it.
    pub async fn ensure_form(&self, table: &TableSpec) -> Result<(), StoreError> {
        if self.is_ready(table) { Ok(()) } else { self.ensure_table(table).await }
    }

    pub(super) fn ddl(&self) -> Ddl<'_> {
        Ddl { database: self.database(), cluster: self.cluster() }
    }

    /// Each step makes its own ground, so that it can be run alone, and notes itself at its end.
    fn step(&self, (version, name, statements): &StepDefinition) -> MigrationStep {
        let ddl = self.ddl();
        let mut all = vec![ddl.create_database()];
        all.extend(ddl.create_table(&SCHEMA_VERSIONS));
        all.extend(statements(&ddl));
        all.push(format!(
            "INSERT INTO {} (version, name, applied_at) SELECT {version}, {}, now64(9)",
            ddl.qualified(SCHEMA_VERSIONS.name.as_str()),
            literal(name)
        ));
        MigrationStep { version: *version, name, statements: all }
    }

    async fn check_server(&self) -> Result<(), StoreError> {
        let rows = self.system_rows("SELECT version() AS version", &[]).await?;
        let found = text_of(rows.first(), "version");
        let mut numbers = found.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version < SERVER_MIN {
            return Err(StoreError::OldServer { found, needed: SERVER_MIN_TEXT });
        }
        Ok(())
    }

    /// Returns the number of the newest step that is done, 0 on an empty server.
    async fn schema_version(&self) -> Result<u64, StoreError> {
        let table = self.ddl().qualified(SCHEMA_VERSIONS.name.as_str());
        match self.system_rows(&format!("SELECT max(version) AS version FROM {table}"), &[]).await {
            Ok(rows) => Ok(rows.first().and_then(|row| row["version"].as_u64()).unwrap_or(0)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn add_lacking_columns(&self, spec: &TableSpec) -> Result<(), StoreError> {
        let ddl = self.ddl();
        let rows = self
            .system_rows(
                "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}",
                &[("database", self.database()), ("table", &ddl.stored_name(spec.name.as_str()))],
            )
            .await?;
        let found: HashMap<_, _> =
            rows.iter().map(|row| (text_of(Some(row), "name"), text_of(Some(row), "type"))).collect();
        let mut other = None;
        for column in &spec.columns {
            match found.get(&column.name) {
                Some(found) if *found == spec.clickhouse(column) => {}
                // Somebody who knew an earlier version of the table comes late.
                Some(found) if is_widened(column, found) => {}
                Some(found) if is_narrower(column, found) => {
                    for statement in ddl.widen_column(spec, column) {
                        self.execute(&statement).await?;
                    }
                    tracing::info!(table = %spec.name, column = column.name, "a column was widened");
                }
                Some(found) => {
                    // The columns behind it are added all the same.
                    other = other.or(Some(StoreError::OtherType {
                        table: spec.name.to_string(),
                        column: column.name.clone(),
                        found: found.clone(),
                        wanted: spec.clickhouse(column),
                    }));
                }
                None => {
                    for statement in ddl.add_column(spec, column) {
                        self.execute(&statement).await?;
                    }
                    tracing::info!(table = %spec.name, column = column.name, "a column was added");
                }
            }
        }
        other.map_or(Ok(()), Err)
    }
}

fn is_widened(column: &ColumnSpec, found: &str) -> bool {
    let wider = ColumnKind::Nullable(Box::new(ColumnKind::F64));
    column.kind.widens_to(&wider) && found == wider.clickhouse()
}

fn is_narrower(column: &ColumnSpec, found: &str) -> bool {
    let narrower = ColumnKind::Nullable(Box::new(ColumnKind::I64));
    narrower.widens_to(&column.kind) && found == narrower.clickhouse()
}

fn text_of(row: Option<&Value>, name: &str) -> String {
    row.and_then(|row| row[name].as_str()).unwrap_or_default().to_owned()
}
