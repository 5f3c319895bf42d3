use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidegate_model::TableName;
use tidegate_model::limits::BATCH_PROMOTE_MS;
use tokio::time::Instant;

use super::BatchError;
use super::mover::States;
use crate::store::Promotion;

/// When each table's watermark was promoted last.
#[derive(Debug, Default)]
pub(super) struct Promotions {
    last: Mutex<HashMap<TableName, Instant>>,
}

impl Promotions {
    /// Tells ClickHouse's own clients how far a table is there. With more of its rows waiting it is told only every now
    /// and then: the next batch tells it again.
    pub(super) async fn promote(&self, states: &States, promotion: &Promotion) -> Result<(), BatchError> {
        let (table, now) = (&promotion.table, Instant::now());
        let has_more =
            states.buffer.status().iter().any(|tail| tail.table == *table && tail.head > promotion.watermark);
        let was_told = self.told(table).is_some_and(|at| now - at < Duration::from_millis(BATCH_PROMOTE_MS));
        if has_more && was_told {
            return Ok(());
        }
        states.store.promote(promotion).await?;
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(table.clone(), now);
        Ok(())
    }

    fn told(&self, table: &TableName) -> Option<Instant> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get(table).copied()
    }
}
