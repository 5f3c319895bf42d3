use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Rows of a file of an older engine that come in one request. It stands in every one of them, so that the rows
/// themselves say what was taken, whatever is lost of the notes about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationPiece {
    /// The migration.
    pub migration: String,
    /// The file, by its path below the source.
    pub file: String,
    /// The place of the first of these rows in it, from 0.
    pub first: u64,
    /// How many they are.
    pub rows: u64,
}

impl MigrationPiece {
    /// Returns what stands in its rows, as JSON in ASCII: a header takes it too.
    #[must_use]
    pub fn attributes(&self) -> String {
        let Self { migration, file, first, rows } = self;
        format!("{}\",\"file\":{},\"first\":{first},\"rows\":{rows}}}", Self::prefix(migration), quoted(file))
    }

    /// Returns what the attributes of all pieces of a migration begin with.
    #[must_use]
    pub fn prefix(migration: &str) -> String {
        format!("{}{migration}", Self::ANY)
    }

    /// What the attributes of every piece begin with.
    pub const ANY: &'static str = "{\"migration\":\"";
}

/// Quotes a text as JSON, with escapes for all that is not printable ASCII.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(plain @ (b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')) => out.push(char::from(plain)),
            _ => drop(write!(out, "\\u{unit:04x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_the_same_after_its_attributes_whatever_its_file_is_called() {
        for file in ["a/b.parquet", "a \"b\"\\\n.parquet", "größe/😀.parquet", ""] {
            let piece = MigrationPiece { migration: "18f-3".into(), file: file.into(), first: 5, rows: 7 };
            let attributes = piece.attributes();
            assert!(attributes.is_ascii() && attributes.starts_with(&MigrationPiece::prefix("18f-3")), "{attributes}");
            assert_eq!(serde_json::from_str::<MigrationPiece>(&attributes).expect("JSON"), piece);
        }
    }
}
