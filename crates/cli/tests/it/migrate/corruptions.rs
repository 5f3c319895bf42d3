use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, done, refused, write_folder};
use crate::{SMALL_BATCHES, eventually, started};

/// A change of one row, and the column in which it is to be found.
const CHANGES: [(&str, &str, &str); 8] = [
    ("n = 1234567", "n = 11", "n"),
    ("price = price + toDecimal64('0.0001', 4)", "n = 121", "price"),
    ("ratio = -ratio", "n = 241", "ratio"),
    ("text = concat(assumeNotNull(text), ' ')", "n = 361", "text"),
    ("text = ''", "n = 483", "text"),
    ("ok = NULL", "n = 601", "ok"),
    ("id = toUUID('00000000-0000-0000-0000-00000000ffff')", "n = 721", "id"),
    ("list = arrayPushBack(list, 7)", "n = 841", "list"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_difference_is_found_and_its_row_is_named() -> Result<()> {
    let settings = [SMALL_BATCHES, &[("TIDEGATE_QUERY__ADMIN_SQL", "true")]].concat();
    let (folder, stack) = started(&settings).await?;
    let root = folder.path().join("old");
    write_folder(&root, 10, 120)?;
    let from = root.display().to_string();
    done(&stack, &["parquet", "--from", &from, "--dataset", "visits"])?;
    eventually("all rows are stored", async || Ok(stack.get("/ledger").await?["tables"][0]["hot"] == 0)).await?;
    done(&stack, &["validate", "visits"])?;

    for (change, which, _) in CHANGES {
        admin(&stack, &format!("ALTER TABLE tidegate.visits UPDATE {change} WHERE {which}")).await?;
    }
    // One of two equal rows goes, another becomes three.
    let lost = "_seq = (SELECT min(_seq) FROM tidegate.visits WHERE n = 960)";
    admin(&stack, &format!("ALTER TABLE tidegate.visits DELETE WHERE {lost}")).await?;
    admin(&stack, "INSERT INTO tidegate.visits SELECT * FROM tidegate.visits WHERE n = 1090 LIMIT 1").await?;

    let said = refused(&stack, &["validate", "visits", "--json"])?;
    let end = said.rfind('}').context("a report")?;
    let report: Value = serde_json::from_str(&said[..=end])?;
    ensure!(report["equal"] == false && report["rowsDiffer"] == 10 && report["piecesDiffer"] == 10, "{report}");
    let differences = report["differences"].as_array().context("differences")?;
    for (change, which, column) in CHANGES {
        let number: u64 = which.trim_start_matches("n = ").parse()?;
        let found = differences.iter().find(|one| one["source"]["n"] == number);
        let found = found.with_context(|| format!("{which} is not found: {report}"))?;
        ensure!(found["columns"] == json!([column]), "{change}: {found}");
        ensure!(found["source"][column] != found["target"][column], "{change}: {found}");
    }
    let one_side = |side: &str, n: u64| {
        let other = if side == "source" { "target" } else { "source" };
        differences.iter().any(|one| one[side]["n"] == n && one[other].is_null())
    };
    ensure!(one_side("source", 960), "the lost row is not found: {report}");
    ensure!(one_side("target", 1090), "the doubled row is not found: {report}");
    // Taken together, columns tell of it too, by another way.
    let columns: Vec<_> = report["columns"].as_array().into_iter().flatten().map(|one| one["what"].clone()).collect();
    for what in ["sum of `n`", "sum of `price`", "sum of `ratio`", "nulls of `text`", "sum of `ok`"] {
        ensure!(columns.contains(&json!(what)), "{what} is not among {columns:?}");
    }
    let migration = super::state(&stack).await?;
    ensure!(migration["validation"]["equal"] == false, "{migration}");
    let step = format!("/admin/migrations/{}/steps", migration["id"].as_str().context("an id")?);
    ensure!(ask(&stack, Method::POST, &format!("{step}/freeze"), Some(json!({}))).await?.0 == 200);
    let (status, told) = ask(&stack, Method::POST, &format!("{step}/switch"), Some(json!({}))).await?;
    ensure!(status == 409 && told["error"]["reasons"][0] == "the last comparison found differences", "{status} {told}");
    Ok(())
}

async fn admin(stack: &tidegate_load::Stack, sql: &str) -> Result<()> {
    let sql = if sql.starts_with("ALTER") { format!("{sql} SETTINGS mutations_sync = 2") } else { sql.to_owned() };
    let body = json!({ "sql": sql, "mode": "command" });
    let (status, told) = ask(stack, Method::POST, "/sql/admin/clickhouse", Some(body)).await?;
    ensure!(status == 200, "{sql}: {status} {told}");
    Ok(())
}
