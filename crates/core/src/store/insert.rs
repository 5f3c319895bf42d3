use std::time::Duration;

use reqwest::header::CONTENT_ENCODING;
use tidegate_model::limits::STORE_INSERT_MS;
use tidegate_model::{TableSpec, chain};

use super::client::{As, identifier, send};
use super::{ArrowRows, Compression, Store, StoreError};

/// What makes an insert one block per partition, stored once, synced before it is answered.
const INSERT_SETTINGS: [(&str, &str); 9] = [
    // Newer servers gather inserts of many clients by default: the token would be lost on the way.
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    // A block boundary would depend on these defaults; the token counts per block, so a batch is one block.
    ("max_insert_block_size", "1000000000"),
    ("min_insert_block_size_rows", "1000000000"),
    ("min_insert_block_size_bytes", "0"),
    ("max_insert_threads", "1"),
    // On a cluster: answered when the shards have the rows, not when a queue has them.
    ("distributed_foreground_insert", "1"),
    ("wait_end_of_query", "1"),
];

impl Store {
    /// Inserts one Arrow IPC stream into one table as one block; `token` makes it idempotent.
    pub async fn insert(&self, table: &TableSpec, token: &str, rows: impl Into<ArrowRows>) -> Result<(), StoreError> {
        let mut rows = rows.into();
        let _until_the_end = rows.take_insert();
        let compression = self.compression()?;
        let body = rows.into_body(self.insert_statement(table), compression);

        let mut params = INSERT_SETTINGS.to_vec();
        params.push(("insert_deduplication_token", token));
        let mut request = self.post(As::Writer, &params)?;
        match compression {
            Compression::None => {}
            Compression::Lz4 => request = request.header(CONTENT_ENCODING, "lz4"),
            Compression::Zstd => request = request.header(CONTENT_ENCODING, "zstd"),
        }
        let limit = Duration::from_millis(STORE_INSERT_MS);
        let response = send(request.body(body), "insert rows", limit).await?;
        // The rows count as stored when the whole answer says so.
        response.bytes().await.map(drop).map_err(|error| StoreError::CutOff(chain(&error.without_url())))
    }

    /// Names the columns, so that a table with more of them takes the rows as well.
    fn insert_statement(&self, table: &TableSpec) -> String {
        let columns: Vec<_> =
            table.columns.iter().map(|column| column.name.as_str()).chain([TableSpec::SEQ]).map(identifier).collect();
        format!(
            "INSERT INTO {}.{} ({}) FORMAT ArrowStream\n",
            identifier(self.database()),
            identifier(table.name.as_str()),
            columns.join(", ")
        )
    }
}
