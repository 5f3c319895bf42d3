use std::time::Duration;

use tidegate_model::limits::{LIFECYCLE_DRAIN_MS, LIFECYCLE_LOOK_MS};
use tidegate_model::{PartitionDay, Seq, TableName, UnixNanos, Upkeep, chain, tables};
use tokio::time::{sleep, timeout};

use super::{Expire, ExpireError, Target};
use crate::buffer::Hold;
use crate::catalog::Removal;
use crate::rollup::Rollup;
use crate::store::{TRACE_RANGES, removed_rows, row_time};

/// What became of a removal.
pub(super) enum Removed {
    /// The rows are gone.
    Done,
    /// Somebody needs them, or a batch is on its way.
    Postponed(&'static str),
}

const NEEDED: &str = "a backup or a recount needs the rows";
const ON_ITS_WAY: &str = "a batch of the table is on its way into ClickHouse";
const CHANGED: &str = "rows came into the partition meanwhile";

impl Expire {
    /// Removes the rows of a partition: all, or those from before a time.
    pub(super) async fn remove(
        &self,
        target: &Target,
        (partition, upkeep): (PartitionDay, Upkeep),
        now: UnixNanos,
    ) -> Result<Removed, ExpireError> {
        let limit = Duration::from_millis(LIFECYCLE_DRAIN_MS);
        let Some(_turn) = self.sources.store.removing(limit).await else { return Ok(Removed::Postponed(NEEDED)) };
        let Some(_hold) = self.drained(&target.spec.name).await else { return Ok(Removed::Postponed(ON_ITS_WAY)) };
        // What was seen before the hold may have got younger rows since.
        if !self.is_still_due(target, (partition, upkeep), now).await? {
            return Ok(Removed::Postponed(CHANGED));
        }
        let before = if let Upkeep::Trim(before) = upkeep { Some(before) } else { None };
        let left = match before.filter(|_| !target.rolls_up()) {
            Some(before) => self.left_of(target, partition, before).await?,
            None => Vec::new(),
        };
        let table = target.spec.name.clone();
        let removal = Removal { last: self.stored(&table), table, partition, before, at: self.sources.clock.now() };
        let number = self.sources.catalog.begin_removal(&removal, &left).await?;
        self.carry_out(&removal).await?;
        self.sources.catalog.end_removal(number).await?;
        Ok(Removed::Done)
    }

    /// Finishes the removals that were begun and not finished: ClickHouse was away, or the process ended. Returns how many
    /// are still open.
    pub async fn resume(&self) -> Result<usize, ExpireError> {
        let open = self.sources.catalog.open_removals().await?;
        let mut left = 0;
        for (number, removal) in &open {
            match self.finish(*number, removal).await {
                Ok(true) => {}
                Ok(false) => left += 1,
                Err(error) => {
                    let (table, partition, error) = (&removal.table, removal.partition, chain(&error));
                    tracing::warn!(%table, partition, error, "a removal of rows is still to be finished");
                    left += 1;
                }
            }
        }
        Ok(left)
    }

    async fn finish(&self, number: i64, removal: &Removal) -> Result<bool, ExpireError> {
        let limit = Duration::from_millis(LIFECYCLE_DRAIN_MS);
        let Some(_turn) = self.sources.store.removing(limit).await else { return Ok(false) };
        let Some(_hold) = self.drained(&removal.table).await else { return Ok(false) };
        self.carry_out(removal).await?;
        self.sources.catalog.end_removal(number).await?;
        Ok(true)
    }

    async fn is_still_due(
        &self,
        target: &Target,
        due: (PartitionDay, Upkeep),
        now: UnixNanos,
    ) -> Result<bool, ExpireError> {
        let partitions = self.partitions(target).await?;
        if partitions.iter().any(|one| one.state.partition == due.0 && one.untold > 0) {
            return Ok(false);
        }
        let states: Vec<_> = partitions.iter().map(|partition| partition.state).collect();
        Ok(target.retention.plan(now, &states).iter().any(|(state, upkeep)| (state.partition, *upkeep) == due))
    }

    /// Removes from ClickHouse what the catalog does not tell of any more; may be done again.
    async fn carry_out(&self, removal: &Removal) -> Result<(), ExpireError> {
        let (store, table) = (&self.sources.store, removal.table.as_str());
        let rolls_up = tables::all().iter().any(|spec| spec.roll_up.is_some() && spec.name == removal.table);
        let condition = match removal.before {
            Some(before) => {
                let time = self.time_of(&removal.table).await?;
                let time = time.ok_or_else(|| ExpireError::UnknownTable(table.to_owned()))?;
                // The numbers of rows that merge say nothing of when they came.
                let bound = if rolls_up { String::new() } else { format!(" AND _seq <= {}", removal.last) };
                Some(format!("{}{bound}", removed_rows(&time, before.0)))
            }
            None if !rolls_up && self.has_later(removal).await? => Some(format!("_seq <= {}", removal.last)),
            None => None,
        };
        match condition {
            Some(condition) => {
                store.delete_rows(table, removal.partition, &condition).await?;
                // No batch is on its way: what is there is stored.
                store.rebuild_roll_ups(&removal.table, removal.partition, Seq(u64::MAX)).await?;
            }
            None => {
                store.drop_partition(table, removal.partition).await?;
                store.drop_roll_ups(&removal.table, removal.partition).await?;
                if removal.table == tables::SPANS.name {
                    store.drop_partition(TRACE_RANGES, removal.partition).await?;
                }
            }
        }
        if let Some(totals) = self.sources.rollup.as_ref().and_then(Rollup::totals).filter(|_| rolls_up) {
            totals.turn().await.forget();
        }
        Ok(())
    }

    /// Says whether rows came into the partition after the removal began: it was broken off, and batches went on.
    async fn has_later(&self, removal: &Removal) -> Result<bool, ExpireError> {
        let sql = format!(
            "SELECT count() AS __later FROM `{}`.`{}` WHERE _partition = toDate({}) AND _seq > {}",
            self.sources.store.database(),
            removal.table,
            removal.partition,
            removal.last,
        );
        let rows = self.sources.store.rows(&sql, &[]).await?;
        let later = rows.first().and_then(|row| row["__later"].as_u64()).ok_or(ExpireError::Answer("later"))?;
        Ok(later > 0)
    }

    async fn time_of(&self, table: &TableName) -> Result<Option<String>, ExpireError> {
        if let Some(spec) = tables::all().into_iter().find(|spec| spec.name == *table) {
            return Ok(row_time(spec, tables::time_column(spec)));
        }
        let dataset = self.sources.catalog.dataset_of(table).await?;
        Ok(dataset.and_then(|dataset| row_time(&dataset.spec, dataset.time_column.as_deref())))
    }

    fn stored(&self, table: &TableName) -> Seq {
        let tails = self.sources.buffer.status();
        tails.iter().find(|tail| tail.table == *table).map(|tail| tail.stored).unwrap_or_default()
    }

    /// Holds the cuts that bring rows to a table, and waits until those that were closed have arrived.
    async fn drained(&self, table: &TableName) -> Option<Hold> {
        let buffer = &self.sources.buffer;
        // What is counted of every table goes to the roll-ups.
        let is_counted = tables::all().iter().any(|spec| spec.roll_up.is_some() && spec.name == *table);
        let hold = if is_counted { buffer.hold_all() } else { buffer.hold(vec![table.clone()]) };
        let arrived = async {
            let is_open = || {
                let mut tails = buffer.status().into_iter().filter(|tail| is_counted || tail.table == *table);
                tails.any(|tail| tail.sealed > tail.stored)
            };
            while is_open() {
                sleep(Duration::from_millis(LIFECYCLE_LOOK_MS)).await;
            }
        };
        timeout(Duration::from_millis(LIFECYCLE_DRAIN_MS), arrived).await.ok().map(|()| hold)
    }
}
