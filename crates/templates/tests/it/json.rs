use tidegate_templates::{Miner, Settings, TemplateId};

use crate::restart::miner;

fn check(body: &str, text: &str) {
    let mut miner = miner();
    let id = miner.mine(body);
    assert_eq!(miner.template(id).unwrap().text, text, "{body}");
}

fn id_of(body: &str) -> TemplateId {
    miner().mine(body)
}

#[test]
fn the_message_of_an_object_is_the_line() {
    let plain = id_of("user 42 logged in");
    for body in [
        r#"{"level":"info","msg":"user 42 logged in","user":42}"#,
        r#"{"user": 7, "nested": {"msg": "no"}, "Message" : "user 7 logged in"}"#,
        "\n {\"time\":1,\"event\":\"user 1 logged in\\nat line 2\"}",
        r#"{"stream":"stdout","log":"{\"msg\":\"user 1 logged in\"}\n"}"#,
        r#"{"values":[{"key":"level","value":{"stringValue":"info"}},{"key":"msg","value":{"stringValue":"user 5 logged in"}}]}"#,
        r#"{"msg":"user 42 logged in","stack":"cut o"#,
        r#"{"a":[1,{"b":"}"}],"msg":"user 42 logged in"#,
    ] {
        assert_eq!(id_of(body), plain, "{body}");
    }
}

#[test]
fn the_first_field_of_the_settings_that_has_text_is_the_message() {
    check(r#"{"log":"b","msg":"a"}"#, "a");
    check(r#"{"msg":" ","log":"b"}"#, "b");
    check(r#"{"msg":{"deep":"x"},"message":7,"body":null,"event":["e"],"log":"b"}"#, "b");
    check(r#"{"log.level":"info","message":"a","log":{"level":"info"}}"#, "a");
}

#[test]
fn an_object_without_a_message_is_its_keys() {
    check(r#"{"b": 1, "msg": 2, "a": {"c": [1, "}"]}}"#, r#"{"a": <*>, "b": <*>, "msg": <*>}"#);
    check(r#"{"log":"{\"b\":1}"}"#, r#"{"b": <*>}"#);
    check(
        r#"{"values":[{"key":"b","value":{"intValue":"7"}},{"key":"a"},{"key":"msg","value":{"kvlistValue":{"values":[]}}}]}"#,
        r#"{"a": <*>, "b": <*>, "msg": <*>}"#,
    );
    check(r#"{"values":[{"stringValue":"an array"}]}"#, r#"{"values": <*>}"#);
}

#[test]
fn escapes_are_resolved_before_the_line_is_read() {
    check(r#"{"msg":"say \"hi\" to \u00e9ric\tnow \ud83d\ude00"}"#, "say \"hi\" to éric now 😀");
    check(r#"{"msg":"a \ud83d b \q \uzz"}"#, "a \u{fffd} b q \u{fffd}zz");
    check(r#"{"msg":"nul \u0000 and \u0010 are space"}"#, "nul and are space");
    check(r#"{"msg":"cut off \"#, "cut off");
}

#[test]
fn the_message_among_pairs_is_a_sentence_and_other_quoted_values_are_values() {
    check(r#"level=info msg="took 7 ms" peer="of 7 or so""#, r#"level=info msg="took <*>" peer="<*>""#);
    check(r#"ts=7 Message="user ada left room 3""#, r#"ts=<*> Message="user ada left room <*>""#);
}

#[test]
fn the_fields_are_a_setting() {
    let settings = |fields: &[&str]| Settings {
        message_fields: fields.iter().map(|name| (*name).to_owned()).collect(),
        ..Settings::default()
    };
    let text = |fields: &[&str], body: &str| {
        let mut miner = Miner::new(settings(fields)).unwrap();
        let id = miner.mine(body);
        miner.template(id).unwrap().text
    };
    let body = r#"{"@m":"it is 7","msg":"no"}"#;
    assert_eq!(text(&["@m"], body), "it is <*>");
    assert_eq!(text(&[], body), r#"{"@m": <*>, "msg": <*>}"#);
}

#[test]
fn a_message_is_looked_for_so_far_and_so_deep() {
    let far = |bytes: usize| format!(r#"{{"pad":"{}","msg":"found"}}"#, "x".repeat(bytes));
    check(&far(8 << 10), "found");
    check(&far(64 << 10), r#"{"pad": <*>}"#);
    let mut nested = "deep 7".to_owned();
    for _ in 0..6 {
        nested = format!(r#"{{"msg":"{}"}}"#, nested.replace('\\', "\\\\").replace('"', "\\\""));
    }
    let mut miner = miner();
    let id = miner.mine(&nested);
    assert!(miner.template(id).unwrap().text.starts_with("{\"msg\":"));
}
