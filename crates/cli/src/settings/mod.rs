//! One tree of settings, from four places: defaults, then the file, then the environment, then the command line.
//!
//! | file | holds |
//! |---|---|
//! | `tree.rs` | [`Settings`]: every setting with its default and what it does |
//! | `sources.rs` | the four places, laid over each other; which one each value came from |
//! | `places.rs` | where other programs are that it names |
//! | `print.rs` | the tree as commented TOML |

mod alerts;
mod places;
mod print;
mod sources;
mod tree;

#[cfg(test)]
mod tests;

pub(crate) use print::commented;
#[cfg(test)]
use sources::Loaded;
pub(crate) use sources::{Flags, SettingsError, check_s3, load};
pub(crate) use tree::{
    Access, Backend, Backup, BackupTarget, ClickHouse, Exports, Listen, Log, LogFormat, Query, Retain, S3, Settings,
    Sync,
};
