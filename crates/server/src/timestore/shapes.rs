//! The JSON schemas of these routes' answers.

use crate::routes::{Shapes, count, found, list_of, nullable, object, one_of_words, text, texts};

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    manifests()
}

fn manifests() -> Shapes {
    let manifest = object(&[
        ("id", text()),
        ("batch", text()),
        ("state", one_of_words(&["draft", "published", "superseded"])),
        ("version", count()),
        ("partition", text()),
        ("shard", text()),
        ("first_seq", nullable(count())),
        ("last_seq", nullable(count())),
        ("rows", count()),
        ("bytes", count()),
        ("first_time", nullable(text())),
        ("last_time", nullable(text())),
        ("checksum", nullable(text())),
        ("columns", texts()),
        ("schema_version", nullable(count())),
        ("tier", text()),
        ("drafted_at", text()),
        ("published_at", nullable(text())),
        ("superseded_at", nullable(text())),
    ]);
    let totals = ["manifests", "partitions", "rows", "bytes"].map(|name| (name, count()));
    let list = object(&[
        ("dataset", text()),
        ("table", text()),
        ("shard", nullable(text())),
        ("manifests", list_of(found("Manifest"))),
        ("next_cursor", nullable(text())),
        ("published", object(&totals)),
    ]);
    Shapes::from([("Manifest", manifest), ("Manifests", list)])
}
