use std::sync::Arc;

use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{ArrayRef, BooleanArray, Decimal128Array, ListArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, Field};

use crate::cell::Cell;
use crate::value::{self, Unfit};

/// The bytes of a list's description: dimensions, flags, and the type of its items.
const LIST_HEAD: usize = 12;

/// The bytes of a dimension: how many items, and the number of the first.
const DIMENSION: usize = 8;

/// The values of one column, or the items of all of its lists.
#[derive(Debug)]
pub(crate) struct Values {
    cell: Cell,
    held: Held,
    nulls: NullBufferBuilder,
}

#[derive(Debug)]
enum Held {
    Bools(BooleanBufferBuilder),
    Longs(Vec<i64>),
    Doubles(Vec<f64>),
    Days(Vec<i32>),
    Wides(Vec<i128>),
    Texts { ends: Vec<i32>, bytes: Vec<u8> },
}

/// Lists: their items, and where each ends.
#[derive(Debug)]
pub(crate) struct Lists {
    items: Values,
    ends: Vec<i32>,
}

impl Values {
    pub(crate) fn new(cell: Cell) -> Self {
        let held = match cell {
            Cell::Bool => Held::Bools(BooleanBufferBuilder::new(0)),
            Cell::Int2 | Cell::Int4 | Cell::Int8 | Cell::Timestamp => Held::Longs(Vec::new()),
            Cell::Float4 | Cell::Float8 => Held::Doubles(Vec::new()),
            Cell::Date => Held::Days(Vec::new()),
            Cell::Numeric { .. } => Held::Wides(Vec::new()),
            Cell::Text | Cell::Uuid | Cell::Json | Cell::Jsonb => Held::Texts { ends: vec![0], bytes: Vec::new() },
        };
        Self { cell, held, nulls: NullBufferBuilder::new(0) }
    }

    /// Adds a value; one that is not taken is added as none.
    pub(crate) fn push(&mut self, bytes: Option<&[u8]>) -> Result<(), Unfit> {
        let outcome = match bytes {
            Some(bytes) => self.put(bytes),
            None => Ok(false),
        };
        match outcome {
            Ok(true) => {
                self.nulls.append_non_null();
                Ok(())
            }
            Ok(false) => {
                self.none();
                Ok(())
            }
            Err(why) => {
                self.none();
                Err(why)
            }
        }
    }

    fn none(&mut self) {
        match &mut self.held {
            Held::Bools(values) => values.append(false),
            Held::Longs(values) => values.push(0),
            Held::Doubles(values) => values.push(0.0),
            Held::Days(values) => values.push(0),
            Held::Wides(values) => values.push(0),
            Held::Texts { ends, .. } => ends.push(ends.last().copied().unwrap_or(0)),
        }
        self.nulls.append_null();
    }

    /// Adds a value that is there; nothing is added when it fails.
    fn put(&mut self, bytes: &[u8]) -> Result<bool, Unfit> {
        match (&mut self.held, self.cell) {
            (Held::Bools(values), _) => values.append(value::fixed::<1>(bytes)?[0] != 0),
            (Held::Longs(values), Cell::Int2) => values.push(i16::from_be_bytes(value::fixed(bytes)?).into()),
            (Held::Longs(values), Cell::Int4) => values.push(i32::from_be_bytes(value::fixed(bytes)?).into()),
            (Held::Longs(values), Cell::Timestamp) => values.push(value::timestamp(bytes)?),
            (Held::Longs(values), _) => values.push(i64::from_be_bytes(value::fixed(bytes)?)),
            (Held::Doubles(values), Cell::Float4) => values.push(f32::from_be_bytes(value::fixed(bytes)?).into()),
            (Held::Doubles(values), _) => values.push(f64::from_be_bytes(value::fixed(bytes)?)),
            (Held::Days(values), _) => values.push(value::date(bytes)?),
            (Held::Wides(values), Cell::Numeric { precision, scale }) => {
                values.push(value::numeric(bytes, precision, scale)?);
            }
            (Held::Wides(_), _) => return Err(Unfit::Broken("it is no number")),
            (Held::Texts { ends, bytes: all }, cell) => {
                match cell {
                    Cell::Uuid => value::uuid(bytes, all)?,
                    Cell::Jsonb => all.extend_from_slice(value::jsonb(bytes)?.as_bytes()),
                    _ => all.extend_from_slice(value::text(bytes)?.as_bytes()),
                }
                ends.push(i32::try_from(all.len()).unwrap_or(i32::MAX));
            }
        }
        Ok(true)
    }

    /// Says whether its texts are longer than an array may have.
    pub(crate) fn is_too_long(&self) -> bool {
        matches!(&self.held, Held::Texts { bytes, .. } if bytes.len() > i32::MAX as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Makes an array of what was added, and begins again.
    pub(crate) fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let Self { cell, held, mut nulls } = std::mem::replace(self, Self::new(self.cell));
        let nulls = nulls.finish();
        Ok(match held {
            Held::Bools(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Held::Longs(values) if cell == Cell::Timestamp => {
                let times = PrimitiveArray::<TimestampNanosecondType>::try_new(values.into(), nulls)?;
                Arc::new(times.with_timezone("UTC"))
            }
            Held::Longs(values) => Arc::new(PrimitiveArray::<Int64Type>::try_new(values.into(), nulls)?),
            Held::Doubles(values) => Arc::new(PrimitiveArray::<Float64Type>::try_new(values.into(), nulls)?),
            Held::Days(values) => Arc::new(PrimitiveArray::<Date32Type>::try_new(values.into(), nulls)?),
            Held::Wides(values) => {
                Arc::new(Decimal128Array::try_new(values.into(), nulls)?.with_data_type(cell.arrow()))
            }
            Held::Texts { ends, bytes } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
                Arc::new(StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)?)
            }
        })
    }
}

impl Lists {
    pub(crate) fn new(cell: Cell) -> Self {
        Self { items: Values::new(cell), ends: vec![0] }
    }

    /// Adds a list; one that is not taken, or not there, is added as empty.
    pub(crate) fn push(&mut self, bytes: Option<&[u8]>) -> Result<(), Unfit> {
        let outcome = bytes.map_or(Ok(()), |bytes| self.put(bytes));
        self.ends.push(i32::try_from(self.items.len()).unwrap_or(i32::MAX));
        outcome
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Unfit> {
        const BROKEN: Unfit = Unfit::Broken("it is no list");
        let Some((head, rest)) = bytes.split_first_chunk::<LIST_HEAD>() else { return Err(BROKEN) };
        match i32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => return Ok(()),
            1 => {}
            2.. => return Err(Unfit::Refused("a list of lists".to_owned())),
            ..0 => return Err(BROKEN),
        }
        let Some((dimension, mut rest)) = rest.split_first_chunk::<DIMENSION>() else { return Err(BROKEN) };
        let count = i32::from_be_bytes([dimension[0], dimension[1], dimension[2], dimension[3]]);
        for _ in 0..count {
            let Some((length, behind)) = rest.split_first_chunk::<4>() else { return Err(BROKEN) };
            let length = i32::from_be_bytes(*length);
            let Ok(length) = usize::try_from(length) else {
                rest = behind;
                self.items.push(None)?;
                continue;
            };
            let Some((item, behind)) = behind.split_at_checked(length) else { return Err(BROKEN) };
            rest = behind;
            self.items.push(Some(item))?;
        }
        if rest.is_empty() { Ok(()) } else { Err(BROKEN) }
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.items.is_too_long() || self.items.len() > i32::MAX as usize
    }

    pub(crate) fn take(&mut self) -> Result<ArrayRef, ArrowError> {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let field = Field::new_list_field(self.items.cell.arrow(), true);
        let items = self.items.take()?;
        Ok(Arc::new(ListArray::try_new(Arc::new(field), OffsetBuffer::new(ends.into()), items, None)?))
    }
}
