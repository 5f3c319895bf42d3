use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_load::Stack;

use super::{ask, check_rows, done, refused, state, write_file, write_folder};
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, started};

/// Takes a step of the open migration.
async fn step(stack: &Stack, step: &str, body: Value) -> Result<(u16, Value)> {
    let migration = state(stack).await?;
    let path = format!("/admin/migrations/{}/steps/{step}", migration["id"].as_str().context("an id")?);
    ask(stack, Method::POST, &path, Some(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_switched_only_when_all_is_taken_and_compared_and_go_back_when_asked() -> Result<()> {
    let (folder, mut stack) = started(SMALL_BATCHES).await?;
    let root = folder.path().join("old");
    write_folder(&root, 4, 100)?;
    let from = root.display().to_string();
    let place = "https://old.example/visits";
    done(&stack, &["parquet", "--from", &from, "--dataset", "visits", "--ask", place])?;

    for (method, path, body) in [
        (Method::POST, "/datasets/visits/query", Some(json!({}))),
        (Method::GET, "/sql/read?query=SELECT+count()+FROM+visits", None),
    ] {
        let (status, told) = ask(&stack, method, path, body).await?;
        ensure!(status == 409 && told["error"]["details"]["ask"] == place, "{path}: {status} {told}");
    }
    let (status, told) = step(&stack, "switch", json!({})).await?;
    let reasons = told["error"]["reasons"].to_string();
    ensure!(status == 409 && reasons.contains("not frozen") && reasons.contains("not compared"), "{told}");
    let (status, told) = step(&stack, "rollback", json!({})).await?;
    ensure!(status == 409, "{told}");

    // A file that came since; the cut-over takes it.
    write_file(&root.join("shop=ü/part-0004.parquet"), 400, 100)?;
    let said = done(&stack, &["cutover", "visits"])?;
    ensure!(said.contains("both are equal") && said.contains("reads are switched"), "{said}");
    ensure!(stack.number("SELECT count() AS n FROM visits").await? == 550);
    check_rows(&stack, 500).await?;

    // What comes now is here only: there is no mirror, so nobody may go back unawares.
    let row = json!({ "rows": [{ "at": "2026-11-21T00:00:00Z", "n": 1_000_000 }] });
    ensure!(ask(&stack, Method::POST, "/datasets/visits/ingest", Some(row)).await?.0 == 201);
    ensure!(refused(&stack, &["rollback", "visits"])?.contains("1 rows came since the switch"));
    stack.kill_serve()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    ensure!(stack.number("SELECT count() AS n FROM visits").await? == 551, "the switch survives a kill");
    done(&stack, &["rollback", "visits", "--force"])?;
    let (status, _) = ask(&stack, Method::POST, "/datasets/visits/query", Some(json!({}))).await?;
    ensure!(status == 409 && state(&stack).await?["state"] == "copying", "reads are back");

    done(&stack, &["cutover", "visits"])?;
    ensure!(refused(&stack, &["cleanup", "visits"])?.contains("add --yes"));
    done(&stack, &["cleanup", "visits", "--yes"])?;
    ensure!(state(&stack).await?["state"] == "finished");
    let audit = stack.get("/admin/datasets/visits/audit").await?["entries"].to_string();
    for action in ["begun", "frozen", "compared", "switched", "rolled_back", "thawed", "finished"] {
        ensure!(audit.contains(&format!("migration.{action}")) && audit.contains("mara"), "{action} is not in {audit}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_lets_no_row_in_and_ends_by_itself() -> Result<()> {
    let (folder, stack) = started(SMALL_BATCHES).await?;
    let root = folder.path().join("old");
    write_folder(&root, 2, 50)?;
    let from = root.display().to_string();
    done(&stack, &["parquet", "--from", &from, "--dataset", "visits"])?;
    let (acked, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let writer = async {
        let mut refusals = 0_u64;
        while !stop.load(Ordering::SeqCst) {
            let n = 1_000_000 + acked.load(Ordering::SeqCst);
            let row = json!({ "rows": [{ "at": "2026-11-21T00:00:00Z", "n": n }], "idempotencyKey": n.to_string() });
            match ask(&stack, Method::POST, "/datasets/visits/ingest", Some(row)).await? {
                (201, _) => drop(acked.fetch_add(1, Ordering::SeqCst)),
                (503, told) => {
                    let error = &told["error"];
                    ensure!(
                        error["retry_after_ms"] == 1_000 && error["message"].to_string().contains("cut over"),
                        "{told}"
                    );
                    refusals += 1;
                }
                (status, told) => anyhow::bail!("{status} {told}"),
            }
        }
        Ok(refusals)
    };
    let count = async || stack.get("/ledger").await.map(|told| told["tables"][0]["received"].clone());
    let freezer = async {
        eventually("rows come", async || Ok(acked.load(Ordering::SeqCst) > 5)).await?;
        ensure!(step(&stack, "freeze", json!({ "seconds": 2 })).await?.0 == 200);
        // Whoever is told that it is frozen finds nothing under way.
        let before = count().await?;
        for _ in 0..20 {
            ensure!(count().await? == before, "a row came into a frozen table");
        }
        let seen = acked.load(Ordering::SeqCst);
        eventually("the freeze ends", async || Ok(acked.load(Ordering::SeqCst) > seen + 1)).await?;
        ensure!(state(&stack).await?["writes"] == "open");
        let (status, told) = step(&stack, "switch", json!({})).await?;
        ensure!(status == 409 && told["error"]["reasons"][0] == "the table is not frozen", "{told}");
        stop.store(true, Ordering::SeqCst);
        anyhow::Ok(())
    };
    let (refusals, frozen) = tokio::join!(writer, freezer);
    frozen?;
    ensure!(refusals? > 0, "nobody was refused");
    let own = super::target(&stack, "SELECT toString(count()) AS c FROM visits WHERE n >= 1000000").await?;
    let all = acked.load(Ordering::SeqCst).to_string();
    ensure!(own[0]["c"] == all, "{own:?}");
    Ok(())
}
