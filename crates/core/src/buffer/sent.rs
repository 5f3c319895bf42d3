use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, MapArray, StringArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType};

/// Turns a column of hot rows into the form in which it is sent to ClickHouse, `wanted`; most are in it already.
///
/// Maps that rows share are given to each row, as numbers of words: ten nanoseconds a row. Logs of earlier versions
/// hold such maps row by row, with their values as text; they are read here too. Integers become doubles where their
/// column did.
pub fn sent(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match (column.data_type(), wanted) {
        (DataType::Dictionary(_, shared), DataType::Map(..)) if matches!(**shared, DataType::Map(..)) => {
            let rows = column.as_dictionary::<Int32Type>();
            let numbers = rows.keys().values().iter().map(|number| usize::try_from(*number).unwrap_or(0));
            Ok(Arc::new(repeat_maps(rows.values().as_map(), numbers, wanted)?))
        }
        (DataType::Map(..), DataType::Map(..)) if column.data_type() != wanted => {
            let rows = column.as_map();
            Ok(Arc::new(repeat_maps(rows, 0..rows.len(), wanted)?))
        }
        // Rows from before their column was widened: each is a double exactly, or the column would not have been.
        (DataType::Int64, DataType::Float64) => arrow_cast::cast(column, wanted),
        _ => Ok(Arc::clone(column)),
    }
}

/// Makes a map of words to words of the maps with these numbers.
fn repeat_maps(
    maps: &MapArray,
    numbers: impl ExactSizeIterator<Item = usize> + Clone,
    wanted: &DataType,
) -> Result<MapArray, ArrowError> {
    let DataType::Map(entries, sorted) = wanted else {
        return Err(ArrowError::SchemaError("labels are sent as a map".into()));
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(ArrowError::SchemaError("the entries of a map are a struct".into()));
    };
    let place = |offset: i32| usize::try_from(offset).unwrap_or(0);
    let offsets = maps.offsets();
    let (first, last) = (place(offsets.first()), place(offsets.last()));
    let keys = maps.keys().as_dictionary::<Int32Type>();
    let (key_numbers, key_texts) = (&keys.keys().values()[first..last], keys.values());
    let (value_numbers, value_texts) = words(maps.values().as_string::<i32>(), first..last)?;

    let range = |number: usize| place(offsets[number]) - first..place(offsets[number + 1]) - first;
    let total = numbers.clone().map(|number| range(number).len()).sum();
    let (mut sent_keys, mut sent_values) = (Vec::with_capacity(total), Vec::with_capacity(total));
    for number in numbers.clone() {
        sent_keys.extend_from_slice(&key_numbers[range(number)]);
        sent_values.extend_from_slice(&value_numbers[range(number)]);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(DictionaryArray::try_new(Int32Array::from(sent_keys), Arc::clone(key_texts))?),
        Arc::new(DictionaryArray::try_new(Int32Array::from(sent_values), Arc::new(value_texts))?),
    ];
    let sent_entries = StructArray::try_new(fields.clone(), columns, None)?;
    let sent_offsets = OffsetBuffer::from_lengths(numbers.map(|number| range(number).len()));
    MapArray::try_new(Arc::clone(entries), sent_offsets, sent_entries, None, *sorted)
}

/// Numbers texts, equal ones alike: ClickHouse refuses a dictionary that has a value twice.
fn words(texts: &StringArray, range: std::ops::Range<usize>) -> Result<(Vec<i32>, StringArray), ArrowError> {
    let mut known: HashMap<&str, i32> = HashMap::new();
    let mut distinct: Vec<&str> = Vec::new();
    let mut numbers = Vec::with_capacity(range.len());
    for at in range {
        let text = texts.value(at);
        let next = i32::try_from(distinct.len()).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
        let number = *known.entry(text).or_insert(next);
        if number == next {
            distinct.push(text);
        }
        numbers.push(number);
    }
    Ok((numbers, StringArray::from_iter_values(distinct)))
}
