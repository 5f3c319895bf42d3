use tidegate_model::limits::LIFECYCLE_STEPS_LISTED_MAX;
use tidegate_model::{UnixNanos, Upkeep, chain, partition_date};

use super::look::Partition;
use super::remove::Removed;
use super::{Expire, ExpireError, Report, Step, Target, Wanted};
use crate::catalog::Manifest;
use crate::store::removed_rows;

/// The volume that old partitions go to.
const COLD_VOLUME: &str = "cold";

impl Expire {
    /// Does what is due, or tells it; one run at a time.
    ///
    /// A step that fails is told and does not keep the others from being done; an error means that nothing could be found
    /// out.
    pub async fn run(&self, wanted: &Wanted) -> Result<Report, ExpireError> {
        let _one = self.running.lock().await;
        if !wanted.is_dry {
            self.resume().await?;
            if let Some(policy) = self.sources.cold_policy {
                // Tables that were made before there was one, or since the last run.
                self.sources.store.set_storage_policy(policy).await?;
            }
        }
        let mut report = Report { dry_run: wanted.is_dry, ..Report::default() };
        for target in self.targets(wanted.slug.as_deref()).await? {
            if target.retention.is_empty() {
                continue;
            }
            report.tables += 1;
            self.run_table(&target, wanted, &mut report).await?;
        }
        Ok(report)
    }

    async fn run_table(&self, target: &Target, wanted: &Wanted, report: &mut Report) -> Result<(), ExpireError> {
        let now = self.sources.clock.now();
        let partitions = self.partitions(target).await?;
        if !wanted.is_dry && !target.rolls_up() {
            for partition in &partitions {
                self.sources.catalog.set_tier(&target.spec.name, partition.state.partition, partition.tier).await?;
            }
        }
        let states: Vec<_> = partitions.iter().map(|partition| partition.state).collect();
        for (state, upkeep) in target.retention.plan(now, &states) {
            let Some(partition) = partitions.iter().find(|one| one.state.partition == state.partition) else {
                continue;
            };
            let is_wanted = if upkeep == Upkeep::Cool { wanted.tiers && self.has_cold() } else { wanted.retention };
            // Rows without a time of their own have their partition's: it goes whole.
            let is_possible = !matches!(upkeep, Upkeep::Trim(_)) || target.time.is_some();
            if is_wanted && is_possible {
                let step = self.step(target, partition, upkeep, (!wanted.is_dry).then_some(now)).await?;
                report.add(step);
            }
        }
        Ok(())
    }

    async fn step(
        &self,
        target: &Target,
        partition: &Partition,
        upkeep: Upkeep,
        now: Option<UnixNanos>,
    ) -> Result<Step, ExpireError> {
        let mut step = self.planned(target, partition, upkeep).await?;
        if upkeep != Upkeep::Cool && partition.untold > 0 {
            step.outcome = "postponed";
            step.note = Some(format!("ClickHouse has {} rows that no manifest tells of", partition.untold));
        } else if let Some(now) = now {
            let (outcome, note) = match self.carry(target, partition, upkeep, now).await {
                Ok(Removed::Done) => ("done", None),
                Ok(Removed::Postponed(why)) => ("postponed", Some(why.to_owned())),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(table = %step.table, partition = step.partition, action = step.action, error, "a step of the lifecycle failed");
                    ("failed", Some(error))
                }
            };
            (step.outcome, step.note) = (outcome, note);
        }
        Ok(step)
    }

    async fn carry(
        &self,
        target: &Target,
        partition: &Partition,
        upkeep: Upkeep,
        now: UnixNanos,
    ) -> Result<Removed, ExpireError> {
        let day = partition.state.partition;
        match upkeep {
            Upkeep::DropOld | Upkeep::DropLarge | Upkeep::Trim(_) => self.remove(target, (day, upkeep), now).await,
            Upkeep::Cool => {
                self.sources.store.move_partition(&target.spec.name, day, COLD_VOLUME).await?;
                self.sources.catalog.set_tier(&target.spec.name, day, Manifest::TIER_COLD).await?;
                Ok(Removed::Done)
            }
        }
    }

    pub(super) async fn planned(
        &self,
        target: &Target,
        partition: &Partition,
        upkeep: Upkeep,
    ) -> Result<Step, ExpireError> {
        let state = &partition.state;
        let (action, reason, rows) = match upkeep {
            Upkeep::DropOld => ("drop", "age", state.rows),
            Upkeep::DropLarge => ("drop", "size", state.rows),
            Upkeep::Trim(before) => ("trim", "age", self.rows_before(target, partition, before).await?),
            Upkeep::Cool => ("move", "age", state.rows),
        };
        let share = u128::from(state.bytes) * u128::from(rows) / u128::from(state.rows.max(1));
        Ok(Step {
            table: target.spec.name.clone(),
            dataset: target.slug.clone(),
            partition: partition_date(state.partition),
            action,
            reason,
            rows,
            bytes: u64::try_from(share).unwrap_or(u64::MAX),
            outcome: "planned",
            note: None,
        })
    }

    async fn rows_before(&self, target: &Target, partition: &Partition, before: UnixNanos) -> Result<u64, ExpireError> {
        let Some(time) = &target.time else { return Ok(0) };
        let sql = format!(
            "SELECT count() AS __rows FROM `{}`.`{}` WHERE _partition = toDate({}) AND {}",
            self.sources.store.database(),
            target.spec.name,
            partition.state.partition,
            removed_rows(time, before.0),
        );
        let rows = self.sources.store.rows(&sql, &[]).await?;
        rows.first().and_then(|row| row["__rows"].as_u64()).ok_or(ExpireError::Answer("rows"))
    }
}

impl Report {
    fn add(&mut self, step: Step) {
        match (step.outcome, step.action) {
            ("postponed" | "failed", _) => self.left += 1,
            (_, "move") => self.bytes_moved += step.bytes,
            _ => {
                self.rows_removed += step.rows;
                self.bytes_removed += step.bytes;
            }
        }
        if self.steps.len() < LIFECYCLE_STEPS_LISTED_MAX {
            self.steps.push(step);
        }
    }
}
