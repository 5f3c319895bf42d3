use expect_test::expect;

use super::*;
use crate::json::parse;
use crate::{Prices, derive};

fn defaults() -> Defaults {
    Defaults { now: UnixNanos(1_769_850_000_000_000_000), actor: Some(Uuid(7)), name: "0123456789ab".to_owned() }
}

fn read(text: &str) -> Result<Span, String> {
    Span::read(&parse(text).expect("JSON"), "spans[0]", &defaults()).map_err(|error| error.to_string())
}

const IDS: &str = r#""trace_id":"31d6cfe04b9011ec800142010a8000b0","span_id":"00f067aa0ba902b7""#;

#[test]
fn a_span_of_ids_alone_gets_its_defaults() {
    let span = read(&format!("{{{IDS}}}")).expect("a span");
    expect![[r#"{"attributes":{"ag":{"type":{"span":"task","trace":"invocation"}}},"created_at":"2026-01-31T09:00:00Z","created_by_id":"00000000-0000-0000-0000-000000000007","end_time":"2026-01-31T09:00:00Z","span_id":"00f067aa0ba902b7","span_kind":"SPAN_KIND_UNSPECIFIED","span_name":"0123456789ab","span_type":"task","start_time":"2026-01-31T09:00:00Z","status_code":"STATUS_CODE_UNSET","trace_id":"31d6cfe04b9011ec800142010a8000b0","trace_type":"invocation"}"#]]
        .assert_eq(&span.json().to_string());
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    let check = |text: &str, wanted: &str| assert_eq!(read(text).map(|_| ()), Err(wanted.to_owned()));
    check("{}", "spans[0].trace_id: it is missing; every span has its ids");
    check("[]", "spans[0]: an array stands where an object is expected; send an object");
    check(
        &format!("{{{IDS},\"start_time\":\"soon\"}}"),
        "spans[0].start_time: `soon` is no time; a time is ISO 8601 (without a zone it is UTC), or seconds, milliseconds, \
         microseconds or nanoseconds since 1970 with 10, 13, 16 or 19 digits, from 1677 to 2262",
    );
    check(
        &format!("{{{IDS},\"status_code\":\"fine\"}}"),
        "spans[0].status_code: `fine` is no status_code; there are STATUS_CODE_UNSET, STATUS_CODE_OK, STATUS_CODE_ERROR",
    );
    check(
        &format!("{{{IDS},\"links\":[1]}}"),
        "spans[0].links[0]: a number stands where an object is expected; send an object",
    );
    check(
        &format!("{{{IDS},\"span_name\":5}}"),
        "spans[0].span_name: a number stands where a text is expected; send a text",
    );
}

#[test]
fn unknown_members_and_unreadable_numbers_are_kept() {
    let span = read(&format!(
        "{{{IDS},\"colour\":\"red\",\"attributes\":{{\"n\":123456789012345678901234567890,\"x\":1.50}}}}"
    ));
    let span = span.expect("a span");
    let told = |path: &str| span.attribute(path).map(Json::to_string).unwrap_or_default();
    assert_eq!(
        ["ag.unsupported.colour", "attributes.n", "x"].map(told),
        ["\"red\"", "\"123456789012345678901234567890\"", "1.50"]
    );
}

#[test]
fn links_make_an_annotation_and_an_exception_is_an_event() {
    let link =
        r#"{"trace_id":"31D6CFE0-4b90-11ec-8001-42010a8000b0","span_id":"00f067aa-0ba9-02b7-00f0-67aa0ba902b7"}"#;
    let span =
        read(&format!("{{{IDS},\"links\":[{link}],\"exception\":{{\"attributes\":{{\"exception.type\":\"E\"}}}}}}"))
            .expect("a span");
    assert_eq!((span.trace_type, span.exceptions().count()), (Some(TraceType::Annotation), 1));
    expect![[
        r#"[Object({"span_id": Text("00f067aa0ba902b7"), "trace_id": Text("31d6cfe04b9011ec800142010a8000b0")})]"#
    ]]
    .assert_eq(&format!("{:?}", span.links));
    let again = Span::read(&span.json(), "span", &defaults()).expect("our own answer");
    assert_eq!(again, span, "an answer can be sent back");
}

#[test]
fn a_row_is_read_as_the_span_that_it_was() {
    let attributes = r#"{"ag":{"session":{"id":"s"},"tags":["ü","\"\\"]},"n":-0.0,"deep":{"a":[{"b":null}]}}"#;
    let text = format!(
        r#"{{{IDS},"parent_id":"00000000000000a1","span_name":"it's","status_message":"","attributes":{attributes},
        "events":[{{"name":"e","timestamp":"2026-01-31T09:00:00Z"}}],"references":[{{"id":"x"}}],"hashes":[{{"id":"h"}}]}}"#
    );
    let span = read(&text).expect("a span");
    let derived = derive(&span, &Prices::default());
    let Json::Object(mut row) = row(&span, &derived, Uuid(1), (3, false)) else { panic!("a row is an object") };
    assert_eq!(row.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    });
    let ends = (OWN_COLUMNS.last().map(|(name, _)| *name), COLUMNS.get(OWN_COLUMNS.len()).map(|(name, _)| *name));
    assert_eq!(ends, (Some("deleted_by_id"), Some("row_version")));
    // Columns of JSON are texts in the table.
    for name in ["attributes", "references", "links", "hashes", "events"] {
        let text = row[name].to_string();
        let stored = if text == "null" { Json::Null } else { Json::Text(text) };
        row.insert(name.to_owned(), stored);
    }
    assert_eq!(Span::from_row(&Json::Object(row)), Ok(span));
}
