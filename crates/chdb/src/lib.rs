//! libchdb, the embedded ClickHouse, bound at run time and put behind ClickHouse's HTTP interface.
//!
//! ```text
//!  client ─▶ http ─▶ access, admission ─▶ run (a thread per statement) ─▶ engine ─▶ connection ─▶ libchdb
//!            ▲                             text, gate, prepare, output    pool, kill    ffi
//!            └───────── pieces ────────────┘
//! ```
//!
//! The only `unsafe` of the project is in `ffi` and `connection`; `UNSAFE.md` lists every place.

#![expect(unsafe_code, reason = "libchdb is a C library; UNSAFE.md lists every place")]

/// ffi: libchdb's functions, found at run time.
mod ffi;

/// connection: one connection, safe to hold.
mod connection;

/// exception: ClickHouse's errors.
mod exception;

/// limits: numbers that are not settings.
mod limits;

/// library: where libchdb lies.
mod library;

/// config: the generated configuration, and the proof that it was taken.
mod config;

/// sandbox: Landlock.
mod sandbox;

/// folder: the data folder, one engine each.
mod folder;

/// engine: the connections and what runs on them.
mod engine;

/// lexer, statement: what a text asks for.
mod lexer;
mod statement;

/// codec: compressed bodies.
mod codec;

/// access, admission, sessions: who, how many, and what stays between requests.
mod access;
mod admission;
mod sessions;

/// run: one statement on its thread.
mod run;

/// http: the interface.
mod http;

pub use access::{Access, User, Users};
pub use admission::Admission;
pub use config::{ConfigError, EngineConfig};
pub use connection::{Analysis, Answer, ConnectError, Connection, InsertStream, Parameter, Progress, StatementClass};
pub use engine::{Engine, StartError};
pub use exception::Exception;
pub use ffi::{Library, LoadError};
pub use folder::{DataFolder, FolderError};
pub use http::Service;
pub use library::{LibraryMissing, find_library};
pub use limits::STOP_WAIT;
pub use sandbox::Sandbox;
