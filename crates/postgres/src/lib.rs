//! Rows of PostgreSQL, from the binary form of `COPY … TO STDOUT` into Arrow: no connection, no clock, no I/O.
//!
//! Bytes come in as they arrive, cut anywhere. Values go straight into columns; nothing is kept of a row by itself.
//!
//! Invariants:
//! - No bytes make it panic or take more memory than they have: lengths are checked before they are believed.
//! - A value that a dataset cannot hold (an infinite time, a number that is too wide) refuses its row, with a reason;
//!   the other rows go on. Bytes that are no rows at all are an error.
//!
//! | file | holds |
//! |---|---|
//! | `cell.rs` | the forms of a value that are read, and the columns of rows |
//! | `kinds.rs` | PostgreSQL's types: how a column is asked for, and what becomes of it |
//! | `decoder.rs` | where rows and values begin and end |
//! | `column.rs` | the values of one column |
//! | `value.rs` | the bytes of one value |
//! | `error.rs` | bytes that are no rows |

mod cell;
mod column;
mod decoder;
mod error;
mod kinds;
mod value;

#[cfg(test)]
mod tests;

pub use cell::{Cell, Column};
pub use decoder::{Decoded, Decoder, Refused};
pub use error::CopyError;
pub use kinds::{Kind, Offer, offer};
