use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_load::Stack;

use super::{Gate, S3};
use crate::exports::{DAY_MS, ask, ended, listed, send};
use crate::{READY_WITHIN, eventually, started};

const ROWS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_completed_when_its_objects_are_whole_whatever_broke_before() -> Result<()> {
    let server = S3::start().await?;
    let gate = Gate::to(server.address).await?;
    let (_folder, mut stack) = with_bucket(&server, &gate).await?;
    send(&stack, DAY_MS, 0, ROWS).await?;

    // The server is gone in the middle of the rows, and comes back.
    gate.close_after(20_000);
    let asked = ask(&stack, &json!({ "storageTargetId": "s3", "folder": "month/january" })).await?;
    eventually("the server is gone", async || Ok(gate.is_closed())).await?;
    ensure!(manifests(&server).await?.is_empty(), "half an export has a manifest");
    ensure!(listed(&stack).await?[0]["state"] == "running");
    gate.open();
    let export = ended(&stack, id(&asked)?).await?;
    whole(&server, &export).await?;
    ensure!(
        export["folder"] == format!("s3://rows/tide/gate/month/january/visits/records/{}", id(&asked)?),
        "{export}"
    );

    // It is gone in the middle, and the process is killed.
    gate.close_after(20_000);
    let asked = ask(&stack, &json!({ "storageTargetId": "s3" })).await?;
    eventually("the server is gone", async || Ok(gate.is_closed())).await?;
    stack.kill_serve()?;
    ensure!(manifests(&server).await?.len() == 1, "half an export has a manifest");
    gate.open();
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    whole(&server, &ended(&stack, id(&asked)?).await?).await?;
    ensure!(!stack.data().join("exports/.sending").join(id(&asked)?).exists(), "what was sent is still on the disk");
    let text = reqwest::get(format!("http://{}/metrics", stack.http)).await?.text().await?;
    ensure!(text.contains(r#"tidegate_exports_total{state="completed",target="s3"} 1"#), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_goes_to_the_target_of_its_dataset_and_says_why_it_cannot() -> Result<()> {
    let server = S3::start().await?;
    let gate = Gate::to(server.address).await?;
    let (_folder, stack) = with_bucket(&server, &gate).await?;
    send(&stack, DAY_MS, 0, 10).await?;
    let client = reqwest::Client::new();
    let made =
        |body: Value| client.post(format!("http://{}/admin/storage-targets", stack.http)).body(body.to_string()).send();
    for (id, bucket) in [("cold", "rows"), ("lost", "nowhere")] {
        let target = json!({ "id": id, "kind": "s3", "config": { "bucket": bucket, "prefix": "cold/store" } });
        ensure!(made(target).await?.status() == 201);
    }
    let put = client.put(format!("http://{}/admin/datasets/visits/storage-target", stack.http));
    let answer = put.body(json!({ "storageTargetId": "cold" }).to_string()).send().await?;
    ensure!(answer.status() == 200, "{}", answer.text().await?);
    let export = ended(&stack, id(&ask(&stack, &json!({})).await?)?).await?;
    ensure!(export["storage_target_id"] == "cold");
    whole(&server, &export).await?;

    let lost = ended(&stack, id(&ask(&stack, &json!({ "storageTargetId": "lost" })).await?)?).await?;
    let why = lost["error"].as_str().context("a reason")?;
    ensure!(lost["state"] == "failed", "{lost}");
    for part in ["s3://nowhere/cold/store/visits/records/", "manifest.json", "NoSuchBucket", "make the bucket"] {
        ensure!(why.contains(part), "{part} is not in: {why}");
    }
    let unknown = ask(&stack, &json!({ "storageTargetId": "none" })).await;
    ensure!(unknown.is_err_and(|error| error.to_string().contains("no storage target `none`")));
    Ok(())
}

async fn with_bucket(server: &S3, gate: &Gate) -> Result<(TempDir, Stack)> {
    let settings = server.settings(gate.address);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    started(&settings).await
}

fn id(export: &Value) -> Result<&str> {
    export["id"].as_str().context("an id")
}

async fn manifests(server: &S3) -> Result<Vec<String>> {
    let keys = server.keys().await?;
    Ok(keys.into_iter().filter(|key| key.ends_with("/manifest.json")).collect())
}

/// Checks that the objects are what the manifest says, and nothing else.
async fn whole(server: &S3, export: &Value) -> Result<()> {
    ensure!(export["state"] == "completed", "{export}");
    let key = export["folder"].as_str().and_then(|folder| folder.strip_prefix("s3://rows/")).context("a place")?;
    let own: Vec<_> = server.keys().await?.into_iter().filter(|found| found.starts_with(key)).collect();
    ensure!(own == ["SHA256SUMS", "manifest.json", "rows.parquet"].map(|name| format!("{key}/{name}")), "{own:?}");
    let manifest: Value = serde_json::from_slice(&server.read(&format!("{key}/manifest.json")).await?)?;
    ensure!(manifest == export["manifest"], "{manifest} is not {export}");
    let rows = server.read(&format!("{key}/rows.parquet")).await?;
    ensure!(manifest["files"][0]["bytes"] == rows.len() as u64 && rows.starts_with(b"PAR1") && rows.ends_with(b"PAR1"));
    let folder = tempfile::tempdir()?;
    for name in ["SHA256SUMS", "manifest.json", "rows.parquet"] {
        std::fs::write(folder.path().join(name), server.read(&format!("{key}/{name}")).await?)?;
    }
    let local = json!({ "state": "completed", "folder": folder.path(), "manifest": manifest });
    ensure!(manifest["rows"] == crate::exports::files::whole(&local)?, "{manifest}");
    Ok(())
}
