use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_model::Clock;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::check_settings;
use crate::checks::Checked;
use crate::counts::Counts;
use crate::files::{FileStatus, Files};
use crate::host::Host;
use crate::queue::Marks;
use crate::rows::{Attributes, Piece, Value, logs_request, metrics_request};
use crate::settings::{Settings, SettingsError};
use crate::writer::Shared;
use crate::{journal, lines_in, own};

/// How long after its start the machine is measured first.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// What every collector is given.
#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pieces: mpsc::Sender<Piece>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) resource: Attributes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) followed: Arc<Mutex<Vec<FileStatus>>>,
    /// Told when standard input has ended, and the agent with it.
    pub(crate) ended: Arc<Notify>,
}

/// Starts everything that collects; each ends when told to stop.
pub(crate) fn collect(settings: &Settings, collector: &Collector, marks: Marks) -> Result<JoinSet<()>, SettingsError> {
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
    // The use of processors is a difference: the first one needs some time before it.
    let mut tick = interval_at(Instant::now() + FIRST_LOOK, Duration::from_secs(settings.host.interval_seconds));
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
