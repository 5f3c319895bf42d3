use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value};
use tidegate_model::{FieldType, Scalar};

use super::source::Kept;
use super::target::{self, Shape, Theirs};
use super::{Found, json};
use crate::migrate::compare::pieces::shown;
use crate::migrate::compare::queries::moment;
use crate::migrate::compare::text_of;
use crate::migrate::server::Server;

/// A row that differs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Difference {
    key: Value,
    /// Columns that differ, where both have it.
    columns: Vec<String>,
    source: Option<Value>,
    target: Option<Value>,
}

/// How two versions of a row are to each other.
enum Verdict {
    Same,
    /// But for the way in which their JSON is written.
    SameValue,
    Differs(Vec<String>),
}

/// Compares the rows of some ranges one by one.
pub(super) async fn compare(server: &Server, shape: &Shape, kept: &[Kept], ranges: &HashSet<usize>) -> Result<Found> {
    let mut here: HashMap<u64, Vec<Theirs>> = HashMap::new();
    for theirs in target::of_ranges(server, shape, ranges.iter().copied()).await? {
        here.entry(theirs.key).or_default().push(theirs);
    }
    let mut found = Found { differences: BTreeMap::new(), ..Found::default() };
    for rows in kept {
        for (at, (key, hash)) in rows.keys.iter().zip(&rows.hashes).enumerate() {
            let source = || shown(&rows.rows, at);
            let mut theirs = here.remove(key).unwrap_or_default();
            let Some(last) = theirs.pop() else {
                found.differences.insert(*key, Difference::new(shape, Some(source()), None, Vec::new()));
                continue;
            };
            let verdict = if last.hash == *hash { Verdict::Same } else { judged(shape, &source(), &last.row) };
            match verdict {
                Verdict::Same => {}
                Verdict::SameValue => found.json_written_otherwise += 1,
                Verdict::Differs(columns) => {
                    found.differences.insert(*key, Difference::new(shape, Some(source()), Some(last.row), columns));
                }
            }
            // A version that is there twice: one of them is too many.
            if let Some(other) = theirs.pop() {
                found.differences.insert(*key, Difference::new(shape, None, Some(other.row), Vec::new()));
            }
        }
    }
    for (key, theirs) in here {
        for theirs in theirs {
            found.differences.insert(key, Difference::new(shape, None, Some(theirs.row), Vec::new()));
        }
    }
    Ok(found)
}

/// Compares some rows value by value; returns how many, and how many of them differ.
pub(super) async fn spots(server: &Server, shape: &Shape, kept: &[Kept]) -> Result<(u64, u64)> {
    let keys = || kept.iter().flat_map(|rows| rows.keys.iter().copied());
    let here: HashMap<u64, Theirs> =
        target::of_keys(server, shape, keys()).await?.into_iter().map(|theirs| (theirs.key, theirs)).collect();
    let (mut looked, mut differ) = (0, 0);
    for rows in kept {
        for (at, key) in rows.keys.iter().enumerate() {
            looked += 1;
            let is_same = here.get(key).is_some_and(|theirs| {
                let verdict = judged(shape, &shown(&rows.rows, at), &theirs.row);
                theirs.hash == rows.hashes[at] || matches!(verdict, Verdict::SameValue)
            });
            differ += u64::from(!is_same);
        }
    }
    Ok((looked, differ))
}

/// Compares two rows value by value.
fn judged(shape: &Shape, source: &Value, target: &Value) -> Verdict {
    let mut has_json = false;
    let mut columns = Vec::new();
    for (column, kind) in &shape.whole.columns {
        let (there, here) = (&source[column.name.as_str()], &target[column.name.as_str()]);
        if is_same(*kind, there, here) {
            has_json |= *kind == FieldType::One(Scalar::Json) && there != here;
        } else {
            columns.push(column.name.clone());
        }
    }
    match (columns.is_empty(), has_json) {
        (true, true) => Verdict::SameValue,
        // The hashes differ: what is written alike for people is not the same.
        (_, _) => Verdict::Differs(columns),
    }
}

fn is_same(kind: FieldType, there: &Value, here: &Value) -> bool {
    if there == here {
        return true;
    }
    if there.is_null() || here.is_null() {
        return false;
    }
    let bare = |value: &Value| text_of(value).replace([' ', '"'], "");
    let FieldType::One(scalar) = kind else { return bare(there) == bare(here) };
    let (there, here) = (text_of(there), text_of(here));
    match scalar {
        Scalar::Json => json::is_same(&there, &here),
        Scalar::Timestamp => moment(&there) == moment(&here),
        Scalar::Double => {
            let (there, here) = (there.parse::<f64>(), here.parse::<f64>());
            there.ok().zip(here.ok()).is_some_and(|(there, here)| there.to_bits() == here.to_bits())
        }
        Scalar::Decimal { .. } => json::is_same(&there, &here),
        _ => there == here,
    }
}

impl Difference {
    fn new(shape: &Shape, source: Option<Value>, target: Option<Value>, columns: Vec<String>) -> Self {
        let row = source.as_ref().or(target.as_ref());
        let names = shape.key.columns.iter().map(|(column, _)| column.name.clone());
        let key: Map<_, _> =
            names.map(|name| (name.clone(), row.map(|row| row[&name].clone()).unwrap_or_default())).collect();
        Self { key: Value::Object(key), columns, source, target }
    }

    pub(super) fn is_only_source(&self) -> bool {
        self.target.is_none()
    }

    pub(super) fn is_only_target(&self) -> bool {
        self.source.is_none()
    }

    pub(super) fn is_of_values(&self) -> bool {
        self.source.is_some() && self.target.is_some()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key)?;
        match (&self.source, &self.target) {
            (Some(source), Some(target)) => {
                let told = self.columns.iter().map(|name| {
                    let name = name.as_str();
                    format!("`{name}` is {} there and {} here", source[name], target[name])
                });
                f.write_str(&told.collect::<Vec<_>>().join(", "))
            }
            (Some(_), None) => f.write_str("only the source has it"),
            (None, _) => f.write_str("only the target has it"),
        }
    }
}
