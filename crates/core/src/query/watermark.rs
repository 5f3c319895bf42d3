use tidegate_model::{Seq, TableName};

use super::error::QueryError;

/// Reads `min_watermark`: `logs=123,spans=45`, or one number when the query names one table. Tables that the query
/// does not name are passed over: a client may send all that it has seen.
pub fn min_watermarks(text: &str, named: &[TableName]) -> Result<Vec<(TableName, Seq)>, QueryError> {
    if let Ok(seq) = text.trim().parse() {
        return match named {
            [table] => Ok(vec![(table.clone(), Seq(seq))]),
            _ => Err(QueryError::Parameter(format!(
                "`min_watermark={text}` goes with a query of one table, this one names {}: write `table=number,…`",
                named.len()
            ))),
        };
    }
    let mut wanted = Vec::new();
    for pair in text.split(',') {
        let parsed = pair.split_once('=').and_then(|(table, seq)| {
            let table: TableName = table.trim().parse().ok()?;
            Some((table, Seq(seq.trim().parse().ok()?)))
        });
        let Some((table, seq)) = parsed else {
            return Err(QueryError::Parameter(format!(
                "`min_watermark` has `{pair}`, it should be `table=number` (`logs=123,spans=45`)"
            )));
        };
        if named.contains(&table) {
            wanted.push((table, seq));
        }
    }
    Ok(wanted)
}
