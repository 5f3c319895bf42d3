use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;

use crate::buffer::unify;

/// One row: a word, some attributes, some words; `None`: the column's null.
type Row = (Option<u8>, Vec<(u8, u8)>, Vec<u8>);

fn words(values: impl Iterator<Item = Option<u8>>) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    values.for_each(|value| builder.append_option(value.map(|value| format!("w{value}"))));
    Arc::new(builder.finish())
}

fn batch(rows: &[Row]) -> RecordBatch {
    let mut maps = MapBuilder::new(None, StringDictionaryBuilder::<Int32Type>::new(), StringBuilder::new());
    let mut lists = ListBuilder::new(StringDictionaryBuilder::<Int32Type>::new());
    let mut numbers = Int32Builder::new();
    for (word, attributes, list) in rows {
        for (key, value) in attributes {
            maps.keys().append_value(format!("k{key}"));
            maps.values().append_value(format!("v{value}"));
        }
        maps.append(true).expect("a value for each key");
        list.iter().for_each(|word| lists.values().append_value(format!("l{word}")));
        lists.append(!list.is_empty());
        numbers.append_option(word.map(i32::from));
    }
    RecordBatch::try_from_iter_with_nullable([
        ("word", words(rows.iter().map(|row| row.0)), true),
        ("attributes", Arc::new(maps.finish()) as ArrayRef, true),
        ("list", Arc::new(lists.finish()), true),
        ("number", Arc::new(numbers.finish()), true),
    ])
    .expect("columns of one length")
}

fn shown(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("showable")).collect();
    let row = |at: usize| columns.iter().map(|column| column.value(at).to_string()).collect::<Vec<_>>().join(" | ");
    (0..batch.num_rows()).map(row).collect()
}

fn assert_distinct(column: &dyn Array) {
    let values: Vec<_> = column.as_dictionary::<Int32Type>().values().as_string::<i32>().iter().collect();
    assert_eq!(values.iter().collect::<HashSet<_>>().len(), values.len(), "{values:?}");
}

proptest! {
    #[test]
    fn rows_stay_and_no_dictionary_holds_a_value_twice(
        batches in prop::collection::vec((prop::collection::vec(any_row(), 1..6), 0..3_usize), 1..6)
    ) {
        // Slices too: what is left out of a batch must not come back.
        let batches: Vec<_> = batches
            .iter()
            .map(|(rows, skipped)| {
                let whole = batch(rows);
                let skipped = (*skipped).min(whole.num_rows() - 1);
                whole.slice(skipped, whole.num_rows() - skipped)
            })
            .collect();
        let unified = unify(&batches).expect("one schema");
        prop_assert_eq!(shown(&unified), batches.iter().flat_map(shown).collect::<Vec<_>>());
        if batches.len() > 1 {
            assert_distinct(unified.column(0));
            assert_distinct(unified.column(1).as_map().keys());
            assert_distinct(unified.column(2).as_list::<i32>().values());
        }
    }
}

fn any_row() -> impl Strategy<Value = Row> {
    let pairs = prop::collection::vec((0..4_u8, 0..4_u8), 0..4);
    (prop::option::of(0..4_u8), pairs, prop::collection::vec(0..4_u8, 0..3))
}

#[test]
fn a_column_without_any_value_can_be_among_them() {
    let schema = batch(&[(Some(1), vec![(1, 1)], vec![1])]).schema();
    let absent = schema.fields().iter().map(|field| new_null_array(field.data_type(), 2)).collect();
    let absent = RecordBatch::try_new(Arc::clone(&schema), absent).expect("nulls fit everywhere");
    let unified = unify(&[absent.clone(), batch(&[(Some(1), vec![(1, 1)], vec![1])]), absent]).expect("one schema");
    assert_eq!(shown(&unified)[2], "w1 | {k1: v1} | [l1] | 1");
    assert_eq!(shown(&unified)[4], "null | null | null | null");
}

#[test]
fn nothing_cannot_be_unified() {
    assert!(unify(&[]).is_err());
    let columns: [(&str, ArrayRef); 2] =
        [("n", Arc::new(UInt64Array::from(vec![1]))), ("s", Arc::new(StringArray::from(vec!["a"])))];
    let one = RecordBatch::try_from_iter(columns).expect("a batch");
    assert_eq!(unify(std::slice::from_ref(&one)).expect("itself"), one);
}
