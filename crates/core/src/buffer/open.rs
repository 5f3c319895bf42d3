use std::collections::HashMap;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_model::limits::SEGMENT_BYTES;
use tidegate_model::{BufferId, Clock, Disk};
use tokio::sync::{Notify, watch};

use super::Buffer;
use super::error::BufferError;
use super::recovery::{self, Limits, Recovered, Recovery, Remembered};
use super::segment::Folder;
use super::shared::Shared;
use super::state::{Budgets, Phase, State};
use super::writer::Writer;
use crate::world::SystemDisk;

/// Settings of the buffer.
#[derive(Debug, Clone)]
pub struct BufferOptions {
    /// The folder of the WAL; made when absent.
    pub dir: PathBuf,
    /// `true`: acknowledge after `fdatasync`; `false`: sync every `sync_interval_ms`.
    pub sync_always: bool,
    /// The interval of the other form.
    pub sync_interval_ms: u64,
    /// Hot rows in memory; past it they stay on disk only and are read back.
    pub hot_tail_bytes: u64,
    /// Past it writes are refused.
    pub wal_bytes: u64,
    /// Below it writes are refused.
    pub disk_free_bytes_min: u64,
    /// How long a retry is known.
    pub dedup_window_seconds: u64,
}

/// The world that a buffer lives in.
#[derive(Debug, Clone)]
pub struct Site {
    /// The disk of its folder.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The identity that a new buffer gets; an existing one has its own.
    pub fresh_id: BufferId,
    /// Bytes of a segment.
    pub segment_bytes: u64,
}

impl Buffer {
    /// Opens the folder, recovers what is in it, and starts the commit thread.
    pub fn open(
        options: BufferOptions,
        clock: Arc<dyn Clock>,
        remembered: Remembered,
    ) -> Result<(Self, Recovery), BufferError> {
        let fresh_id = BufferId(rand::random());
        let site = Site { disk: Arc::new(SystemDisk), clock, fresh_id, segment_bytes: SEGMENT_BYTES };
        Self::open_at(&site, &options, remembered)
    }

    /// Opens the folder as [`Self::open`] does, in a given world.
    pub fn open_at(
        site: &Site,
        options: &BufferOptions,
        remembered: Remembered,
    ) -> Result<(Self, Recovery), BufferError> {
        let (folder, numbers) = Folder::open(&options.dir, Arc::clone(&site.disk), site.segment_bytes)?;
        let limits = Limits {
            fresh_id: site.fresh_id,
            hot_bytes_max: options.hot_tail_bytes,
            dedup_window_seconds: options.dedup_window_seconds,
            now: site.clock.now(),
            monotonic: site.clock.monotonic(),
        };
        let recovered = recovery::recover(&folder, &numbers, remembered, limits)?;
        let found = recovered.found.clone();
        let buffer = Self::start(site, options, folder, recovered)?;
        Ok((buffer, found))
    }

    fn start(site: &Site, options: &BufferOptions, folder: Folder, recovered: Recovered) -> Result<Self, BufferError> {
        let Recovered { cursor, segments, tails, retries, hot_bytes, .. } = recovered;
        let current = segments.back().map(|current| Arc::clone(&current.segment));
        let current = current.expect("recovery makes the first segment when there is none");
        let heads = tails.iter().map(|(table, tail)| (table.clone(), tail.head)).collect();
        let budgets = Budgets { hot_bytes: options.hot_tail_bytes, wal_bytes: options.wal_bytes };
        let (phase, queue, queued_bytes) = (Phase::Open, VecDeque::new(), 0);
        let holds = HashMap::new();
        let state =
            State { phase, queue, queued_bytes, tails, retries, segments, hot_bytes, budgets, holds, holds_all: 0 };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            grown: Notify::new(),
            ended: watch::Sender::new(false),
            clock: Arc::clone(&site.clock),
            folder,
            sync_interval: (!options.sync_always).then(|| Duration::from_millis(options.sync_interval_ms)),
            disk_free_bytes_min: options.disk_free_bytes_min,
            free: Mutex::new(None),
            trimming: Mutex::new(()),
        });
        let synced_frame = cursor.number - 1;
        let last_sync = site.clock.monotonic();
        let writer = Writer { shared: Arc::clone(&shared), current, cursor, heads, synced_frame, last_sync };
        let thread = std::thread::Builder::new()
            .name("wal-commit".into())
            .spawn(move || writer.run())
            .map_err(|error| BufferError::io("start the commit thread", error))?;
        let thread = CommitThread { shared: Arc::clone(&shared), thread: Some(thread) };
        Ok(Self { id: cursor.buffer, shared, _thread: Arc::new(thread) })
    }
}

/// Ends the commit thread with the last handle, so that the folder is free when they are gone.
#[derive(Debug)]
pub(super) struct CommitThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for CommitThread {
    fn drop(&mut self) {
        self.shared.begin_close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told already, by poisoning.
            thread.join().ok();
        }
    }
}
