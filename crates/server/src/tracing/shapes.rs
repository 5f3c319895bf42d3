use crate::routes::{
    Shapes, anything, count, flag, found, list_of, map_of, nullable, number, object, one_of_words, text, texts,
};

const MODES: &[&str] = &["postgres", "dual", "clickhouse"];
const SIDES: &[&str] = &["postgres", "clickhouse"];

/// Returns how PostgreSQL and the way from there are told.
pub(crate) fn primary() -> serde_json::Value {
    object(&[
        ("state", one_of_words(&["ok", "degraded"])),
        ("why", texts()),
        ("postgres", text()),
        ("table", text()),
        ("migration", nullable(text())),
        ("isWhole", flag()),
        ("lagRows", count()),
        ("lagSeconds", count()),
        ("failures", count()),
    ])
}

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
        ("links", list_of(link.clone())),
        ("dropped", count()),
        ("rejections", list_of(rejection)),
    ]);
    let mode = [("mode", one_of_words(MODES)), ("reads", one_of_words(SIDES))];
    let of_project =
        |own: &[(&'static str, serde_json::Value)]| object(&[&mode[..], &[("project_id", text())][..], own].concat());
    let all = [
        ("default", object(&mode)),
        ("primary", nullable(primary())),
        ("modes", list_of(of_project(&[("updated_at", text()), ("updated_by", text())]))),
    ];
    let price = object(&[("input", number()), ("output", number()), ("cached_input?", number())]);
    let mut all = Shapes::from([
        ("TracingModes", object(&all)),
        ("TracingMode", of_project(&[("source", one_of_words(&["project", "settings"]))])),
        ("TracingModeAsked", object(&[mode[0].clone(), ("reads?", one_of_words(SIDES)), ("force?", flag())])),
        ("Prices", object(&[("unit", text()), ("models", map_of(price))])),
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
    ]);
    all.extend(simple(&link, windowing));
    all
}

/// Returns the shapes of annotations and invocations of one span.
fn simple(link: &serde_json::Value, windowing: serde_json::Value) -> Shapes {
    let simple = object(&[
        ("trace_id", text()),
        ("span_id", text()),
        ("origin", one_of_words(&["custom", "human", "auto"])),
        ("kind", one_of_words(&["adhoc", "eval", "play"])),
        ("channel", one_of_words(&["api", "sdk", "web", "otlp"])),
        ("created_at", text()),
        ("created_by_id?", text()),
        ("updated_at?", text()),
        ("updated_by_id?", text()),
        ("data?", anything()),
        ("tags?", anything()),
        ("meta?", anything()),
        ("references", map_of(map_of(text()))),
        ("links", map_of(link.clone())),
    ]);
    let listed = [("count", count()), ("traces", list_of(found("SimpleTrace"))), ("windowing", windowing)];
    Shapes::from([
        ("SimpleTrace", simple),
        ("SimpleTraceSent", object(&[("trace", map_of(anything()))])),
        ("SimpleTracesAsked", map_of(anything())),
        ("OneSimpleTrace", object(&[("count", count()), ("trace?", found("SimpleTrace"))])),
        ("SimpleTracesFound", object(&listed)),
        ("SimpleTraceGone", object(&[("count", count()), ("link?", link.clone())])),
    ])
}
