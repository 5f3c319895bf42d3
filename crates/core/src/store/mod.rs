//! ClickHouse behind its HTTP interface, wherever it runs: the engine process beside us, a server, a cluster.
//!
//! It owns the HTTP client, the tables' DDL, their migrations, and the engine process of the embedded form.
//!
//! Invariants:
//! - An answer is whole or ends with an error: a cut-off body, an exception in its middle or a spent time is never
//!   a short success.
//! - An insert is one block per partition and carries a token: repeated, it adds nothing, also behind every
//!   materialized view.
//! - Only what may safely run twice is retried here: reads and our own idempotent DDL. Inserts are repeated by `batch`.
//! - One DDL text makes both forms of a table: `MergeTree`, and `ReplicatedMergeTree` behind `Distributed`.
//!
//! It never decides which rows to insert, and never holds rows beyond a request.
//!
//! | file | holds |
//! |---|---|
//! | `error.rs` | [`StoreError`], and what each of ClickHouse's numbers means for the caller |
//! | `options.rs` | [`StoreOptions`]: where ClickHouse is, who we are there |
//! | `client.rs` | one request: address, user, parameters, status, retries |
//! | `body.rs` | request bodies: pieces, multipart |
//! | `select.rs` | a user's read with its external tables, and how it is cancelled |
//! | `answer.rs` | an answer's body, watched for exceptions, cuts and the time |
//! | `insert.rs` | one Arrow stream into one table, once |
//! | `admin.rs` | statements of operators |
//! | `backups.rs` | backups of the database, written and read by the engine itself |
//! | `checksum/` | the checksum of rows, here and in ClickHouse |
//! | `copies.rs` | the rows that saved sessions of the catalogue bring |
//! | `watermarks.rs` | the watermarks of tables, for ClickHouse's own clients |
//! | `gathered.rs` | [`Gathered`]: an encoded Arrow stream in pieces, without a copy of what is large |
//! | `rows.rs` | [`Outlet`], [`ArrowRows`]: that stream, made while it is sent |
//! | `schema.rs`, `ddl/` | the DDL of a table in both forms |
//! | `indexes.rs` | which indexes a table's rows have |
//! | `migrations.rs` | numbered steps of the schema, dry run, columns that are lacking |
//! | `roll_ups.rs`, `roll_up_ddl.rs` | roll-ups by time: filled, kept by views, made anew where rows went |
//! | `drift.rs` | tables that are not what the catalog says, on every replica |
//! | `partitions.rs` | partitions: listed, dropped, rid of some rows, moved to another volume |
//! | `engine.rs` | the engine process: start, watch, restart, stop |
//! | `engine_words.rs` | what the engine process says |

mod admin;
mod answer;
mod backups;
mod body;
pub mod checksum;
mod client;
mod copies;
mod drift;
mod engine;
mod engine_words;
mod error;
mod gathered;
mod indexes;
mod insert;
mod migrations;
mod options;
mod partitions;
mod roll_up_ddl;
mod roll_ups;
mod rows;
mod schema;
mod select;
mod watermarks;

pub use admin::{AdminAnswer, AdminSql};
pub use answer::Answer;
pub use client::Store;
pub use drift::Drift;
pub use engine::{Engine, EngineData, EngineError, EngineOptions, EngineState, EngineStatus};
pub use error::StoreError;
pub use gathered::Gathered;
pub use indexes::pairs_of;
pub use migrations::MigrationStep;
pub use options::{Compression, StoreOptions};
pub use partitions::{StoredPartition, removed_rows, row_time};
pub use rows::{ArrowRows, Gone, Outlet};
pub use schema::TRACE_RANGES;
pub use select::{External, Select};
pub use watermarks::Promotion;
