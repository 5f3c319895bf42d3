use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ColumnKind, ColumnSpec};

/// The type of a dataset's column, in the words of a request: `double`, `decimal(18,4)`, `array(date)`, `map(uint64)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FieldType {
    /// One value, or none.
    One(Scalar),
    /// Values in their order; a row without any has an empty list.
    Array(Scalar),
    /// Values by name; a row without any has an empty map.
    Map(Scalar),
}

/// The type of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scalar {
    /// A moment, to the nanosecond.
    Timestamp,
    /// Text; takes any value, letter by letter.
    String,
    /// Text of few distinct values; takes any value, letter by letter.
    Keyword,
    /// A 64-bit floating point number.
    Double,
    /// A 64-bit signed integer.
    Integer,
    /// A 64-bit unsigned integer.
    Unsigned,
    /// `true` or `false`.
    Boolean,
    /// A number of so many decimal digits, some of them behind the point.
    Decimal {
        /// All digits.
        precision: u8,
        /// Those behind the point.
        scale: u8,
    },
    /// A day without a time, from 1900 to 2299.
    Date,
    /// A UUID.
    Uuid,
    /// Any JSON, letter by letter.
    Json,
}

/// A word that names no type: says which, and what does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no type of a column: use timestamp, string, keyword, double, integer, boolean, uint64, decimal(P,S) with P up to 38, date, uuid, json, array(T) or map(T) of one of these"
)]
pub struct UnknownType(pub String);

impl FieldType {
    /// Returns the column's type without its nulls.
    #[must_use]
    pub fn kind(self) -> ColumnKind {
        let nullable = |scalar: Scalar| Box::new(ColumnKind::Nullable(Box::new(scalar.kind())));
        match self {
            Self::One(scalar) => scalar.kind(),
            Self::Array(item) => ColumnKind::List(nullable(item)),
            Self::Map(value) => ColumnKind::Map(nullable(value)),
        }
    }

    /// Returns the type of a stored column in which a row may have nothing.
    #[must_use]
    pub fn optional_kind(self) -> ColumnKind {
        match self {
            Self::One(scalar) => ColumnKind::Nullable(Box::new(scalar.kind())),
            several => several.kind(),
        }
    }

    /// Returns the type of a stored column; `None` for a column that no request can name.
    #[must_use]
    pub fn of(column: &ColumnSpec) -> Option<Self> {
        if column.name.starts_with('_') {
            return None;
        }
        match &column.kind {
            ColumnKind::List(item) => Scalar::of(item).map(Self::Array),
            ColumnKind::Map(value) => Scalar::of(value).map(Self::Map),
            kind => Scalar::of(kind).map(Self::One),
        }
    }
}

impl Scalar {
    /// Returns the type of a column of such values.
    #[must_use]
    pub const fn kind(self) -> ColumnKind {
        match self {
            Self::Timestamp => ColumnKind::Timestamp,
            Self::String => ColumnKind::Text,
            Self::Keyword => ColumnKind::Keyword,
            Self::Double => ColumnKind::F64,
            Self::Integer => ColumnKind::I64,
            Self::Unsigned => ColumnKind::U64,
            Self::Boolean => ColumnKind::Bool,
            Self::Decimal { precision, scale } => ColumnKind::Decimal { precision, scale },
            Self::Date => ColumnKind::Date,
            Self::Uuid => ColumnKind::Uuid,
            Self::Json => ColumnKind::Json,
        }
    }

    fn of(kind: &ColumnKind) -> Option<Self> {
        Some(match kind {
            ColumnKind::Nullable(inner) => return Self::of(inner),
            ColumnKind::Timestamp => Self::Timestamp,
            ColumnKind::Text => Self::String,
            ColumnKind::Keyword => Self::Keyword,
            ColumnKind::F64 => Self::Double,
            ColumnKind::I64 => Self::Integer,
            ColumnKind::U64 => Self::Unsigned,
            ColumnKind::Bool => Self::Boolean,
            ColumnKind::Decimal { precision, scale } => Self::Decimal { precision: *precision, scale: *scale },
            ColumnKind::Date => Self::Date,
            ColumnKind::Uuid => Self::Uuid,
            ColumnKind::Json => Self::Json,
            _ => return None,
        })
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(scalar) => scalar.fmt(f),
            Self::Array(item) => write!(f, "array({item})"),
            Self::Map(value) => write!(f, "map({value})"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timestamp => "timestamp",
            Self::String => "string",
            Self::Keyword => "keyword",
            Self::Double => "double",
            Self::Integer => "integer",
            Self::Unsigned => "uint64",
            Self::Boolean => "boolean",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Self::Date => "date",
            Self::Uuid => "uuid",
            Self::Json => "json",
        })
    }
}

impl FromStr for FieldType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let unknown = || UnknownType(text.chars().take(60).collect());
        let word: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        let inner = |name: &str| word.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        let found = match (inner("array"), inner("map")) {
            (Some(item), _) => scalar(item).map(Self::Array),
            // The names in a map are always text; saying so is allowed.
            (_, Some(value)) => scalar(value.strip_prefix("string,").unwrap_or(value)).map(Self::Map),
            _ => scalar(&word).map(Self::One),
        };
        found.ok_or_else(unknown)
    }
}

fn scalar(word: &str) -> Option<Scalar> {
    Some(match word {
        "timestamp" => Scalar::Timestamp,
        "string" => Scalar::String,
        "keyword" => Scalar::Keyword,
        "double" => Scalar::Double,
        "integer" | "int64" => Scalar::Integer,
        "uint64" => Scalar::Unsigned,
        "boolean" => Scalar::Boolean,
        "date" => Scalar::Date,
        "uuid" => Scalar::Uuid,
        "json" => Scalar::Json,
        other => return decimal(other),
    })
}

fn decimal(word: &str) -> Option<Scalar> {
    let (precision, scale) = word.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale) = (precision.parse().ok()?, scale.parse().ok()?);
    let fits = (1..=ColumnKind::DECIMAL_DIGITS_MAX).contains(&precision) && scale <= precision;
    fits.then_some(Scalar::Decimal { precision, scale })
}

impl TryFrom<String> for FieldType {
    type Error = UnknownType;

    fn try_from(text: String) -> Result<Self, UnknownType> {
        text.parse()
    }
}

impl From<FieldType> for String {
    fn from(field_type: FieldType) -> Self {
        field_type.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_the_same_after_its_words_and_after_its_column() {
        let decimal = Scalar::Decimal { precision: 38, scale: 38 };
        let scalars =
            [Scalar::Timestamp, Scalar::Keyword, Scalar::Unsigned, decimal, Scalar::Date, Scalar::Uuid, Scalar::Json];
        for scalar in scalars {
            for field_type in [FieldType::One(scalar), FieldType::Array(scalar), FieldType::Map(scalar)] {
                assert_eq!(field_type.to_string().parse(), Ok(field_type));
                let column = ColumnSpec::new("c", field_type.optional_kind());
                assert_eq!(FieldType::of(&column), Some(field_type));
                assert_eq!(FieldType::of(&ColumnSpec { name: "_c".into(), ..column }), None);
            }
        }
        assert_eq!(
            "Map(String, Decimal(9, 2))".parse(),
            Ok(FieldType::Map(Scalar::Decimal { precision: 9, scale: 2 }))
        );
        for wrong in ["text", "decimal(39,2)", "decimal(2,3)", "array(array(date))", "map()", "array(date", ""] {
            assert!(wrong.parse::<FieldType>().is_err(), "{wrong}");
        }
    }
}
