use std::collections::HashMap;

use super::{Difference, VerifyError, number};
use crate::catalog::BatchRow;
use crate::store::Store;

/// Batches that one recount covers: 200 k rows each make 40 M numbers, which `uniqExact` counts group by group.
pub(super) const BATCHES_PER_PAGE: u32 = 200;

/// Recounts a page of batches, ascending and of one table, and returns those that differ; `changed` has the rows of those
/// that were changed on purpose.
pub(super) async fn differences(
    batches: &[BatchRow],
    changed: &HashMap<String, u64>,
    store: &Store,
) -> Result<Vec<Difference>, VerifyError> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(Vec::new()) };
    let lasts = batches.iter().map(|batch| batch.range.last.0.to_string()).collect::<Vec<_>>().join(",");
    let sql = format!(
        "SELECT toString(arrayFirst(bound -> bound >= _seq, [{lasts}]::Array(UInt64))) AS _last, \
                toString(count()) AS _found, toString(uniqExact(_seq)) AS _distinct \
         FROM `{}`.`{}` WHERE _seq BETWEEN {} AND {} GROUP BY _last",
        store.database(),
        first.table,
        first.range.first,
        last.range.last,
    );
    let mut counts = HashMap::new();
    for row in store.rows(&sql, &[]).await? {
        counts.insert(number(&row, "_last")?, (number(&row, "_found")?, number(&row, "_distinct")?));
    }
    let rows = |batch: &BatchRow| changed.get(batch.id.as_str()).copied().unwrap_or(batch.range.rows());
    Ok(batches.iter().filter_map(|batch| difference(batch, rows(batch), &counts)).collect())
}

fn difference(batch: &BatchRow, rows: u64, counts: &HashMap<u64, (u64, u64)>) -> Option<Difference> {
    let (found, distinct) = counts.get(&batch.range.last.0).copied().unwrap_or((0, 0));
    let exact = found == rows && distinct == rows;
    (!exact).then(|| Difference { batch: batch.id.to_string(), rows, found, distinct })
}

#[cfg(test)]
mod tests {
    use tidegate_model::{BatchId, BufferId, Seq, SeqRange, UnixNanos};

    use super::*;

    fn batch(first: u64, rows: u64) -> BatchRow {
        let table = "logs".parse().expect("a valid name");
        let range = SeqRange::starting_at(Seq(first), rows);
        let id = BatchId::of(BufferId(1), &table, range);
        BatchRow { id, table, range, sealed_at: UnixNanos(0), stored_at: None, bytes: 0, partitions: 1 }
    }

    fn check(found: u64, distinct: u64, differs: bool) {
        let counts = HashMap::from([(10, (found, distinct))]);
        assert_eq!(difference(&batch(1, 10), 10, &counts).is_some(), differs, "{found} found, {distinct} distinct");
    }

    #[test]
    fn a_batch_is_exact_only_when_each_number_is_there_once() {
        check(10, 10, false);
        check(9, 9, true);
        check(20, 10, true);
        check(10, 9, true);
    }

    #[test]
    fn a_batch_that_is_not_there_at_all_differs() {
        let gone = difference(&batch(11, 5), 5, &HashMap::new());
        assert_eq!(gone.map(|difference| (difference.rows, difference.found)), Some((5, 0)));
    }
}
