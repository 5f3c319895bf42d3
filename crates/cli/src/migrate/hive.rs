use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, new_null_array};
use arrow_schema::DataType;

/// What stands for nothing in the name of a folder.
const NOTHING: &str = "__HIVE_DEFAULT_PARTITION__";

/// Returns the columns that stand in a path, as `day=2026-01-31/part.parquet` has `day`.
pub(super) fn columns(path: &str) -> BTreeMap<String, Option<String>> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pairs = folders.split('/').filter_map(|folder| folder.split_once('='));
    pairs.map(|(name, value)| (decoded(name), (value != NOTHING).then(|| decoded(value)))).collect()
}

/// Returns the type of such a column: whole numbers where every path has one, text otherwise.
pub(super) fn kind<'a>(values: impl Iterator<Item = Option<&'a str>>) -> DataType {
    let is_number = |value: &str| value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    let (mut some, mut all) = (false, true);
    for value in values.flatten() {
        some = true;
        all &= is_number(value);
    }
    if some && all { DataType::Int64 } else { DataType::Utf8 }
}

/// Makes such a column for rows of one file.
pub(super) fn array(value: Option<&str>, kind: &DataType, rows: usize) -> ArrayRef {
    match (value, kind) {
        (None, kind) => new_null_array(kind, rows),
        (Some(value), DataType::Int64) => Arc::new(Int64Array::from(vec![value.parse::<i64>().ok(); rows])),
        (Some(value), _) => Arc::new(StringArray::from(vec![value; rows])),
    }
}

/// Reads `%3A` as `:`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_path_have_their_values_and_types() {
        let found = columns("shop=a%20b/day=2026-01-31/n=07/none=__HIVE_DEFAULT_PARTITION__/x.parquet");
        let expect = [("day", Some("2026-01-31")), ("n", Some("07")), ("none", None), ("shop", Some("a b"))];
        let expect = expect.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(found, BTreeMap::from(expect));
        assert!(columns("a=b").is_empty(), "a file's own name is none");
        // `07` as a number would lose a digit.
        assert_eq!(kind([Some("7"), None, Some("-1")].into_iter()), DataType::Int64);
        assert_eq!(kind([Some("7"), Some("07")].into_iter()), DataType::Utf8);
        assert_eq!(kind([None].into_iter()), DataType::Utf8);
    }
}
