use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_model::MigrationPiece;
use tidegate_traces::Prices;

use super::encoded::Encoded;
use crate::client::{Asker, Client, ClientError, encoded};

/// Pauses before a request that had no room or no answer is sent again; a minute and a half in all, then a person decides.
const PAUSES_MS: [u64; 10] = [250, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 20_000, 20_000];

/// The server, as migrations ask it.
#[derive(Debug, Clone)]
pub(super) struct Server {
    client: Client,
}

/// A migration as the server tells of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Migration {
    pub(super) id: String,
    pub(super) dataset: String,
    pub(super) table_name: String,
    pub(super) state: String,
    pub(super) reads: String,
    pub(super) writes: String,
    pub(super) source: Value,
    pub(super) ask: String,
    pub(super) frozen_until: Option<String>,
    pub(super) files: u64,
    pub(super) rows: u64,
    pub(super) seen: u64,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) head: u64,
    pub(super) mirror: Option<Mirror>,
    pub(super) validation: Option<Value>,
    pub(super) blockers: Vec<String>,
}

/// How far files for the older engine are.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mirror {
    pub(super) mirrored: u64,
    pub(super) lag_rows: u64,
    pub(super) is_applied: bool,
    pub(super) applied: u64,
    pub(super) folder: String,
    pub(super) why: Option<String>,
}

/// Rows that were taken.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Taken {
    pub(super) file: String,
    pub(super) first: u64,
    pub(super) rows: u64,
    pub(super) accepted: u64,
}

/// A table of a dataset.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    pub(super) table_name: String,
    pub(super) table: String,
    pub(super) time_column: Option<String>,
    pub(super) fields: Vec<Field>,
}

/// A column of a dataset.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// What became of a piece.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Admitted {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    #[serde(default)]
    pub(super) rejections: Vec<Rejection>,
}

/// A row that was refused.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Rejection {
    pub(super) index: u64,
    pub(super) detail: String,
}

impl Server {
    pub(super) fn new(asker: Asker) -> Result<Self> {
        Ok(Self { client: Client::of(asker)? })
    }

    /// Asks a path for JSON.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.client.request(method, path);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = self.client.send(request).await?.bytes().await.context("read the server's answer")?;
        serde_json::from_slice(&answer).with_context(|| format!("read the server's answer to {path}"))
    }

    /// Finds the open migration of a dataset's table.
    pub(super) async fn migration_of(&self, dataset: &str, table: Option<&str>) -> Result<Migration> {
        let open = self.migrations(Some(dataset)).await?.into_iter().filter(|one| is_open(&one.state));
        let mut found: Vec<_> = open.filter(|one| table.is_none_or(|table| one.table_name == table)).collect();
        match (found.pop(), found.len()) {
            (Some(one), 0) => Ok(one),
            (None, _) => bail!(
                "no table of the dataset `{dataset}` is being moved here\n  begin with `tidegate migrate postgres`, `parquet` or `duckdb`"
            ),
            (Some(_), more) => {
                bail!("{} tables of the dataset `{dataset}` are being moved; name one with --table", more + 1)
            }
        }
    }

    /// Lists migrations, the newest first.
    pub(super) async fn migrations(&self, dataset: Option<&str>) -> Result<Vec<Migration>> {
        let path = dataset.map_or_else(String::new, |dataset| format!("?dataset={}", encoded(dataset)));
        let mut told = self.ask(Method::GET, &format!("/admin/migrations{path}"), None).await?;
        serde_json::from_value(told["migrations"].take()).context("read the server's list of migrations")
    }

    /// Reads a migration again.
    pub(super) async fn again(&self, migration: &Migration) -> Result<Migration> {
        let told = self.ask(Method::GET, &format!("/admin/migrations/{}", migration.id), None).await?;
        Ok(serde_json::from_value(told)?)
    }

    /// Takes a step of a migration.
    pub(super) async fn step(&self, migration: &Migration, step: &str, asked: Value) -> Result<Migration> {
        let path = format!("/admin/migrations/{}/steps/{step}", migration.id);
        Ok(serde_json::from_value(self.ask(Method::POST, &path, Some(&asked)).await?)?)
    }

    /// Lists what was taken.
    pub(super) async fn taken(&self, migration: &Migration) -> Result<Vec<Taken>> {
        let mut told = self.ask(Method::GET, &format!("/admin/migrations/{}/pieces", migration.id), None).await?;
        Ok(serde_json::from_value(told["pieces"].take())?)
    }

    /// Finds a table of a dataset, if it is there.
    pub(super) async fn table(&self, dataset: &str, label: &str) -> Result<Option<Table>> {
        let path = format!("/admin/datasets/{}", encoded(dataset));
        let mut told = match self.ask(Method::GET, &path, None).await {
            Err(error) if is_status(&error, 404) => return Ok(None),
            outcome => outcome?,
        };
        let tables: Vec<Table> = serde_json::from_value(told["tables"].take())?;
        Ok(tables.into_iter().find(|table| table.table_name == label))
    }

    /// Returns what the server takes models to cost.
    pub(super) async fn prices(&self) -> Result<Prices> {
        let told = self.ask(Method::GET, "/tracing/prices", None).await?;
        Prices::read(&told.to_string()).context("read the server's prices of models")
    }

    /// Answers SQL with rows, also from a table whose reads are not switched. After a backfill more rows may wait for
    /// ClickHouse than travel with a query: they get fewer.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<Value>> {
        let body = json!({ "sql": sql, "format": "ndjson" }).to_string();
        let mut pauses = PAUSES_MS.into_iter();
        let answer = loop {
            let request = self.client.request(Method::POST, "/sql/read").header("x-tidegate-read", "target");
            let request = request.header("content-type", "application/json").body(body.clone());
            match (self.client.send(request).await, pauses.next()) {
                (Ok(answer), _) => break answer,
                (Err(ClientError::Refused { status: 429 | 503, .. }), Some(pause)) => {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                (Err(error), _) => return Err(error.into()),
            }
        };
        let answer = answer.text().await.context("read the server's answer")?;
        let rows = answer.lines().filter(|line| !line.is_empty()).map(serde_json::from_str);
        rows.collect::<Result<_, _>>().context("read the server's rows")
    }

    /// Sends rows, again and again while the server has no room or does not answer: the same rows are taken once.
    pub(super) async fn send(
        &self,
        (dataset, label): (&str, &str),
        piece: &MigrationPiece,
        body: &Encoded,
    ) -> Result<Admitted> {
        self.put((dataset, label), ("x-tidegate-piece", piece.attributes()), body).await
    }

    /// Sends rows as anyone does, by the key under which this piece is known.
    pub(super) async fn send_known(
        &self,
        (dataset, label): (&str, &str),
        piece: &MigrationPiece,
        body: &Encoded,
    ) -> Result<Admitted> {
        let key = format!("migration:{}", hex::encode(Sha256::digest(piece.attributes())));
        self.put((dataset, label), ("idempotency-key", key), body).await
    }

    async fn put(
        &self,
        (dataset, label): (&str, &str),
        (header, value): (&'static str, String),
        body: &Encoded,
    ) -> Result<Admitted> {
        let path = format!("/datasets/{}/ingest?tableName={}", encoded(dataset), encoded(label));
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let request = self
                .client
                .request(Method::POST, &path)
                .header("content-type", "application/vnd.apache.arrow.stream")
                .header("content-length", body.bytes())
                .header(header, value.as_str())
                .body(body.body());
            let outcome = match self.client.send(request).await {
                Ok(answer) => answer.bytes().await.map_err(|error| ClientError::CutOff { cause: error.to_string() }),
                Err(error) => Err(error),
            };
            let error = match outcome {
                Ok(told) => return serde_json::from_slice(&told).context("read the server's answer"),
                Err(error) => error,
            };
            match (may_pass(&error), pauses.next()) {
                (true, Some(pause)) => tokio::time::sleep(Duration::from_millis(pause)).await,
                _ => return Err(error.into()),
            }
        }
    }
}

/// Says whether the same request is worth another try.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 503 | 504),
        ClientError::Unreachable { .. } | ClientError::CutOff { .. } => true,
    }
}

pub(super) fn is_open(state: &str) -> bool {
    ["copying", "frozen", "switched"].contains(&state)
}

/// Says whether an error is that the server did not answer, or had no room.
pub(super) fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(may_pass)
        || error.chain().filter_map(|cause| cause.downcast_ref()).any(|cause: &reqwest::Error| !cause.is_decode())
}

pub(super) fn is_status(error: &anyhow::Error, wanted: u16) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Refused { status, .. }) if *status == wanted)
}
