use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch};
use arrow_cast::display::array_value_to_string;
use tidegate_model::ColumnKind;

use super::super::{Appended, Remembered, Rows, Write, sent};
use super::world::{World, table};

/// Maps as logs of earlier versions hold them, one a row.
fn maps(rows: &[&[(&str, &str)]]) -> ArrayRef {
    let names = MapFieldNames { entry: "entries".into(), key: "keys".into(), value: "values".into() };
    let keys = StringDictionaryBuilder::<Int32Type>::new();
    let mut builder = MapBuilder::new(Some(names), keys, StringBuilder::new());
    for row in rows {
        for (key, value) in *row {
            builder.keys().append_value(key);
            builder.values().append_value(value);
        }
        builder.append(true).expect("a value for each key");
    }
    Arc::new(builder.finish())
}

const SHARED: [&[(&str, &str)]; 3] = [&[("a", "1"), ("b", "1")], &[], &[("b", "2")]];

fn shared(numbers: &[i32]) -> ArrayRef {
    Arc::new(DictionaryArray::new(Int32Array::from(numbers.to_vec()), maps(&SHARED)))
}

fn check(column: &ArrayRef, rows: &[&str]) {
    let wanted = ColumnKind::Labels.sent_arrow();
    let sent = sent(column, &wanted).expect("labels");
    let types = |array: &dyn Array| array.as_map().entries().columns().iter().map(|c| c.data_type().clone()).collect();
    let (got, expected): (Vec<_>, Vec<_>) = (types(&sent), types(&arrow_array::new_empty_array(&wanted)));
    assert_eq!(got, expected);
    let shown: Vec<_> = (0..sent.len()).map(|row| array_value_to_string(&sent, row).expect("a map")).collect();
    assert_eq!(shown, rows);
    for words in sent.as_map().entries().columns() {
        let texts: Vec<_> = words.as_dictionary::<Int32Type>().values().as_string::<i32>().iter().collect();
        assert_eq!(texts.iter().collect::<HashSet<_>>().len(), texts.len(), "{texts:?}");
    }
}

#[test]
fn every_row_gets_its_own_map() {
    let all = ["{a: 1, b: 1}", "{a: 1, b: 1}", "{}", "{b: 2}", "{a: 1, b: 1}"];
    let column = shared(&[0, 0, 1, 2, 0]);
    check(&column, &all);
    check(&column.slice(1, 3), &all[1..4]);
    check(&column.slice(2, 0), &[]);
}

#[test]
fn maps_of_earlier_versions_are_sent_in_the_same_form() {
    let column = maps(&[SHARED[2], SHARED[0], SHARED[1]]);
    check(&column, &["{b: 2}", "{a: 1, b: 1}", "{}"]);
    check(&column.slice(1, 2), &["{a: 1, b: 1}", "{}"]);
}

#[tokio::test]
async fn shared_maps_survive_the_log() {
    let mut world = World::new(7);
    let rows = RecordBatch::try_from_iter([("labels", shared(&[2, 2, 0]))]).expect("a batch");
    let buffer = world.open_fresh();
    let write = Write::new(vec![Rows { table: table("logs"), rows: rows.clone() }], None, Vec::new());
    assert!(matches!(buffer.append(write).await, Ok(Appended::Rows(_))));
    buffer.close().await.expect("closes");
    drop(buffer);
    // Too small for a row: it is read back from the file.
    world.options.hot_tail_bytes = 0;
    let (buffer, _) = world.open(Remembered::default()).expect("opens");
    let read = buffer.snapshot(&[table("logs")])[0].chunks[0].rows().expect("rows");
    assert_eq!(read.column(0).data_type(), rows.column(0).data_type());
    check(read.column(0), &["{b: 2}", "{b: 2}", "{a: 1, b: 1}"]);
}
