//! Prometheus' HTTP API below `/prometheus`: PromQL, series and labels, and remote write in.
//!
//! | file | holds |
//! |---|---|
//! | `asked.rs` | parameters, of a query string and of a form |
//! | `answer.rs` | the envelope of answers and refusals |
//! | `query.rs` | `query`, `query_range`, `format_query` |
//! | `series.rs` | `series`, `labels`, `label/{name}/values`, `metadata` |
//! | `write.rs` | `write` |
//! | `shapes.rs` | the answers' JSON schemas |

mod answer;
mod asked;
mod query;
mod series;
mod shapes;
mod write;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get as getting, post as posting};
use serde_json::json;

use crate::routes::{Gives, Param, Route, Sends, get, post};

pub(crate) use shapes::shapes;

/// Everything here is below it.
pub(crate) const PREFIX: &str = "/prometheus";

/// The version of Prometheus whose rules hold here; clients choose what they ask for by it.
const VERSION: &str = "3.0.0";

const TIME: &str = "a Unix time in seconds, or such as 2026-01-31T09:00:00Z";
const INSTANT: &[Param] = &[
    Param::text("query", "the expression"),
    Param::text("time", TIME),
    Param::text("timeout", "at most so long: seconds, or such as 10s"),
];
const RANGE: &[Param] = &[
    Param::text("query", "the expression"),
    Param::text("start", TIME),
    Param::text("end", TIME),
    Param::text("step", "from one moment to the next: seconds, or such as 1m"),
    Param::text("timeout", "at most so long: seconds, or such as 10s"),
];
const SERIES: &[Param] = &[
    Param::text("match[]", "a selector of series, any number of times"),
    Param::text("start", "accepted; what is stored is told, whenever it came"),
    Param::text("end", "accepted; what is stored is told, whenever it came"),
    Param::text("limit", "at most so many, 0: all"),
];
const METADATA: &[Param] =
    &[Param::text("metric", "only of this metric"), Param::text("limit", "at most so many metrics, 0: all")];
const EXPRESSION: &[Param] = &[Param::text("query", "the expression")];
const REFUSES: &[u16] = &[400, 408, 413, 422, 500, 503];
const FORM: Sends = Sends::Media(&["application/x-www-form-urlencoded"]);

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    let value: &[(u16, Gives)] = &[(200, Gives::One("PromqlAnswer"))];
    let texts: &[(u16, Gives)] = &[(200, Gives::One("PromqlTexts"))];
    let labels: &[(u16, Gives)] = &[(200, Gives::One("PromqlSeries"))];
    let formatted: &[(u16, Gives)] = &[(200, Gives::One("PromqlText"))];
    let ask = |route: Route, takes: &'static [&'static [Param]]| route.takes(takes).refuses(REFUSES);
    let now = "Evaluates an expression at one moment";
    let range = "Evaluates an expression at many moments";
    let listed = "Lists the series that selectors mean";
    let names = "Lists the names of labels";
    let pretty = "Writes an expression over several lines where it is long";
    vec![
        ask(get("/prometheus/api/v1/query", now), &[INSTANT]).gives(value).by(getting(query::instant)),
        ask(post("/prometheus/api/v1/query", now), &[]).sends(FORM).gives(value).by(posting(query::instant)),
        ask(get("/prometheus/api/v1/query_range", range), &[RANGE]).gives(value).by(getting(query::range)),
        ask(post("/prometheus/api/v1/query_range", range), &[]).sends(FORM).gives(value).by(posting(query::range)),
        ask(get("/prometheus/api/v1/format_query", pretty), &[EXPRESSION]).gives(formatted).by(getting(query::format)),
        ask(post("/prometheus/api/v1/format_query", pretty), &[])
            .sends(FORM)
            .gives(formatted)
            .by(posting(query::format)),
        ask(get("/prometheus/api/v1/series", listed), &[SERIES]).gives(labels).by(getting(series::series)),
        ask(post("/prometheus/api/v1/series", listed), &[]).sends(FORM).gives(labels).by(posting(series::series)),
        ask(get("/prometheus/api/v1/labels", names), &[SERIES]).gives(texts).by(getting(series::labels)),
        ask(post("/prometheus/api/v1/labels", names), &[]).sends(FORM).gives(texts).by(posting(series::labels)),
        ask(get("/prometheus/api/v1/label/{name}/values", "Lists the values of a label"), &[SERIES])
            .gives(texts)
            .by(getting(series::values)),
        ask(get("/prometheus/api/v1/metadata", "Tells types, units and descriptions of metrics"), &[METADATA])
            .gives(&[(200, Gives::One("PromqlMetadata"))])
            .by(getting(series::metadata)),
        get("/prometheus/api/v1/status/buildinfo", "Tells the version of Prometheus whose rules hold here")
            .gives(&[(200, Gives::One("PromqlBuild"))])
            .by(getting(build)),
        post("/prometheus/api/v1/write", "Takes samples by remote write 1.0")
            .sends(Sends::Media(&["application/x-protobuf"]))
            .gives(&[(204, Gives::Nothing)])
            .refuses(&[400, 408, 413, 415, 429, 500, 503])
            .by(posting(write::write)),
    ]
}

/// Answers a method that a path does not know.
pub(crate) fn wrong_method(path: &str) -> Response {
    answer::refused(StatusCode::METHOD_NOT_ALLOWED, "bad_data", &format!("this method is not known at {path}"))
}

async fn build() -> Response {
    answer::success(&json!({
        "version": VERSION,
        "revision": concat!("tidegate ", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}
