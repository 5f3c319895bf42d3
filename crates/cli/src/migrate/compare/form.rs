use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, StringArray, StructArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Fields};
use tidegate_core::ingest::rows::{Turned, turned};
use tidegate_core::store::checksum::hashes;
use tidegate_model::{ColumnSpec, FieldType, Scalar};

use crate::migrate::server::Table;

/// How rows of a dataset's table are written to be hashed, by us and by ClickHouse alike: as `RowBinary`, with decimals
/// and UUIDs as text.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) table: String,
    pub(super) time_column: Option<String>,
    pub(super) columns: Vec<(ColumnSpec, FieldType)>,
}

impl Form {
    pub(super) fn of(table: &Table) -> Result<Self> {
        let columns = table.fields.iter().map(|field| {
            let kind: FieldType = field.kind.parse().with_context(|| format!("read the type of `{}`", field.name))?;
            let is_time = table.time_column.as_ref() == Some(&field.name);
            let stored = if is_time { kind.kind() } else { kind.optional_kind() };
            Ok((ColumnSpec::new(&field.name, stored), kind))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(Self { table: table.table.clone(), time_column: table.time_column.clone(), columns })
    }

    /// Turns rows of the source into those that the table gets of them.
    pub(super) fn turned(&self, batch: &RecordBatch) -> Result<Turned> {
        let columns: Vec<ColumnSpec> = self.columns.iter().map(|(column, _)| column.clone()).collect();
        Ok(turned(batch, &columns, self.time_column.as_deref())?)
    }

    /// Hashes rows.
    pub(super) fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u64>> {
        let arrays = self.columns.iter().zip(rows.columns()).map(|((column, kind), array)| {
            let array = plain(array)?;
            let array = if *kind == FieldType::One(Scalar::Uuid) { lower(&array) } else { array };
            Ok((array, column.kind.is_nullable()))
        });
        Ok(hashes(&arrays.collect::<Result<Vec<_>>>()?, rows.num_rows())?)
    }

    /// Returns ClickHouse's expression of a row's hash.
    pub(super) fn hash(&self) -> String {
        let columns = self.columns.iter().map(|(column, kind)| written(&identifier(&column.name), *kind));
        format!("xxh3(formatRow('RowBinary', {}))", columns.collect::<Vec<_>>().join(", "))
    }

    /// Returns ClickHouse's expression of a row for people.
    pub(super) fn shown(&self) -> String {
        let columns = self.columns.iter().map(|(column, _)| identifier(&column.name));
        format!("formatRow('JSONEachRow', {})", columns.collect::<Vec<_>>().join(", "))
    }
}

fn written(name: &str, kind: FieldType) -> String {
    match kind {
        FieldType::One(scalar) => one(name, scalar),
        FieldType::Array(scalar) if one("x", scalar) != "x" => format!("arrayMap(x -> {}, {name})", one("x", scalar)),
        FieldType::Map(scalar) if one("x", scalar) != "x" => {
            format!("mapApply((k, x) -> (k, {}), {name})", one("x", scalar))
        }
        FieldType::Array(_) | FieldType::Map(_) => name.to_owned(),
    }
}

fn one(name: &str, scalar: Scalar) -> String {
    match scalar {
        Scalar::Decimal { scale, .. } => format!("toDecimalString({name}, {scale})"),
        Scalar::Uuid => format!("toString({name})"),
        _ => name.to_owned(),
    }
}

/// ClickHouse writes UUIDs in lower case, whoever sent them otherwise.
fn lower(array: &ArrayRef) -> ArrayRef {
    Arc::new(array.as_string::<i32>().iter().map(|text| text.map(str::to_ascii_lowercase)).collect::<StringArray>())
}

/// Makes texts of decimals, wherever they are.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Decimal128(..) => Ok(cast(array, &DataType::Utf8)?),
        DataType::List(item) if matches!(item.data_type(), DataType::Decimal128(..)) => {
            let list = array.as_list::<i32>();
            let items = plain(list.values())?;
            let field = Arc::new(Field::new("item", DataType::Utf8, item.is_nullable()));
            Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), items, list.nulls().cloned())?))
        }
        DataType::Map(entries, sorted) if matches!(array.as_map().values().data_type(), DataType::Decimal128(..)) => {
            let map = array.as_map();
            let values = plain(map.values())?;
            let key = Field::new("keys", map.keys().data_type().clone(), false);
            let fields = Fields::from(vec![key, Field::new("values", DataType::Utf8, true)]);
            let pairs = StructArray::try_new(fields.clone(), vec![Arc::clone(map.keys()), values], None)?;
            let entries = Arc::new(Field::new(entries.name(), DataType::Struct(fields), false));
            Ok(Arc::new(MapArray::try_new(entries, map.offsets().clone(), pairs, map.nulls().cloned(), *sorted)?))
        }
        _ => Ok(Arc::clone(array)),
    }
}

/// Quotes a name.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// Quotes a text.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
