use proptest::prelude::*;

use super::*;

#[test]
fn numbers_keep_their_letters() {
    for text in ["1.0", "1e400", "-0", "123456789012345678901234567890", "0.10000000000000000001", "1E+5"] {
        assert_eq!(parse(text).expect("a number").to_string(), text);
    }
    let readable = |text: &str| matches!(parse(text), Ok(Json::Number(number)) if number.is_readable());
    assert!(readable("18446744073709551615") && readable("-9223372036854775808") && readable("1.5e300"));
    assert!(!readable("18446744073709551616") && !readable("1e400"));
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    for text in
        ["", "{", "[1,]", "{\"a\":1,}", "01", "1.", "-", "1e", "\"\\ud800\"", "\"\u{1}\"", "nul", "1 2", "{a:1}"]
    {
        assert!(parse(text).is_err(), "{text}");
    }
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&deep(DEPTH_MAX)).is_ok());
    let error = parse(&deep(100_000)).expect_err("too deep");
    assert_eq!(
        error.to_string(),
        "byte 64: no JSON: arrays and objects are nested too deep; send valid JSON (RFC 8259)"
    );
}

#[test]
fn a_value_is_put_where_its_path_says_unless_something_is_in_the_way() {
    let mut object = Object::new();
    assert_eq!(put(&mut object, &["a", "b"], Json::from(1_i64)), Ok(()));
    assert_eq!(put(&mut object, &["a", "b", "c"], Json::from(2_i64)), Err(Json::from(2_i64)));
    assert_eq!(
        put(&mut object, &["a"], parse("{\"b\":3,\"d\":4}").expect("an object")),
        Err(parse("{\"b\":3}").expect("the rest"))
    );
    assert_eq!(Json::Object(object.clone()).to_string(), "{\"a\":{\"b\":1,\"d\":4}}");
    assert_eq!(take(&mut object, "a.b"), Some(Json::from(1_i64)));
    assert_eq!(take(&mut object, "a.d"), Some(Json::from(4_i64)));
    assert!(object.is_empty());
}

fn values() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::number),
        any::<String>().prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(Json::Object),
        ]
    })
}

/// Copies all of a view.
fn owned(view: &View<'_>) -> Json {
    match view {
        View::Null => Json::Null,
        View::Bool(flag) => Json::Bool(*flag),
        View::Number(digits) => Json::Number(Number((*digits).to_owned())),
        View::Text(text) => Json::text(text.as_ref()),
        View::List(list) => Json::List(list.iter().map(owned).collect()),
        View::Object(members) => Json::object(members.iter().map(|(name, value)| (name.as_ref(), owned(value)))),
    }
}

#[test]
fn of_members_with_one_name_the_last_counts() {
    let many = |count: usize| {
        let members = (0..count).flat_map(|n| [format!("\"k{n}\":0"), format!("\"same\":{n}")]);
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    for text in [many(1), many(2), many(7), many(8), many(100), "{\"a\":1,\"\\u0061\":2}".to_owned()] {
        let whole = parse(&text).expect("JSON");
        let View::Object(members) = view(&text).expect("JSON") else { panic!("an object is read as one") };
        assert_eq!(members.len(), whole.as_object().expect("an object").len(), "{text}");
        assert_eq!(owned(&View::Object(members)), whole, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_here_and_elsewhere(value in values()) {
        let text = value.to_string();
        prop_assert_eq!(&parse(&text).expect("JSON"), &value);
        prop_assert_eq!(owned(&view(&text).expect("JSON")), value.clone());
        let object = Object::from([("a".to_owned(), value)]);
        prop_assert_eq!(owned(&View::of(&object)), Json::Object(object));
        let elsewhere: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!(parse(&elsewhere.to_string()).is_ok(), true);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        prop_assert_eq!(parse(&text).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok());
        prop_assert_eq!(parse(&text).ok(), view(&text).ok().as_ref().map(owned));
    }
}
