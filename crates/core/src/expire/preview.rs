use tidegate_model::{Retention, UnixNanos, Upkeep};

use super::{Expire, ExpireError, Target};

/// What a retention would remove of a table, if it held now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preview {
    /// Rows that may go; a row may stay until its grace is over.
    pub rows: u64,
    /// Bytes that they take on disk; of partitions that lose some of their rows an estimate.
    pub bytes: u64,
    /// Partitions that lose rows.
    pub partitions: u64,
    /// The time of the oldest of these rows.
    pub oldest: Option<UnixNanos>,
    /// Rows from before this go for their age.
    pub before: Option<UnixNanos>,
}

impl Expire {
    /// Tells what a retention would remove of the rows of a table that are in ClickHouse; removes nothing.
    pub async fn preview(&self, target: &Target, retention: &Retention) -> Result<Preview, ExpireError> {
        let now = self.sources.clock.now();
        let partitions = self.partitions(target).await?;
        let states: Vec<_> = partitions.iter().map(|partition| partition.state).collect();
        let mut preview = Preview { before: retention.cutoff(now), ..Preview::default() };
        // Without its grace: what is past its age may go, sooner or later.
        for (state, upkeep) in (Retention { grace: 0, ..*retention }).plan(now, &states) {
            let goes = match upkeep {
                Upkeep::DropOld | Upkeep::DropLarge => true,
                Upkeep::Trim(_) => target.time.is_some(),
                Upkeep::Cool => false,
            };
            let Some(partition) = partitions.iter().find(|one| one.state.partition == state.partition && goes) else {
                continue;
            };
            let step = self.planned(target, partition, upkeep).await?;
            preview.rows += step.rows;
            preview.bytes += step.bytes;
            preview.partitions += 1;
            preview.oldest = Some(preview.oldest.map_or(state.times.0, |oldest| oldest.min(state.times.0)));
        }
        Ok(preview)
    }
}
