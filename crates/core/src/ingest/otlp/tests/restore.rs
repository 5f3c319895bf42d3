//! Rows back to messages, for comparison with what was sent.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value as Json;

/// One row of a batch, or one item of the lists in it.
#[derive(Clone)]
pub(super) struct Row {
    columns: Vec<(String, ArrayRef)>,
    row: usize,
}

/// Where a row comes from: resource and its schema URL, scope and its schema URL.
pub(super) type Origin = (Option<Resource>, String, Option<InstrumentationScope>, String);

impl Row {
    pub(super) fn all(batch: &RecordBatch) -> Vec<Self> {
        let names = batch.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        let columns: Vec<_> = names.into_iter().zip(batch.columns().iter().cloned()).collect();
        (0..batch.num_rows()).map(|row| Self { columns: columns.clone(), row }).collect()
    }

    fn column(&self, name: &str) -> &ArrayRef {
        &self.columns.iter().find(|(column, _)| column == name).unwrap_or_else(|| panic!("a column {name}")).1
    }

    pub(super) fn text(&self, name: &str) -> String {
        text_at(self.column(name), self.row)
    }

    pub(super) fn hex(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name)).unwrap()
    }

    fn number<T: ArrowPrimitiveType>(&self, name: &str) -> T::Native {
        self.column(name).as_primitive::<T>().value(self.row)
    }

    pub(super) fn u8(&self, name: &str) -> u8 {
        self.number::<UInt8Type>(name)
    }

    pub(super) fn u32(&self, name: &str) -> u32 {
        self.number::<UInt32Type>(name)
    }

    pub(super) fn u64(&self, name: &str) -> u64 {
        self.number::<UInt64Type>(name)
    }

    pub(super) fn i32(&self, name: &str) -> i32 {
        self.number::<Int32Type>(name)
    }

    pub(super) fn i64(&self, name: &str) -> i64 {
        self.number::<Int64Type>(name)
    }

    pub(super) fn f64(&self, name: &str) -> f64 {
        self.number::<Float64Type>(name)
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        self.column(name).as_boolean().value(self.row)
    }

    pub(super) fn is_null(&self, name: &str) -> bool {
        self.column(name).is_null(self.row)
    }

    pub(super) fn optional(&self, name: &str) -> Option<f64> {
        (!self.is_null(name)).then(|| self.f64(name))
    }

    pub(super) fn time(&self, name: &str) -> u64 {
        self.number::<TimestampNanosecondType>(name).cast_unsigned()
    }

    pub(super) fn u64s(&self, name: &str) -> Vec<u64> {
        self.column(name).as_list::<i32>().value(self.row).as_primitive::<UInt64Type>().values().to_vec()
    }

    pub(super) fn f64s(&self, name: &str) -> Vec<f64> {
        self.column(name).as_list::<i32>().value(self.row).as_primitive::<Float64Type>().values().to_vec()
    }

    /// Returns the items of the list columns whose names begin with `prefix`.
    pub(super) fn items(&self, prefix: &str) -> Vec<Self> {
        let lists = self.columns.iter().filter(|(name, _)| name.starts_with(prefix));
        let columns: Vec<_> = lists.map(|(name, list)| (name.clone(), list.as_list::<i32>().value(self.row))).collect();
        (0..columns[0].1.len()).map(|row| Self { columns: columns.clone(), row }).collect()
    }

    pub(super) fn attributes(&self, name: &str, types: &str) -> Vec<KeyValue> {
        // A resource's are held once for all its rows.
        let (maps, row) = match self.column(name).as_dictionary_opt::<Int32Type>() {
            Some(shared) => (shared.values().as_map(), shared.key(self.row).unwrap()),
            None => (self.column(name).as_map(), self.row),
        };
        let entries = maps.value(row);
        let letters = self.text(types);
        let pair = |i: usize| KeyValue {
            key: text_at(entries.column(0), i),
            value: value_of(&text_at(entries.column(1), i), letters.as_bytes().get(i).copied().unwrap_or(b's')),
            key_strindex: 0,
        };
        assert!(letters.is_empty() || letters.len() == entries.len());
        (0..entries.len()).map(pair).collect()
    }

    pub(super) fn body(&self) -> Option<AnyValue> {
        value_of(&self.text("body"), self.text("body_type").bytes().next().unwrap_or(b's'))
    }

    pub(super) fn origin(&self) -> Origin {
        let resource = Resource {
            attributes: self.attributes("resource_attributes", "resource_attribute_types"),
            dropped_attributes_count: self.u32("resource_dropped_attributes_count"),
            entity_refs: entity_refs(&self.text("resource_entity_refs")),
        };
        let scope = InstrumentationScope {
            name: self.text("scope_name"),
            version: self.text("scope_version"),
            attributes: self.attributes("scope_attributes", "scope_attribute_types"),
            dropped_attributes_count: self.u32("scope_dropped_attributes_count"),
        };
        let presence = self.u8("origin_presence");
        (
            (presence & 1 != 0).then_some(resource),
            self.text("resource_schema_url"),
            (presence & 2 != 0).then_some(scope),
            self.text("scope_schema_url"),
        )
    }
}

fn text_at(column: &ArrayRef, row: usize) -> String {
    match column.as_dictionary_opt::<Int32Type>() {
        Some(words) => {
            words.downcast_dict::<arrow_array::StringArray>().unwrap().into_iter().nth(row).flatten().unwrap()
        }
        None => column.as_string::<i32>().value(row),
    }
    .to_owned()
}

fn value_of(text: &str, letter: u8) -> Option<AnyValue> {
    let value = match letter {
        b's' => Value::StringValue(text.to_owned()),
        b'b' => Value::BoolValue(text == "true"),
        b'i' => Value::IntValue(text.parse().unwrap()),
        b'd' => Value::DoubleValue(text.parse().unwrap()),
        b'x' => Value::BytesValue(BASE64.decode(text).unwrap()),
        b'a' => Value::ArrayValue(array(&serde_json::from_str(text).unwrap())),
        b'k' => Value::KvlistValue(list(&serde_json::from_str(text).unwrap())),
        b'e' => return None,
        other => panic!("a type `{}`", char::from(other)),
    };
    Some(AnyValue { value: Some(value) })
}

fn array(json: &Json) -> ArrayValue {
    ArrayValue { values: json["values"].as_array().unwrap().iter().map(any_value).collect() }
}

fn list(json: &Json) -> KeyValueList {
    let pair = |pair: &Json| KeyValue {
        key: pair["key"].as_str().unwrap().to_owned(),
        value: pair.get("value").map(any_value),
        key_strindex: 0,
    };
    KeyValueList { values: json["values"].as_array().unwrap().iter().map(pair).collect() }
}

fn any_value(json: &Json) -> AnyValue {
    let value = json.as_object().unwrap().iter().next().map(|(kind, value)| match kind.as_str() {
        "stringValue" => Value::StringValue(value.as_str().unwrap().to_owned()),
        "boolValue" => Value::BoolValue(value.as_bool().unwrap()),
        "intValue" => Value::IntValue(value.as_str().unwrap().parse().unwrap()),
        "doubleValue" => Value::DoubleValue(value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())),
        "bytesValue" => Value::BytesValue(BASE64.decode(value.as_str().unwrap()).unwrap()),
        "arrayValue" => Value::ArrayValue(array(value)),
        "kvlistValue" => Value::KvlistValue(list(value)),
        other => panic!("a kind {other}"),
    });
    AnyValue { value }
}

fn entity_refs(text: &str) -> Vec<EntityRef> {
    if text.is_empty() {
        return Vec::new();
    }
    let text_of = |json: &Json| json.as_str().unwrap().to_owned();
    let texts_of = |json: &Json| json.as_array().unwrap().iter().map(text_of).collect();
    let entity_ref = |json: &Json| EntityRef {
        schema_url: text_of(&json["schemaUrl"]),
        r#type: text_of(&json["type"]),
        id_keys: texts_of(&json["idKeys"]),
        description_keys: texts_of(&json["descriptionKeys"]),
    };
    serde_json::from_str::<Vec<Json>>(text).unwrap().iter().map(entity_ref).collect()
}
