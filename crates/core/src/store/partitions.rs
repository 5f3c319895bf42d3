//! Partitions of tables as ClickHouse has them: listed, dropped, rid of some rows, moved to another volume.

use std::time::Duration;

use serde_json::Value;
use tidegate_model::limits::{LIFECYCLE_LOOK_MS, LIFECYCLE_WORK_MS};
use tidegate_model::{PartitionDay, TableName, TableSpec, partition_date};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use tokio::time::{Instant, sleep, timeout};

use super::client::{identifier, literal};
use super::{Store, StoreError};

/// The disk of the cold volume is named so, or begins so: it may have a cache before it.
const COLD: &str = "cold";

/// A partition's active parts, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredPartition {
    /// The partition.
    pub partition: PartitionDay,
    /// Rows in its parts.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Those of them on the cold volume.
    pub cold_bytes: u64,
}

impl Store {
    /// Keeps stored rows from being removed until this is dropped: for who copies or recounts them.
    pub async fn keep_rows(&self) -> OwnedRwLockReadGuard<()> {
        self.rows_lock().read_owned().await
    }

    /// Does the same, unless somebody removes rows now or is about to.
    #[must_use]
    pub fn try_keep_rows(&self) -> Option<OwnedRwLockReadGuard<()>> {
        self.rows_lock().try_read_owned().ok()
    }

    /// Waits for at most so long until nobody needs stored rows to stay; then they may be removed.
    pub async fn removing(&self, limit: Duration) -> Option<OwnedRwLockWriteGuard<()>> {
        timeout(limit, self.rows_lock().write_owned()).await.ok()
    }

    /// Lists the partitions of a table.
    pub async fn partitions(&self, table: &TableName) -> Result<Vec<StoredPartition>, StoreError> {
        let parts = match self.cluster() {
            // One replica of each shard.
            Some(cluster) => format!("cluster({}, system.parts)", literal(cluster)),
            None => "system.parts".to_owned(),
        };
        let sql = format!(
            "SELECT toUInt16(toDate(partition)) AS day, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, \
                    sumIf(bytes_on_disk, startsWith(disk_name, '{COLD}')) AS cold \
             FROM {parts} WHERE database = {{database:String}} AND table = {{table:String}} AND active \
             GROUP BY day ORDER BY day"
        );
        let stored = self.ddl().stored_name(table.as_str());
        let rows = self.system_rows(&sql, &[("database", self.database()), ("table", &stored)]).await?;
        let number = |row: &Value, name: &str| row[name].as_u64().unwrap_or_default();
        let told = rows.iter().map(|row| StoredPartition {
            partition: PartitionDay::try_from(number(row, "day")).unwrap_or_default(),
            rows: number(row, "rows"),
            bytes: number(row, "bytes"),
            cold_bytes: number(row, "cold"),
        });
        Ok(told.collect())
    }

    /// Returns how many bytes each table takes on disk.
    pub async fn stored_bytes(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let parts = match self.cluster() {
            Some(cluster) => format!("cluster({}, system.parts)", literal(cluster)),
            None => "system.parts".to_owned(),
        };
        let sql = format!(
            "SELECT table, sum(bytes_on_disk) AS bytes FROM {parts} \
             WHERE database = {{database:String}} AND active GROUP BY table"
        );
        let rows = self.system_rows(&sql, &[("database", self.database())]).await?;
        let local = if self.cluster().is_some() { "_local" } else { "" };
        let told = |row: &Value| {
            let table = row["table"].as_str()?;
            Some((table.strip_suffix(local).unwrap_or(table).to_owned(), row["bytes"].as_u64()?))
        };
        Ok(rows.iter().filter_map(told).collect())
    }

    /// Drops a partition; one that is not there is no mistake.
    pub async fn drop_partition(&self, table: &str, partition: PartitionDay) -> Result<(), StoreError> {
        let sql = self.alter(table, &format!("DROP PARTITION {}", literal(&partition_date(partition))));
        // ClickHouse refuses large ones unless told that it is meant.
        let params = [("max_partition_size_to_drop", "0"), ("wait_end_of_query", "1")];
        self.once("drop a partition", &sql, &params).await.map(drop)
    }

    /// Removes the rows of a partition for which a condition holds, and waits until they are gone.
    pub async fn delete_rows(&self, table: &str, partition: PartitionDay, condition: &str) -> Result<(), StoreError> {
        let partition = literal(&partition_date(partition));
        let sql = self.alter(table, &format!("DELETE IN PARTITION {partition} WHERE {condition}"));
        let params = [("mutations_sync", "0"), ("wait_end_of_query", "1")];
        self.once("remove rows from a partition", &sql, &params).await?;
        let limit = Duration::from_millis(LIFECYCLE_WORK_MS);
        timeout(limit, self.mutations_end(table)).await.unwrap_or(Err(StoreError::Timeout(limit)))
    }

    /// Moves a partition to a volume of the table's storage policy; what is there already stays.
    pub async fn move_partition(
        &self,
        table: &TableName,
        partition: PartitionDay,
        volume: &str,
    ) -> Result<(), StoreError> {
        let partition = literal(&partition_date(partition));
        let sql = self.alter(table.as_str(), &format!("MOVE PARTITION {partition} TO VOLUME {}", literal(volume)));
        let limit = Duration::from_millis(LIFECYCLE_WORK_MS);
        self.once_within("move a partition", &sql, &[("wait_end_of_query", "1")], limit).await.map(drop)
    }

    /// Reads all columns of some partitions; returns how many rows they have.
    pub async fn read_partitions(
        &self,
        table: &TableName,
        from: PartitionDay,
        to: PartitionDay,
    ) -> Result<u64, StoreError> {
        let sql = format!(
            "SELECT count() AS rows FROM {} WHERE _partition BETWEEN toDate({from}) AND toDate({to}) AND NOT ignore(*) \
             FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0",
            self.ddl().qualified(table.as_str()),
        );
        let limit = Duration::from_millis(LIFECYCLE_WORK_MS);
        let body = self.once_within("read partitions", &sql, &[("wait_end_of_query", "1")], limit).await?;
        let row: Value = serde_json::from_slice(&body)
            .map_err(|error| StoreError::CutOff(format!("the count is not JSON ({error})")))?;
        row["rows"].as_u64().ok_or_else(|| StoreError::CutOff("the count is not there".to_owned()))
    }

    /// Gives tables of ours the storage policy that has a cold volume, where they have another.
    pub async fn set_storage_policy(&self, policy: &str) -> Result<usize, StoreError> {
        let sql = "SELECT name FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree' \
                   AND storage_policy <> {policy:String}";
        let rows = self.system_rows(sql, &[("database", self.database()), ("policy", policy)]).await?;
        for name in rows.iter().filter_map(|row| row["name"].as_str()) {
            let table = format!("{}.{}", identifier(self.database()), identifier(name));
            self.execute(&format!("ALTER TABLE {table} MODIFY SETTING storage_policy = {}", literal(policy))).await?;
        }
        Ok(rows.len())
    }

    pub(super) fn alter(&self, table: &str, change: &str) -> String {
        let ddl = self.ddl();
        let on_cluster = self.cluster().map(|name| format!(" ON CLUSTER {}", identifier(name))).unwrap_or_default();
        format!("ALTER TABLE {}{on_cluster} {change}", ddl.qualified(&ddl.stored_name(table)))
    }

    async fn mutations_end(&self, table: &str) -> Result<(), StoreError> {
        let stored = self.ddl().stored_name(table);
        let sql = "SELECT latest_fail_reason AS why FROM system.mutations \
                   WHERE database = {database:String} AND table = {table:String} AND NOT is_done";
        let began = Instant::now();
        loop {
            let rows = self.system_rows(sql, &[("database", self.database()), ("table", &stored)]).await?;
            let Some(open) = rows.first() else { return Ok(()) };
            let why = open["why"].as_str().unwrap_or_default();
            if !why.is_empty() {
                return Err(StoreError::from_text(why));
            }
            // Most end at once; a long one need not be asked for so often.
            sleep(began.elapsed().clamp(Duration::from_millis(LIFECYCLE_LOOK_MS), Duration::from_secs(1))).await;
        }
    }
}

/// Returns the condition under which a row of a removal goes.
#[must_use]
pub fn removed_rows(time: &str, before: i64) -> String {
    format!("{time} < fromUnixTimestamp64Nano({before}, 'UTC')")
}

/// Returns a table's expression of a row's time, in SQL; `None`: its rows have none.
#[must_use]
pub fn row_time(spec: &TableSpec, time_column: Option<&str>) -> Option<String> {
    if spec.roll_up.is_some() {
        // All rows that merge to one have the same hour, and go together.
        return spec.column("hour").map(|_| "(hour + INTERVAL 1 HOUR)".to_owned());
    }
    time_column.map(identifier)
}
