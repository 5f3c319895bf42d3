use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_load::Stack;

use super::copies::Saved;
use super::plain::{Column, Kind, Plain, Row, compared, day_of, time_before};
use crate::account::{as_number, hot_rows};
use crate::draws::Draws;
use crate::{READY_WITHIN, eventually, stack};

/// Batches that move between two steps now and then.
const BATCHES: (&str, &str) = ("TIDEGATE_BATCH__AGE_MS", "700");

/// The program, and what it was told.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) backups: TempDir,
    pub(super) stack: Stack,
    client: Client,
    /// Requests so far: each has a key of its own.
    pub(super) requests: u64,
    /// The last request that was acknowledged: key and body.
    pub(super) last: Option<(String, String)>,
    /// What was backed up last.
    pub(super) saved: Option<Saved>,
    pub(super) restores: u64,
}

impl World {
    pub(super) async fn start() -> Result<Self> {
        let backups = tempfile::tempdir()?;
        let place = backups.path().display().to_string();
        // Rows go when a step lets them, never by a schedule.
        let by_hand = ("TIDEGATE_LIFECYCLE__EVERY_SECONDS", "0");
        let (folder, mut stack) = stack(&[BATCHES, by_hand, ("TIDEGATE_BACKUP__FOLDER", &place)])?;
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
            *by_day.entry(day_of(row)).or_default() += 1;
        }
        let counts: Vec<_> =
            days["rows"].as_array().into_iter().flatten().map(|day| as_number(&day["count"])).collect();
        ensure!(counts == by_day.values().map(|count| Some(*count)).collect::<Vec<_>>(), "{days}, {by_day:?}");
        self.adds_up(plain).await
    }

    /// Holds the ledger against what is there, and the manifests against both: a batch may be published in between.
    async fn adds_up(&self, plain: &Plain) -> Result<()> {
        let mut told = Value::Null;
        let (rows, expired) = (plain.rows.len() as u64, plain.expired);
        let agree = async || {
            let tables = self.stack.get("/ledger").await?["tables"].take();
            let entry = tables.as_array().into_iter().flatten().find(|row| row["table"] == "model").cloned();
            let entry = entry.context("a ledger of the table")?;
            let count = |name: &str| as_number(&entry[name]).with_context(|| format!("`{name}` in {entry}"));
            let [stored, hot] = [count("stored")?, count("hot")?];
            ensure!(count("received")? == stored + hot + count("rejected")? + count("duplicate")?, "{entry}");
            ensure!(stored + hot == rows + expired && count("expired")? == expired, "{rows}, {expired} went: {entry}");
            let manifests = self.stack.get("/datasets/model/manifests?limit=1").await?;
            let published = as_number(&manifests["published"]["rows"]);
            told = json!([entry, manifests]);
            Ok(published == Some(stored - expired))
        };
        let agreed = eventually("manifests tell of all stored rows that did not expire", agree).await;
        agreed.with_context(|| told.to_string())
    }

    /// Recounts and hashes every batch.
    pub(super) async fn verify(&self) -> Result<()> {
        tidegate(&["verify", "--url", &format!("http://{}", self.stack.http)]).await
    }

    pub(super) async fn start_again(&mut self) -> Result<()> {
        self.stack.start()?;
        self.stack.ready(READY_WITHIN).await?;
        self.answers().await
    }

    /// Waits for the engine: a read fails while there is none.
    pub(super) async fn answers(&self) -> Result<()> {
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

    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<(u16, Value)> {
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

pub(super) async fn tidegate(arguments: &[&str]) -> Result<()> {
    let library = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../lib/libchdb.so");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.args(arguments).env("TIDEGATE_LIBCHDB", library).output().await?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(())
}
