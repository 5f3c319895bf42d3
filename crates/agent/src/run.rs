use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_model::limits::AGENT_PIECES_MAX;
use tidegate_model::{Clock, Disk};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::check_settings;
use crate::checks::Checked;
use crate::counts::Counts;
use crate::files::{FileStatus, Files};
use crate::host::Host;
use crate::queue::{Queue, QueueError, QueueOptions};
use crate::rows::{Attributes, Piece, Value, logs_request, metrics_request};
use crate::sender::{self, Server};
use crate::settings::{Settings, SettingsError};
use crate::status::{self, Status};
use crate::writer::{self, Shared};
use crate::{journal, lines_in, own};

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

/// What every collector is given.
#[derive(Clone)]
struct Collector {
    shared: Arc<Shared>,
    pieces: mpsc::Sender<Piece>,
    stop: watch::Receiver<bool>,
    resource: Attributes,
    clock: Arc<dyn Clock>,
    followed: Arc<Mutex<Vec<FileStatus>>>,
    /// Told when standard input has ended, and the agent with it.
    ended: Arc<Notify>,
}

/// Runs an agent until `stop` is true, then flushes; an error is one after which only a new start helps.
pub async fn run(settings: &Settings, world: World, mut stop: watch::Receiver<bool>) -> Result<(), AgentError> {
    settings.check()?;
    let options =
        QueueOptions { dir: settings.data.clone(), bytes_max: settings.queue_bytes, fresh_id: world.chance.0 };
    let disk = Arc::clone(&world.disk);
    let opened = tokio::task::spawn_blocking(move || Queue::open(disk, options)).await;
    let queue = opened.unwrap_or(Err(QueueError::Closed))?;
    if queue.lost() > 0 {
        tracing::error!(requests = queue.lost(), "a damaged file of the queue cost requests that were not delivered");
    }
    let identity = Identity { agent: format!("{:016x}", queue.id()), session: uuid(world.chance.1) };
    tracing::info!(agent = %identity.agent, session = %identity.session, waiting = queue.waiting(), server = %settings.server, "the agent runs");
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
    let mut collecting = collect(settings, collector, marks, &identity)?;
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
    while collecting.join_next().await.is_some() {}
    flush(writing, sending, end_sending).await
}

/// Writes what was collected, and sends what the server takes within a while.
async fn flush(
    mut writing: JoinHandle<Result<(), QueueError>>,
    mut sending: JoinHandle<Result<(), QueueError>>,
    end_sending: watch::Sender<bool>,
) -> Result<(), AgentError> {
    let within = tokio::time::timeout(FLUSH, async {
        (&mut writing).await.unwrap_or(Err(QueueError::Closed))?;
        // Without a receiver the sender has ended, and says why below.
        let _ = end_sending.send(true);
        (&mut sending).await.unwrap_or(Err(QueueError::Closed))
    });
    match within.await {
        Ok(outcome) => outcome?,
        Err(_) => {
            tracing::info!("the server has not taken everything: the queue keeps it for the next start");
            writing.abort();
            sending.abort();
        }
    }
    Ok(())
}

/// Starts everything that collects; each ends when told to stop.
fn collect(
    settings: &Settings,
    collector: Collector,
    marks: crate::queue::Marks,
    identity: &Identity,
) -> Result<JoinSet<()>, AgentError> {
    let mut set = JoinSet::new();
    if !settings.files.is_empty() {
        let sources = settings.sources(&collector.resource, &collector.clock)?;
        let files = Files::new(sources, &marks, Arc::clone(&collector.clock));
        set.spawn(follow(files, collector.clone(), Duration::from_millis(settings.look_ms)));
    }
    if settings.journald.enabled {
        let Collector { resource, clock, pieces, stop, .. } = collector.clone();
        set.spawn(journal::run(settings.journald.clone(), marks, resource, clock, pieces, stop));
    }
    if settings.stdin.enabled {
        let parser = check_settings::parser("stdin", &settings.stdin.lines())?;
        let Collector { mut resource, clock, pieces, ended, .. } = collector.clone();
        resource.push(("service.name".into(), Value::Text(settings.stdin.service.clone())));
        let pieces = pieces.downgrade();
        // Not a task: a read that nobody ends would hold up the end of the process.
        std::thread::spawn(move || {
            lines_in::run(std::io::stdin(), &parser, &resource, &clock, &pieces);
            ended.notify_one();
        });
    }
    if settings.host.enabled || !settings.processes.is_empty() {
        set.spawn(measure(settings.clone(), collector.clone()));
    }
    for check in &settings.checks {
        set.spawn(look_after(Checked::new(check.clone()), collector.clone()));
    }
    set.spawn(tell(settings.clone(), identity.clone(), collector));
    Ok(set)
}

/// Looks at the files until told to stop, and then once more.
async fn follow(mut files: Files, collector: Collector, pause: Duration) {
    let Collector { pieces, mut stop, followed, .. } = collector;
    loop {
        let is_last = *stop.borrow();
        let handing = pieces.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let has_more = files.look(&mut |piece| handing.blocking_send(piece).is_ok());
            (files, has_more)
        });
        let Ok((looked_at, has_more)) = looked.await else { return };
        files = looked_at;
        *followed.lock().unwrap_or_else(PoisonError::into_inner) = files.status();
        if is_last || pieces.is_closed() {
            return;
        }
        if !has_more {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }
}

/// Measures the machine at its interval.
async fn measure(settings: Settings, collector: Collector) {
    let Collector { shared, pieces, mut stop, mut resource, clock, .. } = collector;
    resource.push(("service.name".into(), Value::Text("tidegate-agent".into())));
    let since = clock.now();
    let mut host = Host::new(settings.host.names, &settings.processes);
    let mut tick = interval(Duration::from_secs(settings.host.interval_seconds));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let is_machine = settings.host.enabled;
        let measured = tokio::task::spawn_blocking(move || {
            let mut points = if is_machine { host.machine() } else { Vec::new() };
            points.extend(host.processes());
            (host, points)
        });
        let Ok((back, mut points)) = measured.await else { return };
        host = back;
        points.extend(own::points(&shared));
        let body = metrics_request(&resource, &points, since, clock.now());
        send_or_drop(&shared, &pieces, Piece::metrics(body, points.len()));
    }
}

/// Asks a service at its interval.
async fn look_after(mut checked: Checked, collector: Collector) {
    let Collector { shared, pieces, mut stop, mut resource, clock, .. } = collector;
    resource.push(("service.name".into(), Value::Text("tidegate-agent".into())));
    let Ok(http) = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build() else { return };
    let since = clock.now();
    let mut tick = interval(checked.interval());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let answer = checked.ask(&http).await;
        let now = clock.now();
        let points = checked.points(&answer);
        send_or_drop(&shared, &pieces, Piece::metrics(metrics_request(&resource, &points, since, now), points.len()));
        if let Some(event) = checked.note(&answer, now) {
            let piece = Piece::logs(logs_request(&resource, &[event], now), 1, Vec::new());
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    }
}

/// Metrics never wait: what finds no room is dropped and counted.
fn send_or_drop(shared: &Shared, pieces: &mpsc::Sender<Piece>, piece: Piece) {
    let rows = u64::from(piece.rows);
    if pieces.try_send(piece).is_err() {
        Counts::add(&shared.counts.dropped_rows, rows);
    }
}

/// Keeps the file that `tidegate agent status` reads.
async fn tell(settings: Settings, identity: Identity, collector: Collector) {
    let Collector { shared, mut stop, clock, followed, .. } = collector;
    let mut tick = interval(status::EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        let is_last = *stop.borrow();
        let files = followed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = Status::of(&shared, &identity.agent, &identity.session, &settings.server, files);
        last = status::write(&settings.data, status, clock.now(), last);
        if is_last {
            return;
        }
        tokio::select! {
            _ = tick.tick() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Who sends: the same as long as the folder lives, and another at each start.
#[derive(Debug, Clone)]
struct Identity {
    agent: String,
    session: String,
}

impl Identity {
    fn resource(&self, settings: &Settings) -> Attributes {
        let mut resource: Attributes = vec![
            ("service.instance.id".into(), Value::Text(self.agent.clone())),
            ("agent.id".into(), Value::Text(self.agent.clone())),
            ("session.id".into(), Value::Text(self.session.clone())),
            ("host.name".into(), Value::Text(sysinfo::System::host_name().unwrap_or_default())),
            ("os.type".into(), Value::Text(std::env::consts::OS.into())),
        ];
        for (name, value) in &settings.resource {
            resource.retain(|(known, _)| known != name);
            resource.push((name.clone(), Value::Text(value.clone())));
        }
        resource
    }
}

/// Writes 128 drawn bits as a UUID of version 4.
fn uuid(drawn: u128) -> String {
    let bits = (drawn & !(0xf << 76) & !(0x3 << 62)) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
