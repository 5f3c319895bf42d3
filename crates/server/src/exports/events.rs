use serde_json::{Value, json};
use tidegate_core::catalog::{Export, ExportEnd, ExportState};
use tidegate_model::UnixNanos;

use super::Exports;

/// An export was asked for.
pub(super) const CREATED: &str = "timestore.dataset.export.created";
/// Its files are whole.
const COMPLETED: &str = "timestore.dataset.export.completed";
/// It was given up.
const FAILED: &str = "timestore.dataset.export.failed";

impl Exports {
    /// Writes what the webhook is told of an export as it is now; nothing where nobody listens.
    pub(super) fn event(&self, kind: &'static str, at: UnixNanos, export: &Export) -> Option<(&'static str, String)> {
        let body = || json!({ "type": kind, "at": at.to_string(), "export": told(export) }).to_string();
        self.options.webhook.as_ref().map(|_| (kind, body()))
    }

    /// Writes what the webhook is told of an export's end.
    pub(super) fn event_of_end(
        &self,
        export: &Export,
        at: UnixNanos,
        end: &ExportEnd,
    ) -> Option<(&'static str, String)> {
        let mut ended = Export { finished_at: Some(at), ..export.clone() };
        let kind = match end {
            ExportEnd::Completed(manifest) => {
                (ended.state, ended.manifest) = (ExportState::Completed, Some(manifest.clone()));
                COMPLETED
            }
            ExportEnd::Failed(error) => {
                (ended.state, ended.error) = (ExportState::Failed, Some(error.clone()));
                FAILED
            }
        };
        self.event(kind, at, &ended)
    }
}

/// Tells an export, as answers and events do.
pub(super) fn told(export: &Export) -> Value {
    let time = |time: Option<UnixNanos>| time.map(|time| time.to_string());
    json!({
        "id": export.id,
        "dataset": export.slug,
        "table_name": export.label,
        "table": export.table,
        "state": export.state.as_str(),
        "scheduled": export.is_scheduled,
        "from": time(export.from),
        "to": time(export.to),
        "folder": export.folder,
        "storage_target_id": export.target,
        "actor": export.actor,
        "attempts": export.attempts,
        "created_at": export.created_at.to_string(),
        "finished_at": time(export.finished_at),
        "error": export.error,
        "manifest": export.manifest,
    })
}
