use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::Method;
use serde_json::json;
use tidegate_load::Stack;

use super::{ask, done, state, write_folder};
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, started};

const FIRST: i64 = 1_000_000;

async fn send(stack: &Stack, first: i64, rows: i64) -> Result<()> {
    let rows = (first..first + rows).map(|n| json!({ "at": "2026-11-21T00:00:00Z", "n": n }));
    let body = json!({ "rows": rows.collect::<Vec<_>>(), "idempotencyKey": first.to_string() });
    let (status, told) = ask(stack, Method::POST, "/datasets/visits/ingest", Some(body)).await?;
    ensure!(status == 201, "{status} {told}");
    Ok(())
}

/// Reads every whole file of the mirror.
fn mirrored(folder: &Path) -> Result<Vec<i64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some() {
            continue;
        }
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path.join("rows.parquet"))?)?.build()? {
            let batch = batch?;
            numbers.extend(batch.column_by_name("n").context("n")?.as_primitive::<Int64Type>().values().iter());
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_engine_gets_each_new_row_once_and_none_of_its_own_whoever_dies() -> Result<()> {
    let (folder, mut stack) = started(SMALL_BATCHES).await?;
    let root = folder.path().join("old");
    write_folder(&root, 6, 200)?;
    let from = root.display().to_string();
    let taking = ["parquet", "--from", &from, "--dataset", "visits"];
    done(&stack, &taking)?;
    // It begins with a mirror of nothing: what was there is the older engine's own.
    done(&stack, &["mirror", "visits"])?;
    let mut next = FIRST;
    for round in 0..4 {
        for _ in 0..5 {
            send(&stack, next, 40).await?;
            next += 40;
        }
        if round == 1 {
            // Rows of the older engine that come meanwhile are not given back to it.
            super::write_file(&root.join("shop=ü/part-0006.parquet"), 1_200, 200)?;
            done(&stack, &taking)?;
        }
        if round < 3 {
            stack.kill_serve()?;
            stack.start()?;
            stack.ready(READY_WITHIN).await?;
        }
    }
    eventually("the mirror is level", async || Ok(state(&stack).await?["mirror"]["lagRows"] == 0)).await?;
    let told = state(&stack).await?;
    let files = told["mirror"]["folder"].as_str().context("a folder")?.to_owned();
    let found = mirrored(Path::new(&files))?;
    ensure!(found == (FIRST..next).collect::<Vec<_>>(), "{} rows of {}", found.len(), next - FIRST);

    // A folder that cannot be written to costs nobody a row, and is told of.
    let aside = format!("{files}.aside");
    fs::rename(&files, &aside)?;
    fs::write(&files, "in the way")?;
    send(&stack, next, 40).await?;
    next += 40;
    eventually("the trouble is told", async || {
        Ok(stack.get("/health").await?["mirrors"][0]["why"].as_str().is_some_and(|why| why.contains(&files)))
    })
    .await?;
    ensure!(step(&stack, "switch").await? == 409, "a mirror that is behind keeps reads from being switched");
    fs::remove_file(&files)?;
    fs::rename(&aside, &files)?;
    eventually("the mirror is level again", async || Ok(state(&stack).await?["mirror"]["lagRows"] == 0)).await?;
    ensure!(mirrored(Path::new(&files))? == (FIRST..next).collect::<Vec<_>>());

    done(&stack, &["cutover", "visits"])?;
    send(&stack, next, 40).await?;
    // With a mirror the way back is open.
    done(&stack, &["rollback", "visits"])?;
    ensure!(mirrored(Path::new(&files))?.len() == usize::try_from(next + 40 - FIRST)?);
    done(&stack, &["cutover", "visits"])?;
    done(&stack, &["cleanup", "visits", "--yes", "--remove-files"])?;
    ensure!(!Path::new(&files).exists(), "the files are gone");
    Ok(())
}

async fn step(stack: &Stack, step: &str) -> Result<u16> {
    let id = state(stack).await?["id"].as_str().context("an id")?.to_owned();
    Ok(ask(stack, Method::POST, &format!("/admin/migrations/{id}/steps/{step}"), Some(json!({}))).await?.0)
}
