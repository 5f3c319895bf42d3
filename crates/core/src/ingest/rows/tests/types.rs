use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Float32Array, Int16Array, NullArray, RecordBatch, StringViewArray,
    UInt64Array,
};
use arrow_ipc::writer::StreamWriter;
use expect_test::{Expect, expect};

use super::*;

fn check_lines(body: &str, expected: &Expect) {
    expected.assert_eq(&shown(&lines(body)));
}

fn check_json(body: &str, expected: &Expect) {
    expected.assert_eq(&shown(&json(body).unwrap()));
}

fn check_refused(body: &str, expected: &Expect) {
    expected.assert_eq(&json(body).expect_err("a refusal").to_string());
}

#[test]
fn types_are_found_in_the_values() {
    check_lines(
        concat!(
            r#"{"i":1,"d":1,"b":true,"t":"2026-11-21T05:00:00Z","s":"x","n":null,"m":1,"o":{"a":[1, 2]},"big":1}"#,
            "\n\n",
            r#"{"i":-9223372036854775808,"d":1.5,"b":false,"t":"2026-11-21 05:00:00.123456789","s":"","m":"a","o":[]}"#,
            "\r\n",
            r#"{"big":9223372036854775808,"s":"\u00e9\n","late":1e3}"#
        ),
        &expect![[r#"
            _partition Date, _partition_key LowCardinality(String), i Nullable(Int64), d Nullable(Float64), b Nullable(Bool), t Nullable(DateTime64(9, 'UTC')), s Nullable(String), m Nullable(String), o Nullable(String), big Nullable(String), late Nullable(Float64)
            20833 |  | 1 | 1.0 | true | 2026-11-21T05:00:00Z | x | 1 | {"a":[1, 2]} | 1 | ·
            20833 |  | -9223372036854775808 | 1.5 | false | 2026-11-21T05:00:00.123456789Z |  | a | [] | · | ·
            20833 |  | · | · | · | · | é
             | · | · | 9223372036854775808 | 1000.0
        "#]],
    );
}

#[test]
fn the_time_column_is_the_one_that_every_row_has() {
    check_lines(
        r#"{"created":"2026-11-21T05:00:00+01:00","time":"2026-11-20T05:00:00Z"}"#,
        &expect![[r#"
        _partition Date, _partition_key LowCardinality(String), created Nullable(DateTime64(9, 'UTC')), time DateTime64(9, 'UTC')
        20758 |  | 2026-11-21T04:00:00Z | 2026-11-20T05:00:00Z
    "#]],
    );
    check_lines(
        "{\"time\":\"2026-11-21T05:00:00Z\",\"a\":1}\n{\"a\":2}",
        &expect![[r#"
        _partition Date, _partition_key LowCardinality(String), time Nullable(DateTime64(9, 'UTC')), a Nullable(Int64)
        20833 |  | 2026-11-21T05:00:00Z | 1
        20833 |  | · | 2
    "#]],
    );
}

#[test]
fn a_row_that_does_not_fit_a_given_schema_is_refused_alone() {
    check_json(
        r#"{"datasetName":"x","schema":{"fields":[{"name":"timestamp","type":"timestamp"},{"name":"n","type":"integer"},
            {"name":"d","type":"double"},{"name":"b","type":"boolean"},{"name":"s","type":"string"}]},
            "partition":{"key":{"z":"1","a":"\"2\""}},"rows":[
            {"timestamp":"2026-11-21T05:00:00Z","n":5.0,"d":2,"b":true,"s":{"k" : 1}},
            {"timestamp":1795237200123,"n":null,"s":7},
            {"n":1},
            {"timestamp":"yesterday"},
            {"timestamp":"2026-11-21","n":"5"},
            {"timestamp":"2026-11-21","n":1.5},
            {"timestamp":"2026-11-21","n":1e30},
            {"timestamp":"2026-11-21","d":"5"},
            {"timestamp":"2026-11-21","b":1},
            {"timestamp":"2026-11-21","x":1},
            {"timestamp":"2026-11-21","n":1,"n":2},
            {"timestamp":"2026-11-21","_seq":1},
            5,
            {"timestamp":"2262-04-12","n":1}
        ],"actor":{"id":"me"}}"#,
        &expect![[r#"
            _partition Date, _partition_key LowCardinality(String), timestamp DateTime64(9, 'UTC'), n Nullable(Int64), d Nullable(Float64), b Nullable(Bool), s Nullable(String)
            20758 | {"a":"\"2\"","z":"1"} | 2026-11-21T05:00:00Z | 5 | 2.0 | true | {"k" : 1}
            20758 | {"a":"\"2\"","z":"1"} | 2026-11-21T05:00:00.123Z | · | · | · | 7
            2: `timestamp`, the time of a row, is missing (missing)
            3: `timestamp`: "yesterday" is not a timestamp (ISO 8601, or milliseconds since 1970) (invalid_timestamp)
            4: `n`: "5" is not an integer (invalid_type)
            5: `n`: 1.5 is not an integer (invalid_type)
            6: `n`: 1e30 is not an integer (invalid_type)
            7: `d`: "5" is not a number (invalid_type)
            8: `b`: 1 is not a boolean (invalid_type)
            9: `x` is not in the schema (unknown)
            10: `n` stands twice in the row (malformed)
            11: `_seq` cannot name a column: 120 bytes at most, no control characters, no quotes or backslashes, not beginning with _ (unknown)
            12: a number instead of an object (invalid_type)
            13: `timestamp`: "2262-04-12" is not a timestamp (ISO 8601, or milliseconds since 1970) (invalid_timestamp)
        "#]],
    );
}

#[test]
fn a_line_that_is_not_json_is_refused_alone() {
    check_lines(
        "{\"a\":1}\n{\"a\":\n{\"a\":3} x\n[1]\n{\"a\":4}\n",
        &expect![[r#"
        _partition Date, _partition_key LowCardinality(String), a Nullable(Int64)
        20833 |  | 1
        20833 |  | 4
        1: not valid JSON at column 6: the text ends too early (malformed)
        2: not valid JSON at column 9: expected nothing after the value (malformed)
        3: an array instead of an object (invalid_type)
    "#]],
    );
}

#[test]
fn what_is_not_a_request_of_rows_is_refused_as_a_whole() {
    check_refused("{\"rows\":[{\"a\":1},\n{\"a\":]}", &expect!["not valid JSON at line 2, column 6: expected a value"]);
    check_refused(r#"{"rows":{}}"#, &expect!["rows: not an array"]);
    check_refused("{}", &expect!["rows: missing"]);
    check_refused("7", &expect!["body: a number instead of an object or an array"]);
    check_refused(
        r#"{"schema":{"fields":[{"name":"a","type":"text"}]},"rows":[]}"#,
        &expect![
            "schema: `text` is no type of a column: use timestamp, string, keyword, double, integer, boolean, uint64, decimal(P,S) with P up to 38, date, uuid, json, array(T) or map(T) of one of these at line 1 column 37"
        ],
    );
    check_refused(
        r#"{"schema":{"fields":[{"name":"_a","type":"string"}]},"rows":[]}"#,
        &expect![
            "`_a` cannot name a column: 120 bytes at most, no control characters, no quotes or backslashes, not beginning with _"
        ],
    );
    check_refused(
        r#"{"tableName":"ö","rows":[]}"#,
        &expect!["tableName: use a to z, 0 to 9, - and _, at most 120 bytes"],
    );
    check_refused(
        r#"{"partition":{"timeRange":{"start":"2026-11-22","end":"2026-11-21"}},"rows":[]}"#,
        &expect!["partition.timeRange: `start` is after `end`"],
    );
    check_refused(
        r#"{"schema":{"fields":[{"name":"a","type":"date"}],"evolution":{"defaults":{"a":"soon"}}},"rows":[]}"#,
        &expect!["schema.evolution.defaults: `a` is not a date (YYYY-MM-DD, from 1900 to 2299)"],
    );
    check_refused(r#"{"idempotencyKey":"","rows":[]}"#, &expect!["idempotencyKey: 0 bytes; 1 to 255 are allowed"]);
}

#[test]
fn arrow_columns_take_the_nearest_type() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("day", Arc::new(Date32Array::from(vec![20_778, 20_779, 20_780]))),
        ("small", Arc::new(Int16Array::from(vec![Some(1), None, Some(3)]))),
        ("big", Arc::new(UInt64Array::from(vec![1, u64::MAX, 3]))),
        ("float", Arc::new(Float32Array::from(vec![0.5, 1.0, f32::NAN]))),
        ("view", Arc::new(StringViewArray::from(vec!["a", "b", "c"]))),
        ("money", Arc::new(Decimal128Array::from(vec![150, 2, 3]).with_precision_and_scale(10, 2).unwrap())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let body = writer.into_inner().unwrap();
    let decoded = take(&request(RowsFormat::Arrow, body.clone()), None).unwrap();
    expect![[r#"
        _partition Date, _partition_key LowCardinality(String), day Nullable(Date32), small Nullable(Int64), big Nullable(UInt64), float Nullable(Float64), view Nullable(String), money Nullable(Decimal(10, 2))
        20833 |  | 2026-11-21 | 1 | 1 | 0.5 | a | 1.50
        20833 |  | 2026-11-22 | · | 18446744073709551615 | 1.0 | b | 0.02
        20833 |  | 2026-11-23 | 3 | 3 | NaN | c | 0.03
    "#]].assert_eq(&shown(&decoded));
    for length in 0..body.len() {
        let cut = request(RowsFormat::Arrow, body[..length].to_vec());
        assert!(
            take(&cut, None).map_or(true, |decoded| decoded.admitted.accepted == 3 || decoded.rows.num_rows() == 0)
        );
    }
}

#[test]
fn rows_without_bytes_are_bounded() {
    let nulls: ArrayRef = Arc::new(NullArray::new(1 << 40));
    let batch = RecordBatch::try_from_iter([("n", nulls)]).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let refused = take(&request(RowsFormat::Arrow, writer.into_inner().unwrap()), None).err();
    assert_eq!(refused, Some(RowsError::TooManyCells { rows: 1 << 40, columns: 1 }));
}

#[test]
fn later_rows_add_columns_and_never_change_them() {
    let first = lines(r#"{"timestamp":"2026-11-21T05:00:00Z","n":1,"s":"x"}"#);
    let later = |body: &str| take(&request(RowsFormat::Json, body.to_owned()), Some(&first.needed.dataset));
    let added = later(
        r#"[{"timestamp":"2026-11-21T05:00:00Z","more":1.5,"s":5},{"timestamp":"2026-11-21T05:00:00Z","n":2.5}]"#,
    );
    let added = added.unwrap();
    assert!(added.needed.is_changed);
    assert_eq!(added.needed.dataset.version, 2);
    expect![[r#"
        _partition Date, _partition_key LowCardinality(String), timestamp DateTime64(9, 'UTC'), n Nullable(Int64), s Nullable(String), more Nullable(Float64)
        20758 |  | 2026-11-21T05:00:00Z | · | 5 | 1.5
        1: `n`: 2.5 is not an integer (invalid_type)
    "#]].assert_eq(&shown(&added));
    assert!(!later(r#"[{"timestamp":"2026-11-21T05:00:00Z","n":7}]"#).unwrap().needed.is_changed);
    let conflict = later(
        r#"{"schema":{"fields":[{"name":"timestamp","type":"timestamp"},{"name":"n","type":"double"}]},"rows":[]}"#,
    );
    let conflict = conflict.expect_err("a refusal");
    assert_eq!(conflict.kind(), tidegate_model::ErrorKind::Conflict);
    expect![
        "the schema of dataset `d` does not allow this, nothing was written: `s` is missing, columns are never removed"
    ]
    .assert_eq(&conflict.to_string());
}

#[test]
fn slugs_lead_to_tables_of_their_own() {
    let table = |slug: &str| take(&DatasetRequest { slug: slug.to_owned(), ..request(RowsFormat::Ndjson, "{}") }, None);
    for (slug, expected) in [("a-b_c", "a_b_c"), ("7days", "d7days"), ("x", "x")] {
        assert_eq!(table(slug).unwrap().needed.dataset.spec.name.as_str(), expected);
    }
    for slug in ["", "-a", "_a", "A", "a b", "a/b", &"x".repeat(64), "logs", "metric-x", "a-local", "trace-ranges"] {
        assert!(table(slug).is_err(), "{slug}");
    }
}
