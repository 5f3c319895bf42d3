//! A whole Tidegate for the time of a check: the same parts as `serve`, on a folder that goes with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tidegate_core::ingest::{Admitted, IngestError, OtlpRequest};
use tidegate_server::{Metrics, SchemaState, Stages};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::recorded::{self, Recorded};
use crate::serve::{self, DataFolder, Running, Signals};
use crate::settings::{self, Backend, Flags, Settings, Sync};

/// The embedded ClickHouse needs a second; one that needs this long does not come.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked whether something came, and whether tables are there.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Requests of a file that wait to be taken in.
const REQUESTS_WAITING_MAX: usize = 4;
/// Refused records that are told of each file; all are counted.
const REFUSALS_TOLD_MAX: usize = 10;
/// How long to wait where the server has no room and does not say until when.
const BUSY_PAUSE_MS: u64 = 100;
/// A port that the system chooses.
const ANY_PORT: &str = "127.0.0.1:0";

/// What the temporary server is given.
#[derive(Debug)]
pub(super) enum Feed<'a> {
    /// Whatever is sent to it, until one of these or an interrupt ends it.
    Listen {
        run_for: Option<Duration>,
        idle: Option<Duration>,
    },
    Files(&'a [PathBuf]),
}

/// How the temporary server is made.
#[derive(Debug)]
pub(super) struct OwnOptions<'a> {
    pub(super) config: Option<PathBuf>,
    pub(super) otlp_http: Option<String>,
    pub(super) otlp_grpc: Option<String>,
    pub(super) environment: &'a BTreeMap<String, String>,
}

/// What became of one file.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct FileOutcome {
    pub(super) file: String,
    pub(super) requests: u64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// The first refused records.
    pub(super) refusals: Vec<String>,
}

/// A temporary server that has taken in what is to be checked.
pub(super) struct OwnServer {
    running: Running,
    signals: Signals,
    folder: DataFolder,
    /// The address of its API.
    pub(super) url: String,
}

impl OwnServer {
    /// Starts it on an empty folder, and waits until it can answer.
    pub(super) async fn start(options: &OwnOptions<'_>, feed: &Feed<'_>) -> Result<Self> {
        let settings = settings(options, feed)?;
        serve::log_to_stderr(&settings.log)?;
        let signals = Signals::listen().context("listen for signals")?;
        let folder = DataFolder::temporary("check")?;
        let running = serve::start(&settings, &folder, Arc::new(Metrics::new()), None).await?;
        let url = running.stages.addresses.first().map(|(_, address)| address.clone()).unwrap_or_default();
        let own = Self { running, signals, folder, url };
        match timeout(READY_WITHIN, own.is_ready()).await {
            Ok(Ok(())) => Ok(own),
            Ok(Err(error)) => own.stopped(Err(error)).await,
            Err(_) => {
                own.stopped(Err(anyhow::anyhow!(
                    "the embedded ClickHouse did not answer within {READY_WITHIN:?}\n  `tidegate doctor` says what is amiss"
                )))
                .await
            }
        }
    }

    /// Takes in what is to be checked.
    pub(super) async fn fed(&self, feed: &Feed<'_>) -> Result<Vec<FileOutcome>> {
        match feed {
            Feed::Listen { run_for, idle } => {
                self.listen(*run_for, *idle).await;
                Ok(Vec::new())
            }
            Feed::Files(files) => {
                let mut outcomes = Vec::new();
                for (number, file) in files.iter().enumerate() {
                    tokio::select! {
                        outcome = take_in(&self.running.stages, number, file) => outcomes.push(outcome?),
                        () = self.signals.first() => bail!("interrupted while {} was read", file.display()),
                    }
                }
                Ok(outcomes)
            }
        }
    }

    /// Stops the server and removes its folder; returns what is given.
    pub(super) async fn stopped<T>(self, outcome: Result<T>) -> Result<T> {
        self.running.stop(self.signals).await;
        drop(self.folder);
        outcome
    }

    async fn is_ready(&self) -> Result<()> {
        let mut schema = self.running.stages.schema.clone();
        let state = schema.wait_for(|state| *state != SchemaState::Waiting).await.context("wait for ClickHouse")?;
        match &*state {
            SchemaState::Failed(why) => bail!("the tables could not be made: {why}"),
            _ => Ok(()),
        }
    }

    async fn listen(&self, run_for: Option<Duration>, idle: Option<Duration>) {
        for (name, address) in self.running.stages.addresses.iter().skip(1) {
            eprintln!("{name:<10} {address}");
        }
        let span = run_for.map(|span| format!(" for {} s", span.as_secs())).unwrap_or_default();
        eprintln!("listening{span}; Ctrl+C ends it early, and reports");
        let over = async {
            match run_for {
                Some(span) => sleep(span).await,
                None => std::future::pending().await,
            }
        };
        let silent = async {
            match idle {
                Some(span) => silence(&self.running.stages, span).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => {}
            () = silent => {}
            () = self.signals.first() => {}
        }
    }
}

fn settings(options: &OwnOptions<'_>, feed: &Feed<'_>) -> Result<Settings> {
    let any_port = matches!(feed, Feed::Files(_)).then(|| ANY_PORT.to_owned());
    let flags = [
        ("--otlp-http", "listen.otlp_http", any_port.clone().or(options.otlp_http.clone())),
        ("--otlp-grpc", "listen.otlp_grpc", any_port.or(options.otlp_grpc.clone())),
        ("--server", "listen.http", Some(ANY_PORT.to_owned())),
    ];
    let values = flags.into_iter().filter_map(|(flag, path, value)| Some((flag, path, value?))).collect();
    let loaded = settings::load(&Flags { file: options.config.clone(), values }, options.environment)?;
    let mut settings = loaded.settings;
    // Nothing of a check reaches a ClickHouse that is for more than the check, and a power cut ends the check as well.
    settings.storage.backend = Backend::Embedded;
    settings.listen.clickhouse_http = String::new();
    settings.buffer.sync = Sync::Interval;
    settings.catalogue.enabled = true;
    settings.telemetry.own = false;
    if !loaded.sources.contains_key("log.level") {
        settings.log.level = "warn".to_owned();
    }
    Ok(settings)
}

/// Returns once something has come, and then nothing for so long.
async fn silence(stages: &Stages, span: Duration) {
    let received =
        || -> u64 { stages.buffer.status().iter().map(|table| table.head.0 + table.rejected + table.duplicate).sum() };
    let (mut known, mut until) = (received(), None);
    loop {
        sleep(LOOK_EVERY).await;
        let now = received();
        if now != known {
            (known, until) = (now, Some(Instant::now() + span));
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return;
        }
    }
}

async fn take_in(stages: &Stages, number: usize, file: &Path) -> Result<FileOutcome> {
    let (requests, mut recorded) = mpsc::channel(REQUESTS_WAITING_MAX);
    let path = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        recorded::read(&path, &mut |request| requests.blocking_send(request).context("give the request on"))
    });
    let mut outcome = FileOutcome { file: file.display().to_string(), ..FileOutcome::default() };
    while let Some(request) = recorded.recv().await {
        // Each has a key of its own: requests that are equal by their bytes were sent as often as they are recorded.
        let key = format!("check:{number}:{}", outcome.requests);
        outcome.requests += 1;
        let place = outcome.requests;
        let admitted = admit(stages, request, key).await;
        let admitted = admitted.with_context(|| format!("the file {}: take in request {place}", file.display()))?;
        outcome.accepted += admitted.accepted;
        outcome.rejected += admitted.rejected.total();
        let room = REFUSALS_TOLD_MAX.saturating_sub(outcome.refusals.len());
        let refused = admitted.rejected.listed.iter().take(room);
        outcome
            .refusals
            .extend(refused.map(|row| format!("request {place}, record {}: {}", row.index + 1, row.detail)));
    }
    reading.await??;
    Ok(outcome)
}

/// Takes a request in; waits while there is no room.
async fn admit(stages: &Stages, recorded: Recorded, key: String) -> Result<Admitted, IngestError> {
    let Recorded { signal, encoding, body } = recorded;
    let request = OtlpRequest { signal, encoding, body, idempotency_key: Some(key) };
    loop {
        match stages.ingest.otlp(request.clone()).await {
            Err(error) if error.kind().is_retryable() => {
                let pause = Duration::from_millis(error.retry_after_ms().unwrap_or(BUSY_PAUSE_MS));
                sleep_until(Instant::now() + pause).await;
            }
            outcome => return outcome,
        }
    }
}
