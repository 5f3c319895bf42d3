use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_model::UnixNanos;

use super::plain::{Plain, day_of, time_before};
use super::world::{World, tidegate};
use crate::account::as_number;
use crate::draws::Draws;
use crate::eventually;

/// A backup, and what both had when it was taken.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    name: String,
    had: Plain,
    /// Rows from before then went meanwhile: of each day it has all or none of them.
    going: Option<String>,
}

impl World {
    /// Exports the dataset, and reads the file.
    pub(super) async fn export(&mut self, plain: &Plain) -> Result<()> {
        same_ids(&self.exported().await?, plain)
    }

    /// Returns id and day of the rows of a new export.
    async fn exported(&self) -> Result<Vec<(String, String)>> {
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
        let mut rows = Vec::new();
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.build()? {
            let batch = batch?;
            let ids = batch.column_by_name("id").context("id")?.as_string::<i32>();
            let times = batch.column_by_name("at").context("at")?;
            let times = times.as_primitive_opt::<TimestampNanosecondType>().context("times")?;
            let day = |nanos: i64| UnixNanos(nanos).to_string().chars().take(10).collect();
            rows.extend(ids.iter().flatten().map(str::to_owned).zip(times.values().iter().map(|nanos| day(*nanos))));
        }
        Ok(rows)
    }

    pub(super) async fn back_up(&mut self, plain: &Plain) -> Result<()> {
        if let Some(name) = self.backed_up().await? {
            self.saved = Some(Saved { name, had: plain.clone(), going: None });
        }
        Ok(())
    }

    /// Takes a backup, unless there is one since the last request; returns its name.
    async fn backed_up(&self) -> Result<Option<String>> {
        let name = format!("after-{}", self.requests);
        if self.backups.path().join(&name).exists() {
            return Ok(None);
        }
        let base = self.saved.as_ref().map(|saved| saved.name.clone()).filter(|_| self.requests.is_multiple_of(2));
        let (status, answer) = self.ask(Method::POST, "/admin/backups", &json!({ "name": name, "base": base })).await?;
        ensure!(status == 201, "{status} {answer}");
        Ok(Some(name))
    }

    /// Goes back to the last backup: in a new folder, after a kill.
    pub(super) async fn restore(&mut self, plain: &mut Plain) -> Result<()> {
        let Some(Saved { name, mut had, going }) = self.saved.clone() else { return Ok(()) };
        self.stack.kill_serve()?;
        self.restores += 1;
        let data = self.folder.path().join(format!("restored-{}", self.restores));
        let from = self.backups.path().join(&name);
        let [from, place] = [&from, &data].map(|path| path.display().to_string());
        tidegate(&["restore", "--verify", "--from", &from, "--data", &place]).await?;
        self.stack.set_data(&data);
        self.start_again().await?;
        if let Some(before) = going {
            let sql = "SELECT toString(toDate(at)) AS day, count() AS rows FROM model GROUP BY day";
            let found = self.stack.query(sql).await?;
            let day = |row: &Value| Some((row["day"].as_str()?.to_owned(), as_number(&row["rows"])?));
            let found = found.iter().map(|row| day(row).context("a day")).collect::<Result<_>>()?;
            had.expire_as_found(&before, &found).with_context(|| format!("the backup {name}"))?;
        }
        // It is taken for what it was found to be from now on.
        self.saved = Some(Saved { name, had: had.clone(), going: None });
        plain.go_back_to(had);
        // What came after the backup is unknown to it, keys as well as rows.
        self.last = None;
        Ok(())
    }

    /// Lets stored rows go that are past an age.
    pub(super) async fn expire(&mut self, plain: &mut Plain, draws: &mut Draws) -> Result<()> {
        let before = self.decide(draws).await?;
        self.run_lifecycle().await?;
        plain.expire(&before);
        self.verify().await
    }

    /// Kills server or engine while rows go: what was begun is ended, and nothing else goes.
    pub(super) async fn expire_and_kill(&mut self, plain: &mut Plain, draws: &mut Draws) -> Result<()> {
        let before = self.decide(draws).await?;
        let url = format!("http://{}/admin/lifecycle/run", self.stack.http);
        let running = tokio::spawn(reqwest::Client::new().post(url).body("{}").send());
        // Chance, not a wait for something: the kill should fall anywhere in the run.
        tokio::time::sleep(std::time::Duration::from_micros(draws.below(120_000))).await;
        if draws.one_in(2) {
            self.stack.kill_serve()?;
            drop(running.await?);
            self.start_again().await?;
        } else {
            self.stack.signal_engine(Signal::KILL)?;
            drop(running.await?);
            self.answers().await?;
        }
        self.run_lifecycle().await?;
        plain.expire(&before);
        self.verify().await
    }

    /// Takes a backup and an export while rows go: each has all or none of what goes of a day.
    pub(super) async fn expire_beside_copies(&mut self, plain: &mut Plain, draws: &mut Draws) -> Result<()> {
        let before = self.decide(draws).await?;
        let pause = async |most| {
            // Chance, not a wait for something: the copies should begin anywhere in the run.
            tokio::time::sleep(std::time::Duration::from_micros(most)).await;
        };
        let [first, second, third] = [draws.below(60_000), draws.below(60_000), draws.below(60_000)];
        let (ran, backup, exported) = tokio::join!(
            async {
                pause(first).await;
                self.run_lifecycle().await
            },
            async {
                pause(second).await;
                self.backed_up().await
            },
            async {
                pause(third).await;
                self.exported().await
            },
        );
        ran?;
        if let Some(name) = backup? {
            self.saved = Some(Saved { name, had: plain.clone(), going: Some(before.clone()) });
        }
        let (exported, mut of_export) = (exported?, plain.clone());
        let mut found = BTreeMap::new();
        exported.iter().for_each(|(_, day)| *found.entry(day.clone()).or_default() += 1);
        of_export.expire_as_found(&before, &found).context("the export")?;
        same_ids(&exported, &of_export)?;
        plain.expire(&before);
        self.verify().await
    }

    /// Decides how old rows become, when all are stored; returns the time from before which they go.
    async fn decide(&mut self, draws: &mut Draws) -> Result<String> {
        self.flush().await?;
        let hours = Plain::draw_age(draws);
        let policy = json!({ "rules": { "maxAgeHours": hours }, "deleteGraceMinutes": 0 });
        let (status, told) = self.ask(Method::PUT, "/admin/datasets/model/retention", &policy).await?;
        ensure!(status == 200, "{status} {told}");
        Ok(time_before(hours * 3_600))
    }

    /// Runs the lifecycle until nothing is left of it: a backup, or an engine that is gone, postpones a step.
    async fn run_lifecycle(&self) -> Result<()> {
        eventually("a run leaves nothing", async || {
            let (status, told) = self.ask(Method::POST, "/admin/lifecycle/run", &json!({})).await?;
            ensure!([200, 503, 504].contains(&status), "{status} {told}");
            Ok(status == 200 && told["report"]["left"] == 0)
        })
        .await
    }
}

/// Compares the ids of an export with those of the model.
fn same_ids(exported: &[(String, String)], plain: &Plain) -> Result<()> {
    let mut ids: Vec<_> = exported.iter().map(|(id, day)| (id.as_str(), day.as_str())).collect();
    ids.sort_unstable();
    let mut expected: Vec<_> =
        plain.rows.iter().map(|row| (row["id"].as_str().unwrap_or_default(), day_of(row))).collect();
    expected.sort_unstable();
    ensure!(ids == expected, "the file has {} rows, {} are acknowledged", ids.len(), expected.len());
    Ok(())
}
