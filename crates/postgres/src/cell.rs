use arrow_schema::{DataType, TimeUnit};
use tidegate_model::Scalar;

/// The binary form of one value, as PostgreSQL sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// One byte.
    Bool,
    /// Two bytes, an integer.
    Int2,
    /// Four bytes, an integer.
    Int4,
    /// Eight bytes, an integer.
    Int8,
    /// Four bytes, a floating point number.
    Float4,
    /// Eight bytes, a floating point number.
    Float8,
    /// Groups of four decimal digits.
    Numeric {
        /// All digits that the column may have.
        precision: u8,
        /// Those of them behind the point.
        scale: u8,
    },
    /// Text, in UTF-8.
    Text,
    /// Sixteen bytes.
    Uuid,
    /// Microseconds since 2000.
    Timestamp,
    /// Days since 2000.
    Date,
    /// JSON as it was written.
    Json,
    /// JSON as PostgreSQL keeps it: a number of its form, and text.
    Jsonb,
}

/// A column of the rows that come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name that it gets.
    pub name: String,
    /// The form of its values.
    pub cell: Cell,
    /// It has a list of them in each row.
    pub is_list: bool,
}

impl Cell {
    /// Returns the type of a dataset's column that holds such values.
    #[must_use]
    pub const fn scalar(self) -> Scalar {
        match self {
            Self::Bool => Scalar::Boolean,
            Self::Int2 | Self::Int4 | Self::Int8 => Scalar::Integer,
            Self::Float4 | Self::Float8 => Scalar::Double,
            Self::Numeric { precision, scale } => Scalar::Decimal { precision, scale },
            Self::Text => Scalar::String,
            Self::Uuid => Scalar::Uuid,
            Self::Timestamp => Scalar::Timestamp,
            Self::Date => Scalar::Date,
            Self::Json | Self::Jsonb => Scalar::Json,
        }
    }

    /// Returns the type of the Arrow array that such values become.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 | Self::Int4 | Self::Int8 => DataType::Int64,
            Self::Float4 | Self::Float8 => DataType::Float64,
            Self::Numeric { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
            Self::Text | Self::Uuid | Self::Json | Self::Jsonb => DataType::Utf8,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
        }
    }
}
