//! Sessions: the catalogue of some moment, kept by name, to be read, united with others and compared.
//!
//! A session is one gzip-compressed file in the data folder: a line of JSON that says what it is, then a line for each
//! row of the catalogue. Sets of values are kept whole, so what is united stays exact. It holds no telemetry.
//!
//! To be read a session's rows are copied into tables of ClickHouse, and every route reads them there by the statements
//! that read what is live. The copies go with the last request that reads them, at the latest with the next start.
//!
//! | file | holds |
//! |---|---|
//! | `routes.rs` | `/api/v1/sessions…` |
//! | `file.rs` | the layout of a file |
//! | `folder.rs` | the files: written whole or not at all, bounded in number and size |
//! | `rows.rs` | the statement that reads the rows of a session |
//! | `copies.rs` | rows of sessions in ClickHouse |
//! | `content.rs` | the numbers that are compared |
//! | `diff.rs` | what changed between two |

mod content;
mod copies;
mod diff;
mod file;
mod folder;
mod routes;
mod rows;

pub(super) use content::{ItemRow, KeyRow};
pub(super) use copies::{Copies, Copy, bring};
pub(super) use folder::checked_name;
pub(super) use routes::routes;
