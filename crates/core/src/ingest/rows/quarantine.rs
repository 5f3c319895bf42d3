//! Refused rows: kept, mended, sent again, each at most once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tidegate_model::UnixNanos;
use tidegate_model::limits::QUARANTINE_REPLAY_ROWS_MAX;
use twox_hash::XxHash3_128;

use super::nested::is_json;
use super::refusals::RefusedRow;
use super::service::{DatasetRequest, RowsFormat};
use crate::catalog::{AuditEntry, HeldRow, Refused, RefusedBy};
use crate::ingest::{Ingest, IngestError, Reason};

/// A refused row that is to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// Its number in quarantine.
    pub id: i64,
    /// What it is now, as JSON; as it was where that is `None`.
    pub row: Option<String>,
}

/// What became of rows that were sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Rows that were taken; they are durable, and gone from the quarantine.
    pub taken: Vec<i64>,
    /// Rows that were refused again, and why.
    pub refused: Vec<(i64, Reason, String)>,
    /// Rows that are not there.
    pub missing: Vec<i64>,
}

const REPLAY_SEED: u64 = 0x7265_706c_6179;

impl Ingest {
    /// Keeps the refused rows of a request; returns how many.
    pub(super) async fn hold(&self, request: &DatasetRequest, by: RefusedBy, rows: Vec<RefusedRow>) -> u64 {
        if rows.is_empty() {
            return 0;
        }
        let refused = rows.into_iter().map(|row| Refused {
            index: row.rejection.index,
            reason: row.rejection.reason.as_str().to_owned(),
            detail: row.rejection.detail,
            row: row.text,
        });
        match self.catalog.hold(&by, &refused.collect::<Vec<_>>()).await {
            Ok(kept) => kept,
            Err(error) => {
                // The other rows are durable, and the answer says that these are not kept.
                let error = &error as &dyn std::error::Error;
                tracing::warn!(dataset = request.slug, error, "refused rows could not be kept");
                0
            }
        }
    }

    /// Sends refused rows again, mended or as they are.
    pub async fn replay(&self, slug: &str, wanted: &[Mended], actor: &str) -> Result<Replayed, IngestError> {
        let _one_at_a_time = self.replays.lock().await;
        self.finish(slug).await?;
        let wanted: BTreeMap<i64, Option<&str>> = wanted.iter().map(|row| (row.id, row.row.as_deref())).collect();
        let ids: Vec<i64> = wanted.keys().copied().collect();
        let held = self.catalog.held_by_id(slug, &ids).await?;
        let is_there = |id: &i64| held.iter().any(|row| row.id == *id);
        let mut outcome =
            Replayed { missing: ids.into_iter().filter(|id| !is_there(id)).collect(), ..Replayed::default() };
        let mut groups: BTreeMap<(String, String), Vec<HeldRow>> = BTreeMap::new();
        for mut row in held {
            if let Some(Some(text)) = wanted.get(&row.id) {
                (*text).clone_into(&mut row.row);
            }
            groups.entry((row.label.clone(), row.partition.clone())).or_default().push(row);
        }
        for rows in groups.into_values() {
            for rows in rows.chunks(QUARANTINE_REPLAY_ROWS_MAX) {
                let texts: Vec<(i64, &str)> = rows.iter().map(|row| (row.id, row.row.as_str())).collect();
                let key = XxHash3_128::oneshot_with_seed(REPLAY_SEED, json!([slug, texts]).to_string().as_bytes());
                self.catalog.begin_replay(slug, &texts, key).await?;
                self.send_again(slug, rows, key, &mut outcome).await?;
            }
        }
        self.tell(slug, actor, &outcome).await?;
        Ok(outcome)
    }

    /// Ends the replays that a crash cut off: what was taken then is known again by its key.
    pub async fn finish_replays(&self) -> Result<(), IngestError> {
        let _one_at_a_time = self.replays.lock().await;
        for slug in self.catalog.replaying().await? {
            self.finish(&slug).await?;
        }
        Ok(())
    }

    /// Lets refused rows go for good; returns how many there were.
    pub async fn discard(&self, slug: &str, ids: &[i64], actor: &str) -> Result<u64, IngestError> {
        let _one_at_a_time = self.replays.lock().await;
        self.finish(slug).await?;
        let discarded = self.catalog.discard(slug, ids).await?;
        let detail = json!({ "rows": discarded });
        self.audit(slug, ("quarantine.discarded", true), actor, detail).await?;
        Ok(discarded)
    }

    async fn finish(&self, slug: &str) -> Result<(), IngestError> {
        let mut groups: BTreeMap<u128, Vec<HeldRow>> = BTreeMap::new();
        for row in self.catalog.replaying_rows(slug).await? {
            groups.entry(row.replay.unwrap_or_default()).or_default().push(row);
        }
        let mut outcome = Replayed::default();
        for (key, rows) in groups {
            self.send_again(slug, &rows, key, &mut outcome).await?;
        }
        Ok(())
    }

    /// Sends rows as one request under their key, and ends their replay.
    async fn send_again(
        &self,
        slug: &str,
        rows: &[HeldRow],
        key: u128,
        outcome: &mut Replayed,
    ) -> Result<(), IngestError> {
        let (good, bad): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_json(row.row.as_bytes()));
        let mut refused: Vec<_> =
            bad.iter().map(|row| (row.id, Reason::Malformed, "the row is not JSON".to_owned())).collect();
        let mut taken: Vec<i64> = Vec::new();
        if let Some(first) = good.first() {
            let request = Arc::new(again(slug, first, &good, key));
            let mut why: BTreeMap<u64, (Reason, String)> = BTreeMap::new();
            match self.take_rows(&request).await {
                Ok(outcome) => {
                    why.extend(
                        outcome
                            .refused
                            .into_iter()
                            .map(|row| (row.rejection.index, (row.rejection.reason, row.rejection.detail))),
                    );
                }
                // Nothing of it was written, and the same would be refused for ever.
                Err(IngestError::Rows { error }) => {
                    why.extend((0..).zip(&good).map(|(index, _)| (index, (Reason::Malformed, error.to_string()))));
                }
                Err(error) => return Err(error),
            }
            for (index, row) in (0..).zip(&good) {
                match why.remove(&index) {
                    None => taken.push(row.id),
                    Some((reason, detail)) => refused.push((row.id, reason, detail)),
                }
            }
        }
        let told: Vec<_> =
            refused.iter().map(|(id, reason, why)| (*id, reason.as_str().to_owned(), why.clone())).collect();
        self.catalog.end_replay(slug, &taken, &told).await?;
        outcome.taken.append(&mut taken);
        outcome.refused.append(&mut refused);
        Ok(())
    }

    async fn tell(&self, slug: &str, actor: &str, outcome: &Replayed) -> Result<(), IngestError> {
        let detail = json!({ "taken": outcome.taken.len(), "refused": outcome.refused.len() });
        self.audit(slug, ("quarantine.replayed", outcome.refused.is_empty()), actor, detail).await
    }

    /// Writes what was done, or refused, into the dataset's audit log.
    pub(super) async fn audit(
        &self,
        slug: &str,
        (action, success): (&'static str, bool),
        actor: &str,
        detail: serde_json::Value,
    ) -> Result<(), IngestError> {
        let (slug, actor, at): (_, _, UnixNanos) = (slug.to_owned(), actor.to_owned(), self.clock.now());
        Ok(self.catalog.add_audit(&AuditEntry { slug, at, action, success, actor, detail }).await?)
    }
}

/// Makes the request that rows of one table and one partition are.
fn again(slug: &str, first: &HeldRow, rows: &[&HeldRow], key: u128) -> DatasetRequest {
    let texts: Vec<&str> = rows.iter().map(|row| row.row.as_str()).collect();
    let partition =
        if first.partition.is_empty() { String::new() } else { format!("\"partition\":{},", first.partition) };
    let body = format!("{{\"tableName\":{},{partition}\"rows\":[{}]}}", json!(first.label), texts.join(","));
    DatasetRequest {
        idempotency_key: Some(format!("replay:{key:032x}")),
        actor: Some(first.actor.clone()).filter(|actor| !actor.is_empty()),
        // Rows are mended to fit the schema, not the other way round.
        may_grow: false,
        ..DatasetRequest::new(slug, RowsFormat::Json, body)
    }
}
