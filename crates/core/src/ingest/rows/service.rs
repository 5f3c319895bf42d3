use std::sync::Arc;

use bytes::Bytes;
use tidegate_model::{MigrationPiece, UnixNanos};

use super::decode::{self, Decoded, decode};
use super::error::RowsError;
use super::evolve::{Passage, is_stale};
use super::refusals::RefusedRow;
use super::retry;
use super::schema::{self, Needed};
use crate::buffer::{Rows, Write};
use crate::catalog::{Dataset, DatasetStatus, MigrationState, RefusedBy, SchemaChange};
use crate::ingest::mining::Told;
use crate::ingest::service::Ready;
use crate::ingest::{Admitted, Ingest, IngestError, Payer, answer};

/// The form of a request of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowsFormat {
    /// `application/json`: an object with `rows`, or the bare array.
    Json,
    /// `application/x-ndjson`: an object a line.
    Ndjson,
    /// `application/vnd.apache.arrow.stream`, or a file of Arrow.
    Arrow,
    /// `text/csv`, names in the first line.
    Csv,
    /// `application/vnd.apache.parquet`.
    Parquet,
}

/// Rows for one dataset, inflated.
#[derive(Debug, Clone)]
pub struct DatasetRequest {
    /// The dataset; the first request makes it.
    pub slug: String,
    /// How the body is written.
    pub format: RowsFormat,
    /// The body.
    pub body: Bytes,
    /// What a JSON body has beside its rows, for a body that has only rows: a JSON object.
    pub head: Option<Bytes>,
    /// The requester's key, from the header; a JSON body may carry it instead.
    pub idempotency_key: Option<String>,
    /// Who asks, where the body does not say.
    pub actor: Option<String>,
    /// Columns that the dataset lacks are added to it where no schema is given; otherwise rows with them are refused.
    pub may_grow: bool,
    /// The rows are taken over from an older engine: then this is in each of them, as their partition's attributes.
    pub piece: Option<MigrationPiece>,
    /// The body is one of several that a larger one was cut into.
    pub part: Option<Part>,
}

impl DatasetRequest {
    /// A request that says no more than its rows, and may bring columns.
    #[must_use]
    pub fn new(slug: impl Into<String>, format: RowsFormat, body: impl Into<Bytes>) -> Self {
        Self {
            slug: slug.into(),
            format,
            body: body.into(),
            head: None,
            idempotency_key: None,
            actor: None,
            may_grow: true,
            piece: None,
            part: None,
        }
    }
}

/// Which part of a larger body a request is: they share a key, and each is known again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Counted from 0.
    pub number: u64,
    /// The hash of the larger body: another one under the same key is refused at its first part.
    pub whole: u128,
}

/// What became of a request of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which rows were taken; those are durable.
    pub admitted: Admitted,
    /// The dataset's table as the rows found it.
    pub dataset: Dataset,
    /// How its schema changed for them.
    pub change: Option<SchemaChange>,
    /// What the request is known by when it is sent again without a key.
    pub signature: Option<String>,
    /// Refused rows that are kept to be mended.
    pub quarantined: u64,
}

/// Another request changed the dataset's schema meanwhile: so often the rows are read again.
const STALE_TRIES: usize = 5;

impl Ingest {
    /// Takes rows for a dataset: every row that fits is durable when this returns `Ok`, and those that do not are kept to
    /// be mended.
    pub async fn dataset_rows(&self, request: DatasetRequest) -> Result<Taken, IngestError> {
        let request = Arc::new(request);
        let outcome = match self.take_rows(&request).await {
            Err(IngestError::Rows { error }) => {
                self.tell_refusal(&request, &error).await?;
                return Err(error.into());
            }
            outcome => outcome?,
        };
        let Outcome { mut taken, by, refused } = outcome;
        taken.quarantined = self.hold(&request, by, refused).await;
        Ok(taken)
    }

    /// Does the same, and keeps no refused row.
    pub(super) async fn take_rows(&self, request: &Arc<DatasetRequest>) -> Result<Outcome, IngestError> {
        let mut taken = None;
        let outcome = self.take_within(request, &mut taken).await;
        let has_written = outcome.as_ref().is_ok_and(|outcome| !outcome.taken.admitted.is_retry);
        if let Some((rows, bytes)) = taken.filter(|_| !has_written) {
            let tenant = self.tenant_of(&request.slug);
            self.quotas.give_back(Payer { dataset: &request.slug, tenant: tenant.as_deref() }, rows, bytes);
        }
        outcome
    }

    /// Does the same, and tells what it took from the dataset's quota.
    async fn take_within(
        &self,
        request: &Arc<DatasetRequest>,
        taken: &mut Option<(u64, u64)>,
    ) -> Result<Outcome, IngestError> {
        let received = self.clock.now();
        let (label, _) = if request.format == RowsFormat::Json {
            let asked = Arc::clone(request);
            self.on_a_core(move || decode::addressed(&asked)).await??
        } else {
            decode::addressed(request)?
        };
        let table = schema::table_of(&request.slug, &label)?;
        let (mut tries, mut alone) = (0, false);
        loop {
            let passage = self.gates.pass(&table, alone).await;
            self.check_takes(request, &label)?;
            let stored = self.catalog.dataset(&request.slug, &label).await?;
            let (work, known) = (Arc::clone(request), stored.clone());
            let planned = self.on_a_core(move || plan(&work, known.as_ref(), received)).await??;
            let is_first = planned.needed.is_changed && stored.is_none();
            let widens = !planned.needed.widened.is_empty();
            // A table is made, and a column widened, while nobody else is at it.
            if (is_first || widens) && !alone {
                alone = true;
                continue;
            }
            if taken.is_none() {
                // Before anything of the request is written, its columns included.
                let (rows, bytes) = (planned.ready.admitted.accepted, request.body.len() as u64);
                let tenant = self.tenant_of(&request.slug);
                let payer = Payer { dataset: &request.slug, tenant: tenant.as_deref() };
                self.quotas.take(payer, rows, bytes, self.clock.monotonic())?;
                *taken = Some((rows, bytes));
            }
            if let (Some(stored), true) = (&stored, widens) {
                self.check_exact(stored, &planned.needed.widened).await?;
            }
            if planned.needed.is_changed {
                tries += 1;
                match self.put(&planned).await {
                    Err(error) if is_stale(&error) && tries < STALE_TRIES => continue,
                    outcome => outcome?,
                }
            }
            // A requester that leaves must not open the gate: the rows may be on their way into the log.
            let ingest = self.clone();
            return tokio::spawn(async move { ingest.take(planned, passage).await })
                .await
                .map_err(IngestError::Task)?;
        }
    }

    fn tenant_of(&self, slug: &str) -> Option<String> {
        self.catalog.record(slug).and_then(|record| record.tenant().map(str::to_owned))
    }

    /// Refuses rows for a dataset that is archived, or whose table is frozen for others than its migration.
    fn check_takes(&self, request: &DatasetRequest, label: &str) -> Result<(), RowsError> {
        if self.catalog.record(&request.slug).is_some_and(|record| record.status == DatasetStatus::Archived) {
            return Err(RowsError::Archived(request.slug.clone()));
        }
        let migration = self.catalog.open_migration(&request.slug, label);
        let now = self.clock.now();
        match (&request.piece, &migration) {
            (None, Some(open)) if open.state_at(now) == MigrationState::Frozen => {
                let left = open.frozen_until.map_or(0, |until| until.0.saturating_sub(now.0));
                Err(RowsError::Frozen {
                    slug: request.slug.clone(),
                    label: label.to_owned(),
                    migration: open.id.clone(),
                    ends_in_ms: u64::try_from(left / 1_000_000).unwrap_or(0),
                })
            }
            (None, _) => Ok(()),
            (Some(piece), Some(open))
                if open.id == piece.migration && open.state_at(now) != MigrationState::Switched =>
            {
                Ok(())
            }
            (Some(piece), _) => {
                let (slug, label, migration) = (request.slug.clone(), label.to_owned(), piece.migration.clone());
                Err(RowsError::NoMigration { slug, label, migration })
            }
        }
    }

    /// Waits until no request is under way that came before the table was frozen.
    pub async fn drain(&self, slug: &str, label: &str) -> Result<(), IngestError> {
        let table = schema::table_of(slug, label)?;
        drop(self.gates.pass(&table, true).await);
        Ok(())
    }

    async fn take(&self, planned: Planned, passage: Passage) -> Result<Outcome, IngestError> {
        let Planned { needed, change, ready, signature, refused, by, .. } = planned;
        let admitted = self.append(ready, None).await?;
        drop(passage);
        let change = needed.is_changed.then_some(change);
        let taken = Taken { admitted, dataset: needed.dataset, change, signature, quarantined: 0 };
        Ok(Outcome { taken, by, refused })
    }
}

/// Says what a request would make of its dataset and what it would be told, and writes nothing.
pub fn dry_run(
    request: &DatasetRequest,
    stored: Option<&Dataset>,
    received: UnixNanos,
) -> Result<(Dataset, Admitted), RowsError> {
    decode(request, stored, received).map(|decoded| (decoded.needed.dataset, decoded.admitted))
}

/// What became of a request, before its refused rows are kept.
pub(super) struct Outcome {
    taken: Taken,
    by: RefusedBy,
    pub(super) refused: Vec<RefusedRow>,
}

/// Rows that are ready to be written, once their dataset is.
pub(super) struct Planned {
    /// The dataset as the rows need it.
    pub(super) needed: Needed,
    pub(super) change: SchemaChange,
    pub(super) dataset_name: Option<String>,
    pub(super) storage_target: Option<String>,
    ready: Ready,
    signature: Option<String>,
    refused: Vec<RefusedRow>,
    by: RefusedBy,
}

fn plan(request: &DatasetRequest, stored: Option<&Dataset>, received: UnixNanos) -> Result<Planned, RowsError> {
    let Decoded { needed, rows, known, admitted, refused, body } = decode(request, stored, received)?;
    let table = needed.dataset.spec.name.clone();
    let rejected = admitted.rejected.total();
    let rejected = if rejected > 0 { vec![(table.clone(), rejected)] } else { Vec::new() };
    // A signature is no promise that anything was taken; a key is remembered even when nothing was.
    let is_chosen = known.as_ref().is_some_and(|known| known.signature.is_none());
    let has_something = admitted.accepted > 0 || is_chosen;
    let rows = if admitted.accepted > 0 { vec![Rows { table, rows }] } else { Vec::new() };
    let retry = known.as_ref().map(|known| known.retry);
    let write = has_something.then(|| Write::new(rows, retry, answer::told(&admitted)));
    let change = SchemaChange {
        actor: body.actor.or_else(|| request.actor.clone()).unwrap_or_default(),
        added: needed.added.clone(),
        widened: needed.widened.clone(),
        backfill: body.schema.is_some_and(|schema| schema.backfill),
    };
    let by = RefusedBy {
        slug: request.slug.clone(),
        label: needed.dataset.label.clone(),
        origin: retry::origin(request),
        at: received,
        partition: body.partition_text,
        actor: change.actor.clone(),
    };
    let signature = known.and_then(|known| known.signature);
    let ready = Ready { write, admitted, rejected, told: Told::default() };
    let (dataset_name, storage_target) = (body.dataset_name, body.storage_target);
    Ok(Planned { needed, change, dataset_name, storage_target, ready, signature, refused, by })
}
