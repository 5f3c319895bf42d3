use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use tidegate_load::{Connection, Encoding, Reply, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;
use tokio::task::JoinHandle;

/// A producer waits so long before it tries again, and between requests.
const PAUSE: Duration = Duration::from_millis(15);
const REQUEST_ROWS_MAX: u64 = 120;

/// What a producer does when it gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Sends the same again with the same idempotency key until it is acknowledged.
    Key,
    /// Sends the same bytes again, without a key.
    SameBytes,
    /// Goes on with other rows.
    Never,
}

/// What is known about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Every row must be there exactly once.
    Acked,
    /// The server said that it stored nothing (429): no row may be there.
    Refused,
    /// No answer: all rows or none, none twice.
    Unknown,
}

/// One request as it went out.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) signal: Signal,
    pub(crate) fate: Fate,
    /// The unique ids of its rows.
    pub(crate) ids: Vec<String>,
}

/// Producers at work, until stopped.
pub(crate) struct Fleet {
    tasks: Vec<JoinHandle<Result<Vec<Sent>>>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    acked_requests: AtomicU64,
    acked_log_rows: AtomicU64,
    stopped: AtomicBool,
}

struct Producer {
    wire: Wire,
    signal: Signal,
    habit: Habit,
    address: SocketAddr,
    source: Source,
    name: String,
    connection: Option<Connection>,
}

impl Fleet {
    /// Starts a producer for each plan; `seed` tells fleets apart that write to one folder.
    pub(crate) fn start(stack: &Stack, plans: &[(Wire, Signal, Habit)], seed: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let begin = |(index, (wire, signal, habit)): (usize, &(Wire, Signal, Habit))| {
            let own_seed = seed % 4_096 * 16 + index as u64;
            let producer = Producer {
                wire: *wire,
                signal: *signal,
                habit: *habit,
                address: if *wire == Wire::Http { stack.otlp_http } else { stack.otlp_grpc },
                source: Source::new(own_seed, now_unix_nanos()),
                name: format!("producer-{own_seed}"),
                connection: None,
            };
            tokio::spawn(producer.run(Arc::clone(&shared)))
        };
        let tasks = plans.iter().enumerate().map(begin).collect();
        Self { tasks, shared }
    }

    /// How many requests were acknowledged so far.
    pub(crate) fn acked_requests(&self) -> u64 {
        self.shared.acked_requests.load(Ordering::SeqCst)
    }

    /// How many log records were acknowledged so far.
    pub(crate) fn acked_log_rows(&self) -> u64 {
        self.shared.acked_log_rows.load(Ordering::SeqCst)
    }

    /// Lets every producer finish its request and returns all that was sent.
    pub(crate) async fn stop(self) -> Result<Vec<Sent>> {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let mut sent = Vec::new();
        for task in self.tasks {
            sent.extend(task.await??);
        }
        Ok(sent)
    }
}

impl Producer {
    async fn run(mut self, shared: Arc<Shared>) -> Result<Vec<Sent>> {
        let (mut sent, mut first) = (Vec::new(), 0);
        while !shared.stopped.load(Ordering::SeqCst) {
            let rows = 1 + (first * 7 + 13) % REQUEST_ROWS_MAX;
            let body = Bytes::from(self.source.request(self.signal, first, rows));
            let fate = self.deliver(body, first).await?;
            if fate == Fate::Acked {
                shared.acked_requests.fetch_add(1, Ordering::SeqCst);
                let log_rows = if self.signal == Signal::Logs { rows } else { 0 };
                shared.acked_log_rows.fetch_add(log_rows, Ordering::SeqCst);
            }
            let ids = (first..first + rows).map(|n| self.source.row_id(n)).collect();
            sent.push(Sent { signal: self.signal, fate, ids });
            first += rows;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(sent)
    }

    async fn deliver(&mut self, body: Bytes, first: u64) -> Result<Fate> {
        let (signal, habit) = (self.signal, self.habit);
        let key = (habit == Habit::Key).then(|| format!("{}-{first}", self.name));
        loop {
            if let Ok(connection) = self.connected().await {
                match connection.send(signal, body.clone(), key.as_deref()).await {
                    Ok(reply) if reply.acked => return Ok(Fate::Acked),
                    Ok(reply) => {
                        ensure!(may_retry(&reply), "a sound request was refused for good: {reply:?}");
                        if habit == Habit::Never {
                            return Ok(if says_nothing_stored(&reply) { Fate::Refused } else { Fate::Unknown });
                        }
                    }
                    Err(_) => {
                        self.connection = None;
                        if habit == Habit::Never {
                            return Ok(Fate::Unknown);
                        }
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn connected(&mut self) -> std::io::Result<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.wire, self.address, Encoding::Plain).await?,
        };
        Ok(self.connection.insert(connection))
    }
}

/// 429 and 5xx, or gRPC's retryable codes as OTLP lists them.
fn may_retry(reply: &Reply) -> bool {
    matches!(reply.status, 429 | 502 | 503 | 504 | 1 | 4 | 8 | 10 | 11 | 14 | 15)
}

fn says_nothing_stored(reply: &Reply) -> bool {
    matches!(reply.status, 429 | 8)
}
