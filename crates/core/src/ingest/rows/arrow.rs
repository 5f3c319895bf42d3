use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::Buffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use tidegate_model::limits::REQUEST_CELLS_MAX;

use super::cells::checked_name;
use super::error::RowsError;
use super::refusals::Refusals;
use super::schema::Found;
use super::value::FieldType;
use crate::ingest::Reason;

/// Reads the rows of an Arrow stream as one batch.
pub(super) fn read(body: &Bytes) -> Result<RecordBatch, RowsError> {
    // arrow-ipc panics on some damaged streams instead of refusing them: it slices by offsets that it did not check.
    let batches = catch_unwind(AssertUnwindSafe(|| decode(body)));
    let (schema, batches) = match batches {
        Ok(outcome) => outcome.map_err(broken)?,
        Err(_) => return Err(RowsError::Arrow("its parts contradict each other".to_owned())),
    };
    for field in schema.fields() {
        checked_name(field.name().as_bytes())?;
    }
    // Columns of nulls, or none at all, have any number of rows without a byte.
    let rows = batches.iter().fold(0_usize, |rows, batch| rows.saturating_add(batch.num_rows()));
    let columns = schema.fields().len().max(1);
    if rows.saturating_mul(columns) > REQUEST_CELLS_MAX {
        return Err(RowsError::TooManyCells { rows, columns });
    }
    concat_batches(&schema, &batches).map_err(broken)
}

/// Decodes in place: lengths that lie cost no memory.
fn decode(body: &Bytes) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let mut left = Buffer::from(body.clone());
    let (mut decoder, mut batches) = (StreamDecoder::new(), Vec::new());
    while let Some(batch) = decoder.decode(&mut left)? {
        batches.push(batch);
    }
    decoder.finish()?;
    let schema = decoder.schema().ok_or_else(|| ArrowError::IpcError("it has no schema".to_owned()))?;
    Ok((schema, batches))
}

fn broken(error: ArrowError) -> RowsError {
    RowsError::Arrow(error.to_string())
}

/// Names the columns that a batch has, with the types that they get.
pub(super) fn found(batch: &RecordBatch) -> Result<Vec<Found>, RowsError> {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns());
    let found = fields.filter(|(field, _)| *field.data_type() != DataType::Null).map(|(field, array)| {
        let (name, data_type) = (field.name().clone(), field.data_type());
        let problem = || format!("column `{name}` has the type {data_type}, which a dataset cannot hold");
        let field_type = field_type(data_type).ok_or_else(|| RowsError::Arrow(problem()))?;
        Ok(Found { name, field_type, is_complete: array.logical_null_count() == 0 })
    });
    found.collect()
}

fn field_type(data_type: &DataType) -> Option<FieldType> {
    match data_type {
        data_type if data_type.is_integer() => Some(FieldType::Integer),
        data_type if data_type.is_floating() => Some(FieldType::Double),
        DataType::Boolean => Some(FieldType::Boolean),
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Some(FieldType::Timestamp),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(FieldType::String),
        DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Time32(_) | DataType::Time64(_) => {
            Some(FieldType::String)
        }
        DataType::Dictionary(_, value) => field_type(value),
        _ => None,
    }
}

/// Turns a column into the dataset's type; rows whose value has no place there are refused.
pub(super) fn array(
    name: &str,
    array: &ArrayRef,
    wanted: FieldType,
    refusals: &mut Refusals,
) -> Result<ArrayRef, RowsError> {
    let brought = field_type(array.data_type());
    let fits = matches!(
        (brought, wanted),
        (_, FieldType::String)
            | (Some(FieldType::Integer), FieldType::Double)
            | (Some(FieldType::String), FieldType::Timestamp)
    );
    if brought != Some(wanted) && !fits {
        let brought = brought.map_or_else(|| array.data_type().to_string(), |brought| brought.to_string());
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            refusals
                .refuse(row, Reason::InvalidType, || format!("`{name}` is {brought} here and {wanted} in the dataset"));
        }
        return Ok(arrow_array::new_null_array(&wanted.kind().arrow(), array.len()));
    }
    let cast = cast(array, &wanted.kind().arrow()).map_err(broken)?;
    let (had, has) = (array.logical_nulls(), cast.logical_nulls());
    for row in 0..array.len() {
        let was_null = had.as_ref().is_some_and(|nulls| nulls.is_null(row));
        if !was_null && has.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            refusals.refuse(row, Reason::OutOfRange, || format!("`{name}` has a value that is no {wanted}"));
        }
    }
    Ok(cast)
}

/// Casts a column; what has no place in the wanted type becomes null.
///
/// The name of a time zone says how a reader sees a time, the values count from 1970 in UTC whatever it is. So it is
/// left out of the cast, which would otherwise need a table of all zones.
fn cast(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let array = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let bare = array.to_data().into_builder().data_type(DataType::Timestamp(*unit, None));
            make_array(bare.build()?)
        }
        _ => Arc::clone(array),
    };
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let DataType::Timestamp(unit, Some(zone)) = wanted else { return cast_with_options(&array, wanted, &options) };
    let times = cast_with_options(&array, &DataType::Timestamp(*unit, None), &options)?;
    let zoned = times.to_data().into_builder().data_type(DataType::Timestamp(*unit, Some(Arc::clone(zone))));
    Ok(make_array(zoned.build()?))
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampNanosecondType;
    use arrow_array::{StringArray, TimestampMillisecondArray};

    use super::*;

    fn check(column: ArrayRef) {
        let times = cast(&column, &FieldType::Timestamp.kind().arrow()).expect("a time");
        assert_eq!(*times.data_type(), FieldType::Timestamp.kind().arrow());
        assert_eq!(times.as_primitive::<TimestampNanosecondType>().values()[..], [1_500_000_000]);
    }

    #[test]
    fn times_are_the_same_instant_in_every_zone() {
        for zone in [None, Some("UTC"), Some("+02:00"), Some("Europe/Lisbon")] {
            check(Arc::new(TimestampMillisecondArray::from(vec![1_500]).with_timezone_opt(zone)));
        }
        check(Arc::new(StringArray::from(vec!["1970-01-01T02:00:01.5+02:00"])));
    }
}
