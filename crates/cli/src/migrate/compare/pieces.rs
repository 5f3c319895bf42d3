use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;
use serde_json::{Map, Value};
use tidegate_model::limits::DIFFERENCES_LISTED_MAX;
use tidegate_model::{MigrationPiece, UnixNanos};

use super::form::{Form, literal};
use super::queries::moment;
use super::{Columns, columns, text_of};
use crate::migrate::Told;
use crate::migrate::files::{Files, Range};
use crate::migrate::progress::Progress;
use crate::migrate::server::Migration;

/// Pieces that one statement hashes: a million rows, which takes a second.
const PIECES_AT_ONCE: usize = 16;

/// A row that differs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Difference {
    file: String,
    /// Its place in the file, where the source has it.
    row: Option<u64>,
    /// Its number in the target, where that has it.
    seq: Option<String>,
    /// Columns that differ, where both have it.
    columns: Vec<String>,
    source: Option<Value>,
    target: Option<Value>,
}

/// What all pieces came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) pieces: u64,
    pub(super) pieces_differ: u64,
    pub(super) rows_differ: u64,
    pub(super) rejected: u64,
    pub(super) other_rows: u64,
    pub(super) differences: Vec<Difference>,
    pub(super) columns: Columns,
    pub(super) problems: Vec<String>,
}

/// What one piece is on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    hash: u64,
}

/// Reads every row of the source again, and compares it with what came of it.
pub(super) async fn compare(
    told: &Told,
    migration: &Migration,
    (files, form): (&Arc<Files>, &Arc<Form>),
    progress: &mut Progress,
) -> Result<Found> {
    let mut found = Found::default();
    let mut taken: BTreeMap<String, Vec<Range>> = BTreeMap::new();
    for piece in told.server.taken(migration).await? {
        taken.entry(piece.file).or_default().push(Range { first: piece.first, rows: piece.rows });
    }
    for (at, file) in files.files.iter().enumerate() {
        let ranges = taken.remove(&file.name).unwrap_or_default();
        let rows: u64 = ranges.iter().map(|range| range.rows).sum();
        if rows != file.rows {
            found.problems.push(format!("{rows} of {} rows of {} were taken", file.rows, file.name));
        }
        for some in ranges.chunks(PIECES_AT_ONCE) {
            let pieces: Vec<_> = some.iter().map(|range| piece_of(migration, &file.name, *range)).collect();
            let target = sums(told, form, &pieces).await?;
            for (piece, range) in pieces.iter().zip(some) {
                let (files, own_form, range) = (Arc::clone(files), Arc::clone(form), *range);
                let mut columns = std::mem::take(&mut found.columns);
                let read = move || {
                    let side = Side::read(&files, (at, range), &own_form)?;
                    columns::add(&mut columns, &own_form, &side.rows)?;
                    Ok::<_, anyhow::Error>((side, columns))
                };
                let (side, columns) = tokio::task::spawn_blocking(read).await??;
                found.columns = columns;
                found.pieces += 1;
                found.rejected += side.rejected;
                if side.sum() != target.get(piece).copied().unwrap_or_default() {
                    found.pieces_differ += 1;
                    differing(told, (piece, &side), form, &mut found).await?;
                }
                progress.add(piece.rows);
            }
        }
    }
    for file in taken.keys() {
        found.problems.push(format!("rows of {file} were taken, and the source has no such file any more"));
    }
    count_all(told, migration, form, &mut found).await?;
    Ok(found)
}

fn piece_of(migration: &Migration, file: &str, range: Range) -> MigrationPiece {
    MigrationPiece { migration: migration.id.clone(), file: file.to_owned(), first: range.first, rows: range.rows }
}

/// The rows of one piece as the target should have them.
struct Side {
    rows: RecordBatch,
    hashes: Vec<u64>,
    /// The place in the file of each.
    places: Vec<u64>,
    rejected: u64,
}

impl Side {
    fn read(files: &Files, (file, range): (usize, Range), form: &Form) -> Result<Self> {
        let batch = files.read(&files.files[file], range)?;
        let turned = form.turned(&batch)?;
        let hashes = form.hashes(&turned.rows)?;
        let places = turned.places.iter().map(|place| range.first + place).collect();
        Ok(Self { rows: turned.rows, hashes, places, rejected: turned.rejected.total() })
    }

    fn sum(&self) -> Sum {
        let hash = self.hashes.iter().fold(0_u64, |sum, hash| sum.wrapping_add(*hash));
        Sum { rows: self.hashes.len() as u64, hash }
    }
}

/// Asks what the target has of some pieces.
async fn sums(told: &Told, form: &Form, pieces: &[MigrationPiece]) -> Result<HashMap<MigrationPiece, Sum>> {
    let wanted: Vec<_> = pieces.iter().map(|piece| literal(&piece.attributes())).collect();
    let sql = format!(
        "SELECT `_partition_attributes` AS piece, toString(count()) AS found, toString(sum({})) AS hash FROM `{}` \
         WHERE `_partition_attributes` IN ({}) GROUP BY piece",
        form.hash(),
        form.table,
        wanted.join(", "),
    );
    let rows = told.server.rows(&sql).await?;
    let sum = |row: &Value| {
        let piece = serde_json::from_str(row["piece"].as_str()?).ok()?;
        let (rows, hash) = (text_of(&row["found"]).parse().ok()?, text_of(&row["hash"]).parse().ok()?);
        Some((piece, Sum { rows, hash }))
    };
    rows.iter().map(|row| sum(row).context("the server's sums cannot be read")).collect()
}

/// A row of the target.
struct Theirs {
    seq: String,
    row: Value,
}

/// Finds the rows of a piece that differ: those that only one side has, as often as it has them.
async fn differing(told: &Told, (piece, side): (&MigrationPiece, &Side), form: &Form, found: &mut Found) -> Result<()> {
    let sql = format!(
        "SELECT toString(`_seq`) AS seq, toString({}) AS hash, {} AS shown FROM `{}` \
         WHERE `_partition_attributes` = {} ORDER BY `_seq`",
        form.hash(),
        form.shown(),
        form.table,
        literal(&piece.attributes()),
    );
    let mut theirs: HashMap<u64, Vec<Theirs>> = HashMap::new();
    for row in told.server.rows(&sql).await? {
        let hash = text_of(&row["hash"]).parse().context("the server's hashes cannot be read")?;
        let shown = serde_json::from_str(row["shown"].as_str().unwrap_or_default()).unwrap_or_default();
        theirs.entry(hash).or_default().push(Theirs { seq: text_of(&row["seq"]), row: shown });
    }
    let mut ours = Vec::new();
    for (at, hash) in side.hashes.iter().enumerate() {
        if theirs.get_mut(hash).is_none_or(|same| same.pop().is_none()) {
            ours.push(at);
        }
    }
    let mut left: Vec<Theirs> = theirs.into_values().flatten().collect();
    left.sort_by(|one, other| (one.seq.len(), &one.seq).cmp(&(other.seq.len(), &other.seq)));
    found.rows_differ += ours.len().max(left.len()) as u64;
    // Rows are stored in the order of the file: the first that only we have is most likely the first that only they have.
    let mut left = left.into_iter();
    for at in ours {
        let source = shown(&side.rows, at);
        let theirs = left.next();
        let columns = theirs.as_ref().map(|theirs| unequal(&source, &theirs.row)).unwrap_or_default();
        let (seq, target) = theirs.map(|theirs| (theirs.seq, theirs.row)).unzip();
        let row = side.places.get(at).copied();
        found.list(Difference { file: piece.file.clone(), row, seq, columns, source: Some(source), target });
    }
    for theirs in left {
        let (seq, target) = (Some(theirs.seq), Some(theirs.row));
        found.list(Difference { file: piece.file.clone(), row: None, seq, columns: Vec::new(), source: None, target });
    }
    Ok(())
}

impl Found {
    fn list(&mut self, difference: Difference) {
        if self.differences.len() < DIFFERENCES_LISTED_MAX {
            self.differences.push(difference);
        }
    }
}

/// Rows that no piece has, though they say that they came with one.
async fn count_all(told: &Told, migration: &Migration, form: &Form, found: &mut Found) -> Result<()> {
    let own = format!("startsWith(`_partition_attributes`, {})", literal(&MigrationPiece::prefix(&migration.id)));
    let sql = format!("SELECT toString(countIf({own})) AS own, toString(count()) AS all FROM `{}`", form.table);
    let rows = told.server.rows(&sql).await?;
    let number = |name: &str| rows.first().and_then(|row| text_of(&row[name]).parse::<u64>().ok());
    let (own, all) = number("own").zip(number("all")).context("the server does not count its rows")?;
    found.other_rows = all - own;
    let expected = migration.seen - found.rejected.min(migration.seen);
    if own != expected {
        found.problems.push(format!("the target has {own} rows of this migration, and should have {expected}"));
    }
    Ok(())
}

/// Writes a row for people; columns without a value are null.
pub(in crate::migrate) fn shown(rows: &RecordBatch, at: usize) -> Value {
    let schema = rows.schema();
    let options = FormatOptions::default();
    let columns = schema.fields().iter().zip(rows.columns()).map(|(field, array)| {
        let value = if array.is_null(at) {
            Value::Null
        } else if let Some(times) = array.as_primitive_opt::<TimestampNanosecondType>() {
            Value::String(UnixNanos(times.value(at)).to_string())
        } else {
            let text = ArrayFormatter::try_new(array, &options).map(|formatter| formatter.value(at).to_string());
            let text = text.unwrap_or_default();
            let is_bare = array.data_type().is_numeric() || *array.data_type() == arrow_schema::DataType::Boolean;
            let bare = is_bare.then(|| serde_json::from_str(&text).ok()).flatten();
            bare.unwrap_or(Value::String(text))
        };
        (field.name().clone(), value)
    });
    Value::Object(columns.collect::<Map<_, _>>())
}

/// Names the columns whose values differ; times, lists and maps are written in two ways.
fn unequal(source: &Value, target: &Value) -> Vec<String> {
    let bare = |value: &Value| text_of(value).replace([' ', '"'], "");
    let is_same = |there: &Value, here: &Value| match here {
        Value::Array(_) | Value::Object(_) => bare(there) == bare(here),
        _ => {
            let (there, here) = (text_of(there), text_of(here));
            let numbers = there.parse::<f64>().ok().zip(here.parse::<f64>().ok());
            moment(&there) == moment(&here) || numbers.is_some_and(|(there, here)| there.to_bits() == here.to_bits())
        }
    };
    let members = source.as_object().into_iter().flatten();
    let differ = members.filter(|(name, value)| !is_same(value, &target[name.as_str()]));
    differ.map(|(name, _)| name.clone()).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.row.map_or_else(String::new, |row| format!(" row {row}"));
        let seq = self.seq.as_ref().map_or_else(String::new, |seq| format!(" (_seq {seq})"));
        write!(f, "{}{row}{seq}: ", self.file)?;
        match (&self.source, &self.target) {
            (Some(source), Some(target)) if !self.columns.is_empty() => {
                let told = self
                    .columns
                    .iter()
                    .map(|name| format!("`{name}` is {} there and {} here", source[name], target[name]));
                f.write_str(&told.collect::<Vec<_>>().join(", "))
            }
            (Some(source), Some(target)) => write!(f, "{source} there, {target} here"),
            (Some(source), None) => write!(f, "only the source has {source}"),
            (None, target) => write!(f, "only the target has {}", target.clone().unwrap_or_default()),
        }
    }
}
