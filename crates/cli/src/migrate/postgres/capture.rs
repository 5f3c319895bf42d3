use anyhow::{Context, Result, bail};
use sqlx::{AssertSqlSafe, Row as _};

use super::link::{Link, name, text};
use super::table::Table;

/// The schema in which all that we make in PostgreSQL is.
pub(super) const SCHEMA: &str = "tidegate";

/// How long writers are made to wait for those before them, when the trigger is made.
const LOCK_TIMEOUT: &str = "10s";

/// Transactions that may pass while a capture lasts: twice as many, and numbers of transactions turn around.
const TRANSACTIONS_MAX: i64 = 1 << 30;

/// What captures changes of one table: a trigger, and tables with names that end in the table's number.
///
/// Rows that were there before belong to the backfill, and whatever comes later to the changes. A row's `xmin` tells
/// which: every transaction that writes here and has a number from the boundary on began to write behind the lock under
/// which the trigger was made. Transactions with a smaller number that write here later are the exception (they had
/// their number when the trigger came): the trigger notes the keys that they touch, and the backfill leaves those out.
#[derive(Debug, Clone)]
pub(super) struct Capture {
    pub(super) oid: i64,
    /// The number of the transaction that made it, with the turns of the counter.
    pub(super) boundary: i64,
    key: Vec<String>,
}

/// How far changes are from being taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lag {
    pub(super) changes: u64,
    /// Of the oldest.
    pub(super) seconds: u64,
}

impl Capture {
    pub(super) const fn known(table: &Table, boundary: i64, key: Vec<String>) -> Self {
        Self { oid: table.oid, boundary, key }
    }

    pub(super) fn changes(&self) -> String {
        format!("{SCHEMA}.changes_{}", self.oid)
    }

    pub(super) fn batches(&self) -> String {
        format!("{SCHEMA}.batches_{}", self.oid)
    }

    /// Makes it, or finds one that no migration has yet.
    pub(super) async fn made(link: &mut Link, table: &Table) -> Result<Self> {
        if let Some((boundary, migration)) = Self::found(link, table.oid).await? {
            if let Some(other) = migration {
                bail!(
                    "changes of {} are captured for the migration {other} already\n  \
                     end that one (`tidegate migrate cleanup` or `abandon`), then `tidegate migrate release`",
                    table.name
                );
            }
            return Ok(Self::known(table, boundary, table.key.clone()));
        }
        link.run(&format!(
            "CREATE SCHEMA IF NOT EXISTS {SCHEMA}; CREATE TABLE IF NOT EXISTS {SCHEMA}.captures \
             (oid int8 PRIMARY KEY, name text NOT NULL, boundary int8 NOT NULL, migration text)"
        ))
        .await
        .context("make the schema for captured changes: it needs CREATE on the database, and the trigger TRIGGER on the table")?;
        let boundary = Self::install(link, table).await.context("make the trigger that captures changes")?;
        Ok(Self::known(table, boundary, table.key.clone()))
    }

    /// Returns the boundary, and the migration that has it.
    pub(super) async fn found(link: &mut Link, oid: i64) -> Result<Option<(i64, Option<String>)>> {
        let is_there = link.rows(&format!("SELECT to_regclass('{SCHEMA}.captures') IS NOT NULL AS there")).await?;
        if !is_there.first().is_some_and(|row| row.try_get("there").unwrap_or(false)) {
            return Ok(None);
        }
        let rows = link.rows(&format!("SELECT boundary, migration FROM {SCHEMA}.captures WHERE oid = {oid}")).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some((row.try_get("boundary")?, row.try_get("migration")?)))
    }

    /// Notes whose it is.
    pub(super) async fn belongs(&self, link: &mut Link, migration: &str) -> Result<()> {
        let sql = format!("UPDATE {SCHEMA}.captures SET migration = {} WHERE oid = {}", text(migration), self.oid);
        link.run(&sql).await
    }

    /// One transaction; where it breaks nothing was made, and the next run makes it.
    async fn install(link: &mut Link, table: &Table) -> Result<i64> {
        let connection = link.connected().await?;
        let lock = format!(
            "BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
            table.name
        );
        let locked = sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *connection).await;
        if let Err(error) = locked {
            sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
            return Err(anyhow::Error::new(error)
                .context("wait for those who write to the table; run it again when their transactions have ended"));
        }
        // Behind the lock: a transaction that gets a later number cannot have written here before.
        let boundary = "SELECT pg_current_xact_id()::text::int8";
        let boundary: i64 = sqlx::query_scalar(boundary).fetch_one(&mut *connection).await?;
        let outcome = sqlx::raw_sql(AssertSqlSafe(script(table, boundary))).execute(&mut *connection).await;
        let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
        sqlx::raw_sql(end).execute(&mut *connection).await?;
        outcome?;
        Ok(boundary)
    }

    /// The condition of rows that belong to the backfill, behind others.
    pub(super) fn only(&self) -> String {
        let low = self.boundary & 0xffff_ffff;
        let same = self.key.iter().map(|key| format!("g.{0} = r.{0}", name(key))).collect::<Vec<_>>().join(" AND ");
        format!(
            " AND NOT (age(r.xmin) BETWEEN 0 AND age('{low}'::xid)) \
             AND NOT EXISTS (SELECT FROM {SCHEMA}.grey_{} AS g WHERE {same})",
            self.oid
        )
    }

    /// Fails before numbers of transactions have turned so far that old and new cannot be told apart.
    pub(super) async fn check(&self, link: &mut Link) -> Result<()> {
        let sql = format!("SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::int8 - {}) AS passed", self.boundary);
        let rows = link.rows(&sql).await?;
        let passed: i64 = rows.first().context("PostgreSQL does not tell its transaction")?.try_get("passed")?;
        if !(0..TRANSACTIONS_MAX).contains(&passed) {
            bail!(
                "{passed} transactions passed since changes are captured, and rows from before cannot be told from later ones\n  \
                 abandon the migration, `tidegate migrate release`, and begin again with another table"
            );
        }
        Ok(())
    }

    pub(super) async fn lag(&self, link: &mut Link) -> Result<Lag> {
        let sql = format!(
            "SELECT count(*)::int8 AS changes, \
                 coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::int8 AS seconds FROM {}",
            self.changes()
        );
        let rows = link.rows(&sql).await?;
        let row = rows.first().context("PostgreSQL does not count its changes")?;
        let number = |column: &str| row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or(0));
        Ok(Lag { changes: number("changes")?, seconds: number("seconds")? })
    }
}

/// Removes the trigger and all that is kept for it.
pub(super) async fn release(link: &mut Link, oid: i64) -> Result<bool> {
    let was_there = Capture::found(link, oid).await?.is_some();
    if !was_there {
        return Ok(false);
    }
    link.run(&format!(
        "BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL client_min_messages = 'warning'; \
         DROP FUNCTION IF EXISTS {SCHEMA}.capture_{oid}() CASCADE; \
         DROP TABLE IF EXISTS {SCHEMA}.changes_{oid}, {SCHEMA}.deleted_{oid}, {SCHEMA}.grey_{oid}; \
         DROP SEQUENCE IF EXISTS {SCHEMA}.batches_{oid}; DELETE FROM {SCHEMA}.captures WHERE oid = {oid}; COMMIT"
    ))
    .await
    .context("remove the trigger that captures changes")?;
    let left = link.rows(&format!("SELECT count(*)::int8 AS n FROM {SCHEMA}.captures")).await?;
    if left.first().is_some_and(|row| row.try_get::<i64, _>("n").is_ok_and(|left| left == 0)) {
        link.run(&format!("DROP TABLE {SCHEMA}.captures; DROP SCHEMA {SCHEMA}")).await?;
    }
    Ok(true)
}

/// The statements that make it.
fn script(table: &Table, boundary: i64) -> String {
    let oid = table.oid;
    let keys = table.key.iter().map(|key| name(key)).collect::<Vec<_>>();
    let list = keys.join(", ");
    let of = |row: &str| keys.iter().map(|key| format!("{row}.{key}")).collect::<Vec<_>>().join(", ");
    let (old, new) = (of("OLD"), of("NEW"));
    let same = keys.iter().map(|key| format!("d.{key} = NEW.{key}")).collect::<Vec<_>>().join(" AND ");
    let moved = format!("(TG_OP = 'UPDATE' AND ROW({old}) IS DISTINCT FROM ROW({new}))");
    let (changes, deleted, grey) =
        (format!("{SCHEMA}.changes_{oid}"), format!("{SCHEMA}.deleted_{oid}"), format!("{SCHEMA}.grey_{oid}"));
    let function = format!(
        "CREATE FUNCTION {SCHEMA}.capture_{oid}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
         SET search_path = pg_catalog AS $tidegate$
DECLARE
    is_old boolean := pg_current_xact_id() < '{boundary}'::xid8;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('INSERT INTO {deleted} SELECT {list} FROM ONLY %s ON CONFLICT DO NOTHING', TG_RELID::regclass);
        IF is_old THEN
            EXECUTE format('INSERT INTO {grey} SELECT {list} FROM ONLY %s ON CONFLICT DO NOTHING', TG_RELID::regclass);
        END IF;
        EXECUTE format('INSERT INTO {changes} (op, is_first, image) SELECT ''D'', false, row_to_json(tidegate_row) \
FROM ONLY %s AS tidegate_row', TG_RELID::regclass);
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' OR {moved} THEN
        INSERT INTO {deleted} VALUES ({old}) ON CONFLICT DO NOTHING;
        INSERT INTO {changes} (op, is_first, image) VALUES ('D', false, row_to_json(OLD));
    END IF;
    IF TG_OP = 'INSERT' OR {moved} THEN
        INSERT INTO {changes} (op, is_first, image) VALUES ('I',
            current_setting('transaction_isolation') = 'read committed'
                AND NOT EXISTS (SELECT FROM {deleted} AS d WHERE {same}),
            row_to_json(NEW));
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO {changes} (op, is_first, image) VALUES ('U', false, row_to_json(NEW));
    END IF;
    IF is_old AND TG_OP <> 'INSERT' THEN
        INSERT INTO {grey} VALUES ({old}) ON CONFLICT DO NOTHING;
    END IF;
    IF is_old AND TG_OP <> 'DELETE' THEN
        INSERT INTO {grey} VALUES ({new}) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $tidegate$"
    );
    let truncates = table.leaves.iter().map(|leaf| {
        format!(
            "CREATE TRIGGER tidegate_capture_truncate BEFORE TRUNCATE ON {0} FOR EACH STATEMENT \
                 EXECUTE FUNCTION {SCHEMA}.capture_{oid}(); \
             ALTER TABLE {0} ENABLE ALWAYS TRIGGER tidegate_capture_truncate",
            leaf.name
        )
    });
    format!(
        "CREATE TABLE {changes} (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), \
             op text NOT NULL, is_first boolean NOT NULL, batch int8, image json NOT NULL); \
         CREATE INDEX ON {changes} (batch) WHERE batch IS NOT NULL; \
         CREATE SEQUENCE {SCHEMA}.batches_{oid}; \
         CREATE TABLE {deleted} AS SELECT {list} FROM {own} WITH NO DATA; ALTER TABLE {deleted} ADD PRIMARY KEY ({list}); \
         CREATE TABLE {grey} AS SELECT {list} FROM {own} WITH NO DATA; ALTER TABLE {grey} ADD PRIMARY KEY ({list}); \
         {function}; \
         CREATE TRIGGER tidegate_capture AFTER INSERT OR UPDATE OR DELETE ON {own} FOR EACH ROW \
             EXECUTE FUNCTION {SCHEMA}.capture_{oid}(); \
         ALTER TABLE {own} ENABLE ALWAYS TRIGGER tidegate_capture; \
         {truncates}; \
         INSERT INTO {SCHEMA}.captures (oid, name, boundary) VALUES ({oid}, {told}, {boundary})",
        own = table.name,
        truncates = truncates.collect::<Vec<_>>().join("; "),
        told = text(&table.name),
    )
}
