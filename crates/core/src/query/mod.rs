//! Stored rows and hot tail become one answer.
//!
//! Owns: what users' SQL may say, which tables it names, the statement that reads stored and hot rows as one table,
//! and the answer's freshness.
//!
//! Invariants:
//! - An answer is taken from one snapshot of the buffer: rows up to each table's stored watermark from ClickHouse,
//!   rows above it from the hot tail. No row is missing or doubled while a batch moves.
//! - A failure is an error, before the first byte or as the end of the body; it is never an empty or shorter answer.
//!
//! It never writes, and keeps nothing between two reads.
//!
//! | file | holds |
//! |---|---|
//! | `tokens.rs` | ClickHouse's lexical rules |
//! | `gate.rs` | what users' SQL may not say |
//! | `plan.rs` | one text of SQL: tables, columns, format |
//! | `union.rs` | the statement that reads stored and hot rows |
//! | `format.rs` | [`Format`] |
//! | `error.rs` | [`QueryError`] |

mod error;
mod format;
mod gate;
pub mod plan;
pub mod tokens;
pub mod union;

pub use error::QueryError;
pub use format::Format;

#[cfg(test)]
mod tests;
