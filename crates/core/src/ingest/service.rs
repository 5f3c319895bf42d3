//! The stage at work: a request comes in, its rows are durable, an answer goes out.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::ArrowError;
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use tidegate_model::limits::{FROZEN_RETRY_AFTER_MS, INGEST_RETRY_AFTER_MS, INGEST_WAITING_MAX, REJECTIONS_LISTED_MAX};
use tidegate_model::tables::{self, METRIC_SERIES};
use tidegate_model::{Clock, ErrorKind, SeqRange, Signal, TableName, UnixNanos};
use tidegate_templates::{Miner, Settings, SettingsError, Stats};
use tokio::sync::Semaphore;
use twox_hash::XxHash3_128;

use super::answer;
use super::events;
use super::json::{self, JsonError};
use super::mining::{Templates, Told};
use super::otlp::{DecodeError, Decoded, decode};
use super::plain::{self, PlainError, PlainRequest};
use super::quota::{OverQuota, Payer, Quotas};
use super::registry::{Reservation, SeriesRegistry};
use super::rows::RowsError;
use super::rows::evolve::Gates;
use super::{Rejection, Rejections};
use crate::buffer::{Appended, Buffer, BufferError, RetryKey, Rows, Write};
use crate::catalog::{Catalog, CatalogError};
use crate::store::{Store, StoreError};

/// The form of an OTLP request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`, and gRPC.
    Protobuf,
    /// `application/json`.
    Json,
}

/// One Export request, inflated.
#[derive(Debug, Clone)]
pub struct OtlpRequest {
    /// What it carries.
    pub signal: Signal,
    /// How its body is written.
    pub encoding: Encoding,
    /// Its body.
    pub body: Bytes,
    /// The producer's key, by which a retry is known; without one the body itself is the key.
    pub idempotency_key: Option<String>,
}

/// What became of a request whose rows are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Rows taken: log records, spans, data points, or a dataset's rows.
    pub accepted: u64,
    /// Rows refused.
    pub rejected: Rejections,
    /// The request was seen before; this is what it was told then, and nothing was written.
    pub is_retry: bool,
    /// The numbers that the rows got; empty for a retry.
    pub ranges: Vec<(TableName, SeqRange)>,
}

/// Why a request was refused as a whole; nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body is not an OTLP request in protobuf.
    #[error("{error}{}", cause(error))]
    Decode {
        /// What is wrong.
        error: DecodeError,
    },
    /// The body is not an OTLP request in JSON.
    #[error("{error}")]
    Json {
        /// What is wrong.
        error: JsonError,
    },
    /// The body has no plain entries.
    #[error("{error}")]
    Plain {
        /// What is wrong.
        error: PlainError,
    },
    /// The rows of a dataset are refused as a whole.
    #[error("{error}")]
    Rows {
        /// Why.
        error: RowsError,
    },
    /// The buffer refused.
    #[error("{error}")]
    Buffer {
        /// Why.
        error: BufferError,
    },
    /// Too many requests wait.
    #[error(
        "{INGEST_WAITING_MAX} requests wait to be decoded already; send the same again in {INGEST_RETRY_AFTER_MS} ms"
    )]
    Busy,
    /// The dataset takes no more for now.
    #[error(
        "the quota {} of `{}` is spent: {} of {} are left; send the same again in {} ms",
        over.quota, over.dataset, over.left, over.limit, over.retry_after_ms
    )]
    OverQuota {
        /// Which quota, and how it stands.
        over: OverQuota,
    },
    /// The catalog failed.
    #[error("look into the catalog")]
    Catalog(#[from] CatalogError),
    /// ClickHouse failed at what only it can do.
    #[error("ask ClickHouse")]
    Store(#[from] StoreError),
    /// There is no ClickHouse to ask.
    #[error("a column cannot be widened without ClickHouse")]
    NoStore,
    /// Rows could not be selected.
    #[error("select the rows of new series")]
    Select(#[source] ArrowError),
    /// The templates of log records could not be put beside them.
    #[error("find the templates of the request's log records")]
    Mining(#[source] ArrowError),
    /// Events could not be told from other log records.
    #[error("tell the request's events from its other log records")]
    Events(#[source] ArrowError),
    /// The settings of the template miner are wrong.
    #[error("{0}")]
    Templates(#[source] SettingsError),
    /// The task that decodes, or the one that writes, ended early.
    #[error("take the request: its task ended early")]
    Task(#[source] tokio::task::JoinError),
}

fn cause(error: &DecodeError) -> String {
    std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default()
}

impl IngestError {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Decode { error } => error.kind(),
            Self::Json { error } => error.kind(),
            Self::Plain { error } => error.kind(),
            Self::Rows { error } => error.kind(),
            Self::Buffer { error } => error.kind(),
            Self::Busy | Self::OverQuota { .. } => ErrorKind::Overloaded,
            Self::Catalog(_) | Self::NoStore => ErrorKind::Unavailable,
            Self::Store(error) => error.kind(),
            Self::Templates(_) => ErrorKind::Invalid,
            Self::Select(_) | Self::Mining(_) | Self::Events(_) | Self::Task(_) => ErrorKind::Internal,
        }
    }

    /// Says after how many milliseconds the same request is worth another try, where that is known.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Busy => Some(INGEST_RETRY_AFTER_MS),
            Self::OverQuota { over } => Some(over.retry_after_ms),
            Self::Buffer { error: BufferError::Full { retry_after_ms, .. } } => Some(*retry_after_ms),
            Self::Rows { error: RowsError::Frozen { .. } } => Some(FROZEN_RETRY_AFTER_MS),
            _ => None,
        }
    }
}

impl From<RowsError> for IngestError {
    fn from(error: RowsError) -> Self {
        Self::Rows { error }
    }
}

impl From<OverQuota> for IngestError {
    fn from(over: OverQuota) -> Self {
        Self::OverQuota { over }
    }
}

impl From<BufferError> for IngestError {
    fn from(error: BufferError) -> Self {
        Self::Buffer { error }
    }
}

/// Takes requests in; clones share it.
#[derive(Debug, Clone)]
pub struct Ingest {
    pub(super) buffer: Buffer,
    pub(super) catalog: Catalog,
    pub(super) clock: Arc<dyn Clock>,
    series: SeriesRegistry,
    /// `None`: log records get no template.
    templates: Option<Templates>,
    /// One permit a core that may decode, and one for each request that may wait.
    cores: Arc<Semaphore>,
    room: Arc<Semaphore>,
    /// Where stored rows are looked at before a column is widened.
    pub(super) store: Option<Store>,
    pub(super) gates: Gates,
    pub(super) quotas: Quotas,
    /// Refused rows are sent again by one caller at a time.
    pub(super) replays: Arc<tokio::sync::Mutex<()>>,
}

impl Ingest {
    /// Learns which series have their row: from the catalog, and from the rows that are still hot.
    pub async fn open(buffer: Buffer, catalog: Catalog, clock: Arc<dyn Clock>) -> Result<Self, IngestError> {
        let table = &METRIC_SERIES.name;
        // The tail first: a row that moves to the catalog in between is then found twice, not never.
        let tail = buffer.snapshot(std::slice::from_ref(table));
        let mut known: HashSet<u64> = catalog.unique_keys(table).await?.into_iter().collect();
        for chunk in tail.iter().flat_map(|tail| &tail.chunks) {
            known.extend(fingerprints(&chunk.rows()?));
        }
        let templates = known_templates(&catalog, Settings::default()).await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            buffer,
            catalog,
            clock,
            series: SeriesRegistry::of(known),
            templates: Some(templates),
            cores: Arc::new(Semaphore::new(cores)),
            room: Arc::new(Semaphore::new(cores + INGEST_WAITING_MAX)),
            store: None,
            gates: Gates::default(),
            quotas: Quotas::default(),
            replays: Arc::default(),
        })
    }

    /// Takes one OTLP request: every row that can be taken is durable when this returns `Ok`.
    pub async fn otlp(&self, request: OtlpRequest) -> Result<Admitted, IngestError> {
        let (signal, bytes) = (request.signal, request.body.len() as u64);
        self.admit((signal, bytes), move |received, series| {
            Ok((decoded(&request, received, series)?, Some(retry_of(&request))))
        })
        .await
    }

    /// Takes one request of plain entries, in the same way.
    pub async fn plain(&self, request: PlainRequest) -> Result<Admitted, IngestError> {
        let (signal, bytes) = (request.kind.signal(), request.body.len() as u64);
        self.admit((signal, bytes), move |received, series| {
            Ok((plain_decoded(&request, received, series)?, plain_retry(&request)))
        })
        .await
    }

    /// Makes durable what a request decodes to.
    async fn admit(
        &self,
        (signal, bytes): (Signal, u64),
        decode: impl FnOnce(UnixNanos, &SeriesRegistry) -> Result<(Decoded, Option<Retry>), IngestError> + Send + 'static,
    ) -> Result<Admitted, IngestError> {
        let received = self.clock.now();
        let known = Known { series: self.series.clone(), templates: self.templates.clone() };
        let prepared = self.on_a_core(move || prepare(decode(received, &known.series)?, received, &known)).await?;
        match prepared? {
            Prepared::Ready(ready) => {
                let cost = (ready.admitted.accepted, bytes);
                self.quotas.take(Payer::dataset(quota_of(signal)), cost.0, cost.1, self.clock.monotonic())?;
                self.settle(quota_of(signal), cost, self.append(ready, None).await)
            }
            Prepared::BringsSeries(decoded, retry, told) => {
                let cost = (decoded.accepted, bytes);
                self.quotas.take(Payer::dataset(quota_of(signal)), cost.0, cost.1, self.clock.monotonic())?;
                let found = decoded.series.as_ref().map(|series| fingerprints(&series.rows)).unwrap_or_default();
                let reservation = self.series.reserve(&found).await;
                let ready = self.on_a_core(move || with_series(decoded, retry, reservation, told)).await?;
                let (ready, reservation) = ready?;
                // A requester that leaves must not give the reservation back: the rows may be in the log already.
                let ingest = self.clone();
                let appended = tokio::spawn(async move {
                    let appended = ingest.append(ready, Some(reservation)).await;
                    ingest.settle(quota_of(signal), cost, appended)
                });
                appended.await.map_err(IngestError::Task)?
            }
        }
    }

    /// Gives back to the quota what wrote nothing.
    fn settle(
        &self,
        dataset: &str,
        (rows, bytes): (u64, u64),
        appended: Result<Admitted, IngestError>,
    ) -> Result<Admitted, IngestError> {
        if !appended.as_ref().is_ok_and(|admitted| !admitted.is_retry) {
            self.quotas.give_back(Payer::dataset(dataset), rows, bytes);
        }
        appended
    }

    /// Returns how much may come into each dataset, to be told and changed.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Lets integer columns become doubles: that takes a look at the stored rows.
    #[must_use]
    pub fn with_store(self, store: Store) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Stores log records without looking for their templates.
    #[must_use]
    pub fn without_templates(self) -> Self {
        Self { templates: None, ..self }
    }

    /// Finds templates by these settings; what was found by others before stays known.
    pub async fn with_template_settings(self, settings: Settings) -> Result<Self, IngestError> {
        // It was opened with the defaults.
        if settings == Settings::default() {
            return Ok(self);
        }
        Ok(Self { templates: Some(known_templates(&self.catalog, settings).await?), ..self })
    }

    /// Returns what the miner of templates counted since the start.
    #[must_use]
    pub fn template_stats(&self) -> Option<Stats> {
        self.templates.as_ref().map(Templates::stats)
    }

    /// Saves what was found of log templates, so that the next start goes on from there; templates keep their ids
    /// without it, and words that vary would have to be found again.
    pub async fn save_templates(&self) -> Result<(), IngestError> {
        if let Some(state) = self.templates.as_ref().and_then(Templates::export) {
            self.catalog.save_state(TEMPLATES, &state).await?;
        }
        Ok(())
    }

    /// Makes a request's rows durable, and counts what was refused.
    pub(super) async fn append(&self, ready: Ready, series: Option<Reservation>) -> Result<Admitted, IngestError> {
        let Ready { write, mut admitted, rejected, told } = ready;
        if let Some(write) = write {
            match self.buffer.append(write).await? {
                Appended::Rows(ranges) => {
                    // What the requester sent, not what we say of it.
                    admitted.ranges = ranges.into_iter().filter(|(table, _)| !rolls_up(table)).collect();
                    if let Some(templates) = &self.templates {
                        templates.learn(&told);
                    }
                }
                Appended::Retry(told) => return Ok(answer::retold(&told, admitted)),
            }
        }
        if let Some(series) = series {
            series.commit();
        }
        for (table, rows) in rejected {
            self.buffer.count_rejected(&table, rows);
        }
        Ok(admitted)
    }

    /// Runs work for the processor off the async workers, as many at once as there are cores.
    pub(super) async fn on_a_core<T, F>(&self, work: F) -> Result<T, IngestError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let Ok(_room) = self.room.try_acquire() else { return Err(IngestError::Busy) };
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            // The permit goes with the work, which goes on when its requester has left.
            let _core = core;
            work()
        });
        done.await.map_err(IngestError::Task)
    }
}

/// A request that is ready to be written; without rows and without a key there is nothing to write.
pub(super) struct Ready {
    pub(super) write: Option<Write>,
    pub(super) admitted: Admitted,
    pub(super) rejected: Vec<(TableName, u64)>,
    /// Templates that are known when the request is durable.
    pub(super) told: Told,
}

enum Prepared {
    Ready(Ready),
    BringsSeries(Decoded, Option<Retry>, Told),
}

/// What all requests know of those before them.
struct Known {
    series: SeriesRegistry,
    templates: Option<Templates>,
}

/// How a request is known again.
#[derive(Debug, Clone, Copy)]
struct Retry {
    key: RetryKey,
    /// The producer chose the key, so it is remembered even when no row was taken.
    is_chosen: bool,
}

fn prepare(
    (mut decoded, retry): (Decoded, Option<Retry>),
    received: UnixNanos,
    known: &Known,
) -> Result<Prepared, IngestError> {
    let told = match &known.templates {
        Some(templates) => templates.mine(&mut decoded.rows, received).map_err(IngestError::Mining)?,
        None => Told::default(),
    };
    events::part(&mut decoded.rows).map_err(IngestError::Events)?;
    if decoded.series.is_some() {
        return Ok(Prepared::BringsSeries(decoded, retry, told));
    }
    Ok(Prepared::Ready(ready(decoded, retry, told)))
}

fn decoded(request: &OtlpRequest, received: UnixNanos, series: &SeriesRegistry) -> Result<Decoded, IngestError> {
    let is_known = |fingerprint| series.is_known(fingerprint);
    let walk =
        |body: &[u8]| decode(request.signal, body, received, &is_known).map_err(|error| IngestError::Decode { error });
    if request.encoding == Encoding::Protobuf {
        return walk(&request.body);
    }
    let transcoded = json::to_protobuf(request.signal, &request.body).map_err(|error| IngestError::Json { error })?;
    let mut decoded = walk(&transcoded.protobuf)?;
    let place = |index| transcoded.dropped.request_index(index);
    decoded.rejections = united(transcoded.rejections, decoded.rejections, place);
    // What the JSON reader left out counts under the table that it was for.
    decoded.rejected.extend(transcoded.dropped.by_table());
    Ok(decoded)
}

/// Reads plain entries; those that are refused count under the table that they were for.
fn plain_decoded(request: &PlainRequest, received: UnixNanos, series: &SeriesRegistry) -> Result<Decoded, IngestError> {
    let spoken = plain::to_protobuf(request, received).map_err(|error| IngestError::Plain { error })?;
    let decoded = decode(request.kind.signal(), &spoken.protobuf, received, &|id| series.is_known(id));
    let mut decoded = decoded.map_err(|error| IngestError::Decode { error })?;
    let place = |index: u64| usize::try_from(index).ok().and_then(|at| spoken.places.get(at)).copied();
    decoded.rejections = united(spoken.rejections, decoded.rejections, |index| place(index).unwrap_or(index));
    decoded.rejected = vec![(request.kind.table().clone(), decoded.rejections.total())];
    Ok(decoded)
}

/// Puts together what was refused before the walk and in it; `place` gives the latter their places in the request.
fn united(mut before: Rejections, walked: Rejections, place: impl Fn(u64) -> u64) -> Rejections {
    let listed = walked.listed.into_iter().map(|own| Rejection { index: place(own.index), ..own });
    before.listed.extend(listed);
    before.listed.sort_by_key(|rejection| rejection.index);
    before.listed.truncate(REJECTIONS_LISTED_MAX);
    for (count, more) in before.counts.iter_mut().zip(walked.counts) {
        *count += more;
    }
    before
}

/// Puts the rows of those series into the request that this request must bring.
fn with_series(
    mut decoded: Decoded,
    retry: Option<Retry>,
    reservation: Reservation,
    told: Told,
) -> Result<(Ready, Reservation), IngestError> {
    if let Some(Rows { table, rows }) = decoded.series.take() {
        let wanted: BooleanArray =
            fingerprints(&rows).into_iter().map(|fingerprint| Some(reservation.has(fingerprint))).collect();
        let rows = filter_record_batch(&rows, &wanted).map_err(IngestError::Select)?;
        if rows.num_rows() > 0 {
            decoded.rows.push(Rows { table, rows });
        }
    }
    Ok((ready(decoded, retry, told), reservation))
}

fn ready(decoded: Decoded, retry: Option<Retry>, told: Told) -> Ready {
    let Decoded { rows, accepted, rejections, rejected, .. } = decoded;
    let admitted = Admitted { accepted, rejected: rejections, ..Admitted::default() };
    let has_something = !rows.is_empty() || retry.is_some_and(|retry| retry.is_chosen);
    let write = has_something.then(|| Write::new(rows, retry.map(|retry| retry.key), answer::told(&admitted)));
    Ready { write, admitted, rejected, told }
}

/// Hashes what makes the request recognisable.
///
/// The seed keeps the same bytes sent as another signal, or as another form, apart.
fn retry_of(request: &OtlpRequest) -> Retry {
    let form = match request.encoding {
        Encoding::Protobuf => 0,
        Encoding::Json => 1,
    };
    let seed = 2 * (request.signal as u64) + form;
    let content = XxHash3_128::oneshot_with_seed(seed, &request.body);
    match &request.idempotency_key {
        None => Retry { key: RetryKey { key: content, content }, is_chosen: false },
        Some(key) => {
            let key = XxHash3_128::oneshot_with_seed(!(request.signal as u64), key.as_bytes());
            Retry { key: RetryKey { key, content }, is_chosen: true }
        }
    }
}

/// Plain entries are known again by a key alone: the same line may well be sent twice on purpose.
fn plain_retry(request: &PlainRequest) -> Option<Retry> {
    // Behind the seeds of OTLP requests.
    const SEED: u64 = 100;
    let seed = SEED + request.kind as u64;
    let key = XxHash3_128::oneshot_with_seed(seed, request.idempotency_key.as_ref()?.as_bytes());
    let content = XxHash3_128::oneshot_with_seed(seed, &request.body);
    Some(Retry { key: RetryKey { key, content }, is_chosen: true })
}

/// Returns the name by which a signal's quota is known.
const fn quota_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "logs",
        Signal::Traces => "spans",
        Signal::Metrics => "metrics",
    }
}

fn rolls_up(table: &TableName) -> bool {
    tables::all().iter().any(|spec| spec.roll_up.is_some() && spec.name == *table)
}

/// The name under which the catalog keeps what the miner knows.
const TEMPLATES: &str = "log templates";

async fn known_templates(catalog: &Catalog, settings: Settings) -> Result<Templates, IngestError> {
    let miner = Miner::new(settings).map_err(IngestError::Templates)?;
    let templates = Templates::new(miner);
    if let Some(state) = catalog.state(TEMPLATES).await?
        && let Err(error) = templates.import(&state)
    {
        tracing::warn!(%error, "what was known of log templates cannot be read; they are found anew, under the same ids");
    }
    Ok(templates)
}

fn fingerprints(series: &RecordBatch) -> Vec<u64> {
    let column = METRIC_SERIES.unique_key.and_then(|name| series.column_by_name(name));
    column.map(|column| column.as_primitive::<UInt64Type>().values().to_vec()).unwrap_or_default()
}
