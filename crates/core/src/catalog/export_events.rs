use sqlx::SqliteConnection;

use super::{Catalog, CatalogError};

/// A kind of event and its body, to be written with the change that it tells of.
pub type NewEvent<'e> = (&'static str, &'e str);

/// What the webhook has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportEvent {
    /// Its number; later ones are larger, and none is used twice.
    pub number: i64,
    /// What happened.
    pub kind: String,
    /// What is sent.
    pub body: String,
    /// How often it was sent in vain.
    pub attempts: u32,
}

impl Catalog {
    /// Returns the oldest event that nobody has taken.
    pub async fn next_export_event(&self) -> Result<Option<ExportEvent>, CatalogError> {
        let sql = "SELECT number, kind, body, attempts FROM export_events ORDER BY number LIMIT 1";
        let row: Option<(i64, String, String, u32)> = sqlx::query_as(sql)
            .fetch_optional(&self.pool)
            .await
            .map_err(CatalogError::database("find the next event"))?;
        Ok(row.map(|(number, kind, body, attempts)| ExportEvent { number, kind, body, attempts }))
    }

    /// Counts that an event was sent in vain.
    pub async fn count_export_event(&self, number: i64) -> Result<(), CatalogError> {
        self.change_event("UPDATE export_events SET attempts = attempts + 1 WHERE number = ?", number).await
    }

    /// Lets an event go that was taken or given up.
    pub async fn forget_export_event(&self, number: i64) -> Result<(), CatalogError> {
        self.change_event("DELETE FROM export_events WHERE number = ?", number).await
    }

    async fn change_event(&self, sql: &'static str, number: i64) -> Result<(), CatalogError> {
        let changed = sqlx::query(sql).bind(number).execute(&self.pool).await;
        changed.map(drop).map_err(CatalogError::database("note what became of an event"))
    }
}

/// Writes an event in the transaction of what it tells.
pub(super) async fn add_event(
    transaction: &mut SqliteConnection,
    event: Option<NewEvent<'_>>,
) -> Result<(), sqlx::Error> {
    let Some((kind, body)) = event else { return Ok(()) };
    sqlx::query("INSERT INTO export_events (kind, body, attempts) VALUES (?, ?, 0)")
        .bind(kind)
        .bind(body)
        .execute(transaction)
        .await?;
    Ok(())
}
