use tidegate_model::limits::{DATASET_COLUMNS_MAX, SLUG_BYTES_MAX};
use tidegate_model::tables;
use tidegate_model::{ColumnKind, ColumnSpec, TableName, TableSpec};

use super::body::FieldSpec;
use super::cells::{PARTITION_KEY, checked_name};
use super::error::RowsError;
use super::value::FieldType;
use crate::catalog::Dataset;

/// Names that a time column mostly has, the surest first.
const TIME_NAMES: [&str; 4] = ["timestamp", "@timestamp", "time", "ts"];

/// Names of the store's own tables, beside those of the model.
const STORE_TABLES: [&str; 4] = ["trace_ranges", "trace_ranges_from_spans", "ingest_watermarks", "tidegate_schema"];

/// A column that the rows of a request have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) field_type: FieldType,
    /// Every row has a value.
    pub(super) is_complete: bool,
}

/// The dataset that a request needs, and whether it must be written first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) dataset: Dataset,
    pub(super) is_changed: bool,
}

/// Derives the table of a dataset from its slug.
pub(super) fn table_of(slug: &str) -> Result<TableName, RowsError> {
    let refused = || RowsError::Slug(slug.chars().take(2 * SLUG_BYTES_MAX).collect());
    let is_plain = slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    let starts_well = slug.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !is_plain || !starts_well || slug.len() > SLUG_BYTES_MAX {
        return Err(refused());
    }
    let prefix = if slug.as_bytes()[0].is_ascii_digit() { "d" } else { "" };
    let table: TableName = format!("{prefix}{}", slug.replace('-', "_")).parse().map_err(|_| refused())?;
    let name = table.as_str();
    let is_ours = tables::all().iter().any(|spec| spec.name == table) || STORE_TABLES.contains(&name);
    // The store chooses the order of a table's rows by `metric_`, and names a cluster's tables `…_local`.
    if is_ours || name.starts_with("metric_") || name.ends_with("_local") {
        return Err(RowsError::TableTaken { slug: slug.to_owned(), table, owner: "Tidegate".to_owned() });
    }
    Ok(table)
}

/// Decides which dataset a request needs: the stored one, its next version, or a first one.
pub(super) fn needed(
    slug: &str,
    stored: Option<&Dataset>,
    declared: Option<&[FieldSpec]>,
    found: &[Found],
) -> Result<Needed, RowsError> {
    let declared = declared.map(checked_fields).transpose()?;
    let wanted = declared.as_deref().unwrap_or(found);
    let Some(stored) = stored else { return first(slug, wanted, declared.is_some()) };
    let reasons = contradictions(stored, wanted, declared.is_some());
    if !reasons.is_empty() {
        return Err(RowsError::Schema { slug: slug.to_owned(), reasons });
    }
    let mut dataset = stored.clone();
    let added = wanted.iter().filter(|field| stored.spec.column(&field.name).is_none());
    dataset.spec.columns.extend(added.map(|field| user_column(field, false)));
    let is_changed = dataset.spec.columns.len() > stored.spec.columns.len();
    dataset.version += u32::from(is_changed);
    bounded(Needed { dataset, is_changed })
}

fn first(slug: &str, wanted: &[Found], is_declared: bool) -> Result<Needed, RowsError> {
    let table = table_of(slug)?;
    let time_column = time_column(wanted, is_declared);
    let key = ColumnSpec::new(PARTITION_KEY, ColumnKind::Word);
    let own = wanted.iter().map(|field| user_column(field, Some(&field.name) == time_column.as_ref()));
    let spec = TableSpec::new(table, std::iter::once(key).chain(own));
    let is_changed = is_declared || !wanted.is_empty();
    bounded(Needed { dataset: Dataset { slug: slug.to_owned(), version: 1, spec, time_column }, is_changed })
}

fn bounded(needed: Needed) -> Result<Needed, RowsError> {
    if needed.dataset.spec.columns.len() > DATASET_COLUMNS_MAX + 2 {
        return Err(RowsError::TooManyColumns);
    }
    Ok(needed)
}

fn user_column(field: &Found, is_time: bool) -> ColumnSpec {
    let kind = field.field_type.kind();
    ColumnSpec::new(&field.name, if is_time { kind } else { ColumnKind::Nullable(Box::new(kind)) })
}

/// Picks the column of a row's time, once for the life of a dataset.
fn time_column(wanted: &[Found], is_declared: bool) -> Option<String> {
    let may_be = |field: &&Found| field.field_type == FieldType::Timestamp && (is_declared || field.is_complete);
    let candidates: Vec<&Found> = wanted.iter().filter(may_be).collect();
    let well_named = TIME_NAMES.iter().find_map(|name| candidates.iter().find(|field| field.name == *name));
    well_named.or(candidates.first()).map(|field| field.name.clone())
}

fn checked_fields(fields: &[FieldSpec]) -> Result<Vec<Found>, RowsError> {
    let mut checked: Vec<Found> = Vec::with_capacity(fields.len());
    for FieldSpec { name, field_type } in fields {
        checked_name(name.as_bytes())?;
        if checked.iter().any(|known| known.name == *name) {
            return Err(RowsError::Body { field: "schema", problem: format!("`{name}` stands twice") });
        }
        checked.push(Found { name: name.clone(), field_type: *field_type, is_complete: false });
    }
    Ok(checked)
}

/// Lists what a declared schema takes away or changes; values alone never contradict, their rows are refused instead.
fn contradictions(stored: &Dataset, wanted: &[Found], is_declared: bool) -> Vec<String> {
    if !is_declared {
        return Vec::new();
    }
    let mut reasons = Vec::new();
    for column in &stored.spec.columns {
        let Some(kept) = FieldType::of(&column.kind) else { continue };
        match wanted.iter().find(|field| field.name == column.name) {
            None => reasons.push(format!("`{}` is missing, columns are never removed", column.name)),
            Some(field) if field.field_type != kept => {
                reasons.push(format!("`{}` is {kept} and cannot become {}", column.name, field.field_type));
            }
            Some(_) => {}
        }
    }
    reasons
}
