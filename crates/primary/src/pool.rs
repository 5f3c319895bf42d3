use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _};
use tidegate_model::limits::{PRIMARY_CONNECT_MS, PRIMARY_CONNECTIONS_MAX, PRIMARY_SECONDS};
use tokio::sync::OnceCell;

use crate::form::Form;
use crate::secure::connect_options;
use crate::{PrimaryError, TableName};

/// The name under which PostgreSQL lists our connections.
const APPLICATION: &str = "tidegate-tracing";

/// How many seconds a transaction of ours may wait for nothing: only a server that was stopped in its middle does.
const IDLE_SECONDS: u64 = 60;

/// Where the spans are.
#[derive(Debug, Clone)]
pub struct PrimaryOptions {
    /// `postgres://user:password@host/database`, with `sslmode` and so on behind it.
    pub url: String,
    /// The table.
    pub table: TableName,
}

/// The spans of PostgreSQL; clones share its connections.
#[derive(Debug, Clone)]
pub struct Primary {
    pub(crate) pool: PgPool,
    pub(crate) table: TableName,
    shown: String,
    form: Arc<OnceCell<Form>>,
}

impl Primary {
    /// Prepares connections; the first is made when it is needed, so that nobody waits for a PostgreSQL that is away.
    pub fn new(options: PrimaryOptions) -> Result<Self, PrimaryError> {
        let connect = connect_options(&options.url).map_err(PrimaryError::Failed)?;
        let database = connect.get_database().unwrap_or_else(|| connect.get_username());
        let shown = format!("{}:{}/{database}", connect.get_host(), connect.get_port());
        // What texts look like does not hang on a server's settings, and no statement runs for ever.
        let settings = format!(
            "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET search_path = pg_catalog; SET extra_float_digits = 1; \
             SET statement_timeout = '{PRIMARY_SECONDS}s'; SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
        );
        let settings: Arc<str> = settings.into();
        let pool = PgPoolOptions::new()
            .max_connections(PRIMARY_CONNECTIONS_MAX)
            .acquire_timeout(Duration::from_millis(PRIMARY_CONNECT_MS))
            .after_connect(move |connection, _| {
                let settings = Arc::clone(&settings);
                Box::pin(
                    async move { connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(settings))).await.map(drop) },
                )
            })
            .connect_lazy_with(connect.application_name(APPLICATION).disable_statement_logging());
        Ok(Self { pool, table: options.table, shown, form: Arc::default() })
    }

    /// Says where that is, without a password.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns the table's name.
    #[must_use]
    pub const fn table(&self) -> &TableName {
        &self.table
    }

    /// Returns what the table looks like; the first who asks makes it where it is missing.
    pub(crate) async fn form(&self) -> Result<&Form, PrimaryError> {
        self.form.get_or_try_init(|| Form::ensured(self)).await
    }

    pub(crate) fn failed(&self, error: sqlx::Error) -> PrimaryError {
        PrimaryError::of(error, &self.table.to_string())
    }
}
