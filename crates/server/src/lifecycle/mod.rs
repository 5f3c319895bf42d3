//! How long rows stay and where: policies of datasets and built-in tables, runs of the lifecycle, and the alarm when a row
//! is past its retention.
//!
//! It owns the schedule of runs and the requests for them; what a run does is `tidegate_core::expire`.
//!
//! Invariants:
//! - A run is in the catalog before it removes anything, and ends there whatever becomes of it.
//! - What was removed of a dataset is in its audit log.
//!
//! | file | does |
//! |---|---|
//! | `policies.rs` | `/admin/datasets/{id}/retention` |
//! | `quotas.rs` | `/admin/datasets/{id}/quota` and `/admin/tenants/{tenant}/quota`; how much each has stored |
//! | `runs.rs` | `/admin/lifecycle/…`: runs, their list, the state |
//! | `prewarm.rs` | `/admin/lifecycle/prewarm` |
//! | `schedule.rs` | runs every so often, and looks for rows that should be gone |
//! | `shapes.rs` | the answers' JSON schemas |

mod policies;
mod prewarm;
mod quotas;
mod runs;
mod schedule;
mod shapes;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::expire::Expire;
use tidegate_model::UnixNanos;

use crate::routes::Route;

pub use schedule::run_lifecycle;
pub(crate) use shapes::{shapes, state as state_shape};

/// What requests, the schedule and the alarm share.
#[derive(Debug)]
pub struct Lifecycle {
    expire: Expire,
    /// Zero: only when somebody asks.
    every: Duration,
    state: Mutex<State>,
}

/// What was seen last.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// When a run ended last, and well.
    last_run: Option<UnixNanos>,
    /// Since when some row should be gone, on the clock that never goes back.
    overdue_since: Option<Duration>,
    /// The table whose row is furthest past, and by how many seconds.
    overdue: Option<(String, u64)>,
    pub(crate) is_late: bool,
    pub(crate) alarms: u64,
    pub(crate) rows_removed: u64,
    pub(crate) bytes_removed: u64,
    pub(crate) bytes_moved: u64,
    pub(crate) failures: u64,
}

impl Lifecycle {
    /// Prepares runs, one every so often; zero: only when somebody asks.
    #[must_use]
    pub fn new(expire: Expire, every: Duration) -> Self {
        Self { expire, every, state: Mutex::default() }
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Finishes what earlier removals left, so that a recount finds what the catalog says.
    pub(crate) async fn settle(&self) {
        if let Err(error) = self.expire.resume().await {
            tracing::warn!(error = crate::errors::chain(&error), "removals of rows could not be finished");
        }
    }
}

impl State {
    /// Returns it as `/health` tells it.
    pub(crate) fn told(&self) -> Value {
        json!({
            "within_retention": !self.is_late,
            "overdue_table": self.overdue.as_ref().map(|(table, _)| table),
            "overdue_seconds": self.overdue.as_ref().map_or(0, |(_, seconds)| *seconds),
            "alarms": self.alarms,
            "last_run": self.last_run.map(|at| at.to_string()),
        })
    }
}

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    [policies::routes(), quotas::routes(), runs::routes(), prewarm::routes()].into_iter().flatten().collect()
}
