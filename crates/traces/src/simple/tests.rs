use expect_test::expect;

use super::*;
use crate::json::parse;
use tidegate_model::UnixNanos;

const IDS: (TraceId, SpanId) = (TraceId(0x31d6_cfe0_4b90_11ec_8001_4201_0a80_00b0), SpanId::doubled(7));

fn defaults() -> Defaults {
    Defaults { now: UnixNanos(1_769_850_000_000_000_000), actor: None, name: "0123456789ab".to_owned() }
}

fn json(text: &str) -> Json {
    parse(text).expect("JSON")
}

fn read(text: &str) -> Result<Span, String> {
    Simple::read(&json(text), IDS, &defaults()).map_err(|error| error.to_string())
}

const ANNOTATION: &str = r#"{"trace": {"origin": "human", "kind": "eval", "channel": "web", "tags": {"team": "a"}, "meta": {"n": 1},
    "data": {"outputs": {"score": 80}}, "references": {"evaluator": {"slug": "good", "id": "e"}},
    "links": {"invocation": {"trace_id": "47cb4a13b42a47bab2198509543ff14d", "span_id": "1A9130F6AD398E55"}}}}"#;

#[test]
fn what_was_sent_is_told_and_a_link_makes_an_annotation() {
    let span = read(ANNOTATION).expect("an annotation");
    assert_eq!((span.span_name.as_str(), span.hashes.len()), ("annotation", 1));
    expect![[r#"{"channel":"web","created_at":"2026-01-31T09:00:00Z","data":{"outputs":{"score":80}},"kind":"eval","links":{"invocation":{"span_id":"1a9130f6ad398e55","trace_id":"47cb4a13b42a47bab2198509543ff14d"}},"meta":{"n":1},"origin":"human","references":{"evaluator":{"id":"e","slug":"good"}},"span_id":"0000000000000007","tags":{"team":"a"},"trace_id":"31d6cfe04b9011ec800142010a8000b0"}"#]]
        .assert_eq(&Simple::told(&span).to_string());
    let plain = read(r#"{"trace": {"data": {"inputs": {}}}}"#).expect("an invocation");
    assert_eq!(plain.span_name, "invocation");
    let told = Simple::told(&plain);
    assert_eq!(
        ["origin", "kind", "channel"].map(|name| told.at(name).and_then(Json::as_text)),
        [Some("custom"), Some("adhoc"), Some("api")]
    );
}

#[test]
fn every_word_comes_back_as_it_was() {
    for (origin, kind, channel) in
        [("custom", "adhoc", "api"), ("human", "eval", "sdk"), ("auto", "play", "web"), ("auto", "adhoc", "otlp")]
    {
        let sent =
            format!(r#"{{"trace": {{"origin": "{origin}", "kind": "{kind}", "channel": "{channel}", "data": {{}}}}}}"#);
        let told = Simple::told(&read(&sent).expect("a trace"));
        assert_eq!(
            ["origin", "kind", "channel"].map(|name| told.at(name).and_then(Json::as_text)),
            [origin, kind, channel].map(Some)
        );
    }
}

#[test]
fn a_change_replaces_what_it_names_and_leaves_the_rest() {
    let span = read(ANNOTATION).expect("an annotation");
    let change = |text: &str| Simple::changed(&span, &json(text), &defaults()).expect("a change");
    let after = change(r#"{"trace": {"data": {"outputs": {"score": 1}}, "origin": "auto", "tags": {"b": 2}}}"#);
    let told = |path: &str| Simple::told(&after).at(path).map(Json::to_string).unwrap_or_default();
    let members = ["data", "origin", "kind", "tags", "meta"].map(told);
    assert_eq!(members, [r#"{"outputs":{"score":1}}"#, r#""auto""#, r#""eval""#, r#"{"b":2}"#, r#"{"n":1}"#]);
    assert_eq!((&after.links, &after.hashes), (&span.links, &span.hashes));
    let after = change(r#"{"trace": {"links": {}, "references": {}}}"#);
    assert_eq!((after.links.len(), after.references.len(), after.hashes.len()), (0, 0, 0));
    assert_eq!(after.trace_type, Some(crate::TraceType::Invocation));
    assert_eq!(change(&Json::object([("trace", Simple::told(&span))]).to_string()), span, "an answer can be sent back");
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    let check = |text: &str, wanted: &str| {
        let told = read(text).expect_err(text);
        assert!(told.starts_with(wanted), "{told}");
    };
    check("{}", "trace: it is missing");
    check(r#"{"trace": {}}"#, "trace.data: it is missing");
    check(r#"{"trace": {"data": {}, "origin": "me"}}"#, "trace.origin: `me` is none; there are human, custom, auto");
    check(r#"{"trace": {"data": {}, "colour": 1}}"#, "trace.colour: unknown field `colour`");
    check(r#"{"trace": {"data": 5}}"#, "trace.data: a number stands where an object is expected");
    check(r#"{"trace": {"data": {}, "links": {"a": {"trace_id": "x"}}}}"#, "trace.links.a.trace_id: `x` is no id");
    check(r#"{"trace": {"data": {}, "links": [{}]}}"#, "trace.links[0].trace_id: it is missing");
    check(
        r#"{"trace": {"data": {}, "references": {"friend": {}}}}"#,
        "trace.references.friend: nothing is referred to so",
    );
    let query = Simple::query(&json(r#"{"trace": {"kind": "none"}}"#)).expect_err("no kind").to_string();
    assert!(query.starts_with("trace.kind: `none` is none"), "{query}");
    assert!(
        Simple::query(&json(r#"{"links": [{}]}"#)).expect_err("no ids").to_string().starts_with("links[0].trace_id")
    );
}

#[test]
fn a_query_finds_what_it_names() {
    let span = read(ANNOTATION).expect("an annotation");
    let check = |text: &str, is_found: bool| {
        let query = Simple::query(&json(text)).expect(text);
        assert_eq!(query.conditions().matches(&span), is_found, "{text}");
    };
    check("{}", true);
    check(r#"{"trace": {"origin": "human", "kind": "eval", "channel": "web"}}"#, true);
    check(r#"{"trace": {"origin": "custom"}}"#, false);
    check(r#"{"trace": {"origin": "auto"}}"#, false);
    check(r#"{"trace": {"kind": "adhoc"}}"#, false);
    check(r#"{"trace": {"tags": {"team": "a"}, "meta": {"n": 1}}}"#, true);
    check(r#"{"trace": {"tags": {"team": "b"}}}"#, false);
    check(r#"{"trace": {"references": {"evaluator": {"slug": "good"}}}}"#, true);
    check(r#"{"trace": {"references": {"application": {"slug": "good"}}}}"#, false);
    let link = r#"{"trace_id": "47cb4a13-b42a-47ba-b219-8509543ff14d", "span_id": "1a9130f6ad398e55"}"#;
    check(&format!(r#"{{"trace": {{"links": {{"invocation": {link}}}}}}}"#), true);
    check(&format!(r#"{{"trace": {{"links": {{"other": {link}}}}}}}"#), false);
    check(&format!(r#"{{"trace": {{"links": [{link}]}}}}"#), true);
    check(&format!(r#"{{"links": [{link}]}}"#), false);
    check(r#"{"links": [{"trace_id": "31d6cfe04b9011ec800142010a8000b0", "span_id": "0000000000000007"}]}"#, true);
    check(
        r#"{"links": [{"trace_id": "31d6cfe04b9011ec800142010a8000b0"}, {"trace_id": "000000000000000000000000000000ff"}]}"#,
        true,
    );
}
