use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use tidegate_model::{ErrorKind, Seq, TableName};

use super::kept::Kept;
use super::sessions::Copies;
use super::steady::Steady;
use super::v1::watch::Counts;
use super::view::View;
use crate::errors::Failure;

/// What the cardinality API itself remembers, beside what is stored.
#[derive(Debug, Default)]
pub struct CardinalityState {
    watches: Mutex<BTreeMap<String, Watch>>,
    /// What is read where a request does not say.
    view: Mutex<View>,
    /// What tables say that seldom get a row.
    pub(super) steady: Steady,
    /// What memory told of templates.
    pub(super) kept: Kept,
    /// The sessions that can be read.
    pub(super) copies: tokio::sync::Mutex<Copies>,
    /// Held while a session is written: one at a time.
    pub(super) saving: tokio::sync::Mutex<()>,
    /// Where sessions are saved; without a folder there are none.
    pub(super) sessions: Option<PathBuf>,
    /// Signals whose rows are counted and not kept.
    unkept: Vec<&'static str>,
}

/// A key whose values are counted one by one.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    /// When it began, as it is told.
    pub(super) since: String,
    /// The newest row of each table at that moment.
    pub(super) heads: Vec<(TableName, Seq)>,
    /// What came since.
    pub(super) counts: Arc<tokio::sync::Mutex<Counts>>,
}

impl CardinalityState {
    /// Remembers nothing yet; sessions go into the folder, and rows of these signals are not kept.
    #[must_use]
    pub fn new(sessions: Option<PathBuf>, unkept: Vec<&'static str>) -> Self {
        Self { sessions, unkept, ..Self::default() }
    }

    /// Refuses what only rows can answer where they are not kept.
    pub(super) fn rows_are_kept(&self, is_asked_for: impl Fn(&str) -> bool) -> Result<(), Failure> {
        let Some(signal) = self.unkept.iter().find(|signal| is_asked_for(signal)) else { return Ok(()) };
        // Counted from the rows that happen to be hot it would look like an answer.
        let message = format!("the rows of {signal} are counted and not kept (retain.{signal} = false)");
        Err(Failure::new(ErrorKind::NotFound, message)
            .with_status(StatusCode::NOT_IMPLEMENTED)
            .with_hint("this answer needs the rows themselves: ask for another signal_type, or keep them"))
    }

    pub(super) fn watches(&self) -> MutexGuard<'_, BTreeMap<String, Watch>> {
        // A panic elsewhere leaves the map whole: each change is a single call.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
