use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_load::{Stack, now_unix_nanos};

use super::{DAY_MS, ask, ended, files, listed, send};
use crate::receiver::Receiver;
use crate::start::run_in_catalog;
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, started};

/// Kills that must fall while a folder is written.
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_leaves_no_half_export() -> Result<()> {
    let (_folder, mut stack) = started(SMALL_BATCHES).await?;
    let today_ms = now_unix_nanos() / 1_000_000 / DAY_MS * DAY_MS;
    for first in 0..20 {
        send(&stack, today_ms, first * 1_000, 1_000).await?;
    }
    let (mut hit, mut asked) = (Vec::new(), 0);
    while hit.len() < KILLS {
        ensure!(asked < 50, "exports are written too fast for a kill");
        let export = ask(&stack, &json!({})).await?;
        asked += 1;
        if kill_while_it_is_written(&mut stack, &export).await? {
            hit.push(export["id"].clone());
        }
    }
    let all_ended = async || {
        Ok(listed(&stack).await?.iter().all(|one| !["queued", "running"].iter().any(|state| one["state"] == *state)))
    };
    eventually("every export has ended", all_ended).await?;
    let exports = listed(&stack).await?;
    ensure!(exports.len() == asked, "{} of {asked} exports are listed", exports.len());
    for export in &exports {
        ensure!(files::whole(export)? == 20_000, "{export}");
    }
    let again = exports.iter().filter(|one| hit.contains(&one["id"]) && one["attempts"] == 2).count();
    ensure!(again > 0, "no export was begun again: {exports:?}");
    let folders = std::fs::read_dir(stack.data().join("exports/visits/records"))?;
    ensure!(folders.count() == asked, "a folder is left that no export has");
    Ok(())
}

/// Kills the server once the export's folder is begun, and starts it again; `false`: the export was faster.
async fn kill_while_it_is_written(stack: &mut Stack, export: &Value) -> Result<bool> {
    let folder = export["folder"].as_str().context("a folder")?;
    let part = format!("{folder}.part");
    while !Path::new(&part).exists() {
        if Path::new(folder).exists() {
            return Ok(false);
        }
        tokio::task::yield_now().await;
    }
    stack.kill_serve()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    Ok(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhook_is_told_until_it_listens_also_over_a_kill() -> Result<()> {
    let receiver = Receiver::start().await?;
    let url = format!("http://{}/hook", receiver.address);
    let settings = [("TIDEGATE_EXPORTS__WEBHOOK_URL", url.as_str()), ("TIDEGATE_EXPORTS__WEBHOOK_SECRET", "s3cret")];
    let (_folder, mut stack) = started(&settings).await?;
    send(&stack, DAY_MS, 0, 10).await?;
    let asked = ask(&stack, &json!({})).await?;
    let id = asked["id"].as_str().context("an id")?;
    let export = ended(&stack, id).await?;
    // What was not taken before the kill is sent after it.
    stack.kill_serve()?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    let kinds = || -> Vec<String> {
        receiver.deliveries().iter().filter_map(|one| one.headers.get("x-tidegate-event").cloned()).collect()
    };
    let completed = "timestore.dataset.export.completed";
    eventually("both are taken", async || Ok(kinds().iter().any(|kind| kind == completed))).await?;
    let all = receiver.deliveries();
    let created = "timestore.dataset.export.created";
    // At least once, in order: the first was refused twice.
    ensure!(kinds().starts_with(&[created, created, created].map(str::to_owned)), "{:?}", kinds());
    ensure!(all.iter().take(3).all(|one| one.headers["x-tidegate-delivery"] == "1"), "{all:?}");
    let last = all.last().context("one")?;
    ensure!(last.body["type"] == completed && last.body["export"] == export, "{last:?} is not of {export}");
    for one in &all {
        let signature = one.headers["x-tidegate-signature"].strip_prefix("sha256=").context("a signature")?;
        ensure!(signature.len() == 64 && one.headers["x-tidegate-timestamp"].parse::<u64>().is_ok(), "{one:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedule_exports_and_keeps_the_newest() -> Result<()> {
    let settings = [("TIDEGATE_EXPORTS__EVERY_HOURS", "24"), ("TIDEGATE_EXPORTS__KEEP", "1")];
    let (_folder, mut stack) = started(&settings).await?;
    send(&stack, DAY_MS, 0, 10).await?;
    for round in 1..=2 {
        // It looks at every start.
        stack.kill_serve()?;
        if round == 2 {
            let day_before = "UPDATE exports SET created_at = created_at - 86400000000000";
            run_in_catalog(stack.data(), day_before).await?;
        }
        stack.start()?;
        stack.ready(READY_WITHIN).await?;
        let is_done = async || {
            let all = listed(&stack).await?;
            Ok(all.len() == round
                && all[0]["state"] == "completed"
                && all[1..].iter().all(|one| one["state"] == "removed"))
        };
        eventually("the schedule asks once a day", is_done).await?;
    }
    let all = listed(&stack).await?;
    ensure!(all.iter().all(|one| one["scheduled"] == true), "{all:?}");
    ensure!(files::whole(&all[0])? == 10);
    let gone = all[1]["folder"].as_str().context("a folder")?;
    eventually("the older one is removed", async || Ok(!Path::new(gone).exists())).await
}
