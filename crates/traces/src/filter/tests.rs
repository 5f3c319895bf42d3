use expect_test::{Expect, expect};

use super::*;
use crate::json::parse;
use crate::{Defaults, Json, Span};

fn filter(text: &str) -> Result<Filter, String> {
    Filter::read(&parse(text).expect("JSON"), "filter").map_err(|error| error.to_string())
}

/// A filter of one condition.
fn one(condition: &str) -> Filter {
    filter(&format!("{{\"conditions\":[{condition}]}}")).expect("a filter")
}

fn span() -> Span {
    let text = r#"{"trace_id":"0000003100000000000000000000000a","span_id":"00000000000000b1","span_name":"Ask 100% of_it",
        "span_type":"chat","start_time":"2026-01-31T09:00:00.5Z","end_time":"2026-01-31T09:00:01Z","session_id":"s1",
        "attributes":{"n":5,"x":0.5,"text":"5","flag":true,"nothing":null,"list":["a",1,true],"a":{"b":"say \"hi\""},"empty":""},
        "references":[{"id":"r1","attributes":{"key":"application"}},{"id":"r2","version":3}],
        "links":[{"trace_id":"0000000000000000000000000000000c","span_id":"00000000000000d1"}],
        "hashes":[{"id":"h"}]}"#;
    let defaults = Defaults { now: UnixNanos(0), actor: None, name: String::new() };
    Span::read(&parse(text).expect("JSON"), "span", &defaults).expect("a span")
}

#[test]
fn each_operator_means_what_it_says() {
    let (span, mut wrong) = (span(), Vec::new());
    let cases = [
        (r#"{"field":"trace_id","value":"00000031-0000-0000-0000-00000000000a"}"#, true),
        (r#"{"field":"trace_id","operator":"not_in","value":["0000000000000000000000000000000b"]}"#, true),
        (r#"{"field":"parent_id","operator":"is","value":null}"#, true),
        (r#"{"field":"parent_id","operator":"is_not","value":"00000000000000b1"}"#, false),
        (r#"{"field":"span_type","operator":"in","value":["chat","tool"]}"#, true),
        (r#"{"field":"span_type","operator":"in","value":["chat","tool"],"options":{"all":true}}"#, false),
        (r#"{"field":"span_kind","value":"unspecified"}"#, true),
        (r#"{"field":"span_name","operator":"startswith","value":"ASK"}"#, true),
        (r#"{"field":"span_name","operator":"startswith","value":"ASK","options":{"case_sensitive":true}}"#, false),
        (r#"{"field":"span_name","operator":"endswith","value":"OF_IT"}"#, true),
        (r#"{"field":"span_name","operator":"contains","value":"100%"}"#, true),
        (r#"{"field":"span_name","operator":"matches","value":"00% O"}"#, true),
        (r#"{"field":"span_name","operator":"matches","value":"00% O","options":{"exact_match":true}}"#, false),
        (r#"{"field":"span_name","operator":"like","value":"%100\\% of\\_it"}"#, true),
        (r#"{"field":"span_name","operator":"gt","value":"Ask"}"#, true),
        (r#"{"field":"start_time","operator":"btwn","value":[1769850000,"2026-01-31T09:00:00.5Z"]}"#, true),
        (r#"{"field":"start_time","operator":"startswith","value":"2026-01-31t09:00:00.5z"}"#, true),
        (r#"{"field":"attributes","key":"n","value":5}"#, true),
        (r#"{"field":"attributes","key":"n","value":5.0}"#, true),
        (r#"{"field":"attributes","key":"n","value":"5"}"#, false),
        (r#"{"field":"attributes","key":"n","operator":"is_not","value":"5"}"#, true),
        (r#"{"field":"attributes","key":"text","operator":"gt","value":4}"#, false),
        (r#"{"field":"attributes","key":"x","operator":"btwn","value":[0.5,1]}"#, true),
        (r#"{"field":"attributes","key":"flag","value":true}"#, true),
        (r#"{"field":"attributes","key":"nothing","operator":"exists"}"#, false),
        (r#"{"field":"attributes","key":"none","operator":"is_not","value":1}"#, false),
        (r#"{"field":"attributes","key":"empty","operator":"exists"}"#, true),
        (r#"{"field":"attributes","key":"list","operator":"in","value":["z","a"]}"#, true),
        (r#"{"field":"attributes","key":"list","operator":"in","value":["z","a"],"options":{"all":true}}"#, false),
        (r#"{"field":"attributes","key":"list","operator":"in","value":[1,true,"a"],"options":{"all":true}}"#, true),
        (r#"{"field":"attributes","key":["list",0],"value":"a"}"#, true),
        (r#"{"field":"attributes","key":["a",0],"operator":"exists"}"#, false),
        (r#"{"field":"references","operator":"in","value":[{"id":"r1","attributes":{"key":"application"}}]}"#, true),
        (r#"{"field":"references","operator":"in","value":[{"id":"r2","attributes.key":"application"}]}"#, false),
        (r#"{"field":"references","operator":"in","value":[{"id":"r1"},{"version":3}],"options":{"all":true}}"#, true),
        (r#"{"field":"links","operator":"in","value":{"trace_id":"00000000-0000-0000-0000-00000000000c"}}"#, true),
        (r#"{"field":"references","operator":"has","key":"attributes.key","value":"application"}"#, true),
        (r#"{"field":"hashes","operator":"has_not","key":"id","value":"h"}"#, false),
        (r#"{"field":"events","operator":"has_not","key":"attributes.x","value":"h"}"#, true),
        (r#"{"field":"events","operator":"exists"}"#, false),
        (r#"{"field":"content","operator":"contains","value":"say \"HI\""}"#, true),
        (r#"{"field":"content","operator":"contains","value":"say 'hi'"}"#, false),
    ];
    for (condition, wanted) in cases {
        if one(condition).matches(&span) != wanted {
            wrong.push(condition);
        }
    }
    assert_eq!(wrong, Vec::<&str>::new());
}

#[test]
fn negations_let_in_what_is_missing() {
    let span = span();
    let missing = r#"{"field":"user_id","value":"u"}"#;
    let with = |word: &str| {
        filter(&format!("{{\"operator\":\"{word}\",\"conditions\":[{missing}]}}")).expect("a filter").matches(&span)
    };
    assert_eq!(["and", "or", "not", "nand", "nor"].map(with), [false, false, true, true, true]);
    assert!(filter("{}").expect("a filter").matches(&span));
    let text = Json::Text(format!("{{\"operator\":\"nor\",\"conditions\":[{missing}]}}"));
    assert!(Filter::read(&text, "filter").expect("a filter in a text").matches(&span));
}

#[test]
fn a_share_of_the_traces_is_the_same_share_every_time() {
    // Its first digits are 0x31, which is 49.
    assert_eq!(
        [49.0, 49.5, 50.0, 0.0, 100.0].map(|percent| Filter::Sample(percent).matches(&span())),
        [false, true, true, false, true]
    );
}

/// Asserts that a filter is refused, and how the refusal begins.
fn check(text: &str, wanted: &str) {
    let error = filter(text).expect_err(text);
    assert!(error.starts_with(wanted), "{text}\n{error}");
}

/// Asserts the same of a condition within two filters.
fn inner(condition: &str, wanted: &str) {
    let text = format!("{{\"conditions\":[{{\"conditions\":[{condition}]}}]}}");
    check(&text, &format!("filter.conditions[0].conditions[0]{wanted}"));
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_place_and_what_would_be_right() {
    check("[]", "filter: an array stands where an object is expected; send an object");
    check("\"{\"", "filter: byte 1: no JSON");
    check(r#"{"operator":"xor","conditions":[]}"#, "filter.conditions: `xor` has no conditions");
    check(
        r#"{"operator":"xor","conditions":[{"field":"span_name","value":"a"}]}"#,
        "filter.operator: `xor` puts no conditions together; `operator` is one of and, or, not, nand, nor",
    );
    check(r#"{"condition":[]}"#, "filter.condition: unknown field `condition`; there are operator, conditions");
    inner(r#"{"field":"colour","value":1}"#, ".field: `colour` is no field; there are trace_id, trace_type, span_id, ");
    inner(r#"{"value":1}"#, ".field: it is missing");
    inner(
        r#"{"field":"trace_id","operator":"gt","value":"a"}"#,
        ".operator: `gt` does not go with `trace_id`; it takes is, is_not, in, not_in, exists, not_exists",
    );
    inner(
        r#"{"field":"content","operator":"is","value":"a"}"#,
        ".operator: `is` does not go with `content`; it takes contains",
    );
    inner(r#"{"field":"trace_id","value":"xyz"}"#, ".value: `xyz` is no id");
    inner(r#"{"field":"span_type","value":"robot"}"#, ".value: `robot` is no span_type; there are agent, chain, ");
    inner(
        r#"{"field":"span_name","value":5}"#,
        ".value: a number stands where a text is expected; `span_name` holds texts",
    );
    inner(
        r#"{"field":"span_name","operator":"in","value":["a",5]}"#,
        ".value[1]: a number stands where a text is expected",
    );
    inner(r#"{"field":"span_name","operator":"in","value":[]}"#, ".value: it has 0 values; send a list of 1 to 500");
    inner(r#"{"field":"start_time","operator":"btwn","value":[1]}"#, ".value: it has 1 values; send `[low, high]`");
}

#[test]
fn values_and_options_that_do_not_go_with_a_field_are_refused() {
    inner(
        r#"{"field":"attributes","key":"a","operator":"btwn","value":[1,"2"]}"#,
        ".value: the bounds are of two kinds",
    );
    inner(r#"{"field":"attributes","value":1}"#, ".key: it is missing; name the attribute");
    inner(r#"{"field":"attributes","key":["a",-1],"value":1}"#, ".key[1]: `-1` is no index");
    inner(r#"{"field":"attributes","key":"a","value":{"b":1}}"#, ".value: an object cannot be compared with");
    inner(r#"{"field":"attributes","key":"a","value":1e999}"#, ".value: a number cannot be compared with");
    inner(r#"{"field":"attributes","key":"a","operator":"gt","value":true}"#, ".value: a boolean has no order");
    inner(r#"{"field":"span_name","key":"a","value":"b"}"#, ".key: `span_name` has no keys");
    inner(r#"{"field":"references","operator":"has","key":"id","value":"b"}"#, ".key: `id` is no key of references");
    inner(r#"{"field":"references","operator":"in","value":[{}]}"#, ".value[0]: no member is given");
    inner(
        r#"{"field":"references","operator":"in","value":["a"]}"#,
        ".value[0]: a text stands where an object is expected",
    );
    inner(r#"{"field":"links","operator":"in","value":[{"trace_id":"a"}]}"#, ".value[0].trace_id: `a` is no id");
    inner(
        r#"{"field":"span_name","operator":"contains","value":"a","options":{"exact_match":true}}"#,
        ".options.exact_match: it has no meaning",
    );
    inner(r#"{"field":"span_name","value":"a","options":{"case":true}}"#, ".options.case: unknown field `case`");
    inner(
        r#"{"field":"span_name","operator":"like","value":["a"]}"#,
        ".value: an array stands where a text is expected",
    );
    inner(r#"{"field":"content","operator":"contains","value":""}"#, ".value: it is empty");
    let deep =
        format!("{}{{\"field\":\"span_name\",\"value\":\"a\"}}{}", "{\"conditions\":[".repeat(17), "]}".repeat(17));
    assert!(filter(&deep).expect_err("too deep").contains("nested too deep"));
    let many = vec![r#"{"field":"span_name","value":"a"}"#; 201].join(",");
    check(
        &format!("{{\"conditions\":[{many}]}}"),
        "filter.conditions[200]: the filter has too many conditions; send up to 200",
    );
}

fn sql(condition: &str, wanted: Expect) {
    let mut sql = Sql::default();
    let text = one(condition).sql(&mut sql);
    wanted.assert_eq(&format!("{text}\n{:?}", sql.params()));
}

#[test]
fn what_clients_send_is_never_part_of_the_statement() {
    sql(
        r#"{"field":"span_name","operator":"like","value":"') OR 1=1 --\\"}"#,
        expect![[r#"
            (lower(`span_name`) LIKE {f0:String})
            [("f0", "') or 1=1 --\\\\")]"#]],
    );
    sql(
        r#"{"field":"attributes","key":"a`'.b","value":"x'"}"#,
        expect![[r#"
            (has(`attribute_items`, {f0:String}))
            [("f0", "a`'.b=\"x'\"")]"#]],
    );
    sql(
        r#"{"field":"references","operator":"has","key":"attributes.key","value":1}"#,
        expect![[r#"
            ((arrayExists(x -> (JSONType(x, {f0:String}, {f1:String}) IN ('Int64', 'UInt64', 'Double') AND JSONExtractFloat(x, {f0:String}, {f1:String}) = {f2:Float64}), JSONExtractArrayRaw(ifNull(`references`, '')))))
            [("f0", "attributes"), ("f1", "key"), ("f2", "1.0")]"#]],
    );
}
