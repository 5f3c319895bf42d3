use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidegate_load::now_unix_nanos;
use tidegate_model::partition_date;

use super::{DAY_MS, ask, ended, files, listed, send, tidegate};
use crate::{eventually, started};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_and_stored_rows_are_exported_once_while_more_come() -> Result<()> {
    // Batches that only their size seals: some rows are always stored, and some are always hot.
    let settings = [("TIDEGATE_BATCH__ROWS", "1000"), ("TIDEGATE_BATCH__AGE_MS", "3600000")];
    let (_folder, stack) = started(&settings).await?;
    let today_ms = now_unix_nanos() / 1_000_000 / DAY_MS * DAY_MS;
    send(&stack, today_ms, 0, 1_300).await?;
    let ledger = async |place: &str| anyhow::Ok(stack.get("/ledger").await?["tables"][0][place].as_u64().unwrap_or(0));
    eventually("some rows are stored", async || Ok(ledger("stored").await? > 0)).await?;
    send(&stack, today_ms, 1_300, 200).await?;
    ensure!(ledger("hot").await? > 0, "some rows are hot");

    let (acked, stop) = (AtomicU64::new(1_500), AtomicBool::new(false));
    let writer = async {
        while !stop.load(Ordering::SeqCst) {
            let first = acked.load(Ordering::SeqCst);
            send(&stack, today_ms, first, 70).await?;
            acked.store(first + 70, Ordering::SeqCst);
        }
        anyhow::Ok(())
    };
    let reader = async {
        let mut last = 0;
        for _ in 0..8 {
            let floor = acked.load(Ordering::SeqCst);
            let asked = ask(&stack, &json!({})).await?;
            let export = ended(&stack, asked["id"].as_str().context("an id")?).await?;
            last = files::whole(&export)?;
            ensure!(last >= floor, "{last} rows are exported, {floor} were acknowledged before");
        }
        stop.store(true, Ordering::SeqCst);
        Ok(last)
    };
    let (written, last) = tokio::join!(writer, reader);
    written?;
    ensure!(last? > 1_500, "no row came while exports were written");
    ensure!(listed(&stack).await?.len() == 8);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_or_a_time_is_exported_from_the_terminal() -> Result<()> {
    let (_folder, stack) = started(&[("TIDEGATE_BATCH__AGE_MS", "3600000")]).await?;
    let today = now_unix_nanos() / 1_000_000 / DAY_MS;
    send(&stack, today * DAY_MS, 0, 100).await?;
    let yesterday = partition_date(u16::try_from(today - 1)?);
    let day = |day: &str| format!("{day}T00:00:00.020Z");
    let (from, to) = (day(&yesterday), day(&partition_date(u16::try_from(today)?)));

    let own = ["datasets", "export", "visits", "--json"];
    let check = |more: &[&str], holds: &dyn Fn(i64) -> bool| {
        let said = tidegate(&stack, &[&own, more].concat())?;
        let numbers: Vec<i64> = files::rows(&serde_json::from_str(&said)?)?.into_iter().map(|row| row.1).collect();
        let expect: Vec<i64> = (0..100).filter(|n| holds(*n)).collect();
        ensure!(numbers == expect, "{more:?}: {numbers:?}");
        anyhow::Ok(())
    };
    check(&["--shard", &yesterday, "--folder", "days"], &|n| n % 2 == 1)?;
    // From then on, and before then: the row of the first moment is in it, that of the last is not.
    check(&["--from", &from, "--to", &to], &|n| if n % 2 == 1 { n >= 20 } else { n < 20 })?;
    ensure!(stack.data().join("exports/days/visits/records").is_dir());

    let empty = tidegate(&stack, &["datasets", "export", "logs"])?;
    ensure!(empty.starts_with("0 rows, "), "{empty}");
    let list = tidegate(&stack, &["datasets", "exports", "visits"])?;
    ensure!(list.contains("completed"), "{list}");
    let refused = [
        json!({ "shard": "2026-02-30" }),
        json!({ "shard": yesterday, "from": from }),
        json!({ "from": to, "to": from }),
        json!({ "folder": "/elsewhere" }),
        json!({ "folder": "a/../../b" }),
        json!({ "colour": "red" }),
    ];
    for body in refused {
        ensure!(ask(&stack, &body).await.is_err_and(|error| error.to_string().starts_with("400")), "{body}");
    }
    let roll_up = tidegate(&stack, &["datasets", "export", "catalog_signals"]);
    ensure!(roll_up.is_err_and(|error| error.to_string().contains("cannot be exported")));
    Ok(())
}
