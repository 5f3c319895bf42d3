//! The checksum of rows: one definition, computed here before an insert and by ClickHouse over what it stores.
//!
//! A row's bytes are its covered columns in ClickHouse's `RowBinary`, in the order of the manifest, `_seq` last. Its
//! hash is XXH3-64 of these bytes, and the checksum of rows is the sum of their hashes modulo 2^64: a value that
//! changed, a row that is lost and a row that is there twice each change it; the order of rows, parts and merges does
//! not. Doubles are taken bit by bit, so a NaN equals itself and the two zeros differ; maps have their entries in the
//! order in which they were sent, as ClickHouse stores them.
//!
//! | file | holds |
//! |---|---|
//! | `cells.rs` | a column's values as `RowBinary` |

mod cells;

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt16Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType};
use tidegate_model::{ColumnKind, ColumnSpec, PartitionDay, RowsSum, Seq, SeqRange, TableSpec, UnixNanos};
use twox_hash::XxHash3_64;

use super::client::identifier;
use cells::Cells;

/// What is summed, and of which rows.
#[derive(Debug, Clone)]
pub struct Summing<'a> {
    /// The columns; none: the rows are only counted.
    pub columns: &'a [ColumnSpec],
    /// The column with the rows' time.
    pub time_column: Option<&'a str>,
    /// Only rows of this partition.
    pub partition: PartitionDay,
}

/// Returns the expression by which ClickHouse computes the checksum of stored rows. A column that has another type by
/// now is turned back into the one that was summed.
#[must_use]
pub fn expression(columns: &[ColumnSpec], now: &TableSpec) -> String {
    format!("sum(xxh3({}))", row_bytes(columns, now))
}

/// Returns the expression by which ClickHouse counts the bytes that the checksum reads.
#[must_use]
pub fn byte_count(columns: &[ColumnSpec], now: &TableSpec) -> String {
    format!("sum(length({}))", row_bytes(columns, now))
}

fn row_bytes(columns: &[ColumnSpec], now: &TableSpec) -> String {
    let mut list = String::new();
    for column in columns {
        let name = identifier(&column.name);
        let is_same = now.column(&column.name).is_none_or(|own| own.kind == column.kind);
        let text = if is_same { name } else { format!("CAST({name}, '{}')", column.kind.clickhouse()) };
        // A String takes all text.
        let _ = write!(list, "{text}, ");
    }
    format!("formatRow('RowBinary', {list}`{}`)", TableSpec::SEQ)
}

/// Sums rows with these numbers; `rows` are as the buffer has them.
pub fn sum(rows: &RecordBatch, range: SeqRange, summing: &Summing<'_>) -> Result<RowsSum, ArrowError> {
    let lacking = |name: &str| ArrowError::SchemaError(format!("the rows have no column `{name}` of its type"));
    let partitions = rows.column_by_name(TableSpec::PARTITION).and_then(|days| days.as_primitive_opt::<UInt16Type>());
    let partitions = partitions.ok_or_else(|| lacking(TableSpec::PARTITION))?;
    let cells = summing.columns.iter().map(|column| {
        let values = rows.column_by_name(&column.name).ok_or_else(|| lacking(&column.name))?;
        Cells::of_kind(&as_stored(values, &column.kind)?, &column.kind)
    });
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    let times = summing.time_column.and_then(|name| rows.column_by_name(name));
    let times = times.and_then(|values| values.as_primitive_opt::<TimestampNanosecondType>());
    let (mut sum, mut bytes) = (RowsSum::default(), Vec::new());
    for (row, seq) in (range.first.0..=range.last.0).enumerate().take(rows.num_rows()) {
        if partitions.value(row) != summing.partition {
            continue;
        }
        bytes.clear();
        cells.iter().for_each(|cells| cells.write(row, &mut bytes));
        bytes.extend_from_slice(&seq.to_le_bytes());
        let time = times.filter(|times| arrow_array::Array::is_valid(times, row)).map(|times| times.value(row));
        sum.add(Seq(seq), XxHash3_64::oneshot(&bytes), bytes.len() as u64, time.map(UnixNanos));
    }
    Ok(sum)
}

/// Turns integers into doubles where their column was widened after the rows came: they are stored as such.
fn as_stored(values: &ArrayRef, kind: &ColumnKind) -> Result<ArrayRef, ArrowError> {
    let was_widened = *values.data_type() == DataType::Int64 && kind.arrow() == DataType::Float64;
    if was_widened { arrow_cast::cast(values, &DataType::Float64) } else { Ok(Arc::clone(values)) }
}

/// Returns the hash of each row by itself, without a number: what `xxh3(formatRow('RowBinary', …))` gives of these
/// columns.
pub fn hashes(columns: &[(ArrayRef, bool)], rows: usize) -> Result<Vec<u64>, ArrowError> {
    let cells = columns.iter().map(|(values, is_nullable)| Cells::of(values, *is_nullable));
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    let mut bytes = Vec::new();
    let hash = |row| {
        bytes.clear();
        cells.iter().for_each(|cells| cells.write(row, &mut bytes));
        XxHash3_64::oneshot(&bytes)
    };
    Ok((0..rows).map(hash).collect())
}

#[cfg(test)]
mod tests {
    use tidegate_model::ColumnKind;

    use super::*;

    #[test]
    fn rows_from_before_their_column_was_widened_are_summed_as_they_are_stored() {
        use arrow_array::{Float64Array, Int64Array, UInt16Array};
        let columns = [ColumnSpec::new("n", ColumnKind::Nullable(Box::new(ColumnKind::F64)))];
        let summing = Summing { columns: &columns, time_column: None, partition: PartitionDay::default() };
        let sum_of = |values: ArrayRef| {
            let days: ArrayRef = Arc::new(UInt16Array::from(vec![PartitionDay::default(); 3]));
            let rows = RecordBatch::try_from_iter([("n", values), (TableSpec::PARTITION, days)]).expect("rows");
            sum(&rows, SeqRange::starting_at(Seq(7), 3), &summing).expect("a sum").checksum
        };
        let before = sum_of(Arc::new(Int64Array::from(vec![Some(3), None, Some(-1)])));
        assert_eq!(before, sum_of(Arc::new(Float64Array::from(vec![Some(3.0), None, Some(-1.0)]))));
    }

    #[test]
    fn a_column_that_was_widened_is_summed_as_it_was_sent() {
        let name = "visits".parse().expect("a name");
        let now =
            TableSpec::new(name, [ColumnSpec::new("n", ColumnKind::F64), ColumnSpec::new("a`", ColumnKind::Text)]);
        let sent = [ColumnSpec::new("n", ColumnKind::I64), ColumnSpec::new("a`", ColumnKind::Text)];
        let expected = "sum(xxh3(formatRow('RowBinary', CAST(`n`, 'Int64'), `a\\``, `_seq`)))";
        assert_eq!(expression(&sent, &now), expected);
    }
}
