//! Sessions: what the catalogue told at some moment, kept by name, to be compared with another moment.
//!
//! A session is one gzip-compressed JSON file in the data folder: counts and exact cardinalities, no telemetry.
//!
//! | file | holds |
//! |---|---|
//! | `routes.rs` | `/api/v1/sessions…` |
//! | `content.rs` | [`Session`]: what is in one, read from the catalogue |
//! | `folder.rs` | the files: written whole or not at all, bounded in number and size |
//! | `diff.rs` | what changed between two |

mod content;
mod diff;
mod folder;
mod routes;

pub(super) use routes::router;
