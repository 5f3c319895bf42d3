use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidegate_load::Stack;

use super::{Gate, S3};
use crate::backup::{engine_answers, send, stored};
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedule_takes_backups_and_restores_the_newest_on_trial() -> Result<()> {
    let server = S3::start().await?;
    let gate = Gate::to(server.address).await?;
    let settings = server.settings(gate.address);
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    settings.extend([("TIDEGATE_BACKUP__TARGET", "s3"), ("TIDEGATE_BACKUP__EVERY_HOURS", "24")]);
    settings.push(("TIDEGATE_BACKUP__DRILL_HOURS", "24"));
    let (_folder, mut stack) = stack(&[settings.as_slice(), SMALL_BATCHES].concat())?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    engine_answers(&stack).await?;
    eventually("the schedule's first backup was restored", async || {
        Ok(stack.get("/health").await?["backups"]["last_drill"]["good"] == true)
    })
    .await?;
    ensure!(stack.get("/health").await?["backups"]["good"] == true);
    ensure!(!stack.data().join("drill").exists(), "what a drill made is still on the disk");
    let all = stack.get("/admin/backups").await?;
    let first = &all["backups"][0];
    ensure!(first["scheduled"] == true && first["last_drill"]["good"] == true, "{all}");

    // By hand, of rows; then of a backup that somebody has changed.
    ensure!(send(&stack, 0).await? == 201);
    stored(&stack).await?;
    ensure!(tidegate(&stack, &["--to", "own"])?.0 == 0);
    let (code, said) = tidegate(&stack, &["--drill"])?;
    ensure!(code == 0 && said.contains("own is good: 20 rows restored"), "{said}");
    let key = "tide/gate/backups/own/catalog.sqlite";
    let mut damaged = server.read(key).await?;
    damaged[100] ^= 1;
    server.write(key, damaged).await?;
    let (code, said) = tidegate(&stack, &["--drill", "own"])?;
    ensure!(code == 1 && said.contains(key) && said.contains("is damaged"), "{said}");
    let health = stack.get("/health").await?;
    ensure!(health["backups"]["good"] == false && health["backups"]["last_drill"]["backup"] == "own", "{health}");
    let text = reqwest::get(format!("http://{}/metrics", stack.http)).await?.text().await?;
    for line in ["tidegate_backup_alarm 1", "tidegate_backup_drills_total{outcome=\"failed\"} 1"] {
        ensure!(text.contains(line), "{line} is not in {text}");
    }
    let listed: Vec<Value> = stack.get("/admin/backups").await?["backups"].as_array().context("backups")?.clone();
    ensure!(listed.iter().any(|one| one["name"] == "own" && one["last_drill"]["good"] == false), "{listed:?}");
    Ok(())
}

fn tidegate(stack: &Stack, arguments: &[&str]) -> Result<(i32, String)> {
    let url = format!("http://{}", stack.http);
    let output =
        Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("backup").args(arguments).args(["--url", &url]).output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code().context("an exit code")?, said))
}
