use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};
use tidegate_core::ingest::rows::{Turned, turned};
use tidegate_core::store::checksum::hashes;
use tidegate_model::{ColumnSpec, FieldType, Scalar};

use crate::migrate::server::Table;

/// How rows of a dataset's table are written to be hashed, by us and by ClickHouse alike: as `RowBinary`, with decimals
/// and UUIDs as text.
#[derive(Debug)]
pub(in crate::migrate) struct Form {
    pub(in crate::migrate) table: String,
    pub(in crate::migrate) time_column: Option<String>,
    pub(in crate::migrate) columns: Vec<(ColumnSpec, FieldType)>,
}

impl Form {
    pub(in crate::migrate) fn of(table: &Table) -> Result<Self> {
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
    pub(in crate::migrate) fn turned(&self, batch: &RecordBatch) -> Result<Turned> {
        let columns: Vec<ColumnSpec> = self.columns.iter().map(|(column, _)| column.clone()).collect();
        Ok(turned(batch, &columns, self.time_column.as_deref())?)
    }

    /// Hashes rows.
    pub(in crate::migrate) fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u64>> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for ((column, kind), array) in self.columns.iter().zip(rows.columns()) {
            match kind {
                FieldType::Map(_) => arrays.extend(lists(array)?.map(|list| (list, false))),
                FieldType::One(Scalar::Uuid) => arrays.push((lower(array), column.kind.is_nullable())),
                _ => arrays.push((plain(array)?, column.kind.is_nullable())),
            }
        }
        Ok(hashes(&arrays, rows.num_rows())?)
    }

    /// Returns ClickHouse's expression of a row's hash.
    pub(in crate::migrate) fn hash(&self) -> String {
        let columns = self.columns.iter().map(|(column, kind)| written(&identifier(&column.name), *kind));
        format!("xxh3(formatRow('RowBinary', {}))", columns.collect::<Vec<_>>().join(", "))
    }

    /// Returns ClickHouse's expression of a row for people.
    pub(in crate::migrate) fn shown(&self) -> String {
        let columns = self.columns.iter().map(|(column, _)| identifier(&column.name));
        format!("formatRow('JSONEachRow', {})", columns.collect::<Vec<_>>().join(", "))
    }
}

fn written(name: &str, kind: FieldType) -> String {
    match kind {
        FieldType::One(scalar) => one(name, scalar),
        FieldType::Array(scalar) if one("x", scalar) != "x" => format!("arrayMap(x -> {}, {name})", one("x", scalar)),
        FieldType::Array(_) => name.to_owned(),
        // The names, and then the values.
        FieldType::Map(scalar) => format!("mapKeys({name}), arrayMap(x -> {}, mapValues({name}))", one("x", scalar)),
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
    let texts = array.as_string::<i32>();
    if !texts.value_data().iter().any(u8::is_ascii_uppercase) {
        return Arc::clone(array);
    }
    Arc::new(texts.iter().map(|text| text.map(str::to_ascii_lowercase)).collect::<StringArray>())
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
        _ => Ok(Arc::clone(array)),
    }
}

/// Makes two lists of a map: its names, and its values, of which some may be nothing.
fn lists(array: &ArrayRef) -> Result<[ArrayRef; 2]> {
    let map = array.as_map();
    let list = |items: &ArrayRef, is_nullable: bool| {
        let field = Arc::new(Field::new("item", items.data_type().clone(), is_nullable));
        ListArray::try_new(field, map.offsets().clone(), Arc::clone(items), None).map(|list| Arc::new(list) as ArrayRef)
    };
    Ok([list(map.keys(), false)?, list(&plain(map.values())?, true)?])
}

/// Quotes a name.
pub(in crate::migrate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// Quotes a text.
pub(in crate::migrate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
