use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use tidegate_load::Stack;

use crate::{account, eventually, started};

/// What people call columns, and what SQL makes of it when a quote is forgotten.
const NAMES: &[&str] = &[
    "plain",
    "with space",
    " edges ",
    "dotted.name",
    "dotted",
    "a.b.c",
    "1st",
    "select",
    "Case",
    "case",
    "ünïcödé",
    "日本語",
    "🎉",
    "per%cent",
    "{brace:UInt8}",
    "-- dash",
    "/* star",
    "semi;colon",
    "*",
    "(paren",
    "@timestamp",
    "http.request.header.content-type[0]",
];

/// What no quoting makes safe everywhere: refused, with the row.
const REFUSED: &[&str] = &["", "quo\"te", "apo'strophe", "back`tick", "back\\slash", "tab\there", "_ours"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_of_any_name_are_hot_stored_selected_and_filtered() -> Result<()> {
    let (_folder, stack) = started(&[("TIDEGATE_BATCH__AGE_MS", "3600000")]).await?;
    let row: Map<String, Value> = NAMES.iter().map(|name| ((*name).to_owned(), json!(format!("of {name}")))).collect();
    // The second row lacks every column; the third brings one more, into rows that wait already.
    ingest(&stack, &format!("{}\n{{\"plain\":\"alone\"}}\n", Value::Object(row.clone()))).await?;
    ingest(&stack, "{\"plain\":\"third\",\"late column.\":\"here\"}\n").await?;
    for name in REFUSED {
        let body = json!({ "plain": "refused", *name: 1 }).to_string();
        let told = ingest(&stack, &body).await.expect_err("a name that is refused").to_string();
        ensure!(told.contains("cannot name a column"), "{name:?}: {told}");
    }
    check(&stack, &row).await.context("hot")?;

    let stored = restarted(stack).await?;
    check(&stored, &row).await.context("stored")
}

/// Stops, which stores what is hot, and starts again.
async fn restarted(mut stack: Stack) -> Result<Stack> {
    let (_, clean) = stack.stop()?;
    ensure!(clean, "{}", stack.log_tail());
    stack.start()?;
    stack.ready(crate::READY_WITHIN).await?;
    eventually("a query is answered", async || Ok(stack.query("SELECT 1").await.is_ok())).await?;
    ensure!(account::hot_rows(&stack).await? == 0, "rows are hot after a stop:\n{}", stack.log_tail());
    Ok(stack)
}

async fn check(stack: &Stack, row: &Map<String, Value>) -> Result<()> {
    let rows = stack.query("SELECT * FROM names ORDER BY _seq").await?;
    let found = |at: usize, name: &str| rows.get(at).and_then(|row| row.get(name)).cloned().unwrap_or_default();
    ensure!(rows.len() == 3 && found(2, "late column.") == "here", "{rows:?}");
    for name in NAMES {
        ensure!(found(0, name) == row[*name], "`{name}`: {:?}", found(0, name));
        ensure!(*name == "plain" || found(1, name) == Value::Null, "`{name}`: {:?}", found(1, name));
        let quoted = format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"));
        let text = format!("of {name}").replace('\\', "\\\\").replace('\'', "\\'");
        let sql = format!("SELECT count() AS rows FROM names WHERE {quoted} = '{text}'");
        ensure!(stack.number(&sql).await.with_context(|| sql.clone())? == 1, "{sql}");
    }
    Ok(())
}

async fn ingest(stack: &Stack, body: &str) -> Result<()> {
    let url = format!("http://{}/datasets/names/ingest", stack.http);
    let request = reqwest::Client::new().post(url).header("content-type", "application/x-ndjson");
    let answer = request.body(body.to_owned()).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 201 && text.contains("\"rejected\":0"), "{status} {text}");
    Ok(())
}
