use serde_json::Value;

use crate::routes::{Shapes, count, flag, found, list_of, nullable, object, one_of_words, text};

/// Returns the shapes of exports.
pub(crate) fn shapes() -> Shapes {
    let column = object(&[("name", text()), ("type", text())]);
    let file = object(&[
        ("name", text()),
        ("rows", count()),
        ("bytes", count()),
        ("sha256", text()),
        ("first_seq", nullable(count())),
        ("last_seq", nullable(count())),
        ("first_time", nullable(text())),
        ("last_time", nullable(text())),
    ]);
    let manifest = object(&[
        ("format", count()),
        ("export", text()),
        ("dataset", text()),
        ("table_name", text()),
        ("table", text()),
        ("schema_version", nullable(count())),
        ("columns", list_of(column)),
        ("time_column", nullable(text())),
        ("from", nullable(text())),
        ("to", nullable(text())),
        ("watermark", count()),
        ("rows", count()),
        ("bytes", count()),
        ("files", list_of(file)),
        ("written_at", text()),
    ]);
    let export = object(&[
        ("id", text()),
        ("dataset", text()),
        ("table_name", text()),
        ("table", text()),
        ("state", one_of_words(&["queued", "running", "completed", "failed", "removed"])),
        ("scheduled", flag()),
        ("from", nullable(text())),
        ("to", nullable(text())),
        ("folder", text()),
        ("storage_target_id", text()),
        ("actor", text()),
        ("attempts", count()),
        ("created_at", text()),
        ("finished_at", nullable(text())),
        ("error", nullable(text())),
        ("manifest", nullable(found("ExportManifest"))),
    ]);
    let words = ["tableName?", "from?", "to?", "shard?", "folder?", "storageTargetId?"];
    let asked = object(&words.map(|word| (word, text())));
    Shapes::from([
        ("StorageTarget", target()),
        ("StorageTargets", object(&[("targets", list_of(found("StorageTarget")))])),
        ("StorageTargetAsked", target_asked()),
        ("StorageTargetChange", object(&[("description?", text()), ("config?", target_config())])),
        ("Export", export),
        ("ExportManifest", manifest),
        ("ExportAsked", asked),
        ("Exports", object(&[("exports", list_of(found("Export"))), ("next_cursor", nullable(text()))])),
    ])
}

fn target() -> Value {
    object(&[
        ("id", text()),
        ("kind", one_of_words(&["local", "s3"])),
        ("config", target_config()),
        ("description", text()),
        ("builtIn", flag()),
        ("createdAt", nullable(text())),
        ("createdBy", nullable(text())),
    ])
}

fn target_asked() -> Value {
    object(&[
        ("id", text()),
        ("kind", one_of_words(&["local", "s3"])),
        ("description?", text()),
        ("config?", target_config()),
    ])
}

fn target_config() -> Value {
    object(&[("folder?", text()), ("bucket?", text()), ("prefix?", text())])
}
