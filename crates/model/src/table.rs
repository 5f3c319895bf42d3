use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use serde::{Deserialize, Serialize};

use crate::TableName;

/// The type of one column, with its one Arrow form and its one ClickHouse form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// `Utf8`, `String`.
    Text,
    /// `Dictionary(Int32, Utf8)`, `LowCardinality(String)`: few distinct values.
    Word,
    /// `Utf8`, `LowCardinality(String)`: few distinct values, which are compared once for all rows that have them.
    Keyword,
    /// `Map(Dictionary(Int32, Utf8), Utf8)`, `Map(LowCardinality(String), String)`: attributes, in the order sent.
    Attributes,
    /// `Dictionary(Int32, Map(Dictionary(Int32, Utf8), Utf8))`, `Map(LowCardinality(String), LowCardinality(String))`:
    /// attributes that many rows share, as a resource's are; rows hold them once, and get them when they are sent.
    Labels,
    /// `Timestamp(Nanosecond, UTC)`, `DateTime64(9, 'UTC')`.
    Timestamp,
    /// `UInt16` holding days since 1970-01-01, `Date`.
    Day,
    /// `Boolean`, `Bool`.
    Bool,
    /// `UInt8`.
    U8,
    /// `UInt32`.
    U32,
    /// `UInt64`.
    U64,
    /// `Int32`.
    I32,
    /// `Int64`.
    I64,
    /// `Float64`.
    F64,
    /// `Decimal128`, `Decimal(precision, scale)`.
    Decimal {
        /// Its digits, 1 to [`ColumnKind::DECIMAL_DIGITS_MAX`].
        precision: u8,
        /// Those of them behind the point.
        scale: u8,
    },
    /// `Date32`, `Date32`: a day from 1900 to 2299.
    Date,
    /// `Utf8` in its usual form, `UUID`.
    Uuid,
    /// `Utf8`, `String`: JSON, letter by letter.
    Json,
    /// A column that may hold no value: `Nullable(…)`.
    Nullable(Box<ColumnKind>),
    /// `List`, `Array(…)`.
    List(Box<ColumnKind>),
    /// `Map(Utf8, …)`, `Map(String, …)`.
    Map(Box<ColumnKind>),
}

impl ColumnKind {
    /// The digits of a decimal: what Arrow's `Decimal128` holds.
    pub const DECIMAL_DIGITS_MAX: u8 = 38;

    /// Returns the Arrow type of the column's values in rows: in memory and in the log.
    #[must_use]
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Word => word_type(),
            Self::Attributes => map_type(DataType::Utf8),
            Self::Labels => DataType::Dictionary(Box::new(DataType::Int32), Box::new(map_type(DataType::Utf8))),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Self::Day => DataType::UInt16,
            Self::Bool => DataType::Boolean,
            Self::U8 => DataType::UInt8,
            Self::U32 => DataType::UInt32,
            Self::U64 => DataType::UInt64,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
            Self::F64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, scale.cast_signed()),
            Self::Date => DataType::Date32,
            Self::Uuid | Self::Json | Self::Keyword => DataType::Utf8,
            Self::Nullable(inner) => inner.arrow(),
            Self::Map(value) => map_of(DataType::Utf8, value.arrow(), value.is_nullable()),
            Self::List(item) => DataType::List(Arc::new(Field::new("item", item.arrow(), item.is_nullable()))),
        }
    }

    /// Returns the Arrow type in which the column is sent to ClickHouse, which knows no dictionary of maps.
    #[must_use]
    pub fn sent_arrow(&self) -> DataType {
        match self {
            Self::Labels => map_type(word_type()),
            kind => kind.arrow(),
        }
    }

    /// Returns the ClickHouse type of the column.
    #[must_use]
    pub fn clickhouse(&self) -> String {
        match self {
            Self::Text => "String".into(),
            Self::Word | Self::Keyword => "LowCardinality(String)".into(),
            Self::Attributes => "Map(LowCardinality(String), String)".into(),
            Self::Labels => "Map(LowCardinality(String), LowCardinality(String))".into(),
            Self::Timestamp => "DateTime64(9, 'UTC')".into(),
            Self::Day => "Date".into(),
            Self::Bool => "Bool".into(),
            Self::U8 => "UInt8".into(),
            Self::U32 => "UInt32".into(),
            Self::U64 => "UInt64".into(),
            Self::I32 => "Int32".into(),
            Self::I64 => "Int64".into(),
            Self::F64 => "Float64".into(),
            Self::Decimal { precision, scale } => format!("Decimal({precision}, {scale})"),
            Self::Date => "Date32".into(),
            Self::Uuid => "UUID".into(),
            Self::Json => "String".into(),
            // ClickHouse knows no nullable dictionary, but one of nullable values.
            Self::Nullable(inner) if **inner == Self::Keyword => "LowCardinality(Nullable(String))".into(),
            Self::Nullable(inner) => format!("Nullable({})", inner.clickhouse()),
            Self::List(item) => format!("Array({})", item.clickhouse()),
            Self::Map(value) => format!("Map(String, {})", value.clickhouse()),
        }
    }

    /// Says whether a column of this type may become one of `wider`: integers become doubles, whose holder has seen
    /// to it that each is one exactly.
    #[must_use]
    pub fn widens_to(&self, wider: &Self) -> bool {
        match (self, wider) {
            (Self::Nullable(own), Self::Nullable(wider)) => own.widens_to(wider),
            (own, wider) => *own == Self::I64 && *wider == Self::F64,
        }
    }

    /// Says whether a row may hold no value here.
    #[must_use]
    pub const fn is_nullable(&self) -> bool {
        matches!(self, Self::Nullable(_))
    }
}

fn word_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn map_type(values: DataType) -> DataType {
    map_of(word_type(), values, false)
}

fn map_of(keys: DataType, values: DataType, values_nullable: bool) -> DataType {
    let key = Field::new("keys", keys, false);
    let value = Field::new("values", values, values_nullable);
    let entries = Field::new("entries", DataType::Struct(Fields::from(vec![key, value])), false);
    DataType::Map(Arc::new(entries), false)
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// The column's name, as in SQL.
    pub name: String,
    /// The column's type.
    pub kind: ColumnKind,
    /// What rows have here that bring no value, where that is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ColumnDefault>,
}

/// What a row has in a column for which it brings no value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ColumnDefault {
    /// The value as text, in a form that ClickHouse and Arrow both read.
    pub text: String,
    /// Rows from before the column have it too; otherwise they have none.
    pub backfilled: bool,
}

impl ColumnSpec {
    /// Names a column.
    pub fn new(name: impl Into<String>, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind, default: None }
    }

    /// Returns what rows from before the column have in it, where that is something.
    #[must_use]
    pub fn backfill(&self) -> Option<&str> {
        self.default.as_ref().filter(|default| default.backfilled).map(|default| default.text.as_str())
    }

    fn field(&self) -> Field {
        Field::new(&self.name, self.kind.arrow(), self.kind.is_nullable())
    }

    /// Returns the column's field as it is sent to ClickHouse.
    #[must_use]
    pub fn sent_field(&self) -> Field {
        Field::new(&self.name, self.kind.sent_arrow(), self.kind.is_nullable())
    }
}

/// What becomes of a column when two rows with equal keys become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Counts add up.
    Sum,
    /// The smaller one: a first time, or the text that comes first.
    Min,
    /// The larger one: a last time, or a text that wins over an empty one.
    Max,
    /// The items of both lists, each once.
    Union,
}

impl Merge {
    /// Returns the column's type in a table that ClickHouse merges.
    #[must_use]
    pub fn clickhouse(self, kind: &ColumnKind) -> String {
        let function = match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Union => "groupUniqArrayArray",
        };
        format!("SimpleAggregateFunction({function}, {})", kind.clickhouse())
    }
}

/// A roll-up: a table in which rows with equal keys stand for one row, whether they were merged yet or not.
///
/// Who reads it groups by the keys, and never relies on a merge having happened.
#[derive(Debug, PartialEq, Eq)]
pub struct RollUp {
    /// The columns that tell rows apart, in the order by which they are sorted.
    pub keys: &'static [&'static str],
    /// What becomes of each of the others, [`TableSpec::PARTITION`] excepted.
    pub rules: &'static [(&'static str, Merge)],
}

impl RollUp {
    /// Returns the rule of a column; `None` for a key.
    #[must_use]
    pub fn rule(&self, column: &str) -> Option<Merge> {
        self.rules.iter().find(|(name, _)| *name == column).map(|(_, rule)| *rule)
    }
}

/// A table's name and columns, in the order of its rows.
///
/// Every table has two columns more than its rows bring: [`TableSpec::PARTITION`] is the first
/// column of every row, and [`TableSpec::SEQ`] is a number that the buffer gives, added on the way
/// to ClickHouse and to a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    /// The table's name.
    pub name: TableName,
    /// The columns of a row, [`TableSpec::PARTITION`] first, without [`TableSpec::SEQ`].
    pub columns: Vec<ColumnSpec>,
    /// The column, of type `UInt64`, whose value no two rows share, if the table has one.
    pub unique_key: Option<&'static str>,
    /// How its rows merge, if they do.
    pub roll_up: Option<&'static RollUp>,
}

impl TableSpec {
    /// The column with the row's number, `UInt64`.
    pub const SEQ: &'static str = "_seq";
    /// The column with the row's partition, `Date`.
    pub const PARTITION: &'static str = "_partition";

    /// Describes a table by its own columns; [`TableSpec::PARTITION`] is put before them.
    #[must_use]
    pub fn new(name: TableName, columns: impl IntoIterator<Item = ColumnSpec>) -> Self {
        let partition = ColumnSpec::new(Self::PARTITION, ColumnKind::Day);
        let columns = std::iter::once(partition).chain(columns).collect();
        Self { name, columns, unique_key: None, roll_up: None }
    }

    /// Returns the Arrow schema of the rows as ingest makes them: without `_seq`.
    #[must_use]
    pub fn row_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(ColumnSpec::field).collect::<Vec<_>>()))
    }

    /// Returns the Arrow schema of the rows as they are sent to ClickHouse: with `_seq` as the last column.
    #[must_use]
    pub fn sent_schema(&self) -> SchemaRef {
        let seq = Field::new(Self::SEQ, DataType::UInt64, false);
        Arc::new(Schema::new(self.columns.iter().map(ColumnSpec::sent_field).chain([seq]).collect::<Vec<_>>()))
    }

    /// Finds a column by its name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnSpec> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the ClickHouse type of one of its columns.
    #[must_use]
    pub fn clickhouse(&self, column: &ColumnSpec) -> String {
        match self.roll_up.and_then(|roll_up| roll_up.rule(&column.name)) {
            Some(rule) => rule.clickhouse(&column.kind),
            None => column.kind.clickhouse(),
        }
    }
}
