//! `tidegate-engine`: the embedded ClickHouse as a process of its own, behind ClickHouse's HTTP interface.
//!
//! Exit codes: 0 stopped as asked; 1 another failure; 2 wrong command line; 3 libchdb is missing or unusable;
//! 4 another engine holds the folder; 5 the configuration was not accepted; 6 an address cannot be listened on.

mod arguments;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use tidegate_chdb::{
    Admission, DataFolder, Engine, EngineConfig, FolderError, Library, STOP_WAIT, Sandbox, Service, StartError,
    find_library,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(&arguments.log))
        .init();
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(error = failure.text, "the engine cannot run");
            ExitCode::from(failure.code)
        }
    }
}

/// Threads beside those of queries: the stop, look-ups.
const SPARE_THREADS: usize = 16;

/// How long the answers that a stop cut short have to leave.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// Why the process ends, and its exit code.
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn of(code: u8) -> impl Fn(&dyn std::error::Error) -> Self {
        move |error| {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            Self { code, text }
        }
    }
}

fn start(arguments: &Arguments) -> Result<(), Failure> {
    let began = Instant::now();
    let users = arguments.users().map_err(|text| Failure { code: 2, text })?;
    let executable = std::env::current_exe().map_err(|error| Failure::of(1)(&error))?;
    let library_file =
        find_library(arguments.library.as_deref(), &executable).map_err(|error| Failure::of(3)(&error))?;
    let folder = open_folder(arguments.path.as_deref())?;
    let listeners = [Some(&arguments.http), arguments.publish.as_ref()].map(|address| address.map(|it| listen(it)));
    let [http, publish] = listeners.map(Option::transpose);
    let (http, publish) = (http?, publish?);
    let config = EngineConfig {
        folder: folder.path().to_owned(),
        memory_bytes_max: arguments.max_memory,
        background_pool: arguments.background_pool,
        network: arguments.allow_network,
        extra: arguments.extra_config.clone(),
        backups: arguments.backups.clone(),
    };
    let landlock = lock_in(&config, &library_file, arguments);
    let library = Library::load(&library_file).map_err(|error| Failure::of(3)(&error))?;
    let engine = Engine::start(library, &config).map_err(|error| {
        Failure::of(if matches!(error, StartError::Config(_) | StartError::Boot { .. }) { 5 } else { 1 })(&error)
    })?;
    let admission = Admission::new(arguments.max_queries, Duration::from_millis(arguments.queue_ms));
    let service = Service::new(engine.clone(), users, admission);
    announce(&engine, &http, &publish, &landlock, began)?;
    let stopped = serve(arguments, service, engine, [http, publish].into_iter().flatten().collect())?;
    drop(folder);
    if !stopped {
        // A statement did not end when it was killed. Returning would free what it still uses (trap 4).
        tracing::warn!("a query did not end in time; leaving without it");
        std::process::abort();
    }
    tracing::info!("the engine has stopped");
    Ok(())
}

fn open_folder(path: Option<&Path>) -> Result<DataFolder, Failure> {
    let opened = path.map_or_else(DataFolder::temporary, DataFolder::open);
    opened.map_err(|error| Failure::of(if matches!(error, FolderError::Held(_)) { 4 } else { 1 })(&error))
}

fn listen(address: &str) -> Result<TcpListener, Failure> {
    let failed = |error: std::io::Error| Failure { code: 6, text: format!("cannot listen on {address}: {error}") };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

fn lock_in(config: &EngineConfig, library: &Path, arguments: &Arguments) -> String {
    let mut readable = vec![library.canonicalize().unwrap_or_else(|_| library.to_owned())];
    readable.extend(arguments.extra_config.clone());
    let mut writable = vec![config.folder.clone()];
    writable.extend(arguments.allow_path.iter().chain(&arguments.backups).cloned());
    Sandbox { writable, readable, network: arguments.allow_network || arguments.storage_network }.enforce()
}

/// Prints the one line by which the parent knows that the engine is ready.
fn announce(
    engine: &Engine,
    http: &Option<TcpListener>,
    publish: &Option<TcpListener>,
    landlock: &str,
    began: Instant,
) -> Result<(), Failure> {
    let address = |listener: &Option<TcpListener>| Some(listener.as_ref()?.local_addr().ok()?.to_string());
    let line = serde_json::json!({
        "event": "ready",
        "http": address(http),
        "publish": address(publish),
        "version": engine.version(),
        "pid": std::process::id(),
        "landlock": landlock,
        "seconds": began.elapsed().as_secs_f64(),
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| Failure::of(1)(&error))
}

/// Serves until a signal, or the parent's end, says otherwise; then ends what runs. `false`: something did not end.
fn serve(
    arguments: &Arguments,
    service: Service,
    engine: Engine,
    listeners: Vec<TcpListener>,
) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(arguments.max_queries.saturating_add(SPARE_THREADS))
        .enable_all()
        .build()
        .map_err(|error| Failure::of(1)(&error))?;
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    if arguments.exit_with_parent {
        watch_parent(Arc::clone(&stop));
    }
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(service.clone().serve(listener, stopped.clone()));
        }
        let expiry = tokio::spawn(service.expire_sessions(stopped.clone()));
        let mut parent = stopped.clone();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = parent.wait_for(|stop| *stop) => {}
        }
        stop.send_replace(true);
        let _ended = expiry.await;
        let stopped = tokio::task::spawn_blocking(move || engine.stop(STOP_WAIT)).await;
        // The errors of the queries that were ended are still on their way to the clients.
        tokio::time::sleep(LAST_ANSWERS).await;
        Ok(stopped.unwrap_or(false))
    });
    runtime.shutdown_background();
    served.map_err(|error: std::io::Error| Failure::of(1)(&error))
}

/// The parent holds the other end of our standard input: its end is the parent's, however it came.
fn watch_parent(stop: Arc<watch::Sender<bool>>) {
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut ignored), Ok(count) if count > 0) {}
        stop.send_replace(true);
    });
}
