use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tidegate_postgres::{Column, Decoded, Decoder};

/// The name under which PostgreSQL lists our connections.
pub(super) const APPLICATION: &str = "tidegate-migrate";

/// Pauses before PostgreSQL is asked again that went away; a minute and a half in all, then a person decides.
const PAUSES_MS: [u64; 10] = [250, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 20_000, 20_000];

/// Errors that pass: connections that end, servers that start or stop, too many of something, and conflicts.
const PASSING: [&str; 4] = ["08", "57", "53", "40"];

/// What texts look like does not hang on a server's settings.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
     SET extra_float_digits = 1; SET bytea_output = 'hex'; SET statement_timeout = 0; \
     SET idle_in_transaction_session_timeout = 0; SET search_path = pg_catalog";

/// Where PostgreSQL is.
#[derive(Debug, Clone)]
pub(super) struct Address {
    options: PgConnectOptions,
}

/// A connection to PostgreSQL that is made again when it breaks.
#[derive(Debug)]
pub(super) struct Link {
    address: Address,
    connection: Option<PgConnection>,
}

/// One statement's rows, read by columns.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// What comes before, in the same transaction.
    pub(super) before: String,
    /// The rows that are asked for.
    pub(super) select: String,
    pub(super) columns: Vec<Column>,
    /// A statement for one number after it, in the same transaction.
    pub(super) after: Option<String>,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let options = tidegate_primary::connect_options(url).context("read the address of PostgreSQL")?;
        // Statements of migrations are long, and their parameters may be data.
        Ok(Self { options: options.application_name(APPLICATION).disable_statement_logging() })
    }

    /// Says where that is, without a password.
    pub(super) fn shown(&self) -> String {
        let database = self.options.get_database().unwrap_or_else(|| self.options.get_username());
        match self.options.get_socket() {
            Some(folder) => format!("{}:{}/{database}", folder.display(), self.options.get_port()),
            None => format!("{}:{}/{database}", self.options.get_host(), self.options.get_port()),
        }
    }

    pub(super) const fn link(self) -> Link {
        Link { address: self, connection: None }
    }
}

impl Link {
    /// Connects where it is not connected.
    pub(super) async fn connected(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.connection.is_none() {
            let mut connection = self.address.options.connect().await?;
            sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Runs statements in one go, again while PostgreSQL is away: they must be such as may run twice.
    pub(super) async fn run(&mut self, sql: &str) -> Result<()> {
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let outcome = match self.connected().await {
                Ok(connection) => sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => self.passes(error, pauses.next()).await?,
            }
        }
    }

    /// Asks for rows.
    pub(super) async fn rows(&mut self, sql: &str) -> Result<Vec<PgRow>> {
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let outcome = match self.connected().await {
                Ok(connection) => sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(rows) => return Ok(rows),
                Err(error) => self.passes(error, pauses.next()).await?,
            }
        }
    }

    /// Reads rows by columns, from the beginning again when PostgreSQL went away meanwhile.
    pub(super) async fn read(&mut self, reading: &Reading) -> Result<(Decoded, Option<i64>)> {
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            match self.read_once(reading).await {
                Ok(read) => return Ok(read),
                Err(ReadError::Rows(error)) => return Err(error.into()),
                Err(ReadError::Away(error)) => self.passes(error, pauses.next()).await?,
            }
        }
    }

    async fn read_once(&mut self, reading: &Reading) -> Result<(Decoded, Option<i64>), ReadError> {
        let connection = self.connected().await?;
        let before = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}", reading.before);
        sqlx::raw_sql(AssertSqlSafe(before)).execute(&mut *connection).await?;
        let mut decoder = Decoder::new(reading.columns.clone());
        let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", reading.select);
        let mut bytes = connection.copy_out_raw(&copy).await?;
        while let Some(some) = bytes.try_next().await? {
            decoder.feed(&some)?;
        }
        drop(bytes);
        let decoded = decoder.finish()?;
        let after = match &reading.after {
            Some(sql) => Some(sqlx::query_scalar(AssertSqlSafe(sql.as_str())).fetch_one(&mut *connection).await?),
            None => None,
        };
        sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        Ok((decoded, after))
    }

    /// Begins a transaction whose view of the table others can have, while this connection lasts.
    pub(super) async fn snapshot(&mut self) -> Result<String> {
        self.run("SELECT 1").await?;
        let connection = self.connected().await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut *connection).await?;
        Ok(sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(&mut *connection).await?)
    }

    /// Waits before another try, or fails.
    async fn passes(&mut self, error: sqlx::Error, pause: Option<u64>) -> Result<()> {
        // Whatever it was in the middle of is over.
        self.connection = None;
        match (may_pass(&error), pause) {
            (true, Some(pause)) => {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                Ok(())
            }
            _ => {
                let mend = tidegate_primary::mend(&error);
                let error = anyhow::Error::new(error);
                let error = if let Some(mend) = mend { error.context(mend) } else { error };
                Err(error.context(format!("ask PostgreSQL at {}", self.address.shown())))
            }
        }
    }

    /// Ends the connection.
    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            // Nothing is under way: how it ends does not matter.
            let _ = connection.close().await;
        }
    }
}

/// Says whether the same statement is worth another try.
fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(told) => {
            let code = told.code().unwrap_or_default();
            PASSING.iter().any(|class| code.starts_with(class))
        }
        sqlx::Error::Io(_) => tidegate_primary::mend(error).is_none(),
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Says whether an error is that PostgreSQL went away, or a snapshot with it.
pub(super) fn is_away(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref()).any(|cause| match cause {
        // A snapshot that nobody holds any more is an object that is not in its state, or a value that is none.
        sqlx::Error::Database(told) if matches!(told.code().as_deref(), Some("55000" | "22023" | "42704")) => true,
        other => may_pass(other),
    })
}

enum ReadError {
    Away(sqlx::Error),
    Rows(tidegate_postgres::CopyError),
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Away(error)
    }
}

impl From<tidegate_postgres::CopyError> for ReadError {
    fn from(error: tidegate_postgres::CopyError) -> Self {
        Self::Rows(error)
    }
}

/// Quotes a name for PostgreSQL.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Quotes a text for PostgreSQL.
pub(super) fn text(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!([text("it's"), text("a\\'b")], ["'it''s'", "E'a\\\\''b'"]);
    }

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        let address = Address::parse("postgres://me:secret@db.example:6432/traces").expect("an address");
        assert_eq!(address.shown(), "db.example:6432/traces");
    }
}
