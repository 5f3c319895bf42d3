//! The words every other crate speaks: tables and their columns, row numbers, ids, limits, kinds of error.
//!
//! Pure: no I/O, no async, no clock, no environment. Anything that can fail here fails on its arguments alone.
//!
//! | file | holds |
//! |---|---|
//! | `ids.rs` | [`TableName`], [`Seq`], [`SeqRange`], [`BufferId`], [`BatchId`] |
//! | `time.rs` | [`UnixNanos`] |
//! | `signal.rs` | [`Signal`] |
//! | `table.rs` | [`TableSpec`]: one table's columns, as Arrow and as ClickHouse types |
//! | `field.rs` | [`FieldType`]: the type of a dataset's column, in the words of a request |
//! | `tables.rs` | the built-in tables: logs, spans, metrics |
//! | `saved.rs` | [`SavedTable`]: what a saved session of the catalogue keeps |
//! | `partition.rs` | which partition a row belongs to |
//! | `manifest.rs` | [`RowsSum`], [`ManifestState`]: what the rows of a batch are, taken together |
//! | `retention.rs` | [`Retention`]: what is kept of a table, and what that means for its partitions |
//! | `roll_ups.rs` | [`RollUps`]: what rows come to in each minute or hour |
//! | `migration.rs` | [`MigrationPiece`]: rows of an older engine that come in one request |
//! | `retry.rs` | [`RetryKey`], [`StoredRetry`]: how a repeated request is known |
//! | `error.rs` | [`ErrorKind`]: what the caller does next |
//! | `world.rs` | [`Clock`], [`Disk`]: the doors to the world outside |
//! | `limits/` | every named limit, with the reason for its number |

mod error;
mod field;
mod ids;
pub mod limits;
mod manifest;
mod migration;
mod partition;
mod retention;
mod retry;
mod roll_ups;
mod saved;
mod signal;
mod table;
pub mod tables;
mod time;
mod world;

pub use error::{ErrorKind, chain};
pub use field::{FieldType, Scalar, UnknownType};
pub use ids::{BatchId, BufferId, InvalidTableName, Seq, SeqRange, TableName};
pub use manifest::{ManifestState, RowsSum};
pub use migration::MigrationPiece;
pub use partition::{PARTITION_ODD, PartitionDay, partition_date, partition_day, partition_of_date};
pub use retention::{PartitionState, Retention, Upkeep, day_times};
pub use retry::{RetryKey, StoredRetry};
pub use roll_ups::{Grain, ROLL_UP_PREFIX, ROLL_UPS, RollUpKey, RollUpSum, RollUps, Rule};
pub use saved::{SAVED, SavedTable};
pub use signal::Signal;
pub use table::{ColumnDefault, ColumnKind, ColumnSpec, Merge, RollUp, TableSpec};
pub use time::{UnixNanos, civil, day_of_civil, put_digits};
pub use world::{Clock, Disk, DiskFile};
