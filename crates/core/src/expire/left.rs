use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;
use tidegate_model::limits::VERIFY_MANIFESTS_AT_ONCE;
use tidegate_model::{PartitionDay, RowsSum, Seq, SeqRange, UnixNanos};

use super::{Expire, ExpireError, Target};
use crate::catalog::Manifest;
use crate::store::checksum;

impl Expire {
    /// Sums what stays of the manifests of a partition that have a row from before a time.
    pub(super) async fn left_of(
        &self,
        target: &Target,
        partition: PartitionDay,
        before: UnixNanos,
    ) -> Result<Vec<(Manifest, RowsSum)>, ExpireError> {
        let manifests = self.sources.catalog.manifests_before(&target.spec.name, partition, before).await?;
        let mut left = Vec::with_capacity(manifests.len());
        let mut rest = manifests.as_slice();
        while let Some(first) = rest.first() {
            let most = usize::try_from(VERIFY_MANIFESTS_AT_ONCE).unwrap_or(usize::MAX).min(rest.len());
            let alike = rest[..most].iter().take_while(|manifest| manifest.columns == first.columns).count();
            let (group, others) = rest.split_at(alike);
            let sums = self.sums(target, (partition, before), group).await?;
            let sum = |manifest: &Manifest| sums.get(&manifest.batch_range.last.0).copied().unwrap_or_default();
            left.extend(group.iter().map(|manifest| (manifest.clone(), sum(manifest))));
            rest = others;
        }
        Ok(left)
    }

    /// Asks ClickHouse for the sums of rows that stay, under names that no column of a user's has, by the last row of
    /// their batch; the batches need not be neighbours.
    async fn sums(
        &self,
        target: &Target,
        (partition, before): (PartitionDay, UnixNanos),
        group: &[Manifest],
    ) -> Result<HashMap<u64, RowsSum>, ExpireError> {
        let (Some(first), Some(last), Some(time)) = (group.first(), group.last(), &target.time) else {
            return Ok(HashMap::new());
        };
        let list = |number: fn(&SeqRange) -> u64| {
            group.iter().fold(String::new(), |mut list, manifest| {
                let comma = if list.is_empty() { "" } else { "," };
                // A String takes all text.
                let _ = write!(list, "{comma}{}", number(&manifest.batch_range));
                list
            })
        };
        let (firsts, lasts) = (list(|range| range.first.0), list(|range| range.last.0));
        let sql = format!(
            "SELECT toString([{lasts}]::Array(UInt64)[__at]) AS __last, toString(count()) AS __found, \
                    toString({}) AS __checksum, toString({}) AS __bytes, toString(min(_seq)) AS __low, \
                    toString(max(_seq)) AS __high, toString(toUnixTimestamp64Nano(min({time}))) AS __first_time, \
                    toString(toUnixTimestamp64Nano(max({time}))) AS __last_time, \
                    arrayFirstIndex(bound -> bound >= _seq, [{lasts}]::Array(UInt64)) AS __at \
             FROM `{}`.`{}` WHERE _partition = toDate({partition}) AND _seq BETWEEN {} AND {} \
                 AND {time} >= fromUnixTimestamp64Nano({before}, 'UTC') \
                 AND _seq >= [{firsts}]::Array(UInt64)[arrayFirstIndex(bound -> bound >= _seq, [{lasts}]::Array(UInt64))] \
             GROUP BY __at",
            checksum::expression(&first.columns, &target.spec),
            checksum::byte_count(&first.columns, &target.spec),
            self.sources.store.database(),
            target.spec.name,
            first.batch_range.first,
            last.batch_range.last,
            before = before.0,
        );
        let rows = self.sources.store.rows(&sql, &[]).await?;
        rows.iter().map(|row| Ok((number(row, "__last")?, sum(row)?))).collect()
    }
}

fn sum(row: &Value) -> Result<RowsSum, ExpireError> {
    let time = |name| Ok::<_, ExpireError>(UnixNanos(signed(row, name)?));
    Ok(RowsSum {
        rows: number(row, "__found")?,
        bytes: number(row, "__bytes")?,
        checksum: number(row, "__checksum")?,
        range: Some(SeqRange { first: Seq(number(row, "__low")?), last: Seq(number(row, "__high")?) }),
        times: Some((time("__first_time")?, time("__last_time")?)),
    })
}

fn number(row: &Value, name: &'static str) -> Result<u64, ExpireError> {
    row[name].as_str().and_then(|text| text.parse().ok()).ok_or(ExpireError::Answer(name))
}

fn signed(row: &Value, name: &'static str) -> Result<i64, ExpireError> {
    row[name].as_str().and_then(|text| text.parse().ok()).ok_or(ExpireError::Answer(name))
}
