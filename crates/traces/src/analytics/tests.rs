use expect_test::expect;

use super::*;
use crate::Window;
use crate::json::parse;

const MINUTE: i64 = 60_000_000_000;

fn plan(oldest: i64, newest: i64, interval: Option<u32>) -> Plan {
    let window =
        Window { oldest: Some(UnixNanos(oldest)), newest: Some(UnixNanos(newest)), interval, ..Window::default() };
    Plan::of(&window, UnixNanos(0))
}

fn told(spec: Spec, values: &[&str]) -> Json {
    let path = spec.path.clone();
    let mut analytics = Analytics::of(vec![spec], plan(0, MINUTE, None));
    let values: Vec<Json> = values.iter().map(|value| parse(value).expect("JSON")).collect();
    for value in &values {
        analytics.add(UnixNanos(0), |_| Some(value));
    }
    analytics.buckets()[0].metrics.as_object().and_then(|metrics| metrics.get(&path)).cloned().unwrap_or_default()
}

#[test]
fn numbers_have_all_their_statistics() {
    let spec = Spec { bins: Some(2), ..Spec::of(MetricType::NumericDiscrete, "n") };
    let told = told(spec, &["1", "2", "3", "4", "4.0", "\"x\"", "null"]);
    let part = |path: &str| told.at(path).map(Json::to_string).unwrap_or_default();
    assert_eq!(
        ["type", "count", "sum", "mean", "min", "max", "range"].map(part),
        ["\"numeric/discrete\"", "5", "14", "2.8", "1", "4", "3"]
    );
    assert_eq!(told.at("pcts").and_then(Json::as_object).map(|levels| levels.len()), Some(27));
    assert_eq!(["pcts.p50", "pcts.p25", "iqrs.iqr50", "cqvs.cqv50"].map(part), ["3", "2", "2", "0.3333333333333333"]);
    expect![[r#"[{"bin":1,"count":2,"interval":[1,2.5]},{"bin":2,"count":3,"interval":[2.5,4]}]"#]]
        .assert_eq(&part("hist"));
    expect![[r#"[{"count":2,"density":0.4,"value":4},{"count":1,"density":0.2,"value":1},{"count":1,"density":0.2,"value":2},{"count":1,"density":0.2,"value":3}]"#]]
        .assert_eq(&part("freq"));
    assert_eq!(part("uniq"), "[1,2,3,4]");
}

#[test]
fn a_histogram_counts_each_value_once_whatever_its_options() {
    for (bins, is_edge) in [(None, true), (Some(1), true), (Some(7), true), (Some(7), false), (None, false)] {
        let spec = Spec { bins, is_edge, ..Spec::of(MetricType::NumericContinuous, "n") };
        let told = told(spec, &["0.1", "0.2", "0.3", "0.7", "0.7", "1e9", "-5"]);
        let bins = told.at("hist").and_then(Json::as_list).expect("bins").to_vec();
        let counts: f64 = bins.iter().filter_map(|bin| bin.at("count").and_then(Json::as_number)).sum();
        assert_eq!(counts, 7.0, "{told}");
    }
    let one = told(Spec::of(MetricType::NumericContinuous, "n"), &["5", "5"]);
    assert_eq!(one.at("hist").map(Json::to_string).as_deref(), Some("[{\"bin\":1,\"count\":2,\"interval\":[5,5]}]"));
    assert_eq!(one.at("pscs.psc50"), Some(&Json::Null));
}

#[test]
fn words_are_counted_by_their_kind() {
    let words = told(Spec::of(MetricType::CategoricalSingle, "w"), &["\"a\"", "\"b\"", "\"a\"", "[1]"]);
    expect![[r#"{"count":3,"freq":[{"count":2,"density":0.6666666666666666,"value":"a"},{"count":1,"density":0.3333333333333333,"value":"b"}],"type":"categorical/single","uniq":["a","b"]}"#]]
        .assert_eq(&words.to_string());
    let several = told(Spec::of(MetricType::CategoricalMultiple, "w"), &["[\"a\",\"b\"]", "[\"a\"]", "\"a\""]);
    assert_eq!(
        (several.at("count"), several.at("uniq").map(Json::to_string)),
        (Some(&Json::from(2_u64)), Some("[\"a\",\"b\"]".to_owned()))
    );
    assert_eq!(told(Spec::of(MetricType::Binary, "b"), &["true", "1"]).at("count"), Some(&Json::from(1_u64)));
    assert_eq!(
        told(Spec::of(MetricType::String, "s"), &["\"a\"", "1"]).to_string(),
        "{\"count\":1,\"type\":\"string\"}"
    );
    assert_eq!(
        told(Spec::of(MetricType::Json, "s"), &["\"a\"", "1", "null"]).to_string(),
        "{\"count\":2,\"type\":\"json\"}"
    );
}

#[test]
fn buckets_cover_the_window_and_there_are_at_most_1024() {
    let minutes = plan(0, 10 * MINUTE, Some(3));
    assert_eq!((minutes.count, minutes.interval), (4, 3));
    assert_eq!(minutes.bucket(UnixNanos(3 * MINUTE)), Some(1));
    assert_eq!((minutes.bucket(UnixNanos(-1)), minutes.bucket(UnixNanos(10 * MINUTE))), (None, None));
    assert_eq!(plan(0, 10 * MINUTE, None).count, 1);
    let month = plan(0, 30 * 1_440 * MINUTE, Some(1));
    assert_eq!((month.interval, month.count), (60, 720));
    let all = plan(i64::MIN, i64::MAX, Some(1));
    assert!(all.count <= 1_024 && all.bucket(UnixNanos(0)).is_some());
    let default = Plan::of(&Window::default(), UnixNanos(0));
    assert_eq!((default.count, default.oldest), (1, UnixNanos(-30 * 1_440 * MINUTE)));
}

#[test]
fn specs_that_cannot_be_meant_are_refused_with_their_place() {
    let check = |text: &str, wanted: &str| {
        let error = Spec::read_all(Some(&parse(text).expect("JSON")), "specs").expect_err("a refusal");
        assert!(error.to_string().starts_with(wanted), "{error}");
    };
    check("[]", "specs: it has 0 specs");
    check(r#"[{"type":"number","path":"a"}]"#, "specs[0].type: `number` is none; it is one of numeric/continuous, ");
    check(r#"[{"type":"json"}]"#, "specs[0].path: it is missing");
    check(r#"[{"type":"json","path":"a","bin":1}]"#, "specs[0].bin: unknown field `bin`");
    check(r#"[{"type":"json","path":"a"},{"type":"json","path":"a"}]"#, "specs[1].path: `a` stands twice");
    check(r#"[{"type":"json","path":"a","vmin":2,"vmax":1}]"#, "specs[0].vmin: 2 is above `vmax`, 1");
    assert_eq!(Spec::read_all(None, "specs").map(|specs| specs.len()), Ok(6));
}
