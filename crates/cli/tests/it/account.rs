use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidegate_load::{ID_ATTRIBUTE, Stack};
use tidegate_model::Signal;

use crate::fleet::{Fate, Sent};

const EXAMPLES: usize = 5;

/// Compares all that was sent with all that is answered, then the row numbers and the ledger.
pub(crate) async fn settle(stack: &Stack, sent: &[Sent]) -> Result<()> {
    for (signal, table) in [(Signal::Logs, "logs"), (Signal::Traces, "spans")] {
        let sent: Vec<_> = sent.iter().filter(|request| request.signal == signal).collect();
        if !sent.is_empty() {
            compare(table, &sent, counts_by_id(stack, table).await?)?;
            gap_free(stack, table).await?;
        }
    }
    ledger_agrees(stack).await
}

/// Checks that a table's row numbers are 1, 2, 3, … in one answer; returns how many there are.
pub(crate) async fn gap_free(stack: &Stack, table: &str) -> Result<u64> {
    let sql = format!("SELECT count() AS rows, uniqExact(_seq) AS numbers, max(_seq) AS last FROM {table}");
    let answer = stack.query(&sql).await?;
    let row = answer.first().context("one row")?;
    let [rows, numbers, last] = ["rows", "numbers", "last"].map(|name| number(row, name));
    ensure!(rows == numbers && numbers == last, "{table}: {row} must be three times the same number");
    rows.context("a number")
}

async fn counts_by_id(stack: &Stack, table: &str) -> Result<HashMap<String, u64>> {
    let sql = format!("SELECT attributes['{ID_ATTRIBUTE}'] AS id, count() AS copies FROM {table} GROUP BY id");
    let rows = stack.query(&sql).await?;
    let pair = |row: &Value| Some((row.get("id")?.as_str()?.to_owned(), number(row, "copies")?));
    rows.iter().map(|row| pair(row).with_context(|| format!("id and copies in {row}"))).collect()
}

fn compare(table: &str, sent: &[&Sent], mut found: HashMap<String, u64>) -> Result<()> {
    let (mut missing, mut doubled, mut uncalled, mut torn, mut acked) = (vec![], vec![], vec![], 0, 0);
    for request in sent {
        let copies: Vec<u64> = request.ids.iter().map(|id| found.remove(id).unwrap_or(0)).collect();
        let with = |wrong: &dyn Fn(u64) -> bool| {
            request.ids.iter().zip(&copies).filter(|(_, n)| wrong(**n)).map(|(id, _)| id.clone()).collect::<Vec<_>>()
        };
        doubled.extend(with(&|n| n > 1));
        match request.fate {
            Fate::Acked => {
                acked += copies.len();
                missing.extend(with(&|n| n == 0));
            }
            Fate::Refused => uncalled.extend(with(&|n| n > 0)),
            Fate::Unknown => torn += usize::from(copies.iter().any(|n| *n != copies[0])),
        }
    }
    let foreign = found.len();
    let broken = missing.len() + doubled.len() + uncalled.len() + torn + foreign;
    eprintln!("{table}: {} requests, {acked} acknowledged rows", sent.len());
    let some = |ids: &[String]| ids.iter().take(EXAMPLES).cloned().collect::<Vec<_>>().join(" ");
    ensure!(
        broken == 0,
        "{table}: {} acknowledged rows missing ({}), {} doubled ({}), {} refused but stored ({}), {torn} requests stored in part, {foreign} rows never sent",
        missing.len(),
        some(&missing),
        doubled.len(),
        some(&doubled),
        uncalled.len(),
        some(&uncalled),
    );
    Ok(())
}

/// Checks `received = stored + hot + rejected + duplicate` for each table.
async fn ledger_agrees(stack: &Stack) -> Result<()> {
    for entry in ledger(stack).await? {
        let field = |name: &str| number(&entry, name).with_context(|| format!("`{name}` in {entry}"));
        let parts = field("stored")? + field("hot")? + field("rejected")? + field("duplicate")?;
        ensure!(field("received")? == parts, "the ledger does not add up: {entry}");
    }
    Ok(())
}

/// Returns how many rows of all tables are not in ClickHouse yet.
pub(crate) async fn hot_rows(stack: &Stack) -> Result<u64> {
    let hot = |entry: &Value| number(entry, "hot").with_context(|| format!("`hot` in {entry}"));
    ledger(stack).await?.iter().map(hot).sum()
}

async fn ledger(stack: &Stack) -> Result<Vec<Value>> {
    let ledger = stack.get("/ledger").await?;
    let tables = ledger.get("tables").unwrap_or(&ledger).as_array().context("tables in /ledger")?;
    ensure!(!tables.is_empty(), "the ledger is empty");
    Ok(tables.clone())
}

fn number(row: &Value, name: &str) -> Option<u64> {
    as_number(row.get(name)?)
}

/// Reads a number that may be written as text, as ClickHouse does for 64 bits.
pub(crate) fn as_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
