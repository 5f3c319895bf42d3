use crate::routes::{Shapes, count, flag, found, list_of, nullable, object, one_of_words, text};

/// Returns the shapes of these routes.
pub(crate) fn shapes() -> Shapes {
    let mut all = policies();
    all.extend(quotas());
    all.extend(runs());
    all
}

fn policies() -> Shapes {
    const MODES: &[&str] = &["time", "size", "hybrid", "none"];
    let rules = object(&[("maxAgeHours?", nullable(count())), ("maxTotalBytes?", nullable(count()))]);
    let policy = object(&[
        ("mode?", one_of_words(MODES)),
        ("rules?", rules),
        ("deleteGraceMinutes?", nullable(count())),
        ("coldStorageAfterHours?", nullable(count())),
    ]);
    let partition = object(&[
        ("partition", text()),
        ("rows", count()),
        ("bytes", count()),
        ("first_time", text()),
        ("last_time", text()),
        ("tier", one_of_words(&["hot", "cold", "mixed"])),
    ]);
    let table = object(&[
        ("tableName", text()),
        ("table", text()),
        ("source", one_of_words(&["table", "dataset", "settings"])),
        ("policy", found("RetentionPolicy")),
        ("pending", nullable(object(&[("policy", found("RetentionPolicy")), ("from", text())]))),
        ("partitions", list_of(partition)),
    ]);
    let would_go = object(&[
        ("tableName", text()),
        ("table", text()),
        ("policy", found("RetentionPolicy")),
        ("rows", count()),
        ("bytes", count()),
        ("partitions", count()),
        ("oldest", nullable(text())),
        ("before", nullable(text())),
    ]);
    Shapes::from([
        ("RetentionPolicy", policy),
        ("Retention", object(&[("dataset", text()), ("tables", list_of(table))])),
        ("RetentionPreview", object(&[("dataset", text()), ("tables", list_of(would_go))])),
    ])
}

fn quotas() -> Shapes {
    let limit = || nullable(count());
    let quota = object(&[("rowsPerSecond?", limit()), ("bytesPerSecond?", limit()), ("storedBytes?", limit())]);
    let told = object(&[
        ("dataset", text()),
        ("source", one_of_words(&["dataset", "settings"])),
        ("quota", found("QuotaLimits")),
        ("stored_bytes", count()),
    ]);
    let of_tenant = object(&[
        ("tenant", text()),
        ("datasets", list_of(text())),
        ("quota", found("QuotaLimits")),
        ("stored_bytes", count()),
    ]);
    Shapes::from([("QuotaLimits", quota), ("Quota", told), ("TenantQuota", of_tenant)])
}

fn runs() -> Shapes {
    let step = object(&[
        ("table", text()),
        ("dataset", text()),
        ("partition", text()),
        ("action", one_of_words(&["drop", "trim", "move"])),
        ("reason", one_of_words(&["age", "size"])),
        ("rows", count()),
        ("bytes", count()),
        ("outcome", one_of_words(&["done", "planned", "postponed", "failed"])),
        ("note", nullable(text())),
    ]);
    let did = object(&[
        ("dry_run", flag()),
        ("tables", count()),
        ("rows_removed", count()),
        ("bytes_removed", count()),
        ("bytes_moved", count()),
        ("left", count()),
        ("steps", list_of(step)),
    ]);
    let operations = list_of(one_of_words(&["retention", "tiers"]));
    let asked =
        object(&[("datasetId?", text()), ("datasetSlug?", text()), ("operations?", operations), ("dryRun?", flag())]);
    let run = object(&[
        ("run", count()),
        ("cause", one_of_words(&["schedule", "request"])),
        ("actor", text()),
        ("state", one_of_words(&["running", "completed", "failed"])),
        ("began_at", text()),
        ("ended_at", nullable(text())),
        ("error", nullable(text())),
        ("report", nullable(found("LifecycleDone"))),
    ]);
    let mut status = state().to_vec();
    status.extend([
        ("every_seconds", count()),
        ("has_cold_volume", flag()),
        ("open_removals", count()),
        ("rows_removed", count()),
        ("bytes_removed", count()),
        ("bytes_moved", count()),
    ]);
    let warm = [("table", text()), ("from_shard", text()), ("to_shard", text()), ("rows", count())];
    let asked_warm = [("datasetSlug", text()), ("tableName?", text()), ("fromShard", text()), ("toShard?", text())];
    Shapes::from([
        ("LifecycleDone", did),
        ("LifecycleAsked", asked),
        ("LifecycleReport", object(&[("run", nullable(count())), ("report", found("LifecycleDone"))])),
        ("LifecycleRuns", object(&[("runs", list_of(run)), ("next_cursor", nullable(text()))])),
        ("LifecycleStatus", object(&status)),
        ("PrewarmAsked", object(&asked_warm)),
        ("Prewarmed", object(&[&warm[..], &[("milliseconds", count())]].concat())),
    ])
}

/// What `/health` tells too.
pub(crate) fn state() -> [(&'static str, serde_json::Value); 5] {
    [
        ("within_retention", flag()),
        ("overdue_table", nullable(text())),
        ("overdue_seconds", count()),
        ("alarms", count()),
        ("last_run", nullable(text())),
    ]
}
