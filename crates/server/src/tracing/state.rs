use tidegate_primary::Primary;
use tidegate_traces::{Prices, Uuid};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::choice::{Choices, TracingChoice};
use super::follow::Follow;

/// Locks of all projects together: two that share one wait for each other now and then, which costs them milliseconds.
const LOCKS: usize = 64;

/// What the tracing API keeps between requests.
#[derive(Debug)]
pub struct Tracing {
    /// What models cost.
    pub prices: Prices,
    /// How far ClickHouse is behind PostgreSQL, and who brings what is missing.
    pub follow: Follow,
    /// The PostgreSQL that is the primary of some projects.
    pub(super) primary: Option<Primary>,
    pub(super) choices: Choices,
    /// Versions are numbered, and modes switched, under the lock of their project alone; who writes to PostgreSQL shares it.
    locks: Vec<RwLock<()>>,
}

impl Tracing {
    /// Begins with the prices that spans without costs of their own are priced with.
    #[must_use]
    pub fn new(prices: Prices) -> Self {
        Self {
            prices,
            follow: Follow::default(),
            primary: None,
            choices: Choices::default(),
            locks: std::iter::repeat_with(RwLock::default).take(LOCKS).collect(),
        }
    }

    /// Takes a PostgreSQL, and which projects are there: what holds where nothing was decided, and what was.
    #[must_use]
    pub fn with_primary(
        self,
        primary: Primary,
        default: TracingChoice,
        decided: impl IntoIterator<Item = (Uuid, TracingChoice)>,
    ) -> Self {
        Self { primary: Some(primary), choices: Choices::new(default, decided), ..self }
    }

    /// Returns the PostgreSQL.
    #[must_use]
    pub const fn primary(&self) -> Option<&Primary> {
        self.primary.as_ref()
    }

    /// Waits until nobody else writes spans of the project.
    pub(super) async fn alone(&self, project: Uuid) -> RwLockWriteGuard<'_, ()> {
        self.lock(project).write().await
    }

    /// Waits until nobody is alone with the project.
    pub(super) async fn shared(&self, project: Uuid) -> RwLockReadGuard<'_, ()> {
        self.lock(project).read().await
    }

    fn lock(&self, project: Uuid) -> &RwLock<()> {
        let folded = project.0 ^ (project.0 >> 64);
        &self.locks[usize::try_from(folded % LOCKS as u128).unwrap_or_default()]
    }
}

impl Default for Tracing {
    fn default() -> Self {
        Self::new(Prices::known().expect("the file of prices is part of the program, and its tests read it"))
    }
}
