//! Roll-ups by time: filled with the rows that are there, kept by materialized views from then on, and made anew
//! partition by partition where rows went (`docs/decisions/0012-roll-ups-by-time.md`).
//!
//! The view on a table is made when its roll-ups are filled: where it is, they hold every row that it was shown since.

use std::time::Duration;

use rand::Rng;
use tidegate_model::limits::{LIFECYCLE_WORK_MS, ROLL_UP_FILL_BYTES};
use tidegate_model::{PartitionDay, ROLL_UP_PREFIX, RollUps, Seq, TableName, partition_date};

use super::client::literal;
use super::roll_up_ddl::view_name;
use super::{Store, StoreError};

/// Between a roll-up's name and what tells a table in the making from others.
const IN_THE_MAKING: &str = "__";

impl Store {
    /// Says whether the roll-ups of a table hold each of its rows that is stored.
    #[must_use]
    pub fn is_rolled_up(&self, table: &TableName) -> bool {
        self.whole().contains(table)
    }

    /// Fills the roll-ups of a table with its rows up to a number, and makes the views that bring them all others; does
    /// nothing where that was done. The rows above must not be on their way: they are inserted after this, or again.
    pub async fn raise_roll_ups(&self, table: &TableName, stored: Seq) -> Result<(), StoreError> {
        let Some(of) = RollUps::find(table) else { return Ok(()) };
        let _kept = self.keep_rows().await;
        let views: Vec<_> = of.grains.iter().map(|grain| view_name(&of.table(*grain))).collect();
        let found = self.tables_like(ROLL_UP_PREFIX).await?;
        if !views.iter().all(|view| found.contains(view)) {
            self.whole().remove(table);
            self.fill(of, &views, stored).await?;
            tracing::info!(%table, rows_up_to = stored.0, "the roll-ups are filled");
        }
        self.whole().insert(table.clone());
        Ok(())
    }

    /// Makes a partition of a table's roll-ups anew, of its rows up to a number; nobody may insert or remove rows of it
    /// meanwhile.
    pub async fn rebuild_roll_ups(&self, table: &TableName, day: PartitionDay, last: Seq) -> Result<(), StoreError> {
        let Some(of) = RollUps::find(table) else { return Ok(()) };
        for at in 0..of.grains.len() {
            self.rebuild(of, at, (day, last)).await?;
        }
        Ok(())
    }

    /// Drops a partition of a table's roll-ups; one that is not there is no mistake.
    pub async fn drop_roll_ups(&self, table: &TableName, day: PartitionDay) -> Result<(), StoreError> {
        let Some(of) = RollUps::find(table) else { return Ok(()) };
        for grain in of.grains {
            self.drop_partition(&of.table(*grain), day).await?;
        }
        Ok(())
    }

    /// Empties the roll-ups, fills them, and makes their views, the one on the table last.
    async fn fill(&self, of: &RollUps, views: &[String], stored: Seq) -> Result<(), StoreError> {
        let ddl = self.ddl();
        for view in views {
            self.execute(&format!("DROP VIEW IF EXISTS {}{}", ddl.qualified(view), ddl.on_cluster())).await?;
        }
        for grain in of.grains {
            let table = of.table(*grain);
            let stored_name = ddl.qualified(&ddl.stored_name(&table));
            self.execute(&format!("TRUNCATE TABLE {stored_name}{}", ddl.on_cluster())).await?;
            // What a fill that was broken off left behind.
            for left in self.tables_like(&format!("{table}{IN_THE_MAKING}")).await? {
                self.execute(&format!("DROP TABLE IF EXISTS {}{}", ddl.qualified(&left), ddl.on_cluster())).await?;
            }
        }
        for partition in self.partitions((of.of)()).await? {
            self.rebuild_roll_ups((of.of)(), partition.partition, stored).await?;
        }
        for at in (0..of.grains.len()).rev() {
            self.execute(&ddl.roll_up_view(of, at)).await?;
        }
        Ok(())
    }

    /// Fills a table of its own and puts its partition in the place of the roll-up's, at once. An insert that goes on
    /// after its answer was lost has no other table to write to than one that is gone.
    async fn rebuild(&self, of: &RollUps, at: usize, rows: (PartitionDay, Seq)) -> Result<(), StoreError> {
        let (ddl, target) = (self.ddl(), of.table(of.grains[at]));
        let filled = format!("{target}{IN_THE_MAKING}{:016x}", rand::rng().random::<u64>());
        for statement in ddl.roll_up(of, of.grains[at], &filled) {
            self.execute(&statement).await?;
        }
        let limit = Duration::from_millis(LIFECYCLE_WORK_MS);
        let filling = ddl.roll_up_filling(of, at, &filled, rows);
        let spill = ROLL_UP_FILL_BYTES.to_string();
        let params = [
            ("wait_end_of_query", "1"),
            ("async_insert", "0"),
            ("distributed_foreground_insert", "1"),
            ("max_bytes_before_external_group_by", spill.as_str()),
        ];
        self.once_within("fill a roll-up", &filling, &params, limit).await?;
        let count = format!("SELECT count() AS rows FROM {}", ddl.qualified(&filled));
        let is_empty = self.system_rows(&count, &[]).await?.first().is_none_or(|row| row["rows"] == 0);
        if is_empty {
            self.drop_partition(&target, rows.0).await?;
        } else {
            let (day, from) = (partition_date(rows.0), ddl.qualified(&ddl.stored_name(&filled)));
            let replace = self.alter(&target, &format!("REPLACE PARTITION {} FROM {from}", literal(&day)));
            self.once("replace a partition of a roll-up", &replace, &[("wait_end_of_query", "1")]).await?;
        }
        for name in [ddl.stored_name(&filled), filled.clone()] {
            self.execute(&format!("DROP TABLE IF EXISTS {}{}", ddl.qualified(&name), ddl.on_cluster())).await?;
        }
        Ok(())
    }

    async fn tables_like(&self, first: &str) -> Result<Vec<String>, StoreError> {
        let sql =
            "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {first:String})";
        let rows = self.system_rows(sql, &[("database", self.database()), ("first", first)]).await?;
        Ok(rows.iter().filter_map(|row| row["name"].as_str()).map(str::to_owned).collect())
    }
}
