//! Every type of a column, written by us and by ClickHouse: the same JSON.

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tidegate_core::ingest::rows::{DatasetRequest, RowsFormat};
use tidegate_core::query::{Format, ReadRequest};

use super::Lake;
use crate::world::LIMIT;

/// Each type, and some values of it; a row without any comes besides.
const COLUMNS: [(&str, &str, [&str; 3]); 18] = [
    (
        "at",
        "timestamp",
        [r#""2026-11-20T00:00:00Z""#, r#""1677-09-22T00:00:00.5Z""#, r#""2262-04-11T23:47:16.854775806Z""#],
    ),
    ("also_at", "timestamp", [r#""1969-12-31T23:59:59.999999999Z""#, "0", r#""2026-02-28T12:34:56.78Z""#]),
    ("text", "string", [r#""""#, r#""a\"b\\c/d\n\t\u0001\u007f\u2028ü😀""#, r#""null""#]),
    ("double", "double", ["0.1", "-0.0", "5e-324"]),
    ("large", "double", ["1e20", "123456789012345680", r#""NaN""#]),
    ("odd", "double", [r#""-Infinity""#, r#""Infinity""#, "2"]),
    ("whole", "integer", ["-9223372036854775808", "9223372036854775807", "0"]),
    ("unsigned", "uint64", ["18446744073709551615", "0", "9007199254740993"]),
    ("flag", "boolean", ["true", "false", "null"]),
    ("price", "decimal(20,4)", ["1.5000", "-0.0001", "9999999999999999.9999"]),
    ("day", "date", [r#""1900-01-01""#, r#""2299-12-31""#, r#""2026-11-21""#]),
    ("id", "uuid", [r#""61f0c404-5cb3-11e7-907b-a6006ad3dba0""#, r#""00000000-0000-0000-0000-000000000000""#, "null"]),
    ("doc", "json", [r#"{"b":1.10,"a":[null,"x"]}"#, r#""text""#, "12"]),
    ("times", "array(timestamp)", [r#"["2026-01-01T00:00:00.5Z",null]"#, "[]", "null"]),
    ("prices", "array(decimal(10,2))", ["[1.50,null]", "[]", "[-0.01]"]),
    ("names", "map(string)", [r#"{"a\"/":"b\n","":""}"#, "{}", r#"{"x":null}"#]),
    ("flags", "map(boolean)", [r#"{"x":true,"y":null}"#, "{}", r#"{"z":false}"#]),
    ("ids", "array(uint64)", ["[18446744073709551615]", "[]", "[null]"]),
];

#[tokio::test]
async fn every_type_is_written_as_clickhouse_writes_it_hot_and_stored() {
    let lake = Lake::new().await;
    lake.send("stored").await;
    lake.store().await;
    lake.send("hot").await;
    let names = COLUMNS.map(|(name, ..)| name);
    let answer = lake.ask(&json!({ "columns": names })).await.expect("an answer");
    let found = answer["rows"].as_array().expect("rows");
    assert_eq!(answer["sources"]["published"]["rows"], 4, "{answer}");
    assert_eq!(found.len(), 8, "{answer}");
    let wanted = lake.by_clickhouse().await;
    for (found, wanted) in found.iter().zip(&wanted) {
        for (at, (name, kind, _)) in COLUMNS.iter().enumerate() {
            // The same double may have other digits: 1e17, 100000000000000000.
            let found = &found[name];
            let number = found.as_f64().filter(|_| *kind == "double");
            assert_eq!(number.map_or_else(|| found.clone(), |number| json!(number)), wanted[at], "{name}");
        }
    }
    assert_eq!(found.len(), wanted.len());
    lake.batcher.stop(LIMIT).await;
    lake.world.engine.stop().await;
}

impl Lake {
    async fn send(&self, key: &str) {
        let fields = COLUMNS.map(|(name, kind, _)| json!({ "name": name, "type": kind }));
        let row = |at: usize| {
            let members: Vec<_> =
                COLUMNS.iter().map(|(name, _, values)| format!("\"{name}\":{}", values[at])).collect();
            format!("{{{}}}", members.join(","))
        };
        let rows = [row(0), row(1), row(2), r#"{"at":"2026-11-20T00:00:00Z"}"#.to_owned()].join(",");
        let body = format!(r#"{{"schema":{{"fields":{}}},"rows":[{rows}]}}"#, json!(fields));
        let idempotency_key = Some(key.to_owned());
        let request = DatasetRequest { idempotency_key, ..DatasetRequest::new("lake", RowsFormat::Json, body) };
        let admitted = self.ingest.dataset_rows(request).await.expect("rows are taken").admitted;
        assert_eq!(admitted.accepted, 4, "{admitted:?}");
    }

    /// Asks ClickHouse for lines of JSON; what JSON lacks comes as text.
    async fn by_clickhouse(&self) -> Vec<Vec<Value>> {
        let selected = COLUMNS.map(|(name, kind, _)| match kind {
            "timestamp" => format!("toUnixTimestamp64Nano({name}) AS _{name}"),
            "double" => format!("toString({name}) AS _{name}"),
            _ => format!("{name} AS _{name}"),
        });
        let request = ReadRequest {
            sql: format!("SELECT {} FROM lake ORDER BY at, _seq", selected.join(", ")),
            params: Vec::new(),
            format: Format::of_clause("JSONCompactEachRow").expect("a format"),
            min_watermark: None,
            max_rows: None,
            timeout: None,
            query_id: format!("forms-{}", std::process::id()),
        };
        let answer = self.query.read(request).await.expect("an answer");
        let pieces: Vec<Bytes> = answer.body.try_collect().await.expect("all of it");
        let lines = String::from_utf8(pieces.concat()).expect("text");
        let line = |line: &str| {
            let values: Vec<Value> = serde_json::from_str(line).expect("a line of JSON");
            values.into_iter().zip(COLUMNS).map(|(value, (_, kind, _))| told(value, kind)).collect()
        };
        lines.lines().map(line).collect()
    }
}

fn told(value: Value, kind: &str) -> Value {
    match (kind, &value) {
        (_, Value::Null) => Value::Null,
        ("timestamp", nanos) => {
            let nanos = nanos.as_i64().or_else(|| nanos.as_str()?.parse().ok()).expect("nanoseconds");
            json!(tidegate_model::UnixNanos(nanos).to_string())
        }
        ("double", Value::String(text)) => match text.as_str() {
            "nan" => json!("NaN"),
            "inf" => json!("Infinity"),
            "-inf" => json!("-Infinity"),
            number => json!(number.parse::<f64>().expect("a number")),
        },
        ("integer" | "uint64", Value::String(digits)) => serde_json::from_str(digits).expect("a whole number"),
        _ => value,
    }
}
