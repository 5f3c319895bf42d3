//! Exports and backups on a real S3 server, which goes away in the middle.
//!
//! | file | proves |
//! |---|---|
//! | `server.rs` | a real S3 server, installed by `tests/s3/install.sh` |
//! | `gate.rs` | a way to it that can be closed after so many bytes |
//! | `pieces.rs` | a long file is an object whole or not at all |
//! | `exports.rs` | an export is completed when all its objects are whole, whatever broke before |
//! | `drills.rs` | the schedule takes backups, and restores them on trial; a bad one is an alarm |
//! | `backups.rs` | a backup in a bucket is restored row by row; half a one and a damaged one are not |

mod backups;
mod drills;
mod exports;
mod gate;
mod pieces;
mod server;

use gate::Gate;
use server::S3;
