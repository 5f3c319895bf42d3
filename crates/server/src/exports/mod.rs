//! Exports: a table's rows as Parquet files, asked for or by schedule, and what the webhook is told of them.
//!
//! It owns the order in which exports are written (one at a time, the oldest first) and the requests for them.
//!
//! Invariants:
//! - An export is in the catalog before its folder is on the disk, and completed there after the folder is whole: what
//!   a crash leaves is found at the next start, and finished or begun anew.
//! - An event is in the catalog in the transaction of what it tells, until the receiver has taken it.
//!
//! | file | does |
//! |---|---|
//! | `requests.rs` | `/admin/datasets/{id}/exports` |
//! | `targets.rs` | `/admin/storage-targets`: where exports may go |
//! | `place.rs` | a folder, or objects: written, sent, removed |
//! | `table.rs` | finds what is exported |
//! | `mover.rs` | writes exports, ends them, removes those that have outlived their time |
//! | `schedule.rs` | asks for exports every so many hours |
//! | `events.rs` | what is told of an export |
//! | `webhook.rs` | sends that, signed, until it is taken |
//! | `shapes.rs` | the answers' JSON schemas |

mod events;
mod mover;
mod place;
mod requests;
mod schedule;
mod shapes;
mod table;
mod targets;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_core::objects::Bucket;
use tidegate_model::limits::EXPORTS_KEPT;
use tokio::sync::{Notify, watch};

use crate::routes::Route;
use crate::stages::Stages;
use crate::webhook::Webhook;

pub(crate) use shapes::shapes;
pub(crate) use targets::check_known as check_target;

/// Where exports go, when, and who is told.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The folder below which all exports are.
    pub folder: PathBuf,
    /// The bucket of the storage target `s3`, and the server of all others in buckets.
    pub bucket: Option<Bucket>,
    /// The storage target of tables that have none of their own.
    pub target: String,
    /// Every so many hours each table is exported; 0: never.
    pub every_hours: u64,
    /// So many of these exports of each table keep their files; 0: all.
    pub keep: u32,
    /// The datasets that are exported so, and built-in tables; none: all datasets.
    pub datasets: Vec<String>,
    /// Who is told.
    pub webhook: Option<Webhook>,
}

/// What requests, schedule, mover and webhook share; clones are the same.
#[derive(Debug, Clone)]
pub struct Exports {
    options: Arc<ExportOptions>,
    /// An export was asked for.
    asked: Arc<Notify>,
    /// The webhook has something to send.
    told: Arc<Notify>,
}

impl ExportOptions {
    /// Exports on demand below a folder, and nothing else.
    #[must_use]
    pub fn on_demand(folder: PathBuf) -> Self {
        let (bucket, target) = (None, targets::LOCAL.to_owned());
        Self { folder, bucket, target, every_hours: 0, keep: EXPORTS_KEPT, datasets: Vec::new(), webhook: None }
    }
}

/// The routes of exports, and of where they go.
pub(crate) fn routes() -> Vec<Route> {
    requests::routes().into_iter().chain(targets::routes()).collect()
}

impl Exports {
    /// Prepares exports; nothing is written before [`run_exports`].
    #[must_use]
    pub fn new(options: ExportOptions) -> Self {
        Self { options: Arc::new(options), asked: Arc::default(), told: Arc::default() }
    }
}

/// Writes exports and tells of them until it is stopped; what is under way then is done after the next start.
pub async fn run_exports(stages: Stages, mut stop: watch::Receiver<bool>) {
    let all = async { tokio::join!(mover::run(&stages), schedule::run(&stages), webhook::run(&stages)) };
    tokio::select! {
        _ = all => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
