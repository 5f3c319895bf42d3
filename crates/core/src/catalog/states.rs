use super::{Catalog, CatalogError};

impl Catalog {
    /// Keeps what a part of the program knows, under its name.
    pub async fn save_state(&self, name: &str, value: &[u8]) -> Result<(), CatalogError> {
        sqlx::query("INSERT OR REPLACE INTO states (name, value) VALUES (?, ?)")
            .bind(name)
            .bind(value)
            .execute(&self.pool)
            .await
            .map_err(CatalogError::database("save a state"))?;
        Ok(())
    }

    /// Returns what was kept under a name.
    pub async fn state(&self, name: &str) -> Result<Option<Vec<u8>>, CatalogError> {
        let found: Option<(Vec<u8>,)> = sqlx::query_as("SELECT value FROM states WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(CatalogError::database("read a state"))?;
        Ok(found.map(|(value,)| value))
    }
}
