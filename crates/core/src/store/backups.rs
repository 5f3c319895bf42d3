//! Backups of the whole database, which the engine writes to and reads from its disk `backups`.

use std::time::Duration;

use rand::Rng;
use serde_json::Value;
use tidegate_model::limits::{STORE_BACKUP_LOOK_MS, STORE_BACKUP_MS};
use tokio::time::{sleep, timeout};

use super::client::{identifier, literal};
use super::{Store, StoreError};

/// Whose state is asked for again.
const UNFINISHED: [&str; 2] = ["CREATING_BACKUP", "RESTORING"];
const FINISHED: [&str; 2] = ["BACKUP_CREATED", "RESTORED"];

impl Store {
    /// Writes all tables to a place on the disk `backups`; what `base`, an earlier one there, has is only referred to.
    pub async fn write_backup(&self, place: &str, base: Option<&str>) -> Result<(), StoreError> {
        let database = identifier(self.database());
        let base = base.map(|base| format!(", base_backup = {}", on_disk(base))).unwrap_or_default();
        self.run_backup("write a backup", &format!("BACKUP DATABASE {database} TO {}", on_disk(place)), &base).await
    }

    /// Makes all tables anew from a place on the disk `backups`; the database must not be there yet.
    pub async fn read_backup(&self, place: &str) -> Result<(), StoreError> {
        let database = identifier(self.database());
        self.run_backup("read a backup", &format!("RESTORE DATABASE {database} FROM {}", on_disk(place)), "").await
    }

    /// Returns what ClickHouse says of its version.
    pub async fn version(&self) -> Result<String, StoreError> {
        let rows = self.system_rows("SELECT version() AS version", &[]).await?;
        Ok(text(rows.first(), "version"))
    }

    /// Starts a statement that takes as long as the data is large, and asks for its state until it has one.
    async fn run_backup(&self, step: &'static str, statement: &str, settings: &str) -> Result<(), StoreError> {
        let id = format!("tidegate-{:032x}", rand::rng().random::<u128>());
        let sql = format!("{statement} SETTINGS id = {}{settings} ASYNC", literal(&id));
        self.once(step, &sql, &[("wait_end_of_query", "1")]).await?;
        let limit = Duration::from_millis(STORE_BACKUP_MS);
        timeout(limit, self.backup_ends(&id)).await.unwrap_or(Err(StoreError::Timeout(limit)))
    }

    async fn backup_ends(&self, id: &str) -> Result<(), StoreError> {
        loop {
            let sql = "SELECT toString(status) AS status, error FROM system.backups WHERE id = {id:String}";
            let rows = self.system_rows(sql, &[("id", id)]).await?;
            let status = text(rows.first(), "status");
            if FINISHED.contains(&status.as_str()) {
                return Ok(());
            }
            if !UNFINISHED.contains(&status.as_str()) {
                // An engine that was started again knows nothing of it.
                let error = text(rows.first(), "error");
                let error = if error.is_empty() { "the engine was started again meanwhile".to_owned() } else { error };
                return Err(StoreError::from_text(&error));
            }
            sleep(Duration::from_millis(STORE_BACKUP_LOOK_MS)).await;
        }
    }
}

fn on_disk(place: &str) -> String {
    format!("Disk('backups', {})", literal(place))
}

fn text(row: Option<&Value>, name: &str) -> String {
    row.and_then(|row| row[name].as_str()).unwrap_or_default().to_owned()
}
