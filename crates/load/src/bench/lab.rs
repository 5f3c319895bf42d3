use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tidegate_load::{Connection, Source, Stack, StackOptions, now_unix_nanos, process};

use super::Shape;

pub(super) const READY_WITHIN: Duration = Duration::from_secs(30);
const SETTLED_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The engine counts as settled when it used less than this share of a core for so long.
const QUIET_SHARE: f64 = 0.03;
const QUIET_FOR: Duration = Duration::from_secs(3);
const OVERLOAD_PAUSE: Duration = Duration::from_millis(5);

/// Where things are, and how much to measure.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) program: PathBuf,
    pub(crate) library: PathBuf,
    pub(crate) scratch: PathBuf,
    pub(crate) quick: bool,
    pub(crate) seconds: Option<u64>,
}

/// What the processes have used since they started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) serve: Duration,
    pub(crate) engine: Duration,
    pub(crate) load: Duration,
}

impl Lab {
    /// Returns `full`, or a tenth of it in a quick run.
    pub(crate) fn amount(&self, full: u64) -> u64 {
        if self.quick { full.div_ceil(10) } else { full }
    }

    /// Returns how many seconds a load lasts whose full length is `full`.
    pub(crate) fn seconds(&self, full: u64) -> u64 {
        self.seconds.unwrap_or_else(|| self.amount(full))
    }

    /// Makes an empty folder on the measured disk.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        tempfile::Builder::new().prefix("tidegate-bench-").tempdir_in(&self.scratch).context("make a scratch folder")
    }

    /// Starts a server on an empty folder and waits until it is ready.
    pub(crate) async fn start(&self, settings: &[(&str, &str)]) -> Result<(TempDir, Stack)> {
        let folder = self.folder()?;
        let mut env = vec![("TIDEGATE_LIBCHDB".to_owned(), self.library.display().to_string())];
        env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let data = folder.path().join("data");
        let options = StackOptions { program: self.program.clone(), data, env, wrapper: Vec::new() };
        let mut stack = Stack::new(options)?;
        stack.start()?;
        stack.ready(READY_WITHIN).await?;
        Ok((folder, stack))
    }
}

/// Encodes requests before the measured time.
pub(crate) fn bodies(shape: Shape, rows: u64) -> Result<Vec<Bytes>> {
    let source = Source::new(42, now_unix_nanos());
    let requests = 0..rows / shape.rows;
    let body = |request| Ok(shape.encoding.encode(source.request(shape.signal, request * shape.rows, shape.rows))?);
    requests.map(|request| body(request).map(Bytes::from)).collect()
}

/// Sends all bodies over several connections, each as soon as the last one was acknowledged; returns how long it took.
pub(crate) async fn send_all(stack: &Stack, shape: Shape, bodies: &[Bytes], connections: usize) -> Result<Duration> {
    let next = AtomicUsize::new(0);
    let worker = async || -> Result<()> {
        let mut connection = connect(stack, shape).await?;
        while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
            send_one(&mut connection, shape, body).await?;
        }
        Ok(())
    };
    let began = Instant::now();
    futures_join((0..connections).map(|_| worker())).await?;
    Ok(began.elapsed())
}

/// Sends each body at its due time, or as soon after as a connection is free; returns the latencies from due times.
pub(crate) async fn send_paced(
    stack: &Stack,
    shape: Shape,
    bodies: &[Bytes],
    rows_per_second: u64,
    connections: usize,
) -> Result<Vec<Duration>> {
    let between = Duration::from_secs_f64(shape.rows as f64 / rows_per_second as f64);
    let began = tokio::time::Instant::now();
    let latencies = std::sync::Mutex::new(Vec::with_capacity(bodies.len()));
    let worker = async |index: usize| -> Result<()> {
        let mut connection = connect(stack, shape).await?;
        for (number, body) in bodies.iter().enumerate().skip(index).step_by(connections) {
            let due = began + between.mul_f64(number as f64);
            tokio::time::sleep_until(due).await;
            send_one(&mut connection, shape, body).await?;
            latencies.lock().expect("no holder panics").push(due.elapsed());
        }
        Ok(())
    };
    futures_join((0..connections).map(worker)).await?;
    Ok(latencies.into_inner().expect("no holder panics"))
}

/// Sends one body until it is acknowledged; pressure is waited out, anything else is an error.
pub(crate) async fn send_one(connection: &mut Connection, shape: Shape, body: &Bytes) -> Result<()> {
    loop {
        let reply = connection.send(shape.signal, body.clone(), None).await?;
        if reply.acked {
            return Ok(());
        }
        ensure!(matches!(reply.status, 429 | 8), "{reply:?}");
        tokio::time::sleep(OVERLOAD_PAUSE).await;
    }
}

pub(crate) async fn connect(stack: &Stack, shape: Shape) -> Result<Connection> {
    let address = if shape.wire == tidegate_load::Wire::Http { stack.otlp_http } else { stack.otlp_grpc };
    Connection::open(shape.wire, address, shape.encoding).await.context("connect")
}

/// Runs futures side by side on this thread.
pub(crate) async fn futures_join(futures: impl Iterator<Item = impl Future<Output = Result<()>>>) -> Result<()> {
    let all: futures_util::stream::FuturesUnordered<_> = futures.collect();
    futures_util::TryStreamExt::try_collect::<Vec<()>>(all).await.map(drop)
}

/// Reads what server, engine and this program have used.
pub(crate) fn used(stack: &Stack) -> Result<Used> {
    let serve = stack.serve_pid().and_then(process::cpu).context("the server runs")?;
    let engine = stack.engine_pid().and_then(process::cpu).context("the engine runs")?;
    Ok(Used { serve, engine, load: process::own_cpu() })
}

/// Waits until the server's tables are there: it is ready to take rows before that.
pub(crate) async fn answers(stack: &Stack) -> Result<()> {
    let began = Instant::now();
    while let Err(error) = stack.number("SELECT count() FROM catalog_signals").await {
        ensure!(began.elapsed() < READY_WITHIN, "no query is answered after {READY_WITHIN:?}: {error}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Waits until every row is in ClickHouse.
pub(crate) async fn stored(stack: &Stack) -> Result<()> {
    let began = Instant::now();
    loop {
        let ledger = stack.get("/ledger").await?;
        let tables = ledger.get("tables").unwrap_or(&ledger).as_array().context("tables in /ledger")?;
        if tables.iter().all(|table| table.get("hot").and_then(Value::as_u64) == Some(0)) {
            return Ok(());
        }
        if began.elapsed() > SETTLED_WITHIN {
            bail!("rows are still hot after {SETTLED_WITHIN:?}: {ledger}\n{}", stack.log_tail());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the engine has nothing left to merge: it uses next to no CPU.
pub(crate) async fn settled(stack: &Stack) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < SETTLED_WITHIN {
        let before = used(stack)?.engine;
        tokio::time::sleep(QUIET_FOR).await;
        let share = (used(stack)?.engine - before).as_secs_f64() / QUIET_FOR.as_secs_f64();
        if share < QUIET_SHARE {
            return Ok(());
        }
    }
    bail!("the engine still works {SETTLED_WITHIN:?} after the last row")
}
