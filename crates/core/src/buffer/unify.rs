use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, ListArray, MapArray, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef};
use arrow_select::concat::concat;

/// Makes one batch of several with the same schema, with one dictionary per column in which no value is twice.
///
/// Many small batches with a dictionary each cost ClickHouse more than their rows do, and a dictionary with equal
/// values, which a plain concatenation leaves, is refused by it.
pub fn unify(batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    if let [batch] = batches {
        return Ok(batch.clone());
    }
    let Some(first) = batches.first() else {
        return Err(ArrowError::InvalidArgumentError("there is no batch to unify".into()));
    };
    let columns = (0..first.num_columns()).map(|at| {
        let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(at).as_ref()).collect();
        unify_arrays(&parts)
    });
    RecordBatch::try_new(first.schema(), columns.collect::<Result<_, _>>()?)
}

fn unify_arrays(parts: &[&dyn Array]) -> Result<ArrayRef, ArrowError> {
    match parts[0].data_type() {
        DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => {
            Ok(Arc::new(unify_words(parts)?))
        }
        DataType::Map(entries, sorted) => Ok(Arc::new(unify_maps(parts, entries, *sorted)?)),
        DataType::List(item) => Ok(Arc::new(unify_lists(parts, item)?)),
        _ => concat(parts),
    }
}

fn unify_words(parts: &[&dyn Array]) -> Result<DictionaryArray<Int32Type>, ArrowError> {
    let mut values: Vec<&str> = Vec::new();
    let mut known: HashMap<&str, i32> = HashMap::new();
    let mut keys = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        let words = part.as_dictionary::<Int32Type>();
        let texts = words.values().as_string::<i32>();
        let mut mapped: Vec<Option<i32>> = vec![None; texts.len()];
        for at in words.keys_iter() {
            keys.push(match at {
                None => None,
                Some(at) => Some(match mapped[at] {
                    Some(key) => key,
                    None => {
                        let next = i32::try_from(values.len()).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
                        let text = texts.value(at);
                        let key = *known.entry(text).or_insert(next);
                        if key == next {
                            values.push(text);
                        }
                        mapped[at] = Some(key);
                        key
                    }
                }),
            });
        }
    }
    DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from_iter_values(values)))
}

fn unify_maps(parts: &[&dyn Array], entries: &FieldRef, sorted: bool) -> Result<MapArray, ArrowError> {
    let maps: Vec<&MapArray> = parts.iter().map(|part| part.as_map()).collect();
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(ArrowError::SchemaError("the entries of a map are a struct".into()));
    };
    let columns = (0..fields.len()).map(|at| {
        let children = maps.iter().map(|map| used(map.entries().column(at), map.offsets()));
        unify_owned(&children.collect::<Vec<_>>())
    });
    let merged = StructArray::try_new(fields.clone(), columns.collect::<Result<_, _>>()?, None)?;
    let offsets = OffsetBuffer::from_lengths(maps.iter().flat_map(|map| map.offsets().lengths()));
    MapArray::try_new(Arc::clone(entries), offsets, merged, unify_nulls(parts), sorted)
}

fn unify_lists(parts: &[&dyn Array], item: &FieldRef) -> Result<ListArray, ArrowError> {
    let lists: Vec<&ListArray> = parts.iter().map(|part| part.as_list::<i32>()).collect();
    let items: Vec<_> = lists.iter().map(|list| used(list.values(), list.offsets())).collect();
    let offsets = OffsetBuffer::from_lengths(lists.iter().flat_map(|list| list.offsets().lengths()));
    ListArray::try_new(Arc::clone(item), offsets, unify_owned(&items)?, unify_nulls(parts))
}

fn unify_owned(parts: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    unify_arrays(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>())
}

/// Returns the children that the offsets reach: a slice of a list keeps all of them.
fn used(children: &ArrayRef, offsets: &OffsetBuffer<i32>) -> ArrayRef {
    let at = |offset: i32| usize::try_from(offset).unwrap_or(0);
    let (first, last) = (at(offsets.first()), at(offsets.last()));
    children.slice(first, last - first)
}

fn unify_nulls(parts: &[&dyn Array]) -> Option<NullBuffer> {
    if parts.iter().all(|part| part.null_count() == 0) {
        return None;
    }
    Some(parts.iter().flat_map(|part| (0..part.len()).map(|at| part.is_valid(at))).collect())
}
