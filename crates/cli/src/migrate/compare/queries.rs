use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value};

use super::text_of;
use crate::migrate::Told;
use crate::migrate::duckdb::{identifier, table_name, text};
use crate::migrate::files::Files;
use crate::migrate::server::{Migration, Table};
use crate::migrate::source::{Place, Source};

/// Two doubles that differ by less than this share of them are one value, added up in another order.
const TOLERANCE: f64 = 1e-9;

/// A query for both engines.
#[derive(Debug, Default)]
struct Query {
    name: String,
    source: String,
    target: String,
}

/// What a query came to.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    query: String,
    pub(super) equal: bool,
    rows: usize,
    /// The first row that differs: the source's, and the target's.
    differs: Option<(Value, Value)>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.differs {
            None => write!(f, "query `{}`: equal in {} rows", self.query, self.rows),
            Some((source, target)) => write!(f, "query `{}`: {source} there, {target} here", self.query),
        }
    }
}

/// Runs queries on both engines: those of a file, and for a table of DuckDB what DuckDB itself says of each column.
pub(super) async fn run(
    told: &Told,
    migration: &Migration,
    (files, table): (&Arc<Files>, &Table),
    file: Option<&PathBuf>,
) -> Result<Vec<Outcome>> {
    let mut queries = match &files.source().place {
        Place::Duckdb { table: own, .. } => vec![of_columns(files, own, table)],
        Place::Parquet { .. } | Place::Postgres(_) => Vec::new(),
    };
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        queries.extend(parsed(&text).with_context(|| format!("read the queries of {}", file.display()))?);
    }
    let mut outcomes = Vec::with_capacity(queries.len());
    for query in &queries {
        let there = source_rows(told, migration, files.source(), &query.source).await;
        let there = there.with_context(|| format!("run `{}` on the source", query.name))?;
        let here = told.server.rows(&query.target).await.with_context(|| format!("run `{}` here", query.name))?;
        outcomes.push(compared(&query.name, there, here));
    }
    Ok(outcomes)
}

/// Counts, nulls and sums as DuckDB has them: its own engine reads its own table, and no code of ours has a part in it.
fn of_columns(files: &Files, own: &str, table: &Table) -> Query {
    let (mut there, mut here) = (vec!["count(*) AS n".to_owned()], vec!["count() AS n".to_owned()]);
    let names = files.source().rename.iter();
    let old =
        |name: &str| names.clone().find(|(_, new)| new == name).map_or_else(|| name.to_owned(), |(old, _)| old.clone());
    for (at, field) in table.fields.iter().enumerate() {
        let (their, our) = (identifier(&old(&field.name)), super::form::identifier(&field.name));
        there.push(format!("count({their}) AS c{at}"));
        here.push(match field.kind.as_str() {
            kind if kind.starts_with("array") || kind.starts_with("map") => format!("countIf(true) AS c{at}"),
            _ => format!("count({our}) AS c{at}"),
        });
        if field.kind.starts_with("array") || field.kind.starts_with("map") {
            // Nothing and an empty list are one thing here.
            there.pop();
            here.pop();
        }
        if ["integer", "uint64"].contains(&field.kind.as_str()) {
            there.push(format!("CAST(sum(CAST({their} AS HUGEINT)) AS VARCHAR) AS s{at}"));
            here.push(format!("if(count({our}) = 0, NULL, toString(sum(toInt256({our})))) AS s{at}"));
        }
    }
    let source = format!("SELECT {} FROM {} WHERE {}", there.join(", "), table_name(own), files.own_rows);
    let target = format!(
        "SELECT {} FROM `{}` WHERE startsWith(`_partition_attributes`, '{{\"migration\":')",
        here.join(", "),
        table.table
    );
    Query { name: "every column, as DuckDB itself counts it".to_owned(), source, target }
}

/// Runs a query in DuckDB: on its own file, or on the Parquet files as a view with the dataset's name.
async fn source_rows(told: &Told, migration: &Migration, source: &Source, sql: &str) -> Result<Vec<Value>> {
    let answers = match &source.place {
        Place::Duckdb { file, .. } => told.duckdb.read(file, sql).await?,
        Place::Postgres(_) => bail!("queries are run on DuckDB and on Parquet files only"),
        Place::Parquet { root, pattern } => {
            let pattern = if pattern == "**" { "**/*.parquet" } else { pattern };
            let all = text(&format!("{}/{pattern}", root.display()));
            let view = format!(
                "CREATE VIEW {} AS SELECT * FROM read_parquet({all}, union_by_name = true, hive_partitioning = true)",
                identifier(&migration.dataset)
            );
            told.duckdb.run(None, &format!("{view}; {sql}")).await?
        }
    };
    Ok(answers.into_iter().next_back().unwrap_or_default())
}

/// Reads a file of queries: `-- name: …` begins one, `-- source:` and `-- target:` begin its two forms where engines
/// write it otherwise.
fn parsed(file: &str) -> Result<Vec<Query>> {
    let mut queries: Vec<Query> = Vec::new();
    let (mut to_source, mut to_target) = (true, true);
    for line in file.lines() {
        let note = line.trim().strip_prefix("--").map(str::trim);
        match note.and_then(|note| note.split_once(':')) {
            Some(("name", name)) => {
                queries.push(Query { name: name.trim().to_owned(), ..Query::default() });
                (to_source, to_target) = (true, true);
            }
            Some(("source", _)) => (to_source, to_target) = (true, false),
            Some(("target", _)) => (to_source, to_target) = (false, true),
            _ if line.trim().is_empty() || note.is_some() => {}
            _ => {
                let Some(query) = queries.last_mut() else { bail!("a query begins with a line `-- name: what it is`") };
                for (is_meant, sql) in [(to_source, &mut query.source), (to_target, &mut query.target)] {
                    if is_meant {
                        sql.push_str(line);
                        sql.push('\n');
                    }
                }
            }
        }
    }
    for query in &mut queries {
        for sql in [&mut query.source, &mut query.target] {
            *sql = sql.trim().trim_end_matches(';').to_owned();
            if sql.is_empty() {
                bail!("the query `{}` has no SQL for both engines", query.name);
            }
        }
    }
    Ok(queries)
}

/// Compares rows by value, in their order.
fn compared(name: &str, there: Vec<Value>, here: Vec<Value>) -> Outcome {
    let rows = there.len().max(here.len());
    let at = |rows: &[Value], row: usize| rows.get(row).cloned().unwrap_or_default();
    let differs = (0..rows).find(|row| !is_same_row(&at(&there, *row), &at(&here, *row)));
    let differs = differs.map(|row| (at(&there, row), at(&here, row)));
    Outcome { query: name.to_owned(), equal: differs.is_none(), rows, differs }
}

fn is_same_row(there: &Value, here: &Value) -> bool {
    let (Some(there), Some(here)) = (there.as_object(), here.as_object()) else { return there == here };
    let get = |row: &Map<String, Value>, name: &str| row.get(name).cloned().unwrap_or_default();
    there.len() == here.len()
        && there.keys().all(|name| here.contains_key(name) && is_same(&get(there, name), &get(here, name)))
}

fn is_same(there: &Value, here: &Value) -> bool {
    if there == here {
        return true;
    }
    if there.is_null() || here.is_null() {
        return false;
    }
    if let (Value::Array(there), Value::Array(here)) = (there, here) {
        return there.len() == here.len() && there.iter().zip(here).all(|(there, here)| is_same(there, here));
    }
    let (there, here) = (text_of(there), text_of(here));
    if moment(&there) == moment(&here) {
        return true;
    }
    match (there.parse::<f64>(), here.parse::<f64>()) {
        (Ok(one), Ok(other)) => {
            // Digits that a double has no place for would look equal.
            let are_whole =
                [&there, &here].iter().all(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
            !are_whole && (one - other).abs() <= one.abs().max(other.abs()) * TOLERANCE
        }
        _ => false,
    }
}

/// Writes times alike, which engines print with more or fewer digits.
pub(in crate::migrate) fn moment(text: &str) -> String {
    let is_time = text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    if !is_time {
        return text.to_owned();
    }
    let plain = text.replace('T', " ");
    let plain = plain.trim_end_matches('Z').trim_end_matches("+00");
    let plain = if plain.contains('.') { plain.trim_end_matches('0').trim_end_matches('.') } else { plain };
    plain.trim_end_matches(" 00:00:00").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_compared_and_not_their_letters() {
        for (there, here) in [
            (json!(1.5), json!("1.5")),
            (json!(0.30000000000000004), json!(0.3)),
            (json!("2026-01-31 09:00:00"), json!("2026-01-31 09:00:00.000000000")),
            (json!("2026-01-31"), json!("2026-01-31 00:00:00")),
            (json!("2026-01-31 00:00:00"), json!("2026-01-31T00:00:00.000000000Z")),
            (json!("12.50"), json!(12.5)),
            (json!([1, 2]), json!(["1", "2"])),
            (json!("9007199254740993"), json!(9_007_199_254_740_993_i64)),
        ] {
            assert!(is_same(&there, &here), "{there} {here}");
        }
        for (there, here) in [
            (json!("9007199254740993"), json!("9007199254740992")),
            (json!("a"), json!("b")),
            (json!(null), json!(0)),
            (json!(1), json!(1.001)),
            (json!("2026-01-31 09:00:00.1"), json!("2026-01-31 09:00:00")),
        ] {
            assert!(!is_same(&there, &here), "{there} {here}");
        }
    }

    #[test]
    fn a_file_has_queries_in_one_form_or_in_two() {
        let queries = parsed("-- name: one\nSELECT 1;\n\n-- name: two\n-- source:\nSELECT 2\n-- target:\nSELECT\n3;\n");
        let queries = queries.expect("queries");
        let told: Vec<_> =
            queries.iter().map(|own| (own.name.as_str(), own.source.as_str(), own.target.as_str())).collect();
        assert_eq!(told, [("one", "SELECT 1", "SELECT 1"), ("two", "SELECT 2", "SELECT\n3")]);
        assert!(parsed("SELECT 1").is_err() && parsed("-- name: x\n-- source:\nSELECT 1").is_err());
    }
}
