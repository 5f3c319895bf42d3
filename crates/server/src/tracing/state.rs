use tidegate_traces::{Prices, Uuid};
use tokio::sync::{Mutex, MutexGuard};

/// Locks of all projects together: two that share one wait for each other now and then, which costs them milliseconds.
const LOCKS: usize = 64;

/// What the tracing API keeps between requests.
#[derive(Debug)]
pub struct Tracing {
    /// What models cost.
    pub prices: Prices,
    /// Versions are numbered under the lock of their project.
    locks: Vec<Mutex<()>>,
}

impl Tracing {
    /// Begins with the prices that spans without costs of their own are priced with.
    #[must_use]
    pub fn new(prices: Prices) -> Self {
        Self { prices, locks: std::iter::repeat_with(Mutex::default).take(LOCKS).collect() }
    }

    /// Waits until nobody else writes spans of the project.
    pub(super) async fn lock(&self, project: Uuid) -> MutexGuard<'_, ()> {
        let folded = project.0 ^ (project.0 >> 64);
        let index = usize::try_from(folded % LOCKS as u128).unwrap_or_default();
        self.locks[index].lock().await
    }
}

impl Default for Tracing {
    fn default() -> Self {
        Self::new(Prices::known().expect("the file of prices is part of the program, and its tests read it"))
    }
}
