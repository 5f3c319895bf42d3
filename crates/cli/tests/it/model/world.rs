use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_load::Stack;

use super::plain::{Column, Kind, Plain, Row, compared, time_before};
use crate::account::{as_number, hot_rows};
use crate::draws::Draws;
use crate::{READY_WITHIN, eventually, stack};

/// Batches that move between two steps now and then.
const BATCHES: (&str, &str) = ("TIDEGATE_BATCH__AGE_MS", "700");

/// The program, and what it was told.
pub(super) struct World {
    folder: TempDir,
    backups: TempDir,
    stack: Stack,
    client: Client,
    /// Requests so far: each has a key of its own.
    requests: u64,
    /// The last request that was acknowledged: key and body.
    last: Option<(String, String)>,
    /// What was backed up last: its name, and what both had.
    saved: Option<(String, Plain)>,
    restores: u64,
}

impl World {
    pub(super) async fn start() -> Result<Self> {
        let backups = tempfile::tempdir()?;
        let place = backups.path().display().to_string();
        let (folder, mut stack) = stack(&[BATCHES, ("TIDEGATE_BACKUP__FOLDER", &place)])?;
        stack.start()?;
        stack.ready(READY_WITHIN).await?;
        let client = Client::new();
        Ok(Self { folder, backups, stack, client, requests: 0, last: None, saved: None, restores: 0 })
    }

    pub(super) fn log_tail(&self) -> String {
        self.stack.log_tail()
    }

    /// Sends rows; those that fit are taken.
    pub(super) async fn ingest(&mut self, plain: &mut Plain, draws: &mut Draws) -> Result<()> {
        let (rows, fits) = plain.draw_rows(draws);
        let body = json!({ "rows": rows }).to_string();
        // Before there is a schema the first rows make it.
        let key = self.next_key();
        let (status, answer) = self.send(&key, &body).await?;
        acknowledged(status, &answer, &fits)?;
        plain.take(&rows, &fits);
        self.last = Some((key, body));
        Ok(())
    }

    pub(super) async fn retry(&mut self) -> Result<()> {
        let Some((key, body)) = self.last.as_ref() else { return Ok(()) };
        let (status, answer) = self.send(key, body).await?;
        ensure!(status == 200 && answer["retry"] == true, "{status} {answer}");
        Ok(())
    }

    pub(super) async fn confuse(&mut self) -> Result<()> {
        let Some((key, _)) = self.last.as_ref() else { return Ok(()) };
        let body = json!({ "rows": [{ "at": time_before(0), "id": "another row" }] }).to_string();
        let (status, answer) = self.send(key, &body).await?;
        ensure!(status == 409, "{status} {answer}");
        Ok(())
    }

    /// Kills the server while it takes rows: they are there once, whether it answered or not, when they are sent again.
    pub(super) async fn ingest_and_kill(&mut self, plain: &mut Plain, draws: &mut Draws) -> Result<()> {
        let (rows, fits) = plain.draw_rows(draws);
        let (key, body) = (self.next_key(), json!({ "rows": rows }).to_string());
        let sending = tokio::spawn(self.request(&key, &body).send());
        // Chance, not a wait for something: the kill should fall anywhere in the request.
        tokio::time::sleep(std::time::Duration::from_micros(draws.below(12_000))).await;
        self.stack.kill_serve()?;
        // Whether it was answered makes no difference.
        drop(sending.await?);
        self.start_again().await?;
        let (status, answer) = self.send(&key, &body).await?;
        if status == 200 && answer["retry"] == true {
            ensure!(fits.iter().any(|fits| *fits), "nothing was written of it: {answer}");
        } else {
            acknowledged(status, &answer, &fits)?;
        }
        plain.take(&rows, &fits);
        self.last = Some((key, body));
        Ok(())
    }

    pub(super) async fn add_column(
        &mut self,
        plain: &mut Plain,
        draws: &mut Draws,
        (name, column, backfill): (String, Column, bool),
    ) -> Result<()> {
        let mut evolution = json!({ "backfill": backfill });
        if let Some(default) = &column.default {
            evolution["defaults"] = json!({ &name: default });
        }
        plain.add_column(name, column, backfill);
        self.declare(plain, draws, evolution).await
    }

    pub(super) async fn widen(&mut self, plain: &mut Plain, draws: &mut Draws, column: &str) -> Result<()> {
        plain.columns.get_mut(column).context("a column")?.kind = Kind::Double;
        self.declare(plain, draws, json!({})).await
    }

    /// Sends rows with the schema of all columns.
    async fn declare(&mut self, plain: &mut Plain, draws: &mut Draws, evolution: Value) -> Result<()> {
        let (rows, fits) = plain.draw_rows(draws);
        let schema = json!({ "fields": plain.fields(), "evolution": evolution });
        let (key, body) = (self.next_key(), json!({ "schema": schema, "rows": rows }).to_string());
        let (status, answer) = self.send(&key, &body).await?;
        acknowledged(status, &answer, &fits)?;
        plain.take(&rows, &fits);
        self.last = Some((key, body));
        Ok(())
    }

    pub(super) async fn try_to_break(&mut self, plain: &Plain, column: &str) -> Result<()> {
        let mut fields = plain.fields();
        let field = fields.iter_mut().find(|field| field["name"] == column).context("the column")?;
        field["type"] = json!("integer");
        let rows = json!([{ "at": time_before(0), "id": "never taken", column: 1 }]);
        let key = self.next_key();
        let (status, answer) =
            self.send(&key, &json!({ "schema": { "fields": fields }, "rows": rows }).to_string()).await?;
        ensure!(status == 409 && answer["error"]["name"] == "SchemaEvolutionError", "{status} {answer}");
        Ok(())
    }

    /// Waits until every row is in ClickHouse.
    pub(super) async fn flush(&mut self) -> Result<()> {
        eventually("every row is stored", async || Ok(hot_rows(&self.stack).await? == 0)).await
    }

    pub(super) async fn kill_server(&mut self) -> Result<()> {
        self.stack.kill_serve()?;
        self.start_again().await
    }

    pub(super) async fn kill_engine(&mut self) -> Result<()> {
        self.stack.signal_engine(Signal::KILL)?;
        self.answers().await
    }

    /// Exports the dataset, and reads the file.
    pub(super) async fn export(&mut self, plain: &Plain) -> Result<()> {
        let (status, asked) = self.ask(Method::POST, "/admin/datasets/model/exports", &json!({})).await?;
        ensure!(status == 202, "{status} {asked}");
        let path = format!("/admin/datasets/model/exports/{}", asked["id"].as_str().context("an id")?);
        let mut export = Value::Null;
        eventually("the export ends", async || {
            export = self.stack.get(&path).await?;
            Ok(!["queued", "running"].iter().any(|state| export["state"] == *state))
        })
        .await?;
        ensure!(export["state"] == "completed", "{export}");
        let file = Path::new(export["folder"].as_str().context("a folder")?).join("rows.parquet");
        let mut ids = Vec::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.build()? {
            let batch = batch?;
            let column = batch.column_by_name("id").context("id")?;
            let texts = arrow_array::cast::as_string_array(column);
            ids.extend(texts.iter().flatten().map(str::to_owned));
        }
        ids.sort_unstable();
        let mut expected: Vec<_> = plain.rows.iter().filter_map(|row| row["id"].as_str()).collect();
        expected.sort_unstable();
        ensure!(ids == expected, "the file has {} rows, {} are acknowledged", ids.len(), expected.len());
        Ok(())
    }

    pub(super) async fn back_up(&mut self, plain: &Plain) -> Result<()> {
        let name = format!("after-{}", self.requests);
        if self.backups.path().join(&name).exists() {
            return Ok(());
        }
        let base = self.saved.as_ref().map(|(base, _)| base.clone()).filter(|_| self.requests.is_multiple_of(2));
        let (status, answer) = self.ask(Method::POST, "/admin/backups", &json!({ "name": name, "base": base })).await?;
        ensure!(status == 201, "{status} {answer}");
        self.saved = Some((name, plain.clone()));
        Ok(())
    }

    /// Goes back to the last backup: in a new folder, after a kill.
    pub(super) async fn restore(&mut self, plain: &mut Plain) -> Result<()> {
        let Some((name, saved)) = self.saved.clone() else { return Ok(()) };
        self.stack.kill_serve()?;
        self.restores += 1;
        let data = self.folder.path().join(format!("restored-{}", self.restores));
        let from = self.backups.path().join(&name);
        tidegate(&[
            "restore",
            "--verify",
            "--from",
            &from.display().to_string(),
            "--data",
            &data.display().to_string(),
        ])
        .await?;
        self.stack.set_data(&data);
        self.stack.start()?;
        self.stack.ready(READY_WITHIN).await?;
        self.answers().await?;
        plain.go_back_to(saved);
        // What came after the backup is unknown to it, keys as well as rows.
        self.last = None;
        Ok(())
    }

    /// Compares all rows by pages, their count by SQL, and their counts by day.
    pub(super) async fn compare(&mut self, plain: &Plain, draws: &mut Draws) -> Result<()> {
        self.answers().await?;
        let (mut asked, mut rows) = (json!({ "limit": 1 + draws.below(200) }), Vec::new());
        loop {
            let (status, page) = self.ask(Method::POST, "/datasets/model/query", &asked).await?;
            ensure!(status == 200, "{status} {page}");
            rows.extend(page["rows"].as_array().context("rows")?.iter().map(row_of));
            if page["nextCursor"].is_null() {
                break;
            }
            asked["cursor"] = page["nextCursor"].clone();
        }
        let (found, expected) = (compared(rows.into_iter()), plain.compared());
        if found != expected {
            let lacking: Vec<_> = expected.iter().filter(|row| !found.contains(row)).take(3).collect();
            let foreign: Vec<_> = found.iter().filter(|row| !expected.contains(row)).take(3).collect();
            anyhow::bail!(
                "{} rows are answered, {} were acknowledged; lacking {lacking:?}, foreign {foreign:?}",
                found.len(),
                expected.len()
            );
        }
        let answer = self.stack.query("SELECT count() AS n, uniqExact(_seq) AS seqs FROM model").await?;
        let [n, seqs] = ["n", "seqs"].map(|name| as_number(&answer[0][name]));
        ensure!(n == Some(expected.len() as u64) && seqs == n, "{answer:?}, {} rows", expected.len());
        let buckets = json!({ "intervalUnit": "day", "intervalSize": 1, "aggregations": [{ "fn": "count" }] });
        let (status, days) = self.ask(Method::POST, "/datasets/model/query", &json!({ "downsample": buckets })).await?;
        ensure!(status == 200, "{status} {days}");
        let mut by_day: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &plain.rows {
            *by_day.entry(row["at"].as_str().and_then(|time| time.get(..10)).unwrap_or_default()).or_default() += 1;
        }
        let counts: Vec<_> =
            days["rows"].as_array().into_iter().flatten().map(|day| as_number(&day["count"])).collect();
        ensure!(counts == by_day.values().map(|count| Some(*count)).collect::<Vec<_>>(), "{days}, {by_day:?}");
        Ok(())
    }

    /// Recounts and hashes every batch.
    pub(super) async fn verify(&self) -> Result<()> {
        tidegate(&["verify", "--url", &format!("http://{}", self.stack.http)]).await
    }

    async fn start_again(&mut self) -> Result<()> {
        self.stack.start()?;
        self.stack.ready(READY_WITHIN).await?;
        self.answers().await
    }

    /// Waits for the engine: a read fails while there is none.
    async fn answers(&self) -> Result<()> {
        eventually("a query is answered", async || Ok(self.stack.query("SELECT count() FROM model").await.is_ok()))
            .await
    }

    fn next_key(&mut self) -> String {
        self.requests += 1;
        format!("request {}", self.requests)
    }

    fn request(&self, key: &str, body: &str) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("http://{}/datasets/model/ingest", self.stack.http));
        let request = request.header("content-type", "application/json").header("idempotency-key", key.to_owned());
        request.body(body.to_owned())
    }

    /// Sends rows until they are answered: a change of the schema may have to wait for the engine.
    async fn send(&self, key: &str, body: &str) -> Result<(u16, Value)> {
        let mut outcome = (0, Value::Null);
        eventually("rows are answered", async || {
            let answer = self.request(key, body).send().await?;
            outcome = (answer.status().as_u16(), serde_json::from_str(&answer.text().await?)?);
            Ok(outcome.0 != 503)
        })
        .await?;
        Ok(outcome)
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<(u16, Value)> {
        let request = self.client.request(method, format!("http://{}{path}", self.stack.http));
        let answer = request.header("content-type", "application/json").body(body.to_string()).send().await?;
        Ok((answer.status().as_u16(), serde_json::from_str(&answer.text().await?)?))
    }
}

/// Holds an answer to new rows against which of them fit.
fn acknowledged(status: u16, answer: &Value, fits: &[bool]) -> Result<()> {
    let accepted = fits.iter().filter(|fits| **fits).count();
    ensure!(status == if accepted > 0 { 201 } else { 200 }, "{status} {answer}");
    ensure!(answer["accepted"] == accepted && answer["rejected"] == fits.len() - accepted, "{accepted} fit: {answer}");
    Ok(())
}

/// Reads a row of an answer as the model has it.
fn row_of(row: &Value) -> Row {
    row.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

async fn tidegate(arguments: &[&str]) -> Result<()> {
    let library = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../lib/libchdb.so");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.args(arguments).env("TIDEGATE_LIBCHDB", library).output().await?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(())
}
