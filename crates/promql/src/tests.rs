use super::*;

const MINUTE: i64 = 60_000;

/// Series as a store would have them.
fn series(name: &str, labels: &[(&str, &str)], points: &[(i64, f64)]) -> SampleSeries {
    let labels = labels.iter().map(|(name, value)| (name, *value)).collect::<Labels>().with(METRIC_NAME, name);
    SampleSeries { labels, points: points.iter().map(|&(time, value)| Point { time, value }).collect() }
}

/// Evaluates over samples, as whoever has them would.
fn evaluated(text: &str, span: Span, stored: &[SampleSeries]) -> Result<Value, PromqlError> {
    let plan = plan(text, span, 11_000)?;
    let found: Vec<_> = plan
        .reads
        .iter()
        .map(|read| {
            let meant: Vec<_> = stored.iter().filter(|series| read.selector.matches(&series.labels)).cloned().collect();
            match read.want {
                Want::Grid(function) => function.over(&meant, read.grid, read.range),
                Want::Samples => Found::Samples(meant),
            }
        })
        .collect();
    plan.evaluate(&found)
}

/// The vector at one moment, as text.
fn at(text: &str, moment: i64, stored: &[SampleSeries]) -> String {
    match evaluated(text, Span::Instant(moment), stored) {
        Ok(Value::Vector(series)) => {
            let line = |series: &VectorSeries| Some(format!("{} {}", series.labels, value_text(series.values[0]?)));
            series.iter().filter_map(line).collect::<Vec<_>>().join("\n")
        }
        Ok(Value::Scalar(values)) => value_text(values[0]),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error: {error}"),
    }
}

fn counter() -> SampleSeries {
    series("c", &[("a", "1")], &[(10_000, 1.0), (25_000, 5.0), (40_000, 7.0), (55_000, 2.0), (70_000, 9.0)])
}

#[test]
fn a_rate_is_extrapolated_to_the_windows_bounds_and_counts_resets() {
    // The window is open at its beginning: the sample at 10 s is not in it.
    assert_eq!(at("rate(c[30s])", 40_000, &[counter()]), format!("{{a=\"1\"}} {}", 4.0 / 30.0));
    assert_eq!(at("increase(c[30s])", 60_000, &[counter()]), "{a=\"1\"} 4");
    assert_eq!(at("irate(c[30s])", 55_000, &[counter()]), format!("{{a=\"1\"}} {}", 2.0 / 15.0));
    assert_eq!(at("resets(c[2m])", 70_000, &[counter()]), "{a=\"1\"} 1");
    assert_eq!(at("rate(c[10s])", 40_000, &[counter()]), "");
}

#[test]
fn a_marker_ends_a_series_at_once_and_age_ends_it_after_five_minutes() {
    let ended = series("up", &[], &[(0, 1.0), (60_000, f64::from_bits(STALE)), (120_000, 2.0)]);
    let all = [ended];
    assert_eq!(at("up", 59_999, &all), "up{} 1");
    assert_eq!(at("up", 60_000, &all), "");
    assert_eq!(at("up", 120_000 + 5 * MINUTE - 1, &all), "up{} 2");
    assert_eq!(at("up", 120_000 + 5 * MINUTE, &all), "");
    assert_eq!(at("absent(up{b=\"x\"})", 1, &[]), "{b=\"x\"} 1");
}

#[test]
fn two_series_of_one_match_are_an_error_unless_one_side_is_many() {
    let all = [
        series("m", &[("i", "1"), ("k", "a")], &[(0, 6.0)]),
        series("m", &[("i", "1"), ("k", "b")], &[(0, 8.0)]),
        series("o", &[("i", "1"), ("v", "9")], &[(0, 2.0)]),
    ];
    assert!(at("m / on(i) o", 0, &all).contains("many-to-one matching must be explicit"));
    assert!(at("o / on(i) m", 0, &all).contains("many-to-many matching not allowed"));
    assert_eq!(
        at("m / on(i) group_left(v) o", 0, &all),
        "{i=\"1\", k=\"a\", v=\"9\"} 3\n{i=\"1\", k=\"b\", v=\"9\"} 4"
    );
    assert_eq!(at("m > on(i) group_left o * 3.5", 0, &all), "m{i=\"1\", k=\"b\"} 8");
}

#[test]
fn aggregations_put_series_together_by_labels() {
    let all = [
        series("m", &[("i", "1"), ("k", "a")], &[(0, 6.0)]),
        series("m", &[("i", "2"), ("k", "a")], &[(0, 8.0)]),
        series("m", &[("i", "1"), ("k", "b")], &[(0, f64::NAN)]),
    ];
    assert_eq!(at("sum by (k) (m{k=\"a\"})", 0, &all), "{k=\"a\"} 14");
    assert_eq!(at("max(m)", 0, &all), "{} 8");
    assert_eq!(at("topk(1, m)", 0, &all), "m{i=\"2\", k=\"a\"} 8");
    assert_eq!(at("quantile(0.5, m{k=\"a\"})", 0, &all), "{} 7");
    assert_eq!(at("count_values(\"v\", m{k=\"a\"})", 0, &all), "{v=\"6\"} 1\n{v=\"8\"} 1");
    assert_eq!(at("stdvar without (i) (m{k=\"a\"})", 0, &all), "{k=\"a\"} 1");
}

#[test]
fn a_subquery_has_its_moments_at_multiples_of_its_step() {
    let all = [counter()];
    // At 20, 30, …, 70 s; the one at 10 s is the open beginning.
    assert_eq!(at("count_over_time(c[60s:10s])", 70_000, &all), "{a=\"1\"} 6");
    assert_eq!(at("max_over_time(c[60s:10s])", 74_000, &all), "{a=\"1\"} 9");
    // The highest rate is at 35 s: 4 in 15 s, stretched by 10 s to the end and by 3.75 s to where it was zero.
    assert_eq!(at("max_over_time(rate(c[30s])[30s:5s])", 40_000, &all), "{a=\"1\"} 0.2555555555555556");
}

#[test]
fn what_is_not_done_is_refused_by_its_name() {
    for (text, name) in [
        ("histogram_avg(up)", "the function `histogram_avg`"),
        ("limitk(2, up)", "the aggregation `limitk`"),
        ("label_replace(up, \"a-b\", \"\", \"\", \"\")", "invalid label name"),
        ("rate(up)", "expected type"),
        ("sum(", "invalid expression"),
    ] {
        let answer = at(text, 0, &[]);
        assert!(answer.starts_with("error: ") && answer.contains(name), "{text}: {answer}");
    }
}

#[test]
fn steps_are_limited_and_bounds_are_checked() {
    let asked = |start, end, step| plan("up", Span::Range { start, end, step }, 11_000).map(|plan| plan.grid.steps);
    // As Prometheus counts: the steps between, not the moments.
    assert_eq!(asked(0, 11_000, 1), Ok(11_001));
    assert!(asked(0, 11_001, 1).is_err_and(|error| error.to_string().contains("11000")));
    assert!(asked(0, 10, 0).is_err());
    assert!(asked(10, 0, 1).is_err());
    assert!(plan("up[5m]", Span::Range { start: 0, end: 1, step: 1 }, 11_000).is_err());
}

#[test]
fn metrics_of_opentelemetry_get_prometheus_names() {
    let named = |name: &str, unit: &str, kind: &str| {
        let (metric_type, is_monotonic) = if kind == "counter" { ("sum", true) } else { (kind, false) };
        let otel = OtelSeries {
            metric_name: name.into(),
            metric_type: metric_type.into(),
            unit: unit.into(),
            temporality: "CUMULATIVE".into(),
            is_monotonic,
            ..OtelSeries::default()
        };
        otel.facets().into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(named("system.cpu.time", "s", "counter"), "system_cpu_time_seconds_total");
    assert_eq!(named("system.cpu.utilization", "1", "gauge"), "system_cpu_utilization_ratio");
    assert_eq!(named("system.network.io", "By/s", "gauge"), "system_network_io_bytes_per_second");
    assert_eq!(named("http.total.requests", "{request}", "counter"), "http_requests_total");
    assert_eq!(
        named("http.server.request.duration", "s", "histogram"),
        "http_server_request_duration_seconds_bucket http_server_request_duration_seconds_sum \
         http_server_request_duration_seconds_count"
    );
    assert_eq!(named("2xx", "", "gauge"), "_2xx");
}

#[test]
fn a_resource_is_job_and_instance() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let otel = OtelSeries {
        metric_name: "m".into(),
        metric_type: "gauge".into(),
        attributes: vec![pair("http.method", "GET"), pair("http_method", "x"), pair("3d", "y")],
        resource: vec![pair("service.name", "shop"), pair("service.namespace", "eu"), pair("host.name", "h1")],
        ..OtelSeries::default()
    };
    let labels = otel.labels("m").to_string();
    assert_eq!(labels, r#"m{http_method="GET;x", instance="h1", job="eu/shop", key_3d="y"}"#);
}
