use crate::routes::{Shapes, anything, count, flag, found, list_of, nullable, object, one_of_words, text, texts};

/// Returns the shapes of migrations.
pub(crate) fn shapes() -> Shapes {
    let mirror = object(&[
        ("from", count()),
        ("mirrored", count()),
        ("lagRows", count()),
        ("isApplied", flag()),
        ("applied", count()),
        ("folder", text()),
        ("why", nullable(text())),
    ]);
    let migration = object(&[
        ("id", text()),
        ("dataset", text()),
        ("tableName", text()),
        ("state", one_of_words(&["copying", "frozen", "switched", "finished", "abandoned"])),
        ("reads", one_of_words(&["source", "target"])),
        ("writes", one_of_words(&["open", "frozen"])),
        ("source", anything()),
        ("ask", text()),
        ("frozenUntil", nullable(text())),
        ("files", count()),
        ("rows", count()),
        ("seen", count()),
        ("accepted", count()),
        ("rejected", count()),
        ("head", count()),
        ("mirror", nullable(mirror)),
        ("validation", anything()),
        ("blockers", texts()),
        ("createdAt", text()),
        ("updatedAt", text()),
    ]);
    let piece = object(&[("file", text()), ("first", count()), ("rows", count()), ("accepted", count())]);
    let file = object(&[("file", text()), ("fingerprint", text()), ("rows", count())]);
    let step = object(&[
        ("seconds?", count()),
        ("acceptRejected?", count()),
        ("force?", flag()),
        ("removeFiles?", flag()),
        ("isApplied?", flag()),
        ("row?", count()),
    ]);
    let begun = object(&[("dataset", text()), ("tableName?", text()), ("source", anything()), ("ask?", text())]);
    let compared = object(&[("equal", flag()), ("head", count()), ("rows", count()), ("report?", anything())]);
    Shapes::from([
        ("Migration", migration),
        ("Migrations", object(&[("migrations", list_of(found("Migration")))])),
        ("MigrationBegun", begun),
        ("MigrationFiles", object(&[("files", list_of(file))])),
        ("MigrationPieces", object(&[("pieces", list_of(piece))])),
        ("MigrationCompared", compared),
        ("MigrationStep", step),
    ])
}
