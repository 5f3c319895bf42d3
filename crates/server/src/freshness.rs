//! How far ClickHouse is behind what was acknowledged, and the alarm when that is too far.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::buffer::Buffer;
use tidegate_model::limits::REPLICA_LOOK_MS;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::stages::Stages;

/// Watches the age of the oldest row that ClickHouse does not have.
#[derive(Debug)]
pub struct ReplicaWatch {
    /// The age past which the alarm is raised (milliseconds); 0: never.
    sla_ms: u64,
    is_late: AtomicBool,
    alarms: AtomicU64,
}

/// How far ClickHouse is behind at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplicaAge {
    pub(crate) age_ms: u64,
    pub(crate) hot_rows: u64,
    pub(crate) sla_ms: u64,
    pub(crate) is_late: bool,
    /// How often the alarm was raised since the start.
    pub(crate) alarms: u64,
}

impl ReplicaWatch {
    /// Raises the alarm past this age; 0: never.
    #[must_use]
    pub const fn new(sla_ms: u64) -> Self {
        Self { sla_ms, is_late: AtomicBool::new(false), alarms: AtomicU64::new(0) }
    }

    /// Looks at the buffer; tells in the log when the border is crossed.
    pub(crate) fn look(&self, buffer: &Buffer) -> ReplicaAge {
        let (mut age_ms, mut hot_rows, mut slowest) = (0, 0, None);
        for tail in buffer.status() {
            hot_rows += tail.head.0 - tail.stored.0;
            let age = tail.oldest_ms.unwrap_or(0);
            if age > age_ms {
                (age_ms, slowest) = (age, Some(tail.table));
            }
        }
        let is_late = self.sla_ms > 0 && age_ms > self.sla_ms;
        let was_late = self.is_late.swap(is_late, Ordering::SeqCst);
        let (table, sla_ms) = (slowest.map(|table| table.to_string()).unwrap_or_default(), self.sla_ms);
        if is_late && !was_late {
            self.alarms.fetch_add(1, Ordering::SeqCst);
            tracing::error!(
                table,
                age_ms,
                sla_ms,
                hot_rows,
                "clickhouse is further behind than agreed; answers are whole, from the hot tail"
            );
        } else if was_late && !is_late {
            tracing::info!(age_ms, sla_ms, hot_rows, "clickhouse has caught up");
        }
        ReplicaAge { age_ms, hot_rows, sla_ms, is_late, alarms: self.alarms.load(Ordering::SeqCst) }
    }
}

impl ReplicaAge {
    /// Returns it as `/health` tells it.
    pub(crate) fn told(&self) -> Value {
        json!({
            "replica_age_ms": self.age_ms,
            "hot_tail_rows": self.hot_rows,
            "sla_ms": self.sla_ms,
            "within_sla": !self.is_late,
            "alarms": self.alarms,
        })
    }
}

/// Looks every now and then until the server stops, whether or not anybody asks.
pub async fn watch_replica(stages: Stages, mut stop: watch::Receiver<bool>) {
    loop {
        stages.replica.look(&stages.buffer);
        tokio::select! {
            () = sleep(Duration::from_millis(REPLICA_LOOK_MS)) => {}
            // Without a sender nobody could stop us any more: the process is ending.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
