//! The row's way, a module per stage.
//!
//! ```text
//!  producers ─▶ ingest ─▶ buffer ─▶ batch ─▶ store (ClickHouse over HTTP)
//!               mover     state     mover    state
//!                           │                  │
//!                           └────▶ query ◀─────┘          catalog (state) knows batches,
//!                                  mover                  watermarks, datasets, retry keys
//! ```
//!
//! Movers know states, states know only `tidegate-model`, movers never know each other: `cargo xtask tidy` checks it.

/// ingest: requests become checked rows, and are acknowledged once the buffer has them.
pub mod ingest;

/// buffer: the write-ahead log and the hot tail.
pub mod buffer;

/// batch: the hot tail is sealed, inserted, advanced over and trimmed.
pub mod batch;

/// rollup: what rows are, and which attributes they have, counted batch by batch.
pub mod rollup;

/// store: ClickHouse behind HTTP, wherever it runs.
pub mod store;

/// query: stored rows and hot tail become one answer.
pub mod query;

/// catalog: datasets, schemas, batches, watermarks, retry keys.
pub mod catalog;

/// expire: rows that are past their retention go, old partitions move to the cold volume.
pub mod expire;

/// exports: folders of exported rows.
pub mod exports;

/// objects: whole files in a bucket of an S3 server.
pub mod objects;

/// verify: the ledger is proved against ClickHouse.
pub mod verify;

/// backup: log, catalog and ClickHouse's tables are copied as one moment, and checked.
pub mod backup;

/// world: the real forms of the doors to the outside.
pub mod world;
