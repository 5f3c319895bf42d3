//! Backups of a running server, restored: nothing that was acknowledged is missing or doubled, half a backup is none.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_load::Stack;
use tokio::task::JoinHandle;

use crate::{READY_WITHIN, SMALL_BATCHES, eventually, stack};

/// Rows of each request.
const ROWS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_holds_every_acknowledged_row_once() -> Result<()> {
    let (folder, backups, mut stack) = with_backups(SMALL_BATCHES).await?;
    let least = taken_under_load(&stack).await?;
    let (code, listed) = tidegate(&["backup", "--list", "--url", &format!("http://{}", stack.http)]).await?;
    ensure!(code == 0 && listed.contains("full") && listed.contains("later"), "{listed}");
    stack.kill_serve()?;

    for (name, least) in least {
        let data = folder.path().join(name);
        let (code, said) = restored(&backups.path().join(name), &data).await?;
        ensure!(code == 0 && said.contains("verified"), "{said}");
        holds_at_least(&mut stack, &data, least).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_batch_is_between_two_parts_of_a_backup() -> Result<()> {
    // Every request is a batch.
    let rows = ROWS.to_string();
    let settings = [("TIDEGATE_BATCH__ROWS", rows.as_str()), ("TIDEGATE_BATCH__AGE_MS", "600000")];
    let (folder, backups, mut stack) = with_backups(&settings).await?;
    let mut sent = 0;
    for name in ["one", "two", "three"] {
        ensure!(send(&stack, sent).await? == 201);
        stored(&stack).await?;
        // A stopped engine holds the backup after the log's copy, while batches of later rows are due.
        stack.signal_engine(Signal::STOP)?;
        let request = reqwest::Client::new().post(format!("http://{}/admin/backups", stack.http));
        let asked = tokio::spawn(request.body(json!({ "name": name }).to_string()).send());
        let copied = backups.path().join(format!("{name}.partial/wal"));
        eventually("the log is copied", async || Ok(copied.is_dir())).await?;
        for request in sent + 1..sent + 20 {
            ensure!(send(&stack, request).await? == 201);
        }
        sent += 20;
        stack.signal_engine(Signal::CONT)?;
        ensure!(asked.await??.status() == 201, "{}", stack.log_tail());
    }
    stack.kill_serve()?;
    for (name, least) in [("one", 1), ("two", 21), ("three", 41)] {
        let data = folder.path().join(name);
        let (code, said) = restored(&backups.path().join(name), &data).await?;
        ensure!(code == 0, "{name}: {said}");
        holds_at_least(&mut stack, &data, least).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_broken_off_is_none() -> Result<()> {
    // No batch of its own accord: one that waits for the stopped engine would keep the backup from its middle.
    let (folder, backups, mut stack) = with_backups(&[("TIDEGATE_BATCH__AGE_MS", "600000")]).await?;
    ensure!(send(&stack, 0).await? == 201);
    let engine = stack.engine_pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    // A stopped engine holds the backup in its middle.
    stack.signal_engine(Signal::STOP)?;
    let url = format!("http://{}/admin/backups", stack.http);
    let request = reqwest::Client::new().post(url).body(json!({ "name": "half" }).to_string());
    let asked = tokio::spawn(request.send());
    let partial = backups.path().join("half.partial");
    eventually("the log is copied", async || Ok(partial.join("wal").is_dir())).await?;
    ensure!(send(&stack, 1).await? == 201, "rows are acknowledged while a backup is taken");
    stack.kill_serve()?;
    rustix::process::kill_process(engine.context("an engine")?, Signal::KILL)?;
    ensure!(asked.await?.is_err(), "a backup was told that nobody finished");
    ensure!(!backups.path().join("half").exists(), "half a backup has a whole one's name");
    let (code, said) = restored(&partial, &folder.path().join("of-half")).await?;
    ensure!(code == 1 && said.contains("is no backup"), "{said}");

    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    engine_answers(&stack).await?;
    let again = tidegate(&["backup", "--to", "half", "--url", &format!("http://{}", stack.http)]).await?;
    ensure!(again.0 == 4 && again.1.contains("half.partial"), "{}", again.1);
    taken(&stack, &["--to", "whole"]).await?;
    stack.kill_serve()?;
    let data = folder.path().join("of-whole");
    let (code, said) = restored(&backups.path().join("whole"), &data).await?;
    ensure!(code == 0, "{said}");
    holds_at_least(&mut stack, &data, 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_named_and_not_restored() -> Result<()> {
    let (folder, backups, stack) = with_backups(SMALL_BATCHES).await?;
    ensure!(send(&stack, 0).await? == 201);
    stored(&stack).await?;
    taken(&stack, &["--to", "full"]).await?;
    taken(&stack, &["--to", "later", "--base", "full"]).await?;
    let (full, later) = (backups.path().join("full"), backups.path().join("later"));
    let manifest: Value = serde_json::from_slice(&fs::read(full.join("manifest.json"))?)?;
    let files = manifest["files"].as_array().context("files")?;
    let part = files.iter().filter_map(|file| file["path"].as_str()).find(|path| path.ends_with("data.bin"));
    for file in [part.context("a part")?, "catalog.sqlite", "manifest.json"] {
        let sound = fs::read(full.join(file))?;
        let mut damaged = sound.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(full.join(file), &damaged)?;
        for of in [&full, &later] {
            let (code, said) = restored(of, &folder.path().join("none")).await?;
            ensure!(code == 1 && said.contains(file) && said.contains("is damaged"), "{file}: {said}");
        }
        fs::write(full.join(file), sound)?;
    }
    fs::rename(&full, backups.path().join("moved"))?;
    let (code, said) = restored(&later, &folder.path().join("none")).await?;
    ensure!(code == 1 && said.contains("is no backup"), "a base that is gone: {said}");
    fs::rename(backups.path().join("moved"), &full)?;
    let (code, said) = restored(&later, stack.data()).await?;
    ensure!(code == 1 && said.contains("is not empty"), "{said}");
    ensure!(!folder.path().join("none").exists(), "a refused restore made a folder");

    let unfinished = folder.path().join("unfinished");
    fs::create_dir(&unfinished)?;
    fs::write(unfinished.join("restoring"), "")?;
    let (code, said) = tidegate(&["serve", "--data", &unfinished.display().to_string()]).await?;
    ensure!(code == 1 && said.contains("was not finished"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_folder_for_backups_says_how_to_get_one() -> Result<()> {
    let (_folder, stack) = crate::started(&[]).await?;
    let (code, said) = tidegate(&["backup", "--url", &format!("http://{}", stack.http)]).await?;
    ensure!(code == 4 && said.contains("backup.folder"), "{said}");
    Ok(())
}

/// Takes a backup `full` and a `later` one that refers to it while rows come; returns how many requests each has at least.
pub(super) async fn taken_under_load(stack: &Stack) -> Result<[(&'static str, u64); 2]> {
    let writer = Writer::start(stack);
    eventually("rows are acknowledged", async || Ok(writer.acked() >= 30)).await?;
    let first = writer.acked();
    taken(stack, &["--to", "full"]).await?;
    let before = writer.acked();
    eventually("more rows are acknowledged", async || Ok(writer.acked() >= before + 30)).await?;
    let second = writer.acked();
    taken(stack, &["--to", "later", "--base", "full"]).await?;
    writer.stop().await?;
    Ok([("full", first), ("later", second)])
}

/// Starts a stack that takes backups.
pub(super) async fn with_backups(settings: &[(&str, &str)]) -> Result<(TempDir, TempDir, Stack)> {
    let backups = tempfile::tempdir()?;
    let place = backups.path().display().to_string();
    let (folder, mut stack) = stack(&[settings, &[("TIDEGATE_BACKUP__FOLDER", place.as_str())]].concat())?;
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    engine_answers(&stack).await?;
    Ok((folder, backups, stack))
}

pub(super) async fn engine_answers(stack: &Stack) -> Result<()> {
    eventually("the engine answers", async || Ok(stack.query("SELECT 1").await.is_ok())).await
}

/// Waits until no row is in the log only.
pub(super) async fn stored(stack: &Stack) -> Result<()> {
    eventually("all rows are stored", async || Ok(stack.get("/ledger").await?["tables"][0]["hot"] == 0)).await
}

/// Starts on a restored folder, and checks that the requests up to the `least` are in it, each row once.
pub(super) async fn holds_at_least(stack: &mut Stack, data: &Path, least: u64) -> Result<()> {
    stack.set_data(data);
    stack.add_env(SMALL_BATCHES);
    stack.start()?;
    stack.ready(READY_WITHIN).await?;
    engine_answers(stack).await?;
    let rows = once(stack).await?;
    ensure!(rows >= least * ROWS, "{rows} rows of {least} acknowledged requests");
    // The keys of its requests came with the backup: sent again they add nothing.
    for request in [0, least / 2, least - 1] {
        ensure!([200, 201].contains(&send(stack, request).await?), "a retry is answered");
    }
    stored(stack).await?;
    ensure!(once(stack).await? == rows, "a retry of a request from before the backup is a second row");
    let (code, said) = tidegate(&["verify", "--url", &format!("http://{}", stack.http)]).await?;
    ensure!(code == 0, "{said}");
    stack.kill_serve()?;
    Ok(())
}

/// Returns how many rows there are, none twice and none missing between two.
async fn once(stack: &Stack) -> Result<u64> {
    let sql =
        "SELECT count() AS rows, uniqExact(n) AS numbers, max(n) + 1 AS last, uniqExact(_seq) AS seqs FROM visits";
    let answer = stack.query(sql).await?;
    let row = answer.first().context("one row")?;
    let number = |name: &str| crate::account::as_number(&row[name]);
    let [rows, numbers, last, seqs] = ["rows", "numbers", "last", "seqs"].map(number);
    ensure!(rows == numbers && numbers == last && last == seqs, "{row} must be four times the same number");
    rows.context("a number")
}

/// Sends the rows of a request, whose number is its key.
pub(super) async fn send(stack: &Stack, request: u64) -> Result<u16> {
    post(&format!("http://{}/datasets/visits/ingest", stack.http), request).await
}

async fn post(url: &str, request: u64) -> Result<u16> {
    let row = |n: u64| json!({ "timestamp": 1_767_225_600_000_u64 + n, "n": n });
    let fields = json!([{ "name": "timestamp", "type": "timestamp" }, { "name": "n", "type": "integer" }]);
    let rows: Vec<Value> = (request * ROWS..(request + 1) * ROWS).map(row).collect();
    let body = json!({ "schema": { "fields": fields }, "rows": rows }).to_string();
    let client = reqwest::Client::new().post(url).header("content-type", "application/json");
    Ok(client.header("idempotency-key", request.to_string()).body(body).send().await?.status().as_u16())
}

pub(super) async fn taken(stack: &Stack, arguments: &[&str]) -> Result<()> {
    let url = format!("http://{}", stack.http);
    let (code, said) = tidegate(&[&["backup", "--url", &url], arguments].concat()).await?;
    ensure!(code == 0, "{said}\n{}", stack.log_tail());
    Ok(())
}

pub(super) async fn restored(from: &Path, data: &Path) -> Result<(i32, String)> {
    let [from, data] = [from, data].map(|path| path.display().to_string());
    tidegate(&["restore", "--from", &from, "--data", &data, "--verify"]).await
}

/// Runs the program; returns its exit code and what it printed.
async fn tidegate(arguments: &[&str]) -> Result<(i32, String)> {
    let library = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../lib/libchdb.so");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.args(arguments).env("TIDEGATE_LIBCHDB", library).output().await?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code().context("an exit code")?, said))
}

/// Sends one request after the other until it is stopped.
struct Writer {
    acked: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
    task: JoinHandle<Result<()>>,
}

impl Writer {
    fn start(stack: &Stack) -> Self {
        let (acked, stopped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let url = format!("http://{}/datasets/visits/ingest", stack.http);
        let (counted, until) = (Arc::clone(&acked), Arc::clone(&stopped));
        let task = tokio::spawn(async move {
            for request in 0.. {
                if until.load(Ordering::SeqCst) {
                    break;
                }
                let status = post(&url, request).await?;
                ensure!([200, 201].contains(&status), "rows are taken, also during a backup: {status}");
                counted.store(request + 1, Ordering::SeqCst);
            }
            Ok(())
        });
        Self { acked, stopped, task }
    }

    fn acked(&self) -> u64 {
        self.acked.load(Ordering::SeqCst)
    }

    async fn stop(self) -> Result<()> {
        self.stopped.store(true, Ordering::SeqCst);
        self.task.await?
    }
}
