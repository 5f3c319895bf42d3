//! The engine process: ClickHouse embedded, behind HTTP on loopback. Started as a child, watched, started again when
//! it dies, and stopped with us.
//!
//! It never decides what happens to rows meanwhile: they wait in the buffer, and a query is told why.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tidegate_model::ErrorKind;
use tidegate_model::limits::{
    ENGINE_BACKOFF_MS_MAX, ENGINE_BACKOFF_MS_MIN, ENGINE_READY_MS, ENGINE_STEADY_MS, ENGINE_STOP_MS,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::engine_words::{Ready, forward_logs, ready_line};
use super::{Store, StoreError, StoreOptions};

const BINARY: &str = "tidegate-engine";
const WRITER: &str = "tidegate";
const READER: &str = "reader";
const WRITER_PASSWORD_VARIABLE: &str = "TIDEGATE_ENGINE_PASSWORD";
const READER_PASSWORD_VARIABLE: &str = "TIDEGATE_ENGINE_READER_PASSWORD";

/// Why the engine cannot be started at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Its program is not there.
    #[error(
        "the program {BINARY} is missing at {0}; it belongs beside `tidegate`: build it with `cargo build -p tidegate-chdb`"
    )]
    NoBinary(PathBuf),
    /// We cannot find ourselves, hence not what is beside us.
    #[error("find the folder of this program")]
    NoFolder(#[source] std::io::Error),
    /// The client for it could not be made.
    #[error("make the client for the engine")]
    Client(#[source] StoreError),
}

impl EngineError {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Where the engine keeps its tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineData {
    /// In a folder, made when absent.
    Folder(PathBuf),
    /// In memory: all is gone when it ends.
    Memory,
}

/// Settings of the engine process.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The program; `None`: `tidegate-engine` beside this one.
    pub binary: Option<PathBuf>,
    /// Where its tables are.
    pub data: EngineData,
    /// A further address for any ClickHouse client.
    pub publish: Option<String>,
    /// Its limit of memory, in bytes; `None`: its own default.
    pub max_memory: Option<u64>,
    /// The database of all tables.
    pub database: String,
    /// Further arguments, as they are.
    pub arguments: Vec<String>,
}

/// How the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineState {
    /// Started, not answering yet.
    Starting,
    /// It answers.
    Ready,
    /// Not running; it will be started again.
    Down {
        /// Why it ended.
        reason: String,
    },
    /// Stopped by us.
    Stopped,
}

/// What is known about the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStatus {
    /// How it is.
    pub state: EngineState,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// Its version, once it said so.
    pub version: Option<String>,
    /// Where it listens, `127.0.0.1:PORT`, while it answers.
    pub address: Option<String>,
}

/// The supervised engine process; clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    access: Arc<StoreOptions>,
    status: watch::Receiver<EngineStatus>,
    stop: watch::Sender<bool>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Engine {
    /// Starts the process and returns at once, with the store that will reach it; needs a tokio runtime.
    pub fn start(options: EngineOptions) -> Result<(Self, Store), EngineError> {
        let binary = find_binary(options.binary.as_deref())?;
        let passwords = Passwords { writer: random_password(), reader: random_password() };
        let access = StoreOptions {
            user: WRITER.into(),
            password: passwords.writer.clone(),
            database: options.database.clone(),
            reader: Some((READER.into(), passwords.reader.clone())),
            ..StoreOptions::default()
        };
        let store = Store::new(access.clone()).map_err(EngineError::Client)?;
        let first = EngineStatus { state: EngineState::Starting, pid: None, restarts: 0, version: None, address: None };
        let (status_sender, status) = watch::channel(first);
        let (stop, stop_receiver) = watch::channel(false);
        let supervisor =
            Supervisor { binary, options, passwords, store: store.clone(), status: status_sender, stop: stop_receiver };
        let task = Arc::new(Mutex::new(Some(tokio::spawn(supervisor.run()))));
        Ok((Self { access: Arc::new(access), status, stop, task }, store))
    }

    /// Returns who may use it and how; with the address in its status, a further client can be made.
    #[must_use]
    pub fn access(&self) -> &StoreOptions {
        &self.access
    }

    /// Returns a channel that always holds the engine's status.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<EngineStatus> {
        self.status.clone()
    }

    /// Waits until the engine answers; `Err`: how it is after so long.
    pub async fn ready(&self, limit: Duration) -> Result<(), EngineStatus> {
        let mut status = self.status();
        let waited = timeout(limit, status.wait_for(|status| status.state == EngineState::Ready)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.status.borrow().clone()),
        }
    }

    /// Ends the process, gently first, and waits until it is gone.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }
}

struct Passwords {
    writer: String,
    reader: String,
}

struct Supervisor {
    binary: PathBuf,
    options: EngineOptions,
    passwords: Passwords,
    store: Store,
    status: watch::Sender<EngineStatus>,
    stop: watch::Receiver<bool>,
}

impl Supervisor {
    async fn run(mut self) {
        let mut pause = Duration::from_millis(ENGINE_BACKOFF_MS_MIN);
        loop {
            let started = Instant::now();
            let ended = self.live().await;
            // Whoever listens on that port next must not get our password.
            self.store.set_url("");
            let Some(reason) = ended else { break };
            tracing::error!(reason, "the engine is down, starting it again; rows wait in the buffer");
            self.status.send_modify(|status| {
                status.state = EngineState::Down { reason };
                status.pid = None;
                status.address = None;
                status.restarts += 1;
            });
            if started.elapsed() > Duration::from_millis(ENGINE_STEADY_MS) {
                pause = Duration::from_millis(ENGINE_BACKOFF_MS_MIN);
            }
            let jitter = rand::rng().random_range(0.5..1.5);
            tokio::select! {
                () = sleep(pause.mul_f64(jitter)) => {}
                _ = self.stop.wait_for(|stop| *stop) => break,
            }
            pause = (pause * 2).min(Duration::from_millis(ENGINE_BACKOFF_MS_MAX));
        }
        self.status.send_modify(|status| {
            status.state = EngineState::Stopped;
            status.pid = None;
            status.address = None;
        });
    }

    /// Runs the process once; returns why it ended, `None` when we stopped it.
    async fn live(&mut self) -> Option<String> {
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => return Some(format!("{} could not be started: {error}", self.binary.display())),
        };
        self.status.send_modify(|status| {
            status.state = EngineState::Starting;
            status.pid = child.id();
        });
        // The engine ends with its parent: when this end of its input is closed, however we end.
        let lifeline = child.stdin.take();
        let complaints = child.stderr.take().map(|stderr| tokio::spawn(forward_logs(stderr)));
        let reason = tokio::select! {
            reason = watch_over(&mut child, &self.store, &self.status) => Some(reason),
            _ = self.stop.wait_for(|stop| *stop) => None,
        };
        end(&mut child).await;
        drop(lifeline);
        let last_words = match complaints {
            Some(task) => task.await.unwrap_or_default(),
            None => None,
        };
        reason.map(|reason| last_words.map(|words| format!("{reason}: {words}")).unwrap_or(reason))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        match &self.options.data {
            EngineData::Folder(folder) => command.arg("--path").arg(folder),
            EngineData::Memory => command.arg("--memory"),
        };
        // Whoever asked for a published address wants any client to read there, without our random passwords.
        let access = if self.options.publish.is_some() { "read" } else { "none" };
        command.args(["--http", "127.0.0.1:0", "--default-access", access, "--exit-with-parent"]);
        command.args(["--user", WRITER, "--password-env", WRITER_PASSWORD_VARIABLE]);
        command.args(["--reader", READER, "--reader-password-env", READER_PASSWORD_VARIABLE]);
        if let Some(address) = &self.options.publish {
            command.args(["--publish", address]);
        }
        if let Some(bytes) = self.options.max_memory {
            command.arg("--max-memory").arg(bytes.to_string());
        }
        command.args(&self.options.arguments);
        command.env(WRITER_PASSWORD_VARIABLE, &self.passwords.writer);
        command.env(READER_PASSWORD_VARIABLE, &self.passwords.reader);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl+C on a terminal is for every process of its group: the engine must live until the last rows are stored.
        command.process_group(0);
        command
    }
}

/// Waits for the ready line, tells everyone, and returns why the process ended.
async fn watch_over(child: &mut Child, store: &Store, status: &watch::Sender<EngineStatus>) -> String {
    let Some(stdout) = child.stdout.take() else { return "its output was not captured".into() };
    let mut lines = BufReader::new(stdout).lines();
    let ready = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(ready) = ready_line(&line) {
                return Some(ready);
            }
        }
        None
    };
    match timeout(Duration::from_millis(ENGINE_READY_MS), ready).await {
        Err(_) => return format!("it was not ready within {ENGINE_READY_MS} ms"),
        Ok(None) => {}
        Ok(Some(Ready { address, version, landlock })) => {
            store.set_url(&format!("http://{address}"));
            let pid = child.id();
            tracing::info!(pid, address, version, landlock, "the engine is ready");
            if landlock.as_ref().is_none_or(|state| state.starts_with("unavailable")) {
                tracing::warn!(
                    landlock,
                    "the engine is not locked to its folders: `tidegate doctor` says how to mend it"
                );
            }
            status.send_modify(|status| {
                status.state = EngineState::Ready;
                status.version = version;
                status.address = Some(address);
            });
        }
    }
    // Its output stays open, so that nothing it prints later can break it.
    let drained = async { while let Ok(Some(_)) = lines.next_line().await {} };
    let (ended, ()) = tokio::join!(child.wait(), drained);
    match ended {
        Ok(status) => format!("it ended with {status}"),
        Err(error) => format!("its end could not be awaited: {error}"),
    }
}

/// Ends the process: asks, waits, then kills. Does nothing to one that has ended.
async fn end(child: &mut Child) {
    let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else { return };
    if kill_process(pid, Signal::TERM).is_ok()
        && timeout(Duration::from_millis(ENGINE_STOP_MS), child.wait()).await.is_ok()
    {
        return;
    }
    tracing::warn!(limit_ms = ENGINE_STOP_MS, "the engine did not stop when asked, killing it");
    if let Err(error) = child.kill().await {
        tracing::error!(%error, "the engine could not be killed");
    }
}

fn find_binary(given: Option<&std::path::Path>) -> Result<PathBuf, EngineError> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().map_err(EngineError::NoFolder)?.with_file_name(BINARY),
    };
    if path.is_file() { Ok(path) } else { Err(EngineError::NoBinary(path)) }
}

fn random_password() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}
