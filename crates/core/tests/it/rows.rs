//! Rows of any table: the columns that a test cares about, defaults for the others.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, MapBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt16Array, UInt64Array,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use tidegate_core::buffer::{Appended, Buffer, Rows, Write, sent};
use tidegate_model::{ColumnKind, ColumnSpec, TableSpec, tables};

/// 2026-11-20, the partition of the tests' rows.
pub(crate) const DAY: u16 = 20_777;

/// A table of a dataset: small, so that a test sees all of it.
pub(crate) fn dataset_table(columns: &[(&str, ColumnKind)]) -> TableSpec {
    let columns = columns.iter().map(|(name, kind)| ColumnSpec::new(*name, kind.clone()));
    TableSpec::new("dataset_it".parse().expect("a name"), columns)
}

/// Rows of a table with these columns given, everything else empty.
pub(crate) fn rows(spec: &TableSpec, days: &[u16], given: &[(&str, ArrayRef)]) -> RecordBatch {
    let columns = spec.columns.iter().map(|column| {
        if column.name == TableSpec::PARTITION {
            return Arc::new(UInt16Array::from(days.to_vec())) as ArrayRef;
        }
        let found = given.iter().find(|(name, _)| *name == column.name);
        found.map_or_else(|| empty(&column.kind, days.len()), |(_, values)| values.clone())
    });
    RecordBatch::try_new(spec.row_schema(), columns.collect()).expect("rows that fit their table")
}

/// Log records with a text each, all of one service that no other call uses: every call brings its own dictionary.
pub(crate) fn logs(days: &[u16], service: &str, texts: &[&str]) -> RecordBatch {
    let times: Vec<i64> = days.iter().map(|day| i64::from(*day) * 86_400_000_000_000 + 1).collect();
    let given: [(&str, ArrayRef); 4] = [
        ("timestamp", Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC"))),
        ("service_name", words(&vec![service; days.len()])),
        ("body", Arc::new(StringArray::from(texts.to_vec()))),
        ("attributes", attributes(service, days.len())),
    ];
    rows(&tables::LOGS, days, &given)
}

/// The same rows as the first logs held them: a map in each row where they now share one.
pub(crate) fn in_earlier_form(spec: &TableSpec, rows: &RecordBatch) -> RecordBatch {
    let earlier = spec.columns.iter().zip(rows.columns()).map(|(column, values)| match column.kind {
        ColumnKind::Labels => {
            let maps = empty_maps(rows.num_rows());
            (Field::new(&column.name, maps.data_type().clone(), false), maps)
        }
        _ => (Field::new(&column.name, values.data_type().clone(), column.kind.is_nullable()), Arc::clone(values)),
    });
    let (fields, columns): (Vec<_>, Vec<_>) = earlier.unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows of an earlier version")
}

/// Spans of one trace.
pub(crate) fn spans(trace_id: &str, count: usize) -> RecordBatch {
    let start = i64::from(DAY) * 86_400_000_000_000;
    let times = |offset: i64| -> ArrayRef {
        let times: Vec<i64> = (0..count).map(|n| start + offset + i64::try_from(n).expect("few")).collect();
        Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC"))
    };
    let ids: ArrayRef = Arc::new(StringArray::from(vec![trace_id; count]));
    rows(
        &tables::SPANS,
        &vec![DAY; count],
        &[("timestamp", times(0)), ("end_timestamp", times(1_000)), ("trace_id", ids)],
    )
}

/// Makes rows durable in the buffer.
pub(crate) async fn append(buffer: &Buffer, spec: &TableSpec, rows: RecordBatch) {
    let write = Write::new(vec![Rows { table: spec.name.clone(), rows }], None, Vec::new());
    assert!(matches!(buffer.append(write).await, Ok(Appended::Rows(_))));
}

/// Encodes rows with their numbers, as one Arrow stream.
pub(crate) fn arrow_stream(spec: &TableSpec, rows: &RecordBatch, first_seq: u64) -> Vec<Bytes> {
    let schema = spec.sent_schema();
    let sent = rows.columns().iter().zip(schema.fields()).map(|(column, field)| sent(column, field.data_type()));
    let mut columns: Vec<ArrayRef> = sent.collect::<Result<_, _>>().expect("rows of this table");
    columns.push(Arc::new(UInt64Array::from_iter_values(first_seq..first_seq + rows.num_rows() as u64)));
    let numbered = RecordBatch::try_new(schema, columns).expect("numbered rows");
    let mut writer = StreamWriter::try_new(Vec::new(), &numbered.schema()).expect("a stream");
    writer.write(&numbered).expect("rows");
    vec![writer.into_inner().expect("an end").into()]
}

pub(crate) fn words(values: &[&str]) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    values.iter().for_each(|value| {
        builder.append_value(value);
    });
    Arc::new(builder.finish())
}

fn attributes(value: &str, rows: usize) -> ArrayRef {
    let key = format!("key of {value}");
    maps((0..rows).map(|_| vec![(key.as_str(), value.to_owned())]))
}

/// A column of attributes, those of a row in their order.
pub(crate) fn maps<'k>(rows: impl Iterator<Item = Vec<(&'k str, String)>>) -> ArrayRef {
    let mut builder = map_builder();
    for row in rows {
        for (key, value) in row {
            builder.keys().append_value(key);
            builder.values().append_value(value);
        }
        builder.append(true).expect("one value per key");
    }
    Arc::new(builder.finish())
}

type Maps = MapBuilder<StringDictionaryBuilder<Int32Type>, StringBuilder>;

fn map_builder() -> Maps {
    let DataType::Map(entries, _) = ColumnKind::Attributes.arrow() else { panic!("attributes are a map") };
    let DataType::Struct(fields) = entries.data_type().clone() else { panic!("of structs") };
    let names = arrow_array::builder::MapFieldNames {
        entry: entries.name().clone(),
        key: fields[0].name().clone(),
        value: fields[1].name().clone(),
    };
    MapBuilder::new(Some(names), StringDictionaryBuilder::new(), StringBuilder::new())
        .with_keys_field(Arc::clone(&fields[0]))
        .with_values_field(Arc::clone(&fields[1]))
}

/// A column of defaults.
fn empty(kind: &ColumnKind, rows: usize) -> ArrayRef {
    match kind {
        ColumnKind::Text => Arc::new(StringArray::from(vec![""; rows])),
        ColumnKind::Word => words(&vec![""; rows]),
        ColumnKind::Attributes => empty_maps(rows),
        ColumnKind::Labels => {
            let shared = Int32Array::from(vec![0; rows]);
            Arc::new(DictionaryArray::new(shared, empty_maps(1)))
        }
        ColumnKind::List(item) => empty_lists(item, rows),
        ColumnKind::Nullable(inner) => arrow_array::new_null_array(&inner.arrow(), rows),
        plain => {
            let zeros: ArrayRef = {
                let mut builder = Int32Builder::new();
                (0..rows).for_each(|_| builder.append_value(0));
                Arc::new(builder.finish())
            };
            match plain.arrow() {
                DataType::Timestamp(..) => Arc::new(TimestampNanosecondArray::from(vec![0; rows]).with_timezone("UTC")),
                other => arrow_cast::cast(&zeros, &other).expect("zero is a value of every number"),
            }
        }
    }
}

fn empty_maps(rows: usize) -> ArrayRef {
    let mut builder = map_builder();
    (0..rows).for_each(|_| builder.append(true).expect("an empty map"));
    Arc::new(builder.finish())
}

fn empty_lists(item: &ColumnKind, rows: usize) -> ArrayRef {
    let field = Arc::new(Field::new("item", item.arrow(), item.is_nullable()));
    let offsets = arrow_buffer::OffsetBuffer::new_zeroed(rows);
    let values = arrow_array::new_empty_array(&item.arrow());
    Arc::new(arrow_array::ListArray::new(field, offsets, values, None))
}
