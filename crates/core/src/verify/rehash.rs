use std::collections::HashMap;

use serde::Serialize;
use tidegate_model::limits::{VERIFY_MANIFESTS_AT_ONCE, VERIFY_ROWS_AT_ONCE};
use tidegate_model::{PartitionDay, RowsSum, Seq, SeqRange, TableName, TableSpec, tables};

use super::{VerifyError, number};
use crate::catalog::{Catalog, Manifest};
use crate::store::{Store, checksum};

/// One manifest whose rows are not those that ClickHouse holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Altered {
    /// The manifest; of rows that no manifest has, the batch and the partition.
    pub manifest: String,
    /// Rows that it tells of.
    pub rows: u64,
    /// Rows that ClickHouse has.
    pub found: u64,
    /// The checksum of its rows, in hexadecimal.
    pub checksum: String,
    /// The checksum of ClickHouse's.
    pub found_checksum: String,
}

/// Hashes the rows of every published manifest of a table again; returns how many there are, and those that differ.
pub(super) async fn altered(
    table: &TableName,
    catalog: &Catalog,
    store: &Store,
) -> Result<(u64, Vec<Altered>), VerifyError> {
    let now = described(table, catalog).await?;
    let (mut manifests, mut altered, mut after) = (0, Vec::new(), None);
    loop {
        let page = catalog.published(table, after, VERIFY_MANIFESTS_AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok((manifests, altered)) };
        after = Some(last.place());
        manifests += page.len() as u64;
        for group in groups(&page) {
            altered.extend(group_altered(group, &now, store).await?);
        }
    }
}

/// Hashes the rows of one manifest as they are in ClickHouse now.
pub async fn sum_stored(manifest: &Manifest, catalog: &Catalog, store: &Store) -> Result<RowsSum, VerifyError> {
    let now = described(&manifest.table, catalog).await?;
    let found = sums(std::slice::from_ref(manifest), &now, store).await?;
    let key = (manifest.partition, manifest.batch_range.last.0);
    let sum = found.get(&key).copied().unwrap_or_default();
    // Bytes and times are not asked for again: they are told as they came.
    Ok(RowsSum { bytes: manifest.sum.bytes, times: manifest.sum.times, ..sum })
}

/// Returns the table as it is now: columns may have another type than when rows were sent.
async fn described(table: &TableName, catalog: &Catalog) -> Result<TableSpec, VerifyError> {
    if let Some(built_in) = tables::all().into_iter().find(|spec| spec.name == *table) {
        return Ok(built_in.clone());
    }
    let dataset = catalog.datasets().await?.into_iter().find(|dataset| dataset.spec.name == *table);
    Ok(dataset.map_or_else(|| TableSpec::new(table.clone(), []), |dataset| dataset.spec))
}

/// Splits manifests into runs of the same columns that one statement hashes in time.
fn groups(page: &[Manifest]) -> Vec<&[Manifest]> {
    let (mut groups, mut start, mut rows) = (Vec::new(), 0, 0);
    for (at, manifest) in page.iter().enumerate() {
        let has_others = manifest.columns != page[start].columns;
        if at > start && (has_others || rows + manifest.sum.rows > VERIFY_ROWS_AT_ONCE) {
            groups.push(&page[start..at]);
            (start, rows) = (at, 0);
        }
        rows += manifest.sum.rows;
    }
    groups.push(&page[start..]);
    groups
}

async fn group_altered(group: &[Manifest], now: &TableSpec, store: &Store) -> Result<Vec<Altered>, VerifyError> {
    if group.iter().all(|manifest| manifest.columns.is_empty()) {
        return Ok(Vec::new());
    }
    let found = sums(group, now, store).await?;
    let differ = group.iter().filter_map(|manifest| {
        let found = found.get(&(manifest.partition, manifest.batch_range.last.0)).copied().unwrap_or_default();
        let is_same = found.rows == manifest.sum.rows && found.checksum == manifest.sum.checksum;
        (!is_same).then(|| told(manifest.id(), &manifest.sum, &found))
    });
    Ok(differ.collect())
}

/// Asks ClickHouse for the sums of the rows of some manifests, by partition and by the last row of their batch.
async fn sums(
    group: &[Manifest],
    now: &TableSpec,
    store: &Store,
) -> Result<HashMap<(PartitionDay, u64), RowsSum>, VerifyError> {
    let mut found = HashMap::new();
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(found) };
    let mut lasts: Vec<_> = group.iter().map(|manifest| manifest.batch_range.last.0).collect();
    lasts.dedup();
    let lasts = lasts.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    // No column of a dataset begins with `_`, so that none is taken for an alias.
    let sql = format!(
        "SELECT toString(toUInt16(_partition)) AS _day, \
                toString(arrayFirst(bound -> bound >= _seq, [{lasts}]::Array(UInt64))) AS _last, \
                toString(count()) AS _found, toString({}) AS _checksum, \
                toString(min(_seq)) AS _low, toString(max(_seq)) AS _high \
         FROM `{}`.`{}` WHERE _seq BETWEEN {} AND {} GROUP BY _day, _last",
        checksum::expression(&first.columns, now),
        store.database(),
        first.table,
        first.batch_range.first,
        last.batch_range.last,
    );
    for row in store.rows(&sql, &[]).await? {
        let day = PartitionDay::try_from(number(&row, "_day")?).map_err(|_| VerifyError::Answer("day"))?;
        let range = SeqRange { first: Seq(number(&row, "_low")?), last: Seq(number(&row, "_high")?) };
        let (rows, checksum) = (number(&row, "_found")?, number(&row, "_checksum")?);
        let sum = RowsSum { rows, checksum, range: Some(range), ..RowsSum::default() };
        found.insert((day, number(&row, "_last")?), sum);
    }
    Ok(found)
}

fn told(manifest: String, sent: &RowsSum, found: &RowsSum) -> Altered {
    Altered {
        manifest,
        rows: sent.rows,
        found: found.rows,
        checksum: format!("{:016x}", sent.checksum),
        found_checksum: format!("{:016x}", found.checksum),
    }
}
