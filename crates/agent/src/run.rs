use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::limits::AGENT_PIECES_MAX;
use tidegate_model::{Clock, Disk};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::collect::{Collector, collect};
use crate::counts::Counts;
use crate::queue::{Queue, QueueError, QueueOptions};
use crate::sender::{self, Server};
use crate::settings::{Settings, SettingsError};
use crate::teller::{Identity, Teller};
use crate::writer::{self, Shared};

/// How long a stop waits for the server to take what is left; the queue keeps the rest.
const FLUSH: Duration = Duration::from_secs(5);

/// Why an agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A setting is wrong.
    #[error("check the settings")]
    Settings(#[from] SettingsError),
    /// The queue failed.
    #[error("keep the queue")]
    Queue(#[from] QueueError),
    /// The client for the server cannot be made.
    #[error("make the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// The world outside: what comes in through the constructor.
#[derive(Debug, Clone)]
pub struct World {
    /// The disk of the queue.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Two numbers drawn by chance: the identity of a new folder, and of this start.
    pub chance: (u64, u128),
}

/// Runs an agent until `stop` is true, then flushes; an error is one after which only a new start helps.
pub async fn run(settings: &Settings, world: World, mut stop: watch::Receiver<bool>) -> Result<(), AgentError> {
    settings.check()?;
    let queue = open(settings, &world).await?;
    let identity = Identity { agent: format!("{:016x}", queue.id()), session: uuid(world.chance.1) };
    let (waiting, server) = (queue.waiting(), &settings.server);
    tracing::info!(agent = %identity.agent, session = %identity.session, waiting, %server, "the agent runs");
    let marks = queue.marks().clone();
    let shared = Arc::new(Shared {
        queue: Mutex::new(queue),
        counts: Counts::default(),
        written: Notify::new(),
        delivered: Notify::new(),
    });
    let (pieces, received) = mpsc::channel(AGENT_PIECES_MAX);
    let mut writing = tokio::spawn(writer::run(Arc::clone(&shared), received, settings.compression));
    let (end_sending, sending_ends) = watch::channel(false);
    let server = Server::new(&settings.server, &settings.token)?;
    let mut sending = tokio::spawn(sender::run(Arc::clone(&shared), server, sending_ends));
    let resource = identity.resource(settings);
    let ended = Arc::new(Notify::new());
    let (end_collecting, collecting_ends) = watch::channel(false);
    let collector = Collector {
        shared: Arc::clone(&shared),
        pieces,
        stop: collecting_ends,
        resource,
        clock: world.clock,
        followed: Arc::default(),
        ended: Arc::clone(&ended),
    };
    let teller = Teller {
        shared: Arc::clone(&shared),
        clock: Arc::clone(&collector.clock),
        followed: Arc::clone(&collector.followed),
        identity,
        server: settings.server.clone(),
        data: settings.data.clone(),
    };
    let telling = collector.stop.clone();
    let mut collecting = collect(settings, &collector, marks)?;
    drop(collector);
    collecting.spawn(teller.clone().run(telling));
    let failure = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => None,
        () = ended.notified() => None,
        outcome = &mut writing => Some(outcome),
        outcome = &mut sending => Some(outcome),
    };
    if let Some(outcome) = failure {
        collecting.abort_all();
        writing.abort();
        sending.abort();
        return Ok(outcome.unwrap_or(Err(QueueError::Closed))?);
    }
    // Collectors that are gone already need not hear it.
    let _ = end_collecting.send(true);
    let outcome = flush(collecting, writing, sending, end_sending).await;
    teller.last_word();
    outcome
}

async fn open(settings: &Settings, world: &World) -> Result<Queue, QueueError> {
    let options =
        QueueOptions { dir: settings.data.clone(), bytes_max: settings.queue_bytes, fresh_id: world.chance.0 };
    let disk = Arc::clone(&world.disk);
    let opened = tokio::task::spawn_blocking(move || Queue::open(disk, options)).await;
    let queue = opened.unwrap_or(Err(QueueError::Closed))?;
    if queue.lost() > 0 {
        tracing::error!(requests = queue.lost(), "a damaged file of the queue cost requests that were not delivered");
    }
    Ok(queue)
}

/// Takes the last rows of all sources, and sends what the server takes within a while.
async fn flush(
    mut collecting: JoinSet<()>,
    mut writing: JoinHandle<Result<(), QueueError>>,
    mut sending: JoinHandle<Result<(), QueueError>>,
    end_sending: watch::Sender<bool>,
) -> Result<(), AgentError> {
    let within = tokio::time::timeout(FLUSH, async {
        // A full queue holds them up, as long as the server takes nothing.
        while collecting.join_next().await.is_some() {}
        (&mut writing).await.unwrap_or(Err(QueueError::Closed))?;
        // Without a receiver the sender has ended, and says why below.
        let _ = end_sending.send(true);
        (&mut sending).await.unwrap_or(Err(QueueError::Closed))
    });
    match within.await {
        Ok(outcome) => outcome?,
        Err(_) => {
            tracing::info!("the server has not taken everything: the queue keeps it for the next start");
            collecting.abort_all();
            writing.abort();
            sending.abort();
        }
    }
    Ok(())
}

/// Writes 128 drawn bits as a UUID of version 4.
fn uuid(drawn: u128) -> String {
    let bits = (drawn & !(0xf << 76) & !(0x3 << 62)) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
