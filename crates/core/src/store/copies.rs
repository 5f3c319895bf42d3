//! The rows that saved sessions of the catalogue bring, as long as they are read: copies of files, beside our tables.

use std::time::Duration;

use tidegate_model::limits::STORE_INSERT_MS;
use tidegate_model::{SAVED, SavedTable, chain};

use super::client::{As, identifier, send};
use super::{Store, StoreError};

impl Store {
    /// Inserts rows of one session: lines of JSON arrays, the session first, then the table's columns in their order.
    ///
    /// Not repeated here: who brings a session begins anew under another name.
    pub async fn insert_session_rows(&self, saved: &SavedTable, lines: Vec<u8>) -> Result<(), StoreError> {
        let columns: Vec<_> = std::iter::once(SavedTable::SESSION).chain(saved.names()).map(identifier).collect();
        let statement = format!(
            "INSERT INTO {}.{} ({}) FORMAT JSONCompactEachRow",
            identifier(self.database()),
            identifier(&saved.copy_name()),
            columns.join(", ")
        );
        let params = [
            ("query", statement.as_str()),
            ("async_insert", "0"),
            ("insert_deduplicate", "0"),
            ("wait_end_of_query", "1"),
        ];
        let request = self.post(As::Writer, &params)?.body(lines);
        let response = send(request, "insert a session's rows", Duration::from_millis(STORE_INSERT_MS)).await?;
        response.bytes().await.map(drop).map_err(|error| StoreError::CutOff(chain(&error.without_url())))
    }

    /// Removes all rows of one session.
    pub async fn drop_session(&self, session: &str) -> Result<(), StoreError> {
        for saved in SAVED.iter() {
            self.execute(&self.ddl().drop_session(saved, session)).await?;
        }
        Ok(())
    }
}
