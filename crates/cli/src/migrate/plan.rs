use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;
use tidegate_core::ingest::rows::field_type_of;
use tidegate_model::{FieldType, Scalar};

use super::files::{Files, SourceColumn};
use super::server::Table;
use super::source::Source;

/// Names that columns of datasets cannot have begin with it.
const OURS: char = '_';

/// What would be taken.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    pub(super) files: usize,
    pub(super) rows: u64,
    pub(super) columns: Vec<PlannedColumn>,
    /// Why it cannot be taken as it is.
    pub(super) problems: Vec<String>,
}

/// What becomes of a column.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlannedColumn {
    pub(super) column: String,
    /// Its name in the dataset; none: it is left out.
    pub(super) name: Option<String>,
    pub(super) types: Vec<String>,
    /// The type that it gets.
    pub(super) becomes: Option<FieldType>,
    /// What is to be known of that.
    pub(super) note: Option<String>,
}

/// Says which columns come of the files, and what does not fit the table that is there.
pub(super) fn plan(files: &Files, source: &Source, table: Option<&Table>) -> Plan {
    let mut problems = Vec::new();
    let mut columns: Vec<_> =
        files.columns().iter().map(|column| planned(column, source, table, &mut problems)).collect();
    for column in &mut columns {
        column.note = column.note.take().or_else(|| files.notes.get(&column.column).cloned());
    }
    let mut names: BTreeMap<&str, u32> = BTreeMap::new();
    for name in columns.iter().filter_map(|column| column.name.as_deref()) {
        *names.entry(name).or_default() += 1;
    }
    let twice = names.into_iter().filter(|(_, times)| *times > 1);
    problems.extend(
        twice.map(|(name, _)| format!("two columns would be called `{name}`: give one another name with --rename")),
    );
    for named in source.leave_out.iter().chain(source.rename.iter().map(|(old, _)| old)) {
        if !columns.iter().any(|column| column.column == *named) {
            problems.push(format!("the source has no column `{named}`"));
        }
    }
    Plan { files: files.files.len(), rows: files.rows(), columns, problems }
}

fn planned(column: &SourceColumn, source: &Source, table: Option<&Table>, problems: &mut Vec<String>) -> PlannedColumn {
    let types: Vec<String> = column.types.iter().map(ToString::to_string).collect();
    let told = column.name.clone();
    let Some(name) = source.name_of(&column.name) else {
        return PlannedColumn { column: told, name: None, types, becomes: None, note: Some("left out".to_owned()) };
    };
    if name.starts_with(OURS) || name.contains(['"', '\'', '`', '\\']) || name.is_empty() {
        problems.push(format!("a column cannot be called `{name}`: give it another name with --rename '{told}'=…"));
    }
    let there = table.and_then(|table| table.fields.iter().find(|field| field.name == name));
    let there: Option<FieldType> = there.and_then(|field| field.kind.parse().ok());
    let found: Vec<Option<FieldType>> = column.types.iter().map(field_type_of).collect();
    if let Some(at) = found.iter().position(Option::is_none) {
        problems.push(format!(
            "`{told}` is {}, which a dataset cannot hold: leave it out with --leave-out, or write it as text or JSON first",
            column.types[at]
        ));
        return PlannedColumn { column: told, name: Some(name.to_owned()), types, becomes: None, note: None };
    }
    let found: Vec<FieldType> = found.into_iter().flatten().collect();
    let becomes = there.or_else(|| one_of(&found));
    let note = becomes.and_then(|becomes| {
        let other = found.iter().find(|found| **found != becomes)?;
        Some(format!("{other} here and there: a value that is no {becomes} refuses its row"))
    });
    if becomes.is_none() {
        let all = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        problems.push(format!("`{told}` is {all} in different files: write them alike first, or leave it out"));
    }
    PlannedColumn { column: told, name: Some(name.to_owned()), types, becomes, note }
}

/// Returns the type that holds all of these: integers and doubles are doubles.
fn one_of(found: &[FieldType]) -> Option<FieldType> {
    let first = *found.first()?;
    if found.iter().all(|one| *one == first) {
        return Some(first);
    }
    let (integer, double) = (FieldType::One(Scalar::Integer), FieldType::One(Scalar::Double));
    found.iter().all(|one| [integer, double].contains(one)).then_some(double)
}

impl Plan {
    /// Prints it for people.
    pub(super) fn print(&self) {
        println!("{} files, {} rows", self.files, self.rows);
        for column in &self.columns {
            let (types, becomes) = (column.types.join(", "), column.becomes.map(|kind| kind.to_string()));
            let renamed = column.name.as_ref().filter(|name| **name != column.column);
            let renamed = renamed.map(|name| format!(" as `{name}`")).unwrap_or_default();
            let note = column.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
            println!("  {}: {types} → {}{renamed}{note}", column.column, becomes.as_deref().unwrap_or("nothing"));
        }
        for problem in &self.problems {
            println!("  does not fit: {problem}");
        }
    }

    /// Ends with the problems, if there are any.
    pub(super) fn check(&self) -> Result<()> {
        if self.problems.is_empty() {
            return Ok(());
        }
        bail!("the source cannot be taken as it is; nothing was sent\n  {}", self.problems.join("\n  "))
    }
}
