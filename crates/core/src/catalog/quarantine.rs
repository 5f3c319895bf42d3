use sqlx::SqliteConnection;
use tidegate_model::UnixNanos;
use tidegate_model::limits::{
    QUARANTINE_BYTES_MAX, QUARANTINE_FORGET_SECONDS, QUARANTINE_ROW_BYTES_MAX, QUARANTINE_ROWS_MAX,
};

use super::{Catalog, CatalogError};

/// A refused row on its way into quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place in its request.
    pub index: u64,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: String,
    /// The row, as it was written.
    pub row: String,
}

/// The request that refused rows are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedBy {
    /// Its dataset.
    pub slug: String,
    /// Its table.
    pub label: String,
    /// Its hash: the same request brings no row twice.
    pub origin: u128,
    /// When it came.
    pub at: UnixNanos,
    /// What it said of its partition, as JSON; empty where nothing.
    pub partition: String,
    /// Who sent it.
    pub actor: String,
}

/// A row in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRow {
    /// Its number; later ones are larger.
    pub id: i64,
    /// Its table.
    pub label: String,
    /// When it came.
    pub at: UnixNanos,
    /// Its place in its request.
    pub index: u64,
    /// Why it was refused, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub detail: String,
    /// What its request said of its partition.
    pub partition: String,
    /// The row.
    pub row: String,
    /// Who sent it.
    pub actor: String,
    /// The key of the replay that it is part of, if one is under way.
    pub replay: Option<u128>,
}

type HeldTuple = (i64, String, i64, i64, String, String, String, String, String, Option<Vec<u8>>);

const HELD: &str = "SELECT id, label, at, row_index, reason, detail, partition, coalesce(row, ''), actor, replay
    FROM quarantine WHERE slug = ?1 AND state <> 'gone'";

impl Catalog {
    /// Keeps refused rows while there is room; returns how many of them are kept, before or now.
    pub async fn hold(&self, by: &RefusedBy, rows: &[Refused]) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("keep refused rows");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let forgotten = UnixNanos(by.at.0.saturating_sub(QUARANTINE_FORGET_SECONDS * 1_000_000_000));
        sqlx::query("DELETE FROM quarantine WHERE state = 'gone' AND at < ?")
            .bind(forgotten.0)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        let (mut held, mut bytes) = room(&mut transaction, &by.slug).await.map_err(failed())?;
        let mut kept = 0;
        for row in rows {
            let size = i64::try_from(row.row.len()).unwrap_or(i64::MAX);
            let is_full = held >= QUARANTINE_ROWS_MAX || bytes.saturating_add(size) > QUARANTINE_BYTES_MAX;
            if row.row.len() > QUARANTINE_ROW_BYTES_MAX || is_full {
                continue;
            }
            let added = insert(&mut transaction, by, (row, size)).await.map_err(failed())?;
            if added {
                (held, bytes) = (held + 1, bytes + size);
            }
            kept += 1;
        }
        transaction.commit().await.map_err(failed())?;
        Ok(kept)
    }

    /// Lists rows in quarantine, the oldest first, from behind a number.
    pub async fn held(
        &self,
        slug: &str,
        label: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<HeldRow>, CatalogError> {
        let sql = format!("{HELD} AND id > ?2 AND (?3 IS NULL OR label = ?3) ORDER BY id LIMIT ?4");
        let rows: Vec<HeldTuple> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(slug)
            .bind(after)
            .bind(label)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the quarantine"))?;
        rows.into_iter().map(held_row).collect()
    }

    /// Finds rows in quarantine by their numbers; those that are not there are left out.
    pub async fn held_by_id(&self, slug: &str, ids: &[i64]) -> Result<Vec<HeldRow>, CatalogError> {
        let sql = format!("{HELD} AND id IN (SELECT value FROM json_each(?2)) ORDER BY id");
        let rows: Vec<HeldTuple> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(slug)
            .bind(numbers(ids))
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the quarantine"))?;
        rows.into_iter().map(held_row).collect()
    }

    /// Counts the rows that a dataset has in quarantine.
    pub async fn held_count(&self, slug: &str) -> Result<u64, CatalogError> {
        let failed = CatalogError::database("count the quarantine");
        let mut connection = self.pool.acquire().await.map_err(CatalogError::database("count the quarantine"))?;
        let (rows, _) = room(&mut connection, slug).await.map_err(failed)?;
        Ok(rows.cast_unsigned())
    }

    /// Notes, before rows are sent again, what they are now and by which key they are known: after a crash the same
    /// is sent once more, and is a retry.
    pub async fn begin_replay(&self, slug: &str, rows: &[(i64, &str)], key: u128) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("begin a replay");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for (id, row) in rows {
            sqlx::query("UPDATE quarantine SET state = 'replaying', replay = ?, row = ? WHERE slug = ? AND id = ?")
                .bind(key.to_be_bytes().as_slice())
                .bind(row)
                .bind(slug)
                .bind(id)
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Ends a replay: rows that were taken are gone, the others are held for their new reasons.
    pub async fn end_replay(
        &self,
        slug: &str,
        taken: &[i64],
        refused: &[(i64, String, String)],
    ) -> Result<(), CatalogError> {
        let failed = || CatalogError::database("end a replay");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        gone(&mut transaction, slug, taken).await.map_err(failed())?;
        for (id, reason, detail) in refused {
            sqlx::query(
                "UPDATE quarantine SET state = 'held', replay = NULL, reason = ?, detail = ? WHERE slug = ? AND id = ?",
            )
            .bind(reason)
            .bind(detail)
            .bind(slug)
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Lets rows go for good; returns how many there were.
    pub async fn discard(&self, slug: &str, ids: &[i64]) -> Result<u64, CatalogError> {
        let failed = || CatalogError::database("discard refused rows");
        let mut connection = self.pool.acquire().await.map_err(failed())?;
        gone(&mut connection, slug, ids).await.map_err(failed())
    }

    /// Returns the datasets of which a replay is under way.
    pub async fn replaying(&self) -> Result<Vec<String>, CatalogError> {
        let slugs: Vec<(String,)> = sqlx::query_as("SELECT DISTINCT slug FROM quarantine WHERE state = 'replaying'")
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("look for replays"))?;
        Ok(slugs.into_iter().map(|(slug,)| slug).collect())
    }

    /// Returns the rows of a dataset that are part of a replay under way, the oldest first.
    pub async fn replaying_rows(&self, slug: &str) -> Result<Vec<HeldRow>, CatalogError> {
        let sql = format!("{HELD} AND state = 'replaying' ORDER BY id");
        let rows: Vec<HeldTuple> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(slug)
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("look for replays"))?;
        rows.into_iter().map(held_row).collect()
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    by: &RefusedBy,
    (row, size): (&Refused, i64),
) -> Result<bool, sqlx::Error> {
    let added = sqlx::query(
        "INSERT INTO quarantine
             (slug, label, origin, row_index, at, reason, detail, partition, row, bytes, actor, state)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'held') ON CONFLICT (slug, origin, row_index) DO NOTHING",
    )
    .bind(&by.slug)
    .bind(&by.label)
    .bind(by.origin.to_be_bytes().as_slice())
    .bind(row.index.cast_signed())
    .bind(by.at.0)
    .bind(&row.reason)
    .bind(&row.detail)
    .bind(&by.partition)
    .bind(&row.row)
    .bind(size)
    .bind(&by.actor)
    .execute(connection)
    .await?;
    Ok(added.rows_affected() > 0)
}

/// Returns how many rows a dataset has in quarantine, and their bytes.
async fn room(connection: &mut SqliteConnection, slug: &str) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as("SELECT count(*), coalesce(sum(bytes), 0) FROM quarantine WHERE slug = ? AND state <> 'gone'")
        .bind(slug)
        .fetch_one(connection)
        .await
}

async fn gone(connection: &mut SqliteConnection, slug: &str, ids: &[i64]) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query(
        "UPDATE quarantine SET state = 'gone', replay = NULL, row = NULL
         WHERE slug = ? AND state <> 'gone' AND id IN (SELECT value FROM json_each(?))",
    )
    .bind(slug)
    .bind(numbers(ids))
    .execute(connection)
    .await?;
    Ok(gone.rows_affected())
}

fn numbers(ids: &[i64]) -> String {
    format!("[{}]", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

fn held_row(row: HeldTuple) -> Result<HeldRow, CatalogError> {
    let (id, label, at, index, reason, detail, partition, row, actor, replay) = row;
    let key = |bytes: Vec<u8>| {
        let bytes = bytes.try_into().map_err(|_| CatalogError::Corrupt { what: format!("refused row {id}") })?;
        Ok(u128::from_be_bytes(bytes))
    };
    let replay = replay.map(key).transpose()?;
    let (at, index) = (UnixNanos(at), index.cast_unsigned());
    Ok(HeldRow { id, label, at, index, reason, detail, partition, row, actor, replay })
}
