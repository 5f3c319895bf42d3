//! The JSON schemas of these answers.

use crate::routes::{
    Shapes, anything, count, flag, found, integer, list_of, map_of, nullable, object, one_of_words, text,
};

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    let field = object(&[("name", text()), ("type", text())]);
    let mut all = Shapes::from([("Field", field)]);
    all.extend(records());
    all.extend(history());
    all.extend(quarantine());
    all
}

fn records() -> Shapes {
    let table = object(&[
        ("tableName", text()),
        ("table", text()),
        ("schemaVersion", count()),
        ("schemaChecksum", text()),
        ("timeColumn", nullable(text())),
        ("fields", list_of(found("Field"))),
    ]);
    let retargeted = object(&[("storageTargetId", text())]);
    let status = || one_of_words(&["active", "archived"]);
    let dataset = object(&[
        ("id", text()),
        ("slug", text()),
        ("name", text()),
        ("description", text()),
        ("status", status()),
        ("metadata", map_of(anything())),
        ("storageTargetId", nullable(text())),
        ("createdAt", text()),
        ("updatedAt", text()),
        ("createdBy", text()),
        ("quarantined", count()),
        ("tables", list_of(table)),
    ]);
    let evolution = object(&[("defaults?", map_of(anything())), ("backfill?", flag())]);
    let schema = object(&[("fields", list_of(found("Field"))), ("evolution?", evolution)]);
    let made = object(&[
        ("slug", text()),
        ("name?", text()),
        ("description?", text()),
        ("metadata?", map_of(anything())),
        ("storageTargetId?", text()),
        ("tableName?", text()),
        ("schema?", schema),
    ]);
    let changed = object(&[
        ("name?", text()),
        ("description?", text()),
        ("status?", status()),
        ("metadata?", map_of(anything())),
        ("storageTargetId?", text()),
        ("ifMatch?", text()),
    ]);
    Shapes::from([
        ("Dataset", dataset),
        ("DatasetList", object(&[("datasets", list_of(found("Dataset"))), ("nextCursor", nullable(text()))])),
        ("StorageTargetOfDataset", retargeted),
        ("DatasetMade", made),
        ("DatasetChanged", changed),
    ])
}

fn history() -> Shapes {
    let version = object(&[
        ("tableName", text()),
        ("version", count()),
        ("checksum", text()),
        ("fields", list_of(found("Field"))),
        ("change", found("SchemaEvolution")),
        ("actor", text()),
        ("createdAt", text()),
    ]);
    let entry = object(&[
        ("id", count()),
        ("at", text()),
        ("action", text()),
        ("success", flag()),
        ("actor", text()),
        ("detail", map_of(anything())),
    ]);
    let drift = object(&[
        ("replica", text()),
        ("table", text()),
        ("column", text()),
        ("found", nullable(text())),
        ("wanted", text()),
        ("mended", flag()),
    ]);
    Shapes::from([
        ("SchemaHistory", object(&[("versions", list_of(version))])),
        ("AuditLog", object(&[("entries", list_of(entry)), ("nextCursor", nullable(text()))])),
        ("Reconciled", object(&[("tables", count()), ("drift", list_of(drift))])),
    ])
}

fn quarantine() -> Shapes {
    let row = object(&[
        ("id", integer()),
        ("tableName", text()),
        ("at", text()),
        ("index", count()),
        ("reason", text()),
        ("detail", text()),
        ("partition", anything()),
        ("row", text()),
        ("actor", text()),
    ]);
    let mended = object(&[("id", integer()), ("row", anything())]);
    let refused = object(&[("id", integer()), ("reason", text()), ("detail", text())]);
    let ids = || list_of(integer());
    Shapes::from([
        ("Quarantine", object(&[("rows", list_of(row)), ("total", count()), ("nextCursor", nullable(text()))])),
        ("ReplayAsked", object(&[("ids?", ids()), ("rows?", list_of(mended))])),
        ("Replayed", object(&[("taken", ids()), ("refused", list_of(refused)), ("missing", ids())])),
    ])
}
