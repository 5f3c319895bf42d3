use tidegate_model::Seq;

use super::{Paging, RecordFilter, RecordKind, matching, records};
use crate::buffer::TableTail;
use crate::query::{Freshness, FreshnessMode, Query, QueryError};

/// What is in memory of what was asked for.
#[derive(Debug)]
pub struct HotPage {
    /// The rows, as plain JSON.
    pub rows: Vec<serde_json::Value>,
    /// Rows up to this one were not looked at: they are in ClickHouse.
    pub above: Seq,
    /// How many rows there are in memory that are not among these, for the limit.
    pub left_out: u64,
    /// How fresh it is.
    pub freshness: Freshness,
}

impl Query {
    /// Answers with the log records or events that are not in ClickHouse yet, and never asks it.
    pub async fn hot_records(
        &self,
        kind: RecordKind,
        filter: &RecordFilter,
        paging: &Paging,
    ) -> Result<HotPage, QueryError> {
        records::checked(paging, 0)?;
        let name = kind.spec().name.clone();
        let Some(TableTail { stored, head, oldest_ms, chunks, .. }) =
            self.buffer.snapshot(std::slice::from_ref(&name)).pop()
        else {
            return Ok(HotPage {
                rows: Vec::new(),
                above: Seq::ZERO,
                left_out: 0,
                freshness: hot_only(Vec::new(), None),
            });
        };
        let filter = filter.clone();
        let found = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for chunk in chunks {
                found.extend(matching(kind, &filter, (chunk.range.first, &chunk.rows()?))?);
            }
            Ok::<_, QueryError>(found)
        });
        let mut found = found.await??;
        found.sort_unstable_by_key(|record| (record.time, record.seq));
        if !paging.rises {
            found.reverse();
        }
        let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
        let left_out = found.len().saturating_sub(limit) as u64;
        let rows = found.iter().take(limit).map(|record| record.to_json(kind)).collect();
        Ok(HotPage { rows, above: stored, left_out, freshness: hot_only(vec![(name, head, stored)], oldest_ms) })
    }
}

fn hot_only(tables: Vec<(tidegate_model::TableName, Seq, Seq)>, oldest_ms: Option<u64>) -> Freshness {
    let heads: Vec<_> = tables.iter().map(|(table, head, _)| (table.clone(), *head)).collect();
    Freshness {
        mode: FreshnessMode::HotBufferOnly,
        replica_age_ms: oldest_ms.unwrap_or(0),
        watermarks: heads.clone(),
        latest: heads,
        stored: tables.into_iter().map(|(table, _, stored)| (table, stored)).collect(),
    }
}
