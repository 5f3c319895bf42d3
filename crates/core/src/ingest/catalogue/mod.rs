//! The catalogue: what a request's records are, and which attributes they have, reduced to a few rows.
//!
//! Owns: the rows of `catalog_signals`, `catalog_attributes`, `catalog_values` and `log_templates`, and how they are
//! counted.
//!
//! Invariants:
//! - Every record that is taken is counted once in `catalog_signals`, every attribute of it once in
//!   `catalog_attributes`: they are in the frame of the records themselves, so both are durable or neither is.
//! - Distinct values are exact: by XXH3-64 of their text, which confuses two of ten million values with a
//!   probability below three in a million.
//! - What is past a limit is counted under [`OVERFLOW`], never left out.
//!
//! | file | holds |
//! |---|---|
//! | `reducer.rs` | [`Reducer`]: one request's groups and attributes |
//! | `records.rs` | log records and spans, read from their columns; data points call the reducer while they are decoded |
//! | `registry.rs` | [`Registry`]: which names, keys and values are known over all requests |
//! | `mining.rs` | [`Templates`]: the template of each log record |
//! | `assemble.rs` | the rows |

mod assemble;
mod mining;
mod records;
mod reducer;
mod registry;

#[cfg(test)]
mod tests;

pub(crate) use mining::{Templates, Told};
pub(crate) use records::count;
pub(crate) use reducer::{Place, Reducer, Who};
pub use registry::OVERFLOW;
pub(crate) use registry::{Learned, Registry};
