//! The agent: collects logs, host metrics and the states of services on one machine, keeps them on its own disk, and
//! delivers them to a server, each row once.
//!
//! ```text
//!  files   ─┐                ┌─────────┐ frame: rows   ┌───────┐ OTLP/HTTP, a retry key  ┌────────┐
//!  journal ─┼─ pieces ──────▶│ writer  │ and marks ───▶│ queue │────── sender ──────────▶│ server │
//!  stdin   ─┤ a few at a time└─────────┘ synced        └───────┘◀──── delivered ─────────└────────┘
//!  host    ─┤
//!  checks  ─┘
//! ```
//!
//! A row and the mark of how far its source was read are one frame: a crash keeps both or neither. A request is sent only
//! after its frame is synced, and until it is answered, always under the same key. A full queue stops the reading of
//! sources; metrics, which will be measured again, are dropped and counted.
//!
//! | file | holds |
//! |---|---|
//! | `settings.rs`, `check_settings.rs` | the TOML file, and what its values may be |
//! | `run.rs` | the parts, joined; the way down |
//! | `collect.rs` | what collects, each a task of its own |
//! | `files/`, `journal.rs`, `lines_in.rs` | logs: files, systemd's journal, standard input |
//! | `parse/` | lines become rows |
//! | `host.rs`, `checks.rs`, `own.rs` | metrics of the machine and of processes, services, the agent itself |
//! | `rows.rs` | rows as OTLP |
//! | `writer.rs`, `queue/`, `sender.rs` | into the queue, and out of it |
//! | `limits.rs` | what is bounded, and why |
//! | `counts.rs`, `status.rs`, `teller.rs` | what it did, who it is, and the file that says so |

mod check_settings;
mod checks;
mod collect;
mod counts;
mod files;
mod host;
mod journal;
mod limits;
mod lines_in;
mod own;
mod parse;
pub mod queue;
mod rows;
mod run;
mod sender;
pub mod settings;
mod status;
mod teller;
mod writer;

pub use files::FileStatus;
pub use parse::{Format, UtcOffset};
pub use run::{AgentError, World, run};
pub use status::Status;
