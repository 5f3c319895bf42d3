//! The watermarks of tables as ClickHouse's own clients can read them.

use tidegate_model::tables::INGEST_WATERMARKS;
use tidegate_model::{Seq, TableName, UnixNanos};

use super::client::literal;
use super::{Store, StoreError};

/// How far a table's rows are in ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The dataset; a built-in table stands for itself.
    pub slug: String,
    /// The table.
    pub table: TableName,
    /// Every row up to here is in ClickHouse and synced there.
    pub watermark: Seq,
    /// The latest time of the rows that brought it there, if they have times.
    pub latest: Option<UnixNanos>,
    /// When that was found.
    pub at: UnixNanos,
}

impl Store {
    /// Promotes a table's watermark, which never goes back: rows of the table of watermarks merge to the highest.
    pub async fn promote(&self, promotion: &Promotion) -> Result<(), StoreError> {
        let time = |time: UnixNanos| format!("fromUnixTimestamp64Nano({}, 'UTC')", time.0);
        let table = self.ddl().qualified(INGEST_WATERMARKS.name.as_str());
        let sql = format!(
            "INSERT INTO {table} (dataset_slug, table_name, watermark, watermark_timestamp, clickhouse_revision, \
             promoted_at) SELECT {}, {}, {}, {}, revision(), {}",
            literal(&promotion.slug),
            literal(promotion.table.as_str()),
            promotion.watermark,
            time(promotion.latest.unwrap_or_default()),
            time(promotion.at),
        );
        self.execute(&sql).await
    }
}
