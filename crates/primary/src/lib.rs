//! Spans of AI applications in PostgreSQL, where that is their primary: written, read in order, deleted; and how far what
//! captures its changes is behind.
//!
//! It owns the table's form (reference: one row per span, its key the project, the trace and the span), its connections,
//! and what of a request is done in one transaction. It knows no HTTP, no ClickHouse, and evaluates no filter: who asks
//! gets rows in their order and stops when it has enough.
//!
//! Invariants:
//! - A request is one transaction; what was not committed is an error, never an acknowledgement.
//! - Every statement names the project; rows of another are never read.
//! - A read that would need more rows, bytes or time than it may have is an error, never a shorter answer.
//!
//! | file | does |
//! |---|---|
//! | `pool.rs` | [`Primary`]: connections, and the one way in which statements fail |
//! | `secure.rs` | addresses, TLS, and what is to be done where PostgreSQL does not let us in |
//! | `name.rs` | names of tables |
//! | `ddl.rs` | makes the table where it is missing |
//! | `form.rs` | what a table that is there looks like |
//! | `write.rs` | upserts and deletes |
//! | `read.rs` | spans in their order |
//! | `row.rs` | rows become spans |
//! | `capture.rs` | the trigger that captures changes, and how far they are behind |
//! | `error.rs` | [`PrimaryError`] |

mod capture;
mod ddl;
mod error;
mod form;
mod name;
mod pool;
mod read;
mod row;
mod secure;
mod write;

pub use capture::{Capture, Lag};
pub use error::PrimaryError;
pub use name::{NameError, TableName};
pub use pool::{Primary, PrimaryOptions};
pub use read::{Order, Reading, Scan, TimeColumn};
pub use secure::{connect_options, mend};
