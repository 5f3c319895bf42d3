use tidegate_model::limits::{DATASET_COLUMNS_MAX, SLUG_BYTES_MAX, TABLE_NAME_BYTES_MAX};
use tidegate_model::tables;
use tidegate_model::{ColumnDefault, ColumnKind, ColumnSpec, FieldType, ROLL_UP_PREFIX, Scalar, TableName, TableSpec};

use super::body::{DeclaredSchema, FieldSpec, Partition};
use super::breaking::{self, Fate};
use super::cells::{PARTITION_ATTRIBUTES, PARTITION_END, PARTITION_KEY, PARTITION_START, checked_name};
use super::defaults;
use super::error::RowsError;
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

/// What a request asks of its dataset.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) slug: &'a str,
    pub(super) label: &'a str,
    pub(super) declared: Option<&'a DeclaredSchema>,
    pub(super) found: &'a [Found],
    pub(super) partition: &'a Partition,
    pub(super) may_grow: bool,
}

/// The dataset that a request needs, and whether it must be written first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) dataset: Dataset,
    pub(super) is_changed: bool,
    /// Columns that came.
    pub(super) added: Vec<String>,
    /// Columns of integers that are to hold doubles.
    pub(super) widened: Vec<String>,
}

/// Derives the table of a dataset from its slug and the name of the table in it.
pub(super) fn table_of(slug: &str, label: &str) -> Result<TableName, RowsError> {
    let refused = || RowsError::Slug(slug.chars().take(2 * SLUG_BYTES_MAX).collect());
    let is_plain = slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    let starts_well = slug.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !is_plain || !starts_well || slug.len() > SLUG_BYTES_MAX {
        return Err(refused());
    }
    let prefix = if slug.as_bytes()[0].is_ascii_digit() { "d" } else { "" };
    let behind = if label == Dataset::RECORDS { String::new() } else { format!("__{}", checked_label(label)?) };
    let name = format!("{prefix}{slug}{behind}").replace('-', "_");
    let table: TableName = name.parse().map_err(|_| RowsError::Body {
        field: "tableName",
        problem: format!("the table would be `{name}`, whose name is longer than {TABLE_NAME_BYTES_MAX} bytes"),
    })?;
    let name = table.as_str();
    let is_ours = tables::all().iter().any(|spec| spec.name == table) || STORE_TABLES.contains(&name);
    // The store chooses the order of a table's rows by `metric_`, and names a cluster's tables `…_local`.
    let is_reserved = name.starts_with("metric_") || name.starts_with(ROLL_UP_PREFIX) || name.ends_with("_local");
    if is_ours || is_reserved {
        return Err(RowsError::TableTaken { slug: slug.to_owned(), table, owner: "Tidegate".to_owned() });
    }
    Ok(table)
}

fn checked_label(label: &str) -> Result<String, RowsError> {
    let is_plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !is_plain || label.is_empty() || label.len() > TABLE_NAME_BYTES_MAX {
        let problem = format!("use a to z, 0 to 9, - and _, at most {TABLE_NAME_BYTES_MAX} bytes");
        return Err(RowsError::Body { field: "tableName", problem });
    }
    Ok(label.to_ascii_lowercase())
}

/// Decides which dataset a request needs: the stored one, its next version, or a first one.
pub(super) fn needed(asked: &Asked<'_>, stored: Option<&Dataset>) -> Result<Needed, RowsError> {
    let fields = asked.declared.map(|declared| checked_fields(&declared.fields)).transpose()?;
    let wanted = fields.as_deref().unwrap_or(asked.found);
    if let Some(declared) = asked.declared {
        defaults::check(declared)?;
    }
    let Some(stored) = stored else { return first(asked, wanted) };
    let mut widened = Vec::new();
    if let Some(fields) = &fields {
        let mut fates = Vec::new();
        for column in &stored.spec.columns {
            let Some(kept) = FieldType::of(column) else { continue };
            match fields.iter().find(|field| field.name == column.name) {
                None => fates.push(Fate::Removed { column: column.name.clone(), kept }),
                Some(field) if is_widening(kept, field.field_type) => widened.push(column.name.clone()),
                Some(field) if field.field_type == kept || is_held(field.field_type, kept) => {}
                Some(field) => {
                    fates.push(Fate::Retyped { column: column.name.clone(), kept, wanted: field.field_type });
                }
            }
        }
        if !fates.is_empty() {
            return Err(breaking::refusal(asked.slug, &fates));
        }
    }
    let wanted = if asked.may_grow { wanted } else { &[] };
    next(asked, stored, (wanted, widened))
}

/// Says whether a column may stay as it is for values that are declared otherwise: both sorts of text take any.
fn is_held(declared: FieldType, kept: FieldType) -> bool {
    const TEXTS: [FieldType; 2] = [FieldType::One(Scalar::String), FieldType::One(Scalar::Keyword)];
    is_widening(declared, kept) || (TEXTS.contains(&declared) && TEXTS.contains(&kept))
}

/// Integers may become doubles; nothing else becomes anything.
fn is_widening(from: FieldType, to: FieldType) -> bool {
    (from, to) == (FieldType::One(Scalar::Integer), FieldType::One(Scalar::Double))
}

fn next(asked: &Asked<'_>, stored: &Dataset, (wanted, widened): (&[Found], Vec<String>)) -> Result<Needed, RowsError> {
    let mut dataset = stored.clone();
    for column in dataset.spec.columns.iter_mut().filter(|column| widened.contains(&column.name)) {
        column.kind = FieldType::One(Scalar::Double).optional_kind();
    }
    let mut added = Vec::new();
    for field in wanted.iter().filter(|field| stored.spec.column(&field.name).is_none()) {
        added.push(field.name.clone());
        dataset.spec.columns.push(user_column(asked, field, false)?);
    }
    add_partition_columns(&mut dataset.spec, asked.partition);
    let is_changed = dataset.spec.columns != stored.spec.columns;
    dataset.version += u32::from(is_changed);
    bounded(Needed { dataset, is_changed, added, widened })
}

fn first(asked: &Asked<'_>, wanted: &[Found]) -> Result<Needed, RowsError> {
    let table = table_of(asked.slug, asked.label)?;
    let is_declared = asked.declared.is_some();
    let time_column = time_column(wanted, is_declared);
    let key = ColumnSpec::new(PARTITION_KEY, ColumnKind::Word);
    let own = wanted.iter().map(|field| user_column(asked, field, Some(&field.name) == time_column.as_ref()));
    let own = own.collect::<Result<Vec<_>, _>>()?;
    let mut spec = TableSpec::new(table, std::iter::once(key).chain(own));
    add_partition_columns(&mut spec, asked.partition);
    let is_changed = is_declared || !wanted.is_empty();
    let (slug, label) = (asked.slug.to_owned(), asked.label.to_owned());
    let dataset = Dataset { slug, label, version: 1, spec, time_column };
    let added = wanted.iter().map(|field| field.name.clone()).collect();
    bounded(Needed { dataset, is_changed, added, widened: Vec::new() })
}

/// Adds our columns for what a request says of its partition, the first time that one does.
fn add_partition_columns(spec: &mut TableSpec, partition: &Partition) {
    let moment = FieldType::One(Scalar::Timestamp).optional_kind();
    let wanted = [
        (PARTITION_ATTRIBUTES, ColumnKind::Word, !partition.attributes.is_empty()),
        (PARTITION_START, moment.clone(), partition.range.is_some()),
        (PARTITION_END, moment, partition.range.is_some()),
    ];
    for (name, kind, is_given) in wanted {
        if is_given && spec.column(name).is_none() {
            spec.columns.push(ColumnSpec::new(name, kind));
        }
    }
}

fn bounded(needed: Needed) -> Result<Needed, RowsError> {
    let own = needed.dataset.spec.columns.iter().filter(|column| FieldType::of(column).is_some());
    if own.count() > DATASET_COLUMNS_MAX {
        return Err(RowsError::TooManyColumns);
    }
    Ok(needed)
}

fn user_column(asked: &Asked<'_>, field: &Found, is_time: bool) -> Result<ColumnSpec, RowsError> {
    let kind = if is_time { field.field_type.kind() } else { field.field_type.optional_kind() };
    let mut column = ColumnSpec::new(&field.name, kind);
    if let Some(declared) = asked.declared {
        let text = defaults::of(declared, &field.name, field.field_type)?;
        column.default = text.map(|text| ColumnDefault { text, backfilled: declared.backfill });
    }
    Ok(column)
}

/// Picks the column of a row's time, once for the life of a dataset.
fn time_column(wanted: &[Found], is_declared: bool) -> Option<String> {
    let is_moment = |field: &&Found| field.field_type == FieldType::One(Scalar::Timestamp);
    let may_be = |field: &&Found| is_moment(field) && (is_declared || field.is_complete);
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
