use sqlx::{FromRow, Row};
use tidegate_model::UnixNanos;
use tidegate_model::limits::SAVED_SQL_MAX;

use super::{Catalog, CatalogError, SavedSql};

type SavedRow = (String, String, Option<String>, Option<String>, Option<String>, i64, i64);

const COLUMNS: &str = "id, statement, label, stats, created_by, created_at, updated_at";

impl Catalog {
    /// Lists saved statements, the last changed first.
    pub async fn saved_sql(&self) -> Result<Vec<SavedSql>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM saved_sql ORDER BY updated_at DESC, id");
        let rows: Vec<SavedRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await
            .map_err(CatalogError::database("read the saved statements"))?;
        Ok(rows.into_iter().map(saved).collect())
    }

    /// Finds a saved statement.
    pub async fn saved_sql_of(&self, id: &str) -> Result<Option<SavedSql>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM saved_sql WHERE id = ?");
        let row: Option<SavedRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(CatalogError::database("read a saved statement"))?;
        Ok(row.map(saved))
    }

    /// Saves a statement, or changes the one of its id; says which, and how it is now.
    pub async fn save_sql(&self, wanted: &SavedSql) -> Result<(SavedSql, bool), CatalogError> {
        let failed = || CatalogError::database("save a statement");
        let sql = format!(
            "INSERT INTO saved_sql ({COLUMNS})
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
             WHERE (SELECT count(*) FROM saved_sql) < ?8 OR EXISTS (SELECT 1 FROM saved_sql WHERE id = ?1)
             ON CONFLICT (id) DO UPDATE SET statement = excluded.statement, label = excluded.label,
                 stats = excluded.stats, updated_at = excluded.updated_at
             RETURNING {COLUMNS}, created_at = ?6 AND updated_at = created_at AS is_new"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&wanted.id)
            .bind(&wanted.statement)
            .bind(&wanted.label)
            .bind(&wanted.stats)
            .bind(&wanted.created_by)
            .bind(wanted.created_at.0)
            .bind(wanted.updated_at.0)
            .bind(SAVED_SQL_MAX)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed())?;
        let row = row.ok_or(CatalogError::TooManySaved { most: SAVED_SQL_MAX })?;
        let kept = SavedRow::from_row(&row).map_err(failed())?;
        Ok((saved(kept), row.get("is_new")))
    }

    /// Forgets a saved statement; says whether there was one.
    pub async fn forget_sql(&self, id: &str) -> Result<bool, CatalogError> {
        let gone = sqlx::query("DELETE FROM saved_sql WHERE id = ?")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("forget a saved statement"))?;
        Ok(gone.rows_affected() > 0)
    }
}

fn saved((id, statement, label, stats, created_by, created_at, updated_at): SavedRow) -> SavedSql {
    let (created_at, updated_at) = (UnixNanos(created_at), UnixNanos(updated_at));
    SavedSql { id, statement, label, stats, created_by, created_at, updated_at }
}
