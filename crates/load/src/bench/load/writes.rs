use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tidegate_load::{Connection, Encoding, Source, Stack, Wire, now_unix_nanos};
use tidegate_model::Signal;
use tokio::sync::Mutex;

/// Connections of one signal.
pub(super) const WORKERS: usize = 8;
/// Bodies that are kept of a signal: with 1,000 rows each about 60 MB.
pub(super) const BODIES_KEPT: u64 = 128;
const ACKED_WITHIN: Duration = Duration::from_secs(10);

/// Requests of one signal, and the connections that they go out by.
pub(super) struct Writes<'a> {
    pub(super) signal: Signal,
    pub(super) per_second: u64,
    stack: &'a Stack,
    bodies: Vec<Bytes>,
    /// A worker's connection; none before its first request and after a failure.
    connections: Vec<Mutex<Option<Connection>>>,
    seed: u64,
}

impl<'a> Writes<'a> {
    /// Encodes so many bodies of each signal, with its requests a second and its rows in a request.
    pub(super) fn prepare(stack: &'a Stack, each: [(Signal, u64, u64); 3], bodies: u64) -> Result<[Self; 3]> {
        let seed = now_unix_nanos() % (1 << 20);
        let source = Source::new(seed, now_unix_nanos());
        Ok(each.map(|(signal, per_second, rows)| Self {
            signal,
            per_second,
            stack,
            bodies: (0..bodies).map(|at| source.request(signal, at * rows, rows).into()).collect(),
            connections: (0..WORKERS).map(|_| Mutex::default()).collect(),
            seed,
        }))
    }

    /// Sends one request and waits for its acknowledgement; anything else is an error.
    pub(super) async fn send(&self, worker: usize, number: u64) -> Result<()> {
        let mut connection = self.connections[worker % WORKERS].lock().await;
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(Wire::Http, self.stack.otlp_http, Encoding::Plain).await.context("connect")?,
        };
        let body = self.bodies[usize::try_from(number)? % self.bodies.len()].clone();
        // Its own key: the same body is sent again later, and is not a retry.
        let key = format!("{}-{}-{number}", self.seed, self.signal);
        let reply = tokio::time::timeout(ACKED_WITHIN, open.send(self.signal, body, Some(&key))).await;
        let reply = reply.with_context(|| format!("no answer within {ACKED_WITHIN:?}"))??;
        ensure!(reply.acked, "status {}: {}", reply.status, String::from_utf8_lossy(&reply.text));
        *connection = Some(open);
        Ok(())
    }
}
