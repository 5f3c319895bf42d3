//! The running engine: its connections, what runs on them, and how it is ended.
//!
//! Invariants: one anchor connection lives as long as the process (trap 6); a connection serves one statement at a
//! time; it goes back to the ready ones only after a statement that left nothing behind (trap 1);
//! a statement is killed from another connection, with `KILL QUERY … ASYNC` by the mark of its connection (trap 3).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::{ConfigError, EngineConfig};
use crate::connection::{ConnectError, Connection};
use crate::exception::{Exception, codes};
use crate::ffi::Library;
use crate::limits::{CONNECTIONS_READY, KILL_INTERVAL};

/// The engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// libchdb refused its first connection.
    #[error("boot the engine on `{folder}`")]
    Boot {
        /// The data folder.
        folder: String,
        /// Why.
        source: ConnectError,
    },
    /// The configuration was not written or not taken.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The engine; clones share it.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    library: Library,
    arguments: Vec<String>,
    version: String,
    timezone: String,
    marks: AtomicU64,
    anchor: Mutex<Option<Connection>>,
    ready: Mutex<Vec<MarkedConnection>>,
    running: Mutex<HashMap<String, Running>>,
    changed: Condvar,
    stopping: AtomicBool,
}

/// A connection with the mark by which its statements are killed.
#[derive(Debug)]
pub(crate) struct MarkedConnection {
    pub(crate) connection: Connection,
    mark: String,
}

#[derive(Debug)]
struct Running {
    mark: Option<String>,
    user: String,
    statement: String,
    cancelled: bool,
    /// Wakes a statement that waits for its client's data.
    wake: Arc<Notify>,
}

impl Running {
    fn cancel(&mut self) {
        self.cancelled = true;
        self.wake.notify_one();
    }
}

impl Engine {
    /// Boots libchdb in this process and proves its configuration.
    pub fn start(library: Library, config: &EngineConfig) -> Result<Self, StartError> {
        let arguments = config.write()?;
        let mut anchor = Connection::open(library, &arguments)
            .map_err(|source| StartError::Boot { folder: config.folder.display().to_string(), source })?;
        config.prove(&mut anchor)?;
        let ask = |anchor: &mut Connection, sql| {
            anchor.run(sql, "TSVRaw").map(|text| text.trim().to_owned()).map_err(ConfigError::Ask)
        };
        let version = ask(&mut anchor, "SELECT version()")?;
        let timezone = ask(&mut anchor, "SELECT timezone()")?;
        let shared = Arc::new(Shared {
            library,
            arguments,
            version,
            timezone,
            marks: AtomicU64::new(0),
            anchor: Mutex::new(Some(anchor)),
            ready: Mutex::default(),
            running: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let killer = Arc::clone(&shared);
        std::thread::spawn(move || killer.kill_cancelled());
        Ok(Self(shared))
    }

    /// The engine's ClickHouse version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The engine's time zone.
    #[must_use]
    pub fn timezone(&self) -> &str {
        &self.0.timezone
    }

    /// Takes a connection that nothing was done on.
    pub(crate) fn connection(&self) -> Result<MarkedConnection, Exception> {
        if let Some(ready) = lock(&self.0.ready).pop() {
            return Ok(ready);
        }
        self.0.open().map_err(Exception::internal)
    }

    /// Takes back a connection whose statement left nothing behind.
    pub(crate) fn give_back(&self, connection: MarkedConnection) {
        let mut ready = lock(&self.0.ready);
        if ready.len() < CONNECTIONS_READY && !self.0.stopping.load(Ordering::Relaxed) {
            ready.push(connection);
        }
    }

    /// Enters a statement into the list of those that run, so that it can be cancelled from now on.
    pub(crate) fn register(&self, query_id: &str, user: &str, statement: &str) -> Result<Registration, Exception> {
        let mut running = lock(&self.0.running);
        if self.0.stopping.load(Ordering::Relaxed) {
            return Err(cancelled());
        }
        if running.contains_key(query_id) {
            let message = format!("Query with id = {query_id} is already running");
            return Err(Exception::of(
                codes::QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
                "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
                message,
            ));
        }
        let wake = Arc::new(Notify::new());
        let entry = Running {
            mark: None,
            user: user.to_owned(),
            statement: statement.to_owned(),
            cancelled: false,
            wake: Arc::clone(&wake),
        };
        running.insert(query_id.to_owned(), entry);
        Ok(Registration { engine: self.clone(), query_id: query_id.to_owned(), wake })
    }

    /// Asks a running statement to end; returns its user and text when there is one.
    pub(crate) fn cancel(&self, query_id: &str) -> Option<(String, String)> {
        let mut running = lock(&self.0.running);
        let entry = running.get_mut(query_id)?;
        entry.cancel();
        self.0.changed.notify_all();
        Some((entry.user.clone(), entry.statement.clone()))
    }

    /// Refuses new statements, ends the running ones and waits for them; then closes all connections (traps 4 and 5).
    pub fn stop(&self, wait: std::time::Duration) -> bool {
        let mut running = lock(&self.0.running);
        self.0.stopping.store(true, Ordering::Relaxed);
        running.values_mut().for_each(Running::cancel);
        self.0.changed.notify_all();
        let (running, timeout) = self
            .0
            .changed
            .wait_timeout_while(running, wait, |running| !running.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        drop(running);
        if timeout.timed_out() {
            return false;
        }
        lock(&self.0.ready).clear();
        lock(&self.0.anchor).take();
        true
    }
}

impl Shared {
    fn open(&self) -> Result<MarkedConnection, ConnectError> {
        let mark = format!("tidegate-{}", self.marks.fetch_add(1, Ordering::Relaxed));
        let mut arguments = self.arguments.clone();
        arguments.push(format!("--log_comment={mark}"));
        Ok(MarkedConnection { connection: Connection::open(self.library, &arguments)?, mark })
    }

    /// Tells cancelled statements to end, again and again: one that had not begun when it was told hears nothing.
    fn kill_cancelled(&self) {
        let mut running = lock(&self.running);
        loop {
            let marks: Vec<String> =
                running.values().filter(|entry| entry.cancelled).filter_map(|entry| entry.mark.clone()).collect();
            if marks.is_empty() {
                if self.stopping.load(Ordering::Relaxed) && running.is_empty() {
                    return;
                }
                running = self.changed.wait(running).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(running);
            self.kill(&marks);
            let guard = lock(&self.running);
            running = self.changed.wait_timeout(guard, KILL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn kill(&self, marks: &[String]) {
        let list = marks.iter().map(|mark| format!("'{mark}'")).collect::<Vec<_>>().join(", ");
        let sql = format!("KILL QUERY WHERE Settings['log_comment'] IN ({list}) ASYNC");
        if let Some(anchor) = lock(&self.anchor).as_mut()
            && let Err(exception) = anchor.run(&sql, "Null")
        {
            tracing::warn!(%exception, "a cancelled query could not be told to end");
        }
    }
}

/// A statement's entry among the running ones; dropped, it has ended.
#[derive(Debug)]
pub(crate) struct Registration {
    engine: Engine,
    query_id: String,
    /// Rings when the statement is cancelled.
    pub(crate) wake: Arc<Notify>,
}

impl Registration {
    /// Says on which connection the statement runs; an error when it was cancelled before.
    pub(crate) fn begin(&self, connection: &MarkedConnection) -> Result<(), Exception> {
        let mut running = lock(&self.engine.0.running);
        match running.get_mut(&self.query_id) {
            Some(entry) if !entry.cancelled => {
                entry.mark = Some(connection.mark.clone());
                Ok(())
            }
            _ => Err(cancelled()),
        }
    }

    /// Says whether the statement was asked to end.
    pub(crate) fn is_cancelled(&self) -> bool {
        lock(&self.engine.0.running).get(&self.query_id).is_none_or(|entry| entry.cancelled)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.engine.0.running).remove(&self.query_id);
        self.engine.0.changed.notify_all();
    }
}

/// Cancels a statement when it is dropped: its client is gone.
#[derive(Debug)]
pub(crate) struct CancelOnDrop {
    pub(crate) engine: Engine,
    pub(crate) query_id: String,
    pub(crate) armed: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.armed {
            self.engine.cancel(&self.query_id);
        }
    }
}

pub(crate) fn cancelled() -> Exception {
    Exception::of(codes::QUERY_WAS_CANCELLED, "QUERY_WAS_CANCELLED", "Query was cancelled")
}

/// Locks; a thread that panicked with the lock held leaves data that is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
