//! Rows of datasets: JSON, NDJSON and Arrow come in, the dataset's schema grows with them.
//!
//! The schema is what the request says, or what its values show: whole numbers are integers, other numbers doubles,
//! `true` and `false` booleans, text that is a date with a time everywhere is a timestamp, and everything else is text
//! (nested values as JSON). The first request makes the dataset, later ones may add columns.
//!
//! Invariants:
//! - A row that does not fit is refused with its place and a reason; the others go in.
//! - A column never goes, and never changes its type but from integer to double: any other such request is refused
//!   before anything is written.
//! - Integers become doubles only where each one, hot or stored, is a double exactly; nothing is written meanwhile.
//! - A new column is in the catalog before the first row that has it is in the buffer.
//! - Text columns take any value and keep it letter by letter; no other column turns text into a number or back.
//!
//! Columns that begin with `_` are ours: `_partition`, `_seq`, `_partition_key` with the request's `partition.key` as
//! JSON in the order of its names, empty when there is none; and, once a request has told them, `_partition_attributes`,
//! `_partition_start` and `_partition_end`.
//!
//! | file | holds |
//! |---|---|
//! | `body.rs` | the JSON body around the rows |
//! | `cells.rs` | JSON rows, cut into cells by column |
//! | `csv.rs` | CSV, made into JSON rows |
//! | `arrow.rs`, `parquet.rs` | Arrow and Parquet |
//! | `scalar.rs` | one value of JSON, exactly |
//! | `value.rs`, `nested.rs` | from cells to arrays; arrays and maps |
//! | `columnar.rs` | from Arrow arrays to a dataset's |
//! | `schema.rs` | what a request asks of its dataset |
//! | `breaking.rs` | what no schema may do, and the way around it |
//! | `defaults.rs` | what rows have in a new column |
//! | `decode.rs` | a request's bytes become rows |
//! | `evolve.rs` | a schema changes |
//! | `retry.rs` | how a request is known again |
//! | `refusals.rs`, `written.rs` | which rows are refused, and what they were |
//! | `quarantine.rs` | refused rows, mended and sent again |
//! | `service.rs` | the whole way of a request |
//! | `parts.rs` | a body that memory has no room for, cut into requests |
//! | `turned.rs` | rows as the table would have them, for a comparison |
//! | `files/` | files for the command line: CSV, NDJSON, JSON, Parquet, Arrow |

mod arrow;
mod body;
mod breaking;
mod cells;
mod columnar;
mod csv;
mod decode;
mod defaults;
mod error;
pub(in crate::ingest) mod evolve;
pub mod files;
mod nested;
mod parquet;
mod parts;
mod quarantine;
mod refusals;
mod retry;
mod scalar;
mod schema;
mod service;
mod turned;
mod value;
mod written;

#[cfg(test)]
mod tests;

pub use breaking::PlanStep;
pub use error::RowsError;
pub use parts::{Parts, parts};
pub use quarantine::{Mended, Replayed};
pub use service::{DatasetRequest, Part, RowsFormat, Taken, dry_run};
pub use turned::{Turned, field_type_of, turned};
