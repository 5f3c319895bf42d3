use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use arrow_array::RecordBatch;
use bytes::Bytes;
use tidegate_core::buffer::{Buffer, BufferOptions, Remembered, Rows, Write};
use tidegate_core::ingest::otlp;
use tidegate_core::rollup::Rollup;
use tidegate_core::world::SystemClock;
use tidegate_load::{Encoding, Wire, process};
use tidegate_model::{Clock, SeqRange, Signal, TableName, limits};

use super::lab::{self, Lab};
use super::{Line, Shape};

const ROWS: u64 = 800_000;
/// Requests that are decoded again and again: enough that they do not stay in the processor's caches.
const ROWS_ENCODED: u64 = 80_000;
const ROUNDS: usize = 5;
const BROKEN: u8 = 0x0f;
const CONNECTIONS: usize = 4;
/// One batch of all rows, all of them in memory: it is sealed when the last one is acknowledged.
const ONE_BATCH: u64 = 600_000;

/// Decode and log by themselves, in this process: median CPU time of several rounds.
pub(super) async fn run(lab: &Lab, name: &str, signal: Signal, rows: u64) -> Result<Line> {
    let shape = Shape { signal, wire: Wire::Http, rows, encoding: Encoding::Plain };
    let bodies = lab::bodies(shape, ROWS_ENCODED)?;
    let rounds = usize::try_from(lab.amount(ROWS) / ROWS_ENCODED)?.max(1);
    let mut decoding = Vec::new();
    for _ in 0..rounds.max(ROUNDS) {
        let began = process::thread_cpu();
        for body in &bodies {
            std::hint::black_box(decode(signal, body)?);
        }
        decoding.push(process::thread_cpu() - began);
    }
    let mut logging = Vec::new();
    for _ in 0..ROUNDS {
        let requests = bodies.iter().map(|body| decode(signal, body)).collect::<Result<Vec<_>>>()?;
        logging.push(append_all(lab, requests).await?);
    }
    let mut counting = (0..ROUNDS).map(|_| count_all(signal, &bodies)).collect::<Result<Vec<_>>>()?;
    let row = |cpu: Duration| cpu.as_secs_f64() * 1e9 / ROWS_ENCODED as f64;
    decoding.sort_unstable();
    logging.sort_unstable();
    counting.sort_unstable();
    let (decode_cpu, (log_cpu, log_wall)) = (decoding[decoding.len() / 2], logging[ROUNDS / 2]);
    let wire = bodies.iter().map(Bytes::len).sum::<usize>() as f64;
    let numbers = vec![
        ("decode ns/row", row(decode_cpu)),
        ("decode MB/s", wire / decode_cpu.as_secs_f64() / 1e6),
        ("log ns/row", row(log_cpu)),
        ("log k rows/s", ROWS_ENCODED as f64 / log_wall.as_secs_f64() / 1e3),
        ("count ns/row", row(counting[ROUNDS / 2])),
    ];
    Ok(Line { kind: "stages in this process, CPU", name: name.to_owned(), numbers })
}

/// The server's CPU by phase: receive alone, up to the ack, and the insert of what was acknowledged.
pub(super) async fn split(lab: &Lab, name: &str, shape: Shape) -> Result<Line> {
    let rows = lab.amount(ONE_BATCH);
    let bodies = lab::bodies(shape, rows)?;
    let broken: Vec<Bytes> = bodies.iter().map(break_first_byte).collect();
    let limits = [
        ("TIDEGATE_BATCH__ROWS", rows.to_string()),
        ("TIDEGATE_BATCH__BYTES", (8_u64 << 30).to_string()),
        ("TIDEGATE_BATCH__AGE_MS", "3600000".to_owned()),
        ("TIDEGATE_BUFFER__HOT_TAIL_BYTES", (8_u64 << 30).to_string()),
        ("TIDEGATE_TELEMETRY__OWN", "false".to_owned()),
    ];
    let limits: Vec<(&str, &str)> = limits.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (_folder, stack) = lab.start(&limits).await?;
    lab::settled(&stack).await?;
    let start = lab::used(&stack)?;
    let mut connection = lab::connect(&stack, shape).await?;
    for body in &broken {
        let reply = connection.send(shape.signal, body.clone(), None).await?;
        ensure!(matches!(reply.status, 400 | 3), "a body that is no protobuf: {reply:?}");
    }
    let received = lab::used(&stack)?;
    lab::send_all(&stack, shape, &bodies, CONNECTIONS).await?;
    let acked = lab::used(&stack)?;
    lab::stored(&stack).await?;
    let stored = lab::used(&stack)?;
    let a_million = |cpu: Duration| cpu.as_secs_f64() * 1e6 / rows as f64;
    let numbers = vec![
        ("receive CPU s/M", a_million(received.serve - start.serve)),
        ("receive to ack CPU s/M", a_million(acked.serve - received.serve)),
        ("insert client CPU s/M", a_million(stored.serve - acked.serve)),
        ("engine insert CPU s/M", a_million(stored.engine - acked.engine)),
    ];
    Ok(Line { kind: "the server's CPU by phase", name: name.to_owned(), numbers })
}

/// Counts all rows for the catalogue, as one batch of each table; returns the CPU time of that.
fn count_all(signal: Signal, bodies: &[Bytes]) -> Result<Duration> {
    let rollup = Rollup::default();
    let mut tables: BTreeMap<TableName, Vec<RecordBatch>> = BTreeMap::new();
    let received = tidegate_model::UnixNanos(i64::try_from(tidegate_load::now_unix_nanos())?);
    for body in bodies {
        let decoded = otlp::decode(signal, body, received, &|_| false)?;
        if let Some(Rows { rows, .. }) = decoded.series {
            let range = SeqRange::starting_at(rollup.series_learned().next(), rows.num_rows() as u64);
            rollup.learn_series(range, &rows)?;
        }
        decoded.rows.into_iter().for_each(|Rows { table, rows }| tables.entry(table).or_default().push(rows));
    }
    let began = process::thread_cpu();
    for (table, batches) in &tables {
        let mut reducer = rollup.reducer();
        batches.iter().try_for_each(|rows| reducer.count(table, rows))?;
        let (series, _) = rollup.describe(reducer.fingerprints());
        std::hint::black_box(rollup.seal(&mut reducer, &series)?);
    }
    Ok(process::thread_cpu() - began)
}

fn decode(signal: Signal, body: &[u8]) -> Result<Vec<Rows>> {
    let received = tidegate_model::UnixNanos(i64::try_from(tidegate_load::now_unix_nanos())?);
    let decoded = otlp::decode(signal, body, received, &|_| true)?;
    ensure!(decoded.rejections.total() == 0, "the generator's rows are sound");
    Ok(decoded.rows)
}

/// Encodes and appends requests as several producers would; returns the CPU time of the process and the wall time.
async fn append_all(lab: &Lab, requests: Vec<Vec<Rows>>) -> Result<(Duration, Duration)> {
    let folder = lab.folder()?;
    let options = BufferOptions {
        dir: folder.path().join("wal"),
        sync_always: true,
        sync_interval_ms: 0,
        hot_tail_bytes: 8 << 30,
        wal_bytes: limits::WAL_BYTES,
        disk_free_bytes_min: 0,
        dedup_window_seconds: limits::DEDUP_WINDOW_SECONDS,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let (buffer, _) = Buffer::open(options, clock, Remembered::default()).context("open a buffer")?;
    let requests = std::sync::Mutex::new(requests);
    let producer = async || -> Result<()> {
        loop {
            let Some(rows) = requests.lock().expect("no holder panics").pop() else { return Ok(()) };
            buffer.append(Write::new(rows, None, Vec::new())).await?;
        }
    };
    let (cpu, wall) = (process::own_cpu(), Instant::now());
    lab::futures_join((0..CONNECTIONS).map(|_| producer())).await?;
    let used = (process::own_cpu() - cpu, wall.elapsed());
    buffer.close().await?;
    Ok(used)
}

/// Makes a body that every reader refuses at once, and that takes as long to receive.
fn break_first_byte(body: &Bytes) -> Bytes {
    let mut bytes = body.to_vec();
    if let Some(first) = bytes.first_mut() {
        *first = BROKEN;
    }
    bytes.into()
}
