use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_model::{Seq, TableName};

use super::sessions::Copies;
use super::view::View;

/// What the cardinality API itself remembers, beside what is stored.
#[derive(Debug, Default)]
pub struct CardinalityState {
    watches: Mutex<BTreeMap<String, Watch>>,
    /// What is read where a request does not say.
    view: Mutex<View>,
    /// The sessions that can be read.
    pub(super) copies: tokio::sync::Mutex<Copies>,
    /// Held while a session is written: one at a time.
    pub(super) saving: tokio::sync::Mutex<()>,
    /// Where sessions are saved; without a folder there are none.
    pub(super) sessions: Option<PathBuf>,
}

/// A key whose values are counted one by one.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    /// When it began, as it is told.
    pub(super) since: String,
    /// The newest row of each table at that moment.
    pub(super) heads: Vec<(TableName, Seq)>,
}

impl CardinalityState {
    /// Remembers nothing yet; sessions go into the folder.
    #[must_use]
    pub fn new(sessions: Option<PathBuf>) -> Self {
        Self { sessions, ..Self::default() }
    }

    pub(super) fn watches(&self) -> MutexGuard<'_, BTreeMap<String, Watch>> {
        // A panic elsewhere leaves the map whole: each change is a single call.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
