use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{check_rows, done, migrate, refused, state, target, write_file, write_folder};
use crate::start::run_in_catalog;
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, started};

const FILES: i64 = 60;
const NUMBERS_EACH: i64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_and_forgotten_each_row_of_the_source_is_here_once() -> Result<()> {
    let (folder, mut stack) = started(SMALL_BATCHES).await?;
    let root = folder.path().join("old");
    let rows = write_folder(&root, FILES, NUMBERS_EACH)?;
    let from = root.display().to_string();
    let arguments = ["parquet", "--from", &from, "--dataset", "visits", "--json"];
    let plan = done(&stack, &["parquet", "--from", &from, "--dataset", "visits", "--plan"])?;
    ensure!(plan.contains(&format!("{FILES} files, {rows} rows")) && plan.contains("decimal(18,4)"), "{plan}");
    ensure!(stack.get("/admin/migrations").await?["migrations"] == serde_json::json!([]), "a plan begins nothing");

    let mut broken_off = 0;
    for round in 0..3_u64 {
        let mut child = migrate(&stack, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let wanted = (round + 1) * rows / 6;
        eventually("some rows are taken", async || {
            Ok(child.try_wait()?.is_some() || state(&stack).await?["seen"].as_u64().unwrap_or(0) >= wanted)
        })
        .await?;
        broken_off += u64::from(child.try_wait()?.is_none());
        if round < 2 {
            child.kill()?;
            child.wait()?;
        } else {
            // This one finds the server away, and then back, and goes on by itself.
            stack.kill_serve()?;
            stack.start()?;
            stack.ready(READY_WITHIN).await?;
            ensure!(child.wait()?.success(), "a run gave up though the server came back");
        }
    }
    ensure!(broken_off > 0, "every run was faster than its kill");

    // A stop in the middle long ago: no retry key and no note is left, and the rows say what was taken.
    write_file(&root.join("shop=ü/part-9999.parquet"), FILES * NUMBERS_EACH, NUMBERS_EACH)?;
    let before = state(&stack).await?["seen"].as_u64().context("rows")?;
    eventually("all rows are stored", async || Ok(stack.get("/ledger").await?["tables"][0]["hot"] == 0)).await?;
    let (_, clean) = stack.stop()?;
    ensure!(clean, "{}", stack.log_tail());
    run_in_catalog(stack.data(), "DELETE FROM data_migration_pieces").await?;
    run_in_catalog(stack.data(), "DELETE FROM retries").await?;
    std::fs::remove_dir_all(stack.data().join("wal"))?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let report: Value = serde_json::from_str(&done(&stack, &arguments)?)?;
    let all = rows + rows / u64::try_from(FILES)?;
    ensure!(report["known"] == before && report["rows"] == report["accepted"], "{before} before: {report}");
    ensure!(report["rows"] == all, "{report}");
    check_rows(&stack, (FILES + 1) * NUMBERS_EACH).await?;

    let report: Value = serde_json::from_str(&done(&stack, &arguments)?)?;
    ensure!(report["sent"] == 0, "a run that is over sends nothing: {report}");
    let compared: Value = serde_json::from_str(&done(&stack, &["validate", "visits", "--json"])?)?;
    ensure!(compared["equal"] == true && compared["rows"] == report["rows"] && compared["rejected"] == 0, "{compared}");
    ensure!(compared["compared"].as_array().is_some_and(|list| list.len() >= 10), "{compared}");
    let places = target(&stack, "SELECT shop, toString(count()) AS c FROM visits GROUP BY shop ORDER BY shop").await?;
    ensure!(places.len() == 2 && places[0]["shop"] == "a b" && places[1]["shop"] == "ü", "{places:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_said_before_anything_is_sent() -> Result<()> {
    let (folder, stack) = started(&[]).await?;
    let root = folder.path().join("old");
    write_file(&root.join("a.parquet"), 0, 10)?;
    let from = root.display().to_string();
    let own = ["parquet", "--from", &from, "--dataset", "visits"];
    let taken = |more: &[&str]| refused(&stack, &[&own, more].concat());
    ensure!(taken(&["--rename", "n=_n"])?.contains("cannot be called `_n`"));
    ensure!(taken(&["--rename", "n=text"])?.contains("two columns would be called `text`"));
    ensure!(taken(&["--leave-out", "colour"])?.contains("no column `colour`"));
    ensure!(refused(&stack, &["parquet", "--from", "nowhere/*.parquet", "--dataset", "visits"])?.contains("nowhere"));
    ensure!(stack.get("/admin/migrations").await?["migrations"] == serde_json::json!([]), "nothing was begun");

    done(&stack, &[&own[..], &["--leave-out", "ratio", "--rename", "n=number"]].concat())?;
    let rows = target(&stack, "SELECT toString(sum(number)) AS s, toString(count()) AS c FROM visits").await?;
    ensure!(rows[0]["s"] == "45" && rows[0]["c"] == "11", "{rows:?}");
    // The same table from another source, and a file that is not what it was.
    ensure!(taken(&[])?.contains("another source"));
    write_file(&root.join("a.parquet"), 0, 11)?;
    let changed = taken(&["--leave-out", "ratio", "--rename", "n=number"])?;
    ensure!(changed.contains("a.parquet") && changed.contains("not what it was"), "{changed}");
    Ok(())
}
