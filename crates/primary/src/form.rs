use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use tidegate_traces::{Json, OWN_COLUMNS};

use crate::pool::Primary;
use crate::{PrimaryError, TableName, ddl};

/// Lists the columns of spans in PostgreSQL, in the order in which they are written and read.
pub(crate) fn columns() -> impl Iterator<Item = &'static str> {
    OWN_COLUMNS.iter().map(|(name, _)| *name)
}

/// Who makes the table waits for the others who do.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('tidegate:' || $1, 0))";

/// What a table looks like.
#[derive(Debug)]
pub(crate) struct Form {
    /// The labels of columns that are enums.
    labels: BTreeMap<String, Vec<String>>,
}

impl Form {
    /// Finds the table, and makes it where there is none.
    pub(crate) async fn ensured(primary: &Primary) -> Result<Self, PrimaryError> {
        let failed = |error| primary.failed(error);
        let mut transaction = primary.pool.begin().await.map_err(failed)?;
        // Only who would make something locks: a role that may only read and write rows must come through.
        if !is_there(&mut transaction, &primary.table).await.map_err(failed)? {
            sqlx::query(LOCK).bind(primary.table.quoted()).execute(&mut *transaction).await.map_err(failed)?;
            if !is_there(&mut transaction, &primary.table).await.map_err(failed)? {
                make(&mut transaction, &primary.table).await.map_err(failed)?;
            }
        }
        let form = Self::read(&mut transaction, &primary.table).await;
        transaction.commit().await.map_err(failed)?;
        checked(form.map_err(failed)?, &primary.table)
    }

    async fn read(
        connection: &mut PgConnection,
        table: &TableName,
    ) -> Result<BTreeMap<String, Vec<String>>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT a.attname::text AS name, \
                 coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = a.atttypid), '{}') AS labels \
             FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped",
        )
        .bind(table.quoted())
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("labels")?))).collect()
    }

    /// Returns a word as the table writes it: whoever made it may have written its labels otherwise.
    pub(crate) fn label(&self, column: &str, word: &str) -> Json {
        let labels = self.labels.get(column).map(Vec::as_slice).unwrap_or_default();
        let bare = |text: &str| {
            let upper = text.to_ascii_uppercase();
            ["SPAN_KIND_", "STATUS_CODE_"]
                .iter()
                .find_map(|prefix| upper.strip_prefix(prefix))
                .unwrap_or(&upper)
                .to_owned()
        };
        let found = labels
            .iter()
            .find(|label| *label == word)
            .or_else(|| labels.iter().find(|label| bare(label) == bare(word)));
        Json::text(found.map_or(word, String::as_str))
    }
}

/// Says which columns a table lacks, if it lacks any.
fn checked(labels: BTreeMap<String, Vec<String>>, table: &TableName) -> Result<Form, PrimaryError> {
    let lacking: Vec<&str> = columns().filter(|column| !labels.contains_key(*column)).collect();
    if lacking.is_empty() {
        return Ok(Form { labels });
    }
    let why = format!(
        "it lacks the columns {}; add them (ALTER TABLE {} ADD COLUMN …), as docs/tracing-api.md lists them",
        lacking.join(", "),
        table.quoted()
    );
    Err(PrimaryError::Table { table: table.to_string(), why })
}

async fn is_there(connection: &mut PgConnection, table: &TableName) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table.quoted());
    found.fetch_one(connection).await
}

async fn make(connection: &mut PgConnection, table: &TableName) -> Result<(), sqlx::Error> {
    let (schema, _) = table.parts();
    for (name, words) in ddl::words() {
        let is_there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = $1 AND t.typname = $2)",
        )
        .bind(schema)
        .bind(name)
        .fetch_one(&mut *connection)
        .await?;
        if !is_there {
            let made = ddl::type_of_words(table, name, &words);
            sqlx::raw_sql(AssertSqlSafe(made)).execute(&mut *connection).await?;
        }
    }
    sqlx::raw_sql(AssertSqlSafe(ddl::table(table))).execute(&mut *connection).await.map(drop)
}
