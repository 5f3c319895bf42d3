use crate::routes::{Shapes, anything, count, found, list_of, map_of, nullable, number, object, text, texts};

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    let link = object(&[("trace_id", text()), ("span_id", text())]);
    let rejection = object(&[("index", count()), ("reason", text())]);
    let windowing = object(&[("next", nullable(text()))]);
    let span = map_of(anything());
    let trace = object(&[("trace_id", text()), ("spans", anything())]);
    let traces = [("count", count()), ("traces", map_of(trace)), ("windowing", windowing.clone())];
    let spans = [("count", count()), ("windowing", windowing.clone())];
    let spans = [&spans[..], &[("spans?", list_of(span.clone())), ("traces?", map_of(anything()))]].concat();
    let bucket = |own: &[(&'static str, serde_json::Value)]| {
        object(&[&[("timestamp", text()), ("interval", count())][..], own].concat())
    };
    let buckets = |shape| object(&[("count", count()), ("buckets", list_of(shape))]);
    let sum = object(&[("count", count()), ("duration", number()), ("costs", number()), ("tokens", number())]);
    let ids = |name| object(&[("count", count()), (name, texts()), ("windowing", windowing.clone())]);
    let taken = object(&[
        ("count", count()),
        ("links", list_of(link)),
        ("dropped", count()),
        ("rejections", list_of(rejection)),
    ]);
    Shapes::from([
        ("SpansSent", map_of(anything())),
        ("SpansTaken", taken),
        ("SpansAsked", map_of(anything())),
        ("AnalyticsAsked", map_of(anything())),
        ("ListAsked", map_of(anything())),
        ("SpansFound", object(&spans)),
        ("TracesFound", object(&traces)),
        ("OneSpan", object(&[("count", count()), ("span?", span)])),
        ("AnalyticsBuckets", buckets(bucket(&[("metrics", map_of(anything()))]))),
        ("LegacyBuckets", buckets(bucket(&[("total", found("TraceSum")), ("errors", found("TraceSum"))]))),
        ("TraceSum", sum),
        ("SessionIds", ids("session_ids")),
        ("UserIds", ids("user_ids")),
        ("OtlpReady", object(&[("status", text())])),
    ])
}
