use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tidegate_traces::Uuid;

/// Where spans of a project are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TracingMode {
    /// To PostgreSQL, and read from there.
    Postgres,
    /// To PostgreSQL, whose changes come to ClickHouse behind it.
    Dual,
    /// To ClickHouse, and read from there.
    #[default]
    ClickHouse,
}

/// Which side answers reads of a project whose spans are on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TracingReads {
    /// PostgreSQL.
    #[default]
    Postgres,
    /// ClickHouse, when it has all that was committed; otherwise PostgreSQL.
    ClickHouse,
}

/// Where spans of a project are written, and which side answers reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TracingChoice {
    /// Where they are written.
    pub mode: TracingMode,
    /// Which side answers, in mode `dual`.
    #[serde(default)]
    pub reads: TracingReads,
}

impl TracingMode {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Dual => "dual",
            Self::ClickHouse => "clickhouse",
        }
    }
}

/// What was chosen for projects.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// For those for which nothing was.
    pub(super) default: TracingChoice,
    by_project: RwLock<BTreeMap<Uuid, TracingChoice>>,
}

impl Choices {
    pub(super) fn new(default: TracingChoice, decided: impl IntoIterator<Item = (Uuid, TracingChoice)>) -> Self {
        Self { default, by_project: RwLock::new(decided.into_iter().collect()) }
    }

    /// Returns what holds for a project, and whether it was chosen for it.
    pub(super) fn of(&self, project: Uuid) -> (TracingChoice, bool) {
        let by_project = self.by_project.read().unwrap_or_else(PoisonError::into_inner);
        by_project.get(&project).map_or((self.default, false), |choice| (*choice, true))
    }

    pub(super) fn set(&self, project: Uuid, choice: TracingChoice) {
        self.by_project.write().unwrap_or_else(PoisonError::into_inner).insert(project, choice);
    }

    /// Says whether any project may be in a mode.
    pub(super) fn has(&self, mode: TracingMode) -> bool {
        let by_project = self.by_project.read().unwrap_or_else(PoisonError::into_inner);
        self.default.mode == mode || by_project.values().any(|choice| choice.mode == mode)
    }
}
