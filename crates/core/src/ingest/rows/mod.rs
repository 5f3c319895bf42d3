//! Rows of datasets: JSON, NDJSON and Arrow come in, the dataset's schema grows with them.
//!
//! The schema is what the request says, or what its values show: whole numbers are integers, other numbers doubles,
//! `true` and `false` booleans, text that is a date with a time everywhere is a timestamp, and everything else is text
//! (nested values as JSON). The first request makes the dataset, later ones may add columns.
//!
//! Invariants:
//! - A row that does not fit is refused with its place and a reason; the others go in.
//! - A column never changes its type and never goes: such a request is refused before anything is written.
//! - A new column is in the catalog before the first row that has it is in the buffer.
//! - Text columns take any value and keep it letter by letter; no other column turns text into a number or back.
//!
//! Columns that begin with `_` are ours: `_partition`, `_seq`, and `_partition_key` with the request's `partition.key`
//! as JSON in the order of its names, empty when there is none.
//!
//! | file | holds |
//! |---|---|
//! | `body.rs` | the JSON body around the rows |
//! | `cells.rs` | JSON rows, cut into cells by column |
//! | `arrow.rs` | Arrow streams |
//! | `value.rs` | [`FieldType`]; from cells to arrays |
//! | `schema.rs` | what a request asks of its dataset |
//! | `refusals.rs` | which rows are refused |
//! | `service.rs` | the whole way of a request |
//! | `files/` | files for the command line: CSV, NDJSON, JSON, Parquet, Arrow |

mod arrow;
mod body;
mod cells;
mod error;
pub mod files;
mod refusals;
mod schema;
mod service;
mod value;

#[cfg(test)]
mod tests;

pub use error::RowsError;
pub use service::{DatasetRequest, RowsFormat, dry_run};
pub use value::FieldType;
