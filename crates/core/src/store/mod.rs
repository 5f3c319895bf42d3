//! ClickHouse behind HTTP, wherever it runs. (Signatures agreed between the stages; bodies by the store's author.)

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tidegate_model::{ErrorKind, TableSpec};

/// Why ClickHouse did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// ClickHouse refused; its code and text (`X-ClickHouse-Exception-Code`).
    #[error("ClickHouse error {code}: {text}")]
    Refused {
        /// ClickHouse's number for the error.
        code: i32,
        /// Its text.
        text: String,
    },
    /// No answer: connection refused, reset, engine restarting.
    #[error("{step}")]
    Unreachable {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer within the time.
    #[error("ClickHouse did not answer within {0:?}")]
    Timeout(Duration),
    /// The answer ended before it was whole.
    #[error("the answer was cut off: {0}")]
    CutOff(String),
}

impl StoreError {
    /// Says what the caller does next.
    pub fn kind(&self) -> ErrorKind {
        unimplemented!()
    }
}

/// Where ClickHouse is, and who we are there.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `http://127.0.0.1:8123`.
    pub url: String,
    /// The user that writes.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The database of all tables, made when absent.
    pub database: String,
    /// PEM file of the authority, for https.
    pub ca_cert: Option<std::path::PathBuf>,
    /// The user for queries of users; the same as `user` where there is none (then only `readonly` guards).
    pub reader: Option<(String, String)>,
}

/// Rows that travel with a query: `CREATE`d as an external table of that name.
pub struct External {
    /// The table's name in the query.
    pub name: String,
    /// `name Type, …` in ClickHouse's words.
    pub structure: String,
    /// The rows, as one Arrow IPC stream, in pieces.
    pub arrow_stream: Vec<Bytes>,
}

/// A read.
pub struct Select {
    /// One statement, without a FORMAT clause.
    pub sql: String,
    /// ClickHouse's name of the output format.
    pub format: &'static str,
    /// `{name:Type}` parameters: name, text.
    pub params: Vec<(String, String)>,
    /// Settings of the query: name, value.
    pub settings: Vec<(String, String)>,
    /// Rows that travel along.
    pub external: Vec<External>,
    /// The query's id in ClickHouse, by which it can be killed.
    pub query_id: String,
    /// Give up after so long.
    pub timeout: Duration,
}

/// A running answer.
pub struct Answer {
    /// The body, as it comes; ends with an error when it was cut off or failed on the way.
    pub body: BoxStream<'static, Result<Bytes, StoreError>>,
    /// `X-ClickHouse-Summary` as sent with the headers, JSON.
    pub summary: Option<String>,
}

/// One HTTP client for one ClickHouse; clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {}

#[allow(unused_variables)]
impl Store {
    /// Makes the client; connects to nothing yet.
    pub fn new(options: StoreOptions) -> Result<Self, StoreError> {
        unimplemented!()
    }
    /// The database of all tables.
    pub fn database(&self) -> &str {
        unimplemented!()
    }
    /// Points at another address: the engine came back on another port.
    pub fn set_url(&self, url: &str) {
        unimplemented!()
    }
    /// Asks for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Runs a statement that answers nothing (DDL).
    pub async fn execute(&self, sql: &str) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Runs our own small query and returns its rows as JSON values (`JSONEachRow`).
    pub async fn rows(&self, sql: &str, params: &[(&str, &str)]) -> Result<Vec<serde_json::Value>, StoreError> {
        unimplemented!()
    }
    /// Inserts one Arrow IPC stream into one table as one block; `token` makes it idempotent.
    pub async fn insert(&self, table: &TableSpec, token: &str, arrow_stream: Vec<Bytes>) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Runs a user's read; dropping the answer's body cancels it in ClickHouse.
    pub async fn select(&self, select: Select) -> Result<Answer, StoreError> {
        unimplemented!()
    }
    /// Ends a running query.
    pub async fn kill(&self, query_id: &str) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Makes a table and all that belongs to it, or adds the columns that it lacks.
    pub async fn ensure_table(&self, table: &TableSpec) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Brings the database to this program's schema; refuses one that a newer version wrote.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
