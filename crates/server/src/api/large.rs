//! Bodies of rows that are too large for memory: each waits in a file of the data folder, and is taken from there in parts.
//!
//! The file has no name, so nothing of it stays behind whatever ends the process.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use sha2::{Digest, Sha256};
use tidegate_core::ingest::inflate::{self, Compression};
use tidegate_core::ingest::rows::files::FileError;
use tidegate_core::ingest::rows::{DatasetRequest, Part, Parts, RowsFormat, Taken, parts};
use tidegate_model::ErrorKind;
use tidegate_model::limits::{LARGE_BODIES_MAX, LARGE_BODY_BYTES_MAX, REQUEST_BYTES_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body;
use crate::errors::{Failure, chain};
use crate::stages::Stages;

/// What is inflated at once.
const COPIED_BYTES: usize = 256 << 10;

/// Where bodies wait that are too large for memory, and how many may.
#[derive(Debug)]
pub struct LargeBodies {
    folder: PathBuf,
    room: Arc<Semaphore>,
}

impl LargeBodies {
    /// Keeps them on the disk of a folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, room: Arc::new(Semaphore::new(LARGE_BODIES_MAX)) }
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            Failure::new(ErrorKind::Overloaded, format!("{LARGE_BODIES_MAX} large bodies are being taken already"))
                .with_hint("send it again in a while, or in requests that are smaller")
        })
    }
}

/// A body on its way: what came of it, and what is to come.
pub(super) struct Larger {
    pub(super) begin: Vec<Bytes>,
    pub(super) rest: Body,
    pub(super) compression: Compression,
}

/// Takes all rows of a larger body; `request` says everything but the rows.
pub(super) async fn take(stages: &Stages, request: DatasetRequest, larger: Larger) -> Result<Taken, Failure> {
    let _room = match checked(&request).and_then(|()| stages.large_bodies.enter()) {
        Ok(room) => room,
        Err(failure) => {
            body::discard(larger.rest, stages.body_idle).await;
            return Err(failure);
        }
    };
    let (file, whole) = kept(stages, larger).await?;
    let format = request.format;
    let parts = blocking(move || parts(file, format)).await?.map_err(|error| unreadable(&error))?;
    in_parts(stages, &request, parts.ok_or_else(not_cut)?, whole).await
}

/// Refuses a body that cannot be cut, and one that could not be sent again.
fn checked(request: &DatasetRequest) -> Result<(), Failure> {
    if request.format == RowsFormat::Json {
        return Err(not_cut());
    }
    if request.idempotency_key.is_none() {
        return Err(body::too_large(REQUEST_BYTES_MAX).with_hint(
            "send smaller batches, or give it an Idempotency-Key: a larger body is taken in parts, and with a key it may be \
             sent again without any row being there twice",
        ));
    }
    Ok(())
}

fn not_cut() -> Failure {
    body::too_large(REQUEST_BYTES_MAX)
        .with_hint("send smaller batches, or NDJSON (application/x-ndjson, a row a line): that may be larger")
}

/// Writes a body into a file, inflated; returns the file and the hash of what is in it.
async fn kept(stages: &Stages, larger: Larger) -> Result<(File, u128), Failure> {
    let Larger { begin, mut rest, compression } = larger;
    let mut kept = Kept::begin(&stages.large_bodies.folder)?;
    for data in begin {
        kept = kept.written(data).await?;
    }
    while let Some(data) = body::next_data(&mut rest, stages.body_idle).await? {
        kept = kept.written(data).await?;
    }
    if compression == Compression::None {
        return kept.finish();
    }
    let folder = stages.large_bodies.folder.clone();
    blocking(move || inflated(compression, kept, &folder)).await?
}

fn inflated(compression: Compression, packed: Kept, folder: &std::path::Path) -> Result<(File, u128), Failure> {
    let malformed = |error: std::io::Error| Failure::invalid(format!("the body cannot be inflated: {error}"));
    let (packed, _) = packed.finish()?;
    let mut reader = inflate::reader(compression, packed).map_err(malformed)?;
    let mut kept = Kept::begin(folder)?;
    let mut piece = vec![0; COPIED_BYTES];
    loop {
        match reader.read(&mut piece).map_err(malformed)? {
            0 => return kept.finish(),
            count => kept.write(&piece[..count])?,
        }
    }
}

/// A file without a name that a body is written into.
struct Kept {
    file: File,
    bytes: u64,
    hash: Sha256,
}

impl Kept {
    fn begin(folder: &std::path::Path) -> Result<Self, Failure> {
        let file = tempfile::tempfile_in(folder).map_err(|error| no_room(&error))?;
        Ok(Self { file, bytes: 0, hash: Sha256::new() })
    }

    async fn written(mut self, data: Bytes) -> Result<Self, Failure> {
        blocking(move || self.write(&data).map(|()| self)).await?
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.bytes += data.len() as u64;
        if self.bytes > LARGE_BODY_BYTES_MAX {
            return Err(Failure::invalid(format!("the body is larger than {LARGE_BODY_BYTES_MAX} bytes"))
                .with_status(StatusCode::PAYLOAD_TOO_LARGE)
                .with_hint("send it in several requests"));
        }
        self.hash.update(data);
        self.file.write_all(data).map_err(|error| no_room(&error))
    }

    fn finish(mut self) -> Result<(File, u128), Failure> {
        self.file.seek(SeekFrom::Start(0)).map_err(|error| no_room(&error))?;
        let digest = self.hash.finalize();
        let half = digest[..16].try_into().expect("a SHA-256 has 32 bytes");
        Ok((self.file, u128::from_be_bytes(half)))
    }
}

async fn in_parts(stages: &Stages, request: &DatasetRequest, mut parts: Parts, whole: u128) -> Result<Taken, Failure> {
    let mut all: Option<Taken> = None;
    let mut number = 0;
    loop {
        let (read, rest) = blocking(move || (parts.next(), parts)).await?;
        parts = rest;
        let Some(read) = read else { break };
        let part = Some(Part { number, whole });
        let outcome = match read {
            Ok((format, body)) => {
                let request = DatasetRequest { format, body, part, ..request.clone() };
                stages.ingest.dataset_rows(request).await.map_err(Failure::from)
            }
            Err(error) => Err(unreadable(&error)),
        };
        let taken = outcome.map_err(|failure| told_what_is_durable(failure, all.as_ref()))?;
        match (&mut all, taken) {
            (None, taken) => all = Some(taken),
            (Some(all), taken) => unite(all, taken),
        }
        number += 1;
    }
    all.ok_or_else(|| Failure::invalid("the body has no rows"))
}

fn unite(all: &mut Taken, part: Taken) {
    // Every row before these was taken or refused.
    let before = all.admitted.accepted + all.admitted.rejected.total();
    all.admitted.accepted += part.admitted.accepted;
    all.admitted.rejected.add(part.admitted.rejected, before);
    all.admitted.is_retry &= part.admitted.is_retry;
    // The last rows are the ones that a later read must have seen.
    if !part.admitted.ranges.is_empty() {
        all.admitted.ranges = part.admitted.ranges;
    }
    all.change = all.change.take().or(part.change);
    all.dataset = part.dataset;
    all.quarantined += part.quarantined;
}

fn told_what_is_durable(failure: Failure, all: Option<&Taken>) -> Failure {
    let Some(rows) = all.map(|taken| taken.admitted.accepted).filter(|rows| *rows > 0) else { return failure };
    let hint = if failure.kind.is_retryable() {
        format!("{rows} rows before it are durable: send the same body with the same key, and the rest is taken")
    } else {
        format!("{rows} rows before it are durable: mend what is wrong, and send the rest under another key")
    };
    failure.with_hint(hint)
}

fn unreadable(error: &FileError) -> Failure {
    match error {
        FileError::Io { .. } => no_room(error),
        FileError::Format { .. } | FileError::TooLarge(_) => Failure::invalid(chain(error)),
    }
}

/// Says that the disk did not take a body, or did not give it back.
fn no_room(error: &(dyn std::error::Error + 'static)) -> Failure {
    tracing::warn!(error = chain(error), "a large body could not be kept on the disk");
    Failure::new(ErrorKind::Unavailable, format!("the server could not keep the body on its disk: {}", chain(error)))
        .with_hint("send smaller batches, or make room on the server's disk")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::of(ErrorKind::Internal, &error))
}
