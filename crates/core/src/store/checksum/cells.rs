use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType};
use tidegate_model::ColumnKind;

/// The values of one column, ready to be written row by row.
#[derive(Debug)]
pub(super) enum Cells {
    /// Values of so many bytes, of which the first ones are `taken`, as they are in memory: little-endian.
    Fixed {
        bytes: Buffer,
        offset: usize,
        width: usize,
        taken: usize,
    },
    /// UUIDs in their usual form.
    Uuids(StringArray),
    Flags(BooleanArray),
    Texts(StringArray),
    /// Values that rows share, written once.
    Shared {
        keys: Vec<usize>,
        values: Vec<Vec<u8>>,
    },
    /// Values that may be absent.
    Optional {
        nulls: Option<NullBuffer>,
        values: Box<Cells>,
    },
    List {
        offsets: OffsetBuffer<i32>,
        items: Box<Cells>,
    },
    Map {
        offsets: OffsetBuffer<i32>,
        keys: Box<Cells>,
        values: Box<Cells>,
    },
}

impl Cells {
    /// Prepares a table's column.
    pub(super) fn of_kind(values: &ArrayRef, kind: &ColumnKind) -> Result<Self, ArrowError> {
        match kind {
            ColumnKind::Nullable(inner) => {
                let inner = Box::new(Self::of_kind(values, inner)?);
                Ok(Self::Optional { nulls: values.logical_nulls(), values: inner })
            }
            ColumnKind::List(item) => {
                let list = values.as_list::<i32>();
                let items = Box::new(Self::of_kind(list.values(), item)?);
                Ok(Self::List { offsets: list.offsets().clone(), items })
            }
            ColumnKind::Map(value) => {
                let map = values.as_map();
                let (keys, values) = (Self::of(map.keys(), false)?, Self::of_kind(map.values(), value)?);
                Ok(Self::Map { offsets: map.offsets().clone(), keys: Box::new(keys), values: Box::new(values) })
            }
            ColumnKind::Uuid => Ok(Self::Uuids(values.as_string::<i32>().clone())),
            ColumnKind::Decimal { precision, .. } => {
                let mut cells = Self::of(values, false)?;
                if let Self::Fixed { taken, .. } = &mut cells {
                    *taken = decimal_bytes(*precision);
                }
                Ok(cells)
            }
            _ => Self::of(values, false),
        }
    }

    /// Prepares a column whose values are in memory as they are stored.
    pub(super) fn of(values: &ArrayRef, is_nullable: bool) -> Result<Self, ArrowError> {
        if is_nullable {
            let inner = Box::new(Self::of(values, false)?);
            return Ok(Self::Optional { nulls: values.logical_nulls(), values: inner });
        }
        match values.data_type() {
            DataType::Boolean => Ok(Self::Flags(values.as_boolean().clone())),
            DataType::Utf8 => Ok(Self::Texts(values.as_string::<i32>().clone())),
            DataType::Dictionary(..) => Self::shared(values),
            DataType::List(item) => {
                let list = values.as_list::<i32>();
                let items = Box::new(Self::of(list.values(), item.is_nullable())?);
                Ok(Self::List { offsets: list.offsets().clone(), items })
            }
            DataType::Map(..) => {
                let map = values.as_map();
                let (keys, values) = (Self::of(map.keys(), false)?, Self::of(map.values(), false)?);
                Ok(Self::Map { offsets: map.offsets().clone(), keys: Box::new(keys), values: Box::new(values) })
            }
            data_type => {
                let width = data_type.primitive_width().ok_or_else(|| unknown(data_type))?;
                let data = values.to_data();
                let bytes = data.buffers().first().cloned().ok_or_else(|| unknown(data_type))?;
                Ok(Self::Fixed { bytes, offset: data.offset(), width, taken: width })
            }
        }
    }

    fn shared(values: &ArrayRef) -> Result<Self, ArrowError> {
        let dictionary = values.as_any_dictionary();
        let cells = Self::of(dictionary.values(), false)?;
        let written = (0..dictionary.values().len()).map(|at| {
            let mut bytes = Vec::new();
            cells.write(at, &mut bytes);
            bytes
        });
        // An empty dictionary has no keys to normalize, and the rows of it no value.
        let written: Vec<_> = written.collect();
        let keys = if written.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
        Ok(Self::Shared { keys, values: written })
    }

    /// Writes a row's value as ClickHouse's `RowBinary` has it.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Fixed { bytes, offset, width, taken } => {
                let start = (offset + row) * width;
                out.extend_from_slice(&bytes[start..start + taken]);
            }
            Self::Uuids(texts) => write_uuid(texts.value(row), out),
            Self::Flags(flags) => out.push(u8::from(flags.value(row))),
            Self::Texts(texts) => {
                let text = texts.value(row).as_bytes();
                write_length(text.len(), out);
                out.extend_from_slice(text);
            }
            Self::Shared { keys, values } => {
                // Absent values of an optional column were told before.
                let value = keys.get(row).and_then(|key| values.get(*key));
                out.extend_from_slice(value.map_or(&[], Vec::as_slice));
            }
            Self::Optional { nulls, values } => {
                let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                out.push(u8::from(is_null));
                if !is_null {
                    values.write(row, out);
                }
            }
            Self::List { offsets, items } => {
                let items_of = span(offsets, row);
                write_length(items_of.len(), out);
                items_of.for_each(|item| items.write(item, out));
            }
            Self::Map { offsets, keys, values } => {
                let entries = span(offsets, row);
                write_length(entries.len(), out);
                for entry in entries {
                    keys.write(entry, out);
                    values.write(entry, out);
                }
            }
        }
    }
}

/// Returns the size of a decimal of so many digits; one that fits is its lowest bytes in a larger size, too.
const fn decimal_bytes(precision: u8) -> usize {
    match precision {
        0..=9 => 4,
        10..=18 => 8,
        _ => 16,
    }
}

/// Writes a UUID as two numbers of eight bytes, the higher one first, each little-endian.
fn write_uuid(text: &str, out: &mut Vec<u8>) {
    let mut digits = text.bytes().filter_map(|byte| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    });
    for _half in 0..2 {
        let half = digits.by_ref().take(16).fold(0_u64, |half, digit| half << 4 | u64::from(digit));
        out.extend_from_slice(&half.to_le_bytes());
    }
}

fn span(offsets: &OffsetBuffer<i32>, row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| usize::try_from(offsets[row]).expect("Arrow's offsets are never negative");
    at(row)..at(row + 1)
}

/// Writes a length in groups of seven bits, the least first.
fn write_length(length: usize, out: &mut Vec<u8>) {
    let mut left = length;
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).expect("below 0x80"));
}

fn unknown(data_type: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("a checksum over values of the type {data_type}"))
}
