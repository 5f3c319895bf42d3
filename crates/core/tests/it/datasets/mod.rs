//! Datasets on the real engine: what is sent is what is read, hot or stored, whatever becomes of the schema.
//!
//! | file | holds |
//! |---|---|
//! | `place.rs` | a world with an ingest, a reader and a mover, that can be started again |
//! | `model.rs` | random sequences against a plain list of rows |
//! | `types.rs` | every type, hot and stored |
//! | `evolution.rs` | single changes of a schema |
//! | `quarantine.rs` | refused rows, mended and sent again |

mod evolution;
mod model;
mod place;
mod quarantine;
mod types;
