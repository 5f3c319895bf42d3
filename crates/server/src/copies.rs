//! What is counted of exports and backups.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGauge};
use tidegate_core::catalog::{BackupDrill, Export, ExportEnd, ExportState};
use tidegate_model::UnixNanos;

use crate::metrics::List;

/// The metrics of exports and backups.
#[derive(Debug)]
pub(crate) struct Copies {
    backups: IntCounterVec,
    backup_drills: IntCounterVec,
    backup_drill_seconds: HistogramVec,
    backup_alarm: IntGauge,
    exports: IntCounterVec,
    export_bytes: IntCounterVec,
    export_seconds: HistogramVec,
}

impl Copies {
    /// Registers each at zero.
    pub(crate) fn new(list: &List) -> Self {
        Self {
            backups: list.counters("tidegate_backups_total", "Scheduled backups, by outcome", &["outcome"]),
            backup_drills: list.counters(
                "tidegate_backup_drills_total",
                "Backups restored on trial, by outcome",
                &["outcome"],
            ),
            backup_drill_seconds: list.seconds(
                "tidegate_backup_drill_seconds",
                "What good drills took, by step",
                &["step"],
            ),
            backup_alarm: list
                .gauge("tidegate_backup_alarm", "1 while the last drill or the last scheduled backup has failed"),
            exports: list.counters(
                "tidegate_exports_total",
                "Exports that came into a state since the start, by where they go",
                &["state", "target"],
            ),
            export_bytes: list.counters("tidegate_export_bytes_total", "Bytes of completed exports", &["target"]),
            export_seconds: list.seconds(
                "tidegate_export_seconds",
                "From asking for an export to its completion",
                &["target"],
            ),
        }
    }

    /// Counts a scheduled backup.
    pub(crate) fn backup(&self, is_taken: bool) {
        self.backups.with_label_values(&[if is_taken { "ok" } else { "failed" }]).inc();
    }

    /// Counts a drill.
    pub(crate) fn backup_drill(&self, drill: &BackupDrill) {
        self.backup_drills.with_label_values(&[if drill.error.is_none() { "ok" } else { "failed" }]).inc();
        if drill.error.is_none() {
            for (step, millis) in [("restore", drill.restore_ms), ("verify", drill.verify_ms)] {
                let took = Duration::from_millis(millis).as_secs_f64();
                self.backup_drill_seconds.with_label_values(&[step]).observe(took);
            }
        }
    }

    /// Counts an export that came into a state.
    pub(crate) fn export(&self, export: &Export, state: ExportState) {
        self.exports.with_label_values(&[state.as_str(), export_target(export)]).inc();
    }

    /// Counts an export that ended.
    pub(crate) fn export_end(&self, export: &Export, at: UnixNanos, end: &ExportEnd) {
        let target = export_target(export);
        let ExportEnd::Completed(manifest) = end else { return self.export(export, ExportState::Failed) };
        self.export(export, ExportState::Completed);
        self.export_bytes.with_label_values(&[target]).inc_by(manifest["bytes"].as_u64().unwrap_or(0));
        let took = u64::try_from(at.0.saturating_sub(export.created_at.0)).unwrap_or(0);
        self.export_seconds.with_label_values(&[target]).observe(Duration::from_nanos(took).as_secs_f64());
    }

    /// Says whether a person must look after backups.
    pub(crate) fn alarm(&self, is_raised: bool) {
        self.backup_alarm.set(i64::from(is_raised));
    }
}

/// A closed list: the names of targets are the users'.
fn export_target(export: &Export) -> &'static str {
    if export.folder.starts_with("s3://") { "s3" } else { "local" }
}
