//! Columns of Arrow arrays become columns of a dataset, each value exactly or not at all.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StringArray, StructArray, UInt32Array, make_array};
use arrow_buffer::OffsetBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field};
use arrow_select::take::take;
use tidegate_model::limits::DOUBLE_EXACT_MAX;
use tidegate_model::{FieldType, Scalar};

use super::nested::is_json;
use super::scalar;
use super::value::scalars;
use crate::ingest::Reason;

/// Is told of a row that has no place, why, and the rest of a sentence that begins with the column's name.
pub(super) type Refuse<'r> = dyn FnMut(usize, Reason, &str) + 'r;

/// Returns the type that a column of a dataset gets from such an array.
pub(super) fn field_type(data_type: &DataType) -> Option<FieldType> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => scalar_of(item.data_type()).map(FieldType::Array),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 && scalar_of(pair[0].data_type()) == Some(Scalar::String) => {
                scalar_of(pair[1].data_type()).map(FieldType::Map)
            }
            _ => None,
        },
        other => scalar_of(other).map(FieldType::One),
    }
}

fn scalar_of(data_type: &DataType) -> Option<Scalar> {
    match data_type {
        DataType::UInt64 => Some(Scalar::Unsigned),
        data_type if data_type.is_integer() => Some(Scalar::Integer),
        data_type if data_type.is_floating() => Some(Scalar::Double),
        DataType::Boolean => Some(Scalar::Boolean),
        DataType::Timestamp(..) => Some(Scalar::Timestamp),
        DataType::Date32 | DataType::Date64 => Some(Scalar::Date),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Scalar::String),
        DataType::FixedSizeBinary(16) => Some(Scalar::Uuid),
        DataType::Decimal128(precision, scale) if u8::try_from(*scale).is_ok_and(|scale| scale <= *precision) => {
            Some(Scalar::Decimal { precision: *precision, scale: scale.cast_unsigned() })
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Time32(_) | DataType::Time64(_) => {
            Some(Scalar::String)
        }
        DataType::Dictionary(_, value) => scalar_of(value).filter(|scalar| *scalar != Scalar::Uuid),
        _ => None,
    }
}

/// Turns an array into a column of the dataset; `None` where no value of the one type has a place in the other.
pub(super) fn turned(
    array: &ArrayRef,
    wanted: FieldType,
    refuse: &mut Refuse<'_>,
) -> Result<Option<ArrayRef>, ArrowError> {
    match (field_type(array.data_type()), wanted) {
        (Some(FieldType::One(from)), FieldType::One(to)) if turns(from, to) => one(array, (from, to), refuse).map(Some),
        (Some(FieldType::Array(from)), FieldType::Array(to)) if turns(from, to) => {
            list(array, (from, to), refuse).map(Some)
        }
        (Some(FieldType::Map(from)), FieldType::Map(to)) if turns(from, to) => map(array, (from, to), refuse).map(Some),
        _ => Ok(None),
    }
}

/// Says whether values of the one type may be values of the other.
fn turns(from: Scalar, to: Scalar) -> bool {
    use Scalar::{Date, Decimal, Double, Integer, Keyword, String, Timestamp, Unsigned, Uuid};
    match (from, to) {
        (from, to) if from == to => true,
        (_, String | Keyword) => true,
        (Integer | Unsigned, Integer | Unsigned | Double | Decimal { .. }) => true,
        (Decimal { scale: from, .. }, Decimal { scale: to, .. }) => from <= to,
        (String, Timestamp | Date | Uuid | Decimal { .. } | Scalar::Json) => true,
        (Date, Timestamp) => true,
        _ => false,
    }
}

fn one(array: &ArrayRef, (from, to): (Scalar, Scalar), refuse: &mut Refuse<'_>) -> Result<ArrayRef, ArrowError> {
    let array =
        &if matches!(array.data_type(), DataType::FixedSizeBinary(_)) { uuids(array) } else { Arc::clone(array) };
    if from == Scalar::String && matches!(to, Scalar::Date | Scalar::Uuid | Scalar::Decimal { .. } | Scalar::Json) {
        return parsed(array, to, refuse);
    }
    let cast = cast(array, &scalar::arrow_type(to))?;
    let (had, has) = (array.logical_nulls(), cast.logical_nulls());
    for row in 0..array.len() {
        let was_null = had.as_ref().is_some_and(|nulls| nulls.is_null(row));
        if !was_null && has.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            refuse(row, Reason::OutOfRange, &format!("has a value that is no {to}"));
        }
    }
    match to {
        Scalar::Double if from != Scalar::Double => refuse_rounded((array, from), &cast, refuse)?,
        Scalar::Date => {
            for (row, day) in cast.as_primitive::<Date32Type>().iter().enumerate() {
                if day.is_some_and(|day| !scalar::is_day(day)) {
                    refuse(row, Reason::OutOfRange, "has a day before 1900 or after 2299");
                }
            }
        }
        _ => {}
    }
    Ok(cast)
}

/// Refuses the integers that no double is exactly.
fn refuse_rounded(
    (array, from): (&ArrayRef, Scalar),
    doubles: &ArrayRef,
    refuse: &mut Refuse<'_>,
) -> Result<(), ArrowError> {
    let integers = cast(array, &scalar::arrow_type(from))?;
    let digits = if from == Scalar::Unsigned {
        large(integers.as_primitive::<UInt64Type>().iter(), |value| *value > DOUBLE_EXACT_MAX)
    } else {
        large(integers.as_primitive::<Int64Type>().iter(), |value| value.unsigned_abs() > DOUBLE_EXACT_MAX)
    };
    for (row, (digits, double)) in digits.iter().zip(doubles.as_primitive::<Float64Type>().iter()).enumerate() {
        if let (Some(digits), Some(double)) = (digits, double)
            && !scalar::is_exact(double, digits.as_bytes())
        {
            refuse(row, Reason::OutOfRange, "has an integer that no double is exactly");
        }
    }
    Ok(())
}

fn large<T: ToString>(values: impl Iterator<Item = Option<T>>, is_large: impl Fn(&T) -> bool) -> Vec<Option<String>> {
    values.map(|value| value.filter(&is_large).map(|value| value.to_string())).collect()
}

/// Reads texts as JSON strings are read.
fn parsed(array: &ArrayRef, to: Scalar, refuse: &mut Refuse<'_>) -> Result<ArrayRef, ArrowError> {
    let texts = cast(array, &DataType::Utf8)?;
    let texts: &StringArray = texts.as_string();
    if to == Scalar::Json {
        for (row, text) in texts.iter().enumerate() {
            if text.is_some_and(|text| !is_json(text.as_bytes())) {
                refuse(row, Reason::Malformed, "has a text that is not JSON");
            }
        }
        return Ok(Arc::new(texts.clone()));
    }
    if to == Scalar::Uuid && texts.iter().flatten().all(scalar::is_usual_uuid) {
        return Ok(Arc::new(texts.clone()));
    }
    let quoted: Vec<_> = texts.iter().map(|text| text.map(|text| serde_json::json!(text).to_string())).collect();
    let values = quoted.iter().enumerate().filter_map(|(row, text)| Some((row, text.as_ref()?.as_bytes())));
    Ok(scalars(values, texts.len(), to, &mut |row, _, (reason, wanted)| {
        refuse(row, reason, &format!("has a text that is not {wanted}"));
    }))
}

fn uuids(array: &ArrayRef) -> ArrayRef {
    let texts = array.as_fixed_size_binary().iter().map(|bytes| {
        let hex = hex::encode(bytes?);
        Some(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
    });
    Arc::new(texts.collect::<StringArray>())
}

fn list(array: &ArrayRef, types: (Scalar, Scalar), refuse: &mut Refuse<'_>) -> Result<ArrayRef, ArrowError> {
    let array = match array.data_type() {
        DataType::LargeList(item) => cast(array, &DataType::List(Arc::clone(item)))?,
        _ => Arc::clone(array),
    };
    let lists = array.as_list::<i32>();
    let places = Places::of(lists.offsets(), &array);
    let items = one(&places.items(lists.values())?, types, &mut |place, reason, why| {
        refuse(places.row(place), reason, why);
    })?;
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, places.offsets(), items, None)?))
}

fn map(array: &ArrayRef, types: (Scalar, Scalar), refuse: &mut Refuse<'_>) -> Result<ArrayRef, ArrowError> {
    let maps = array.as_map();
    let places = Places::of(maps.offsets(), array);
    let names = cast(&places.items(maps.keys())?, &DataType::Utf8)?;
    let values = one(&places.items(maps.values())?, types, &mut |place, reason, why| {
        refuse(places.row(place), reason, why);
    })?;
    let mut seen = HashSet::new();
    for (place, name) in names.as_string::<i32>().iter().enumerate() {
        if !seen.insert((places.row(place), name)) {
            refuse(places.row(place), Reason::Malformed, "has a name twice in one map");
        }
    }
    let DataType::Map(entries, sorted) = FieldType::Map(types.1).kind().arrow() else { return Ok(values) };
    let DataType::Struct(fields) = entries.data_type() else { return Ok(values) };
    let pairs = StructArray::try_new(fields.clone(), vec![names, values], None)?;
    Ok(Arc::new(MapArray::try_new(entries, places.offsets(), pairs, None, sorted)?))
}

/// Where the items of each row are: those of a row that holds nothing are nobody's.
struct Places {
    ranges: Vec<std::ops::Range<u32>>,
    ends: Vec<usize>,
}

impl Places {
    fn of(offsets: &OffsetBuffer<i32>, array: &ArrayRef) -> Self {
        let at = |offset: i32| u32::try_from(offset).unwrap_or(0);
        let range =
            |row: usize| at(offsets[row])..if array.is_valid(row) { at(offsets[row + 1]) } else { at(offsets[row]) };
        let ranges: Vec<_> = (0..array.len()).map(range).collect();
        let mut end = 0;
        let ends = ranges.iter().map(|range| {
            end += range.len();
            end
        });
        Self { ends: ends.collect(), ranges }
    }

    /// Returns the items of all rows: those of nobody are nearly never there, and then nothing is copied.
    fn items(&self, items: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        if self.ranges.windows(2).all(|two| two[0].end == two[1].start) {
            let first = self.ranges.first().map_or(0, |range| range.start);
            return Ok(items.slice(first as usize, self.ends.last().copied().unwrap_or(0)));
        }
        let indices: UInt32Array = self.ranges.iter().cloned().flatten().collect::<Vec<u32>>().into();
        take(items, &indices, None)
    }

    fn offsets(&self) -> OffsetBuffer<i32> {
        OffsetBuffer::from_lengths(self.ranges.iter().map(ExactSizeIterator::len))
    }

    fn row(&self, place: usize) -> usize {
        self.ends.partition_point(|end| *end <= place)
    }
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
    use arrow_array::types::TimestampNanosecondType;
    use arrow_array::{StringArray, TimestampMillisecondArray};

    use super::*;

    fn check(column: ArrayRef) {
        let times = cast(&column, &Scalar::Timestamp.kind().arrow()).expect("a time");
        assert_eq!(*times.data_type(), Scalar::Timestamp.kind().arrow());
        assert_eq!(times.as_primitive::<TimestampNanosecondType>().values()[..], [1_500_000_000]);
    }

    /// Lists of texts, each from its place to the next; `false`: the row holds nothing, whatever stands at its place.
    fn check_lists(ends: &[i32], holds: &[bool], expect: &[&[&str]]) {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"]));
        let (field, nulls) = (Arc::new(Field::new("item", DataType::Utf8, true)), holds.to_vec().into());
        let lists = ListArray::try_new(field, OffsetBuffer::new(ends.to_vec().into()), texts, Some(nulls));
        let lists: ArrayRef = Arc::new(lists.expect("lists within their items"));
        let (text, mut refused) = (FieldType::Array(Scalar::String), Vec::new());
        let turned =
            turned(&lists, text, &mut |row, _, _| refused.push(row)).expect("an array").expect("its type fits");
        let rows = turned.as_list::<i32>().iter().map(|row| {
            let row = row.expect("a list that is not there is empty");
            row.as_string::<i32>().iter().map(|text| text.expect("a text").to_owned()).collect::<Vec<_>>()
        });
        assert_eq!(rows.collect::<Vec<_>>(), expect);
        assert_eq!(refused, [] as [usize; 0]);
    }

    #[test]
    fn lists_are_what_their_rows_hold_wherever_their_items_stand() {
        check_lists(&[0, 2, 2, 6], &[true, true, true], &[&["a", "b"], &[], &["c", "d", "e", "f"]]);
        // Neither the first items nor the last are anybody's.
        check_lists(&[1, 3, 4], &[true, true], &[&["b", "c"], &["d"]]);
        // What stands at the place of a row that holds nothing is nobody's: at the end, and between others.
        check_lists(&[0, 2, 5], &[true, false], &[&["a", "b"], &[]]);
        check_lists(&[0, 2, 5, 6], &[true, false, true], &[&["a", "b"], &[], &["f"]]);
        check_lists(&[0, 2, 5, 6], &[false, true, true], &[&[], &["c", "d", "e"], &["f"]]);
        check_lists(&[0, 6], &[false], &[&[]]);
        check_lists(&[3], &[], &[]);
    }

    #[test]
    fn times_are_the_same_instant_in_every_zone() {
        for zone in [None, Some("UTC"), Some("+02:00"), Some("Europe/Lisbon")] {
            check(Arc::new(TimestampMillisecondArray::from(vec![1_500]).with_timezone_opt(zone)));
        }
        check(Arc::new(StringArray::from(vec!["1970-01-01T02:00:01.5+02:00"])));
    }
}
