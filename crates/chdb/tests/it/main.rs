//! The engine as its clients and its parent see it: a real process on its own folder and a free port.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test, helpers included")]

mod client;
mod engine;
mod http;
mod official_client;
mod process;
mod reader;
mod traps;
