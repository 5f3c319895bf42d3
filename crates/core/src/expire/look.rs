use std::collections::HashMap;

use serde_json::Value;
use tidegate_model::{PartitionState, TableName, UnixNanos, day_times};

use super::{Expire, ExpireError, Target};
use crate::catalog::Manifest;

/// A partition, with what was found wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// What it is.
    pub state: PartitionState,
    /// Rows that ClickHouse has and no manifest tells of.
    pub untold: u64,
    /// `hot`, `cold` or `mixed`.
    pub tier: &'static str,
}

/// A table with a row that should have gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The table.
    pub table: TableName,
    /// Its oldest row's time.
    pub oldest: UnixNanos,
    /// No row should be from before this.
    pub latest: UnixNanos,
}

impl Expire {
    /// Looks at the partitions of a table.
    pub async fn partitions(&self, target: &Target) -> Result<Vec<Partition>, ExpireError> {
        let times = self.times(target).await?;
        let stored = self.sources.store.partitions(&target.spec.name).await?;
        let looked = stored.into_iter().map(|stored| {
            let (told, times) = times.get(&stored.partition).copied().unwrap_or((0, None));
            let tier = match stored.cold_bytes {
                0 => Manifest::TIER_HOT,
                cold if cold == stored.bytes => Manifest::TIER_COLD,
                _ => Manifest::TIER_MIXED,
            };
            let state = PartitionState {
                partition: stored.partition,
                rows: stored.rows,
                bytes: stored.bytes,
                times: times.unwrap_or(day_times(stored.partition)),
                is_cold: tier == Manifest::TIER_COLD,
            };
            let untold = if target.rolls_up() { 0 } else { stored.rows.saturating_sub(told) };
            Partition { state, untold, tier }
        });
        Ok(looked.collect())
    }

    /// Returns the tables that have a row past retention and grace, as the catalog knows them.
    pub async fn overdue(&self, now: UnixNanos) -> Result<Vec<Overdue>, ExpireError> {
        let mut overdue = Vec::new();
        for target in self.targets(None).await? {
            let Some(latest) = target.retention.latest(now).filter(|_| !target.rolls_up()) else { continue };
            let shards = self.sources.catalog.shards(&target.spec.name).await?;
            // Rows without times go by the day: their partition is due as a whole.
            let oldest = shards.iter().map(|shard| shard.times.map_or(day_times(shard.partition).1, |times| times.0));
            if let Some(oldest) = oldest.min().filter(|oldest| *oldest < latest) {
                overdue.push(Overdue { table: target.spec.name, oldest, latest });
            }
        }
        Ok(overdue)
    }

    /// Returns rows and times of each partition, from the manifests; of rows that merge, from ClickHouse.
    async fn times(&self, target: &Target) -> Result<HashMap<u16, (u64, Option<(UnixNanos, UnixNanos)>)>, ExpireError> {
        if !target.rolls_up() {
            let shards = self.sources.catalog.shards(&target.spec.name).await?;
            return Ok(shards.into_iter().map(|shard| (shard.partition, (shard.rows, shard.times))).collect());
        }
        let Some(time) = &target.time else { return Ok(HashMap::new()) };
        let sql = format!(
            "SELECT toUInt16(_partition) AS day, count() AS rows, \
                    toString(toUnixTimestamp64Nano(min({time}))) AS first, \
                    toString(toUnixTimestamp64Nano(max({time}))) AS last \
             FROM `{}`.`{}` GROUP BY day",
            self.sources.store.database(),
            target.spec.name,
        );
        let rows = self.sources.store.rows(&sql, &[]).await?;
        let moment = |row: &Value, name| row[name].as_str().and_then(|text| text.parse().ok()).map(UnixNanos);
        let read = |row: &Value| {
            let day = row["day"].as_u64().and_then(|day| u16::try_from(day).ok()).ok_or(ExpireError::Answer("day"))?;
            let rows = row["rows"].as_u64().ok_or(ExpireError::Answer("rows"))?;
            Ok((day, (rows, moment(row, "first").zip(moment(row, "last")))))
        };
        rows.iter().map(read).collect()
    }
}
