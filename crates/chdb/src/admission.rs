//! Who may start a query now: libchdb itself starts any number (`max_concurrent_queries` is not enforced).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::exception::{Exception, codes};

/// How many queries run, and how many may wait for how long.
#[derive(Debug, Clone)]
pub struct Admission {
    slots: Arc<Semaphore>,
    slots_max: usize,
    waiting: Arc<AtomicUsize>,
    wait: Duration,
}

impl Admission {
    /// Lets `queries_max` run at once, and as many times four wait for at most `wait`.
    #[must_use]
    pub fn new(queries_max: usize, wait: Duration) -> Self {
        let slots_max = queries_max.max(1);
        Self { slots: Arc::new(Semaphore::new(slots_max)), slots_max, waiting: Arc::default(), wait }
    }

    /// Waits for a slot; dropped, the slot is free again.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Exception> {
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(&self.waiting, self.slots_max * 4).ok_or_else(|| self.refused())?;
        match timeout(self.wait, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.refused()),
        }
    }

    fn refused(&self) -> Exception {
        let message = format!("Too many simultaneous queries. Maximum: {}", self.slots_max);
        Exception::of(codes::TOO_MANY_SIMULTANEOUS_QUERIES, "TOO_MANY_SIMULTANEOUS_QUERIES", message)
    }
}

/// A place in the queue; dropped with the request that holds it.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let place = Self(Arc::clone(waiting));
        (waiting.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
