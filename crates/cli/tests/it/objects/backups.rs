use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tidegate_load::Stack;

use super::{Gate, S3};
use crate::backup::{engine_answers, holds_at_least, send, stored, taken, taken_under_load};
use crate::{READY_WITHIN, SMALL_BATCHES, eventually, stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_in_a_bucket_holds_every_acknowledged_row_once() -> Result<()> {
    let server = S3::start().await?;
    let gate = Gate::to(server.address).await?;
    let (folder, mut stack) = with_backups(&server, &gate).await?;
    let least = taken_under_load(&stack).await?;
    ensure!(std::fs::read_dir(stack.data().join("staged"))?.next().is_none(), "what was sent is still on the disk");
    stack.kill_serve()?;

    for (name, least) in least {
        let data = folder.path().join(name);
        let (code, said) = restored(&server, name, &data)?;
        ensure!(code == 0 && said.contains("verified"), "{said}");
        ensure!(!folder.path().join(format!("{name}.staged")).exists(), "what was read is still on the disk");
        holds_at_least(&mut stack, &data, least).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_whose_server_went_away_is_none_and_a_damaged_one_is_named() -> Result<()> {
    let server = S3::start().await?;
    let gate = Gate::to(server.address).await?;
    let (folder, mut stack) = with_backups(&server, &gate).await?;
    ensure!(send(&stack, 0).await? == 201);
    stored(&stack).await?;

    taken(&stack, &["--to", "whole"]).await?;
    let bytes = stack.get("/admin/backups").await?["backups"][0]["bytes"].as_i64().context("bytes")?;

    // The server goes in the middle, and with it the process that sends.
    gate.close_after(bytes * 9 / 10);
    let url = format!("http://{}/admin/backups", stack.http);
    let asked = tokio::spawn(reqwest::Client::new().post(url).body(r#"{"name":"half"}"#).send());
    eventually("the server is gone", async || Ok(gate.is_closed())).await?;
    stack.kill_serve()?;
    ensure!(asked.await?.is_err(), "a backup was told that nobody finished");
    let half: Vec<_> = server.keys().await?.into_iter().filter(|key| key.contains("/half/")).collect();
    ensure!(!half.is_empty() && !half.iter().any(|key| key.ends_with("manifest.json")), "{half:?}");
    gate.open();
    let (code, said) = restored(&server, "half", &folder.path().join("none"))?;
    ensure!(code == 1 && said.contains("s3://rows/tide/gate/backups/half is no backup"), "{said}");

    // The same name again, on top of what is left.
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    engine_answers(&stack).await?;
    taken(&stack, &["--to", "half"]).await?;
    taken(&stack, &["--to", "later", "--base", "half"]).await?;
    let manifest: Value = serde_json::from_slice(&server.read("tide/gate/backups/half/manifest.json").await?)?;
    let files: Vec<_> = manifest["files"].as_array().context("files")?.iter().collect();
    ensure!(server.keys().await?.iter().filter(|key| key.contains("/half/")).count() == files.len() + 2);
    let part = files.iter().filter_map(|file| file["path"].as_str()).find(|path| path.ends_with("data.bin"));
    for file in [part.context("a part")?, "catalog.sqlite", "manifest.json"] {
        let key = format!("tide/gate/backups/half/{file}");
        let sound = server.read(&key).await?;
        let mut damaged = sound.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        server.write(&key, damaged).await?;
        for of in ["half", "later"] {
            let (code, said) = restored(&server, of, &folder.path().join("none"))?;
            ensure!(code == 1 && said.contains(&key) && said.contains("is damaged"), "{file}: {said}");
        }
        server.write(&key, sound).await?;
    }
    ensure!(!folder.path().join("none").exists(), "a refused restore made a folder");
    let (code, said) = restored(&server, "later", &folder.path().join("of-later"))?;
    ensure!(code == 0, "{said}");
    Ok(())
}

async fn with_backups(server: &S3, gate: &Gate) -> Result<(TempDir, Stack)> {
    let settings = server.settings(gate.address);
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    settings.push(("TIDEGATE_BACKUP__TARGET", "s3"));
    let (folder, mut stack) = stack(&[settings.as_slice(), SMALL_BATCHES].concat())?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    engine_answers(&stack).await?;
    Ok((folder, stack))
}

fn restored(server: &S3, name: &str, data: &Path) -> Result<(i32, String)> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lib/libchdb.so");
    let from = format!("s3://rows/tide/gate/backups/{name}");
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["restore", "--verify", "--from", &from, "--data"])
        .arg(data)
        .env("TIDEGATE_LIBCHDB", library)
        .envs(server.settings(server.address))
        .output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code().context("an exit code")?, said))
}
