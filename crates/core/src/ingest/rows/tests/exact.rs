//! Types beyond numbers and texts: each value exactly, or refused.

use expect_test::expect;

use super::*;

const SCHEMA: &str = r#"{"fields":[{"name":"u","type":"uint64"},{"name":"m","type":"decimal(20,4)"},
    {"name":"d","type":"date"},{"name":"id","type":"uuid"},{"name":"j","type":"json"},
    {"name":"l","type":"array(integer)"},{"name":"t","type":"map(double)"},{"name":"f","type":"double"}]}"#;

fn declared(rows: &str) -> Decoded {
    json(&format!("{{\"schema\":{SCHEMA},\"rows\":[{rows}]}}")).unwrap()
}

#[test]
fn every_type_takes_its_values_as_they_are() {
    let decoded = declared(
        r#"{"u":18446744073709551615,"m":1234567890123456.7891,"d":"1900-01-01","id":"6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
            "j":{"b":1.10,"a":[null]},"l":[1,null,-9223372036854775808],"t":{"x":1.5,"y\n":null},"f":9007199254740992},
           {"u":"7","m":"-0.5","j":"text","l":[],"t":{}}, {}"#,
    );
    expect![[r#"
        _partition Date, _partition_key LowCardinality(String), u Nullable(UInt64), m Nullable(Decimal(20, 4)), d Nullable(Date32), id Nullable(UUID), j Nullable(String), l Array(Nullable(Int64)), t Map(String, Nullable(Float64)), f Nullable(Float64)
        20833 |  | 18446744073709551615 | 1234567890123456.7891 | 1900-01-01 | 6ba7b810-9dad-11d1-80b4-00c04fd430c8 | {"b":1.10,"a":[null]} | [1, ·, -9223372036854775808] | {x: 1.5, y
        : ·} | 9007199254740992.0
        20833 |  | 7 | -0.5000 | · | · | "text" | [] | {} | ·
        20833 |  | · | · | · | · | · | [] | {} | ·
    "#]]
    .assert_eq(&shown(&decoded));
}

#[test]
fn what_has_no_exact_place_is_refused_alone() {
    let decoded = declared(
        r#"{"u":-1},{"u":"x"},{"m":0.00001},{"m":1e20},{"d":"1899-12-31"},{"d":"2026-11-21T00:00"},{"id":"6ba7b810"},
           {"l":5},{"l":[1,"2"]},{"t":[1]},{"t":{"a":1,"a":2}},{"t":{"a":"b"}},{"f":9007199254740993},{"l":[1]}"#,
    );
    expect![[r#"
        _partition Date, _partition_key LowCardinality(String), u Nullable(UInt64), m Nullable(Decimal(20, 4)), d Nullable(Date32), id Nullable(UUID), j Nullable(String), l Array(Nullable(Int64)), t Map(String, Nullable(Float64)), f Nullable(Float64)
        20833 |  | · | · | · | · | · | [1] | {} | ·
        0: `u`: -1 is not a uint64 (out_of_range)
        1: `u`: "x" is not a uint64 (invalid_type)
        2: `m`: 0.00001 is not a decimal that has all its digits in the column's (out_of_range)
        3: `m`: 1e20 is not a decimal that has all its digits in the column's (out_of_range)
        4: `d`: "1899-12-31" is not a date (YYYY-MM-DD, from 1900 to 2299) (out_of_range)
        5: `d`: "2026-11-21T00:00" is not a date (YYYY-MM-DD, from 1900 to 2299) (invalid_timestamp)
        6: `id`: "6ba7b810" is not a UUID (8-4-4-4-12 hex digits) (invalid_id)
        7: `l`: 5 is not an array (invalid_type)
        8: `l`: "2" is not an integer (invalid_type)
        9: `t`: [1] is not an object (invalid_type)
        10: `a` stands twice in `t` (malformed)
        11: `t`: "b" is not a number (invalid_type)
        12: `f`: 9007199254740993 is not a double that is this integer exactly (out_of_range)
    "#]]
    .assert_eq(&shown(&decoded));
}

#[test]
fn integers_that_are_no_doubles_make_a_column_of_text() {
    let decoded = lines("{\"n\":9007199254740993}\n{\"n\":0.5}");
    expect![[r#"
        _partition Date, _partition_key LowCardinality(String), n Nullable(String)
        20833 |  | 9007199254740993
        20833 |  | 0.5
    "#]]
    .assert_eq(&shown(&decoded));
}

#[test]
fn csv_is_read_as_json_is() {
    let body = "\u{feff}name,n,price,tags,note\nx,1,007,\"[1, 2]\",\"two\nlines\"\n,2,1.50,,true\n\"q\"\"\",x\n";
    let decoded = take(&request(RowsFormat::Csv, body), None).unwrap();
    expect![[r#"
        _partition Date, _partition_key LowCardinality(String), name Nullable(String), n Nullable(String), price Nullable(String), tags Nullable(String), note Nullable(String)
        20833 |  | x | 1 | 007 | [1, 2] | two
        lines
        20833 |  | · | 2 | 1.50 | · | true
        20833 |  | q" | x | · | · | ·
    "#]]
    .assert_eq(&shown(&decoded));
    let refused = take(&request(RowsFormat::Csv, "a,b\n1,2,3\n"), None).unwrap_err();
    assert!(refused.to_string().starts_with("not a readable CSV body"), "{refused}");
}

#[test]
fn defaults_are_in_rows_that_bring_nothing() {
    let body = r#"{"schema":{"fields":[{"name":"n","type":"integer"},{"name":"at","type":"timestamp"},{"name":"s","type":"string"}],
        "evolution":{"defaults":{"n":9007199254740993,"at":"2026-11-21T05:00:00.000000001Z","s":"it's"},"backfill":true}},
        "rows":[{"n":1,"at":0},{"at":0},{"at":0,"s":null,"n":2},{"s":"own"}]}"#;
    expect![[r#"
        _partition Date, _partition_key LowCardinality(String), n Nullable(Int64), at DateTime64(9, 'UTC'), s Nullable(String)
        0 |  | 1 | 1970-01-01T00:00:00Z | it's
        0 |  | 9007199254740993 | 1970-01-01T00:00:00Z | it's
        0 |  | 2 | 1970-01-01T00:00:00Z | it's
        20758 |  | 9007199254740993 | 2026-11-21T05:00:00.000000001Z | own
    "#]]
    .assert_eq(&shown(&json(body).unwrap()));
}

#[test]
fn a_request_that_names_its_partition_is_known_by_its_content() {
    let known = |head: &str, rows: &str| json(&format!("{{{head}\"rows\":[{rows}]}}")).unwrap().known;
    let partition = r#""partition":{"key":{"b":"1","a":"2"}},"#;
    let first = known(partition, r#"{"n":1}"#);
    assert!(first.as_ref().is_some_and(|known| known.signature.as_ref().is_some_and(|text| text.len() == 64)));
    assert_eq!(first, known(r#""actor":"me","partition":{"key":{"a":"2","b":"1"}},"#, r#"{"n":1}"#));
    assert_ne!(first, known(r#""partition":{"key":{"a":"2"}},"#, r#"{"n":1}"#));
    assert_ne!(first, known(partition, r#"{"n":2}"#));
    assert_ne!(first, known(r#""tableName":"t","partition":{"key":{"b":"1","a":"2"}},"#, r#"{"n":1}"#));
    assert_eq!(known("", r#"{"n":1}"#), None);
    assert_eq!(known(r#""idempotencyKey":"k","#, r#"{"n":1}"#).and_then(|known| known.signature), None);
}
