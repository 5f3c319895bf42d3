//! The main API: SQL, the ledger, datasets, health, metrics, and the page that shows them.
//!
//! | file | holds |
//! |---|---|
//! | `sql.rs` | `/sql/read` |
//! | `sql_parameters.rs` | its parameters, read without any I/O |
//! | `ledger.rs` | `/ledger`, `/verify`, `/datasets` |
//! | `rows.rs` | `/datasets/{slug}/ingest` |
//! | `large.rs` | its bodies that are too large for memory |
//! | `health.rs` | `/health`, `/ready`, `/metrics` |
//! | `shapes.rs` | the answers' JSON schemas |

mod health;
mod large;
mod ledger;
mod rows;
mod shapes;
mod sql;
pub(crate) mod sql_parameters;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get as getting, post as posting};
use tidegate_model::ErrorKind;

use crate::alerts;
use crate::backups;
use crate::cardinality;
use crate::datasets;
use crate::errors::Failure;
use crate::exports;
use crate::lifecycle;
use crate::migrations;
use crate::prometheus;
use crate::routes::{self, Gives, Kind, Param, Route, Sends, get, post};
use crate::stages::Stages;
use crate::telemetry;
use crate::timestore;

pub(crate) use health::health;
pub use large::LargeBodies;
pub(crate) use rows::{actor, evolution, rejections};
pub(crate) use shapes::shapes;
pub(crate) use sql::{freshness, streamed, tables_are_there};

/// The web page, with nothing from elsewhere.
const PAGE: &str = include_str!("../../../../ui/index.html");

const SQL: &[Param] = &[
    Param::text("query", "the statement, where the body is not it"),
    Param::text("format", "the form of the answer: json (the default), ndjson, csv, tsv, arrow, parquet, pretty, …"),
    Param::text("min_watermark", "rows that the answer must have seen: `logs=123`, or one number; also `minWatermark`"),
    Param { name: "requireFresh", kind: Kind::Flag, about: "accepted; every answer is fresh" },
    Param {
        name: "max_rows",
        kind: Kind::Number { default: None, max: u64::MAX },
        about: "at most so many rows; also `maxRows`",
    },
    Param {
        name: "timeout_ms",
        kind: Kind::Number { default: None, max: u64::MAX },
        about: "milliseconds that it may take; also `timeoutMs`",
    },
    Param::text("param_{name}", "the value of `{name:Type}` in the statement; any name"),
];
const SQL_BODIES: &[&str] = &["application/json", "text/plain"];
const ROWS: &[&str] = &[
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.arrow.file",
];
/// Headers of whatever takes rows.
pub(crate) const WRITING: &[Param] = &[
    Param::text("x-tidegate-piece", "JSON: which rows of an older engine these are; sent by `tidegate migrate`"),
    Param::text("Idempotency-Key", "the same key with the same rows is a retry, and adds none"),
    Param {
        name: "Content-Encoding",
        kind: Kind::Word { words: &["identity", "gzip", "zstd"], default: true },
        about: "how the body is compressed",
    },
];

/// Routes the main API.
pub(crate) fn router(stages: Stages) -> Router {
    let stores = [
        datasets::routes(),
        exports::routes(),
        lifecycle::routes(),
        migrations::routes(),
        timestore::routes(),
        backups::routes(),
        telemetry::routes(),
        alerts::routes(),
        prometheus::routes(),
        crate::tracing::routes(),
    ];
    let own = routes().into_iter().chain(stores.into_iter().flatten());
    let table = own.chain(cardinality::routes()).collect();
    routes::router(table).fallback(unknown).method_not_allowed_fallback(wrong_method).with_state(stages)
}

/// The table of the main API, but for what is under `/api/v1` and `/v2`.
pub(crate) fn routes() -> Vec<Route> {
    const ANSWER: &[(u16, Gives)] = &[(200, Gives::One("SqlAnswer"))];
    const REFUSES: &[u16] = &[401, 403, 404, 406, 408, 409, 413, 429, 504];
    const DOCUMENT: &[(u16, Gives)] = &[(200, Gives::One("OpenApi"))];
    let read = get("/sql/read", "Answers a statement from stored and hot rows").takes(&[SQL]).gives(ANSWER);
    let read_posted = post("/sql/read", "Does the same with the statement in the body").takes(&[SQL]).gives(ANSWER);
    let ingest = post("/datasets/{slug}/ingest", "Takes rows of a dataset")
        .takes(&[rows::HEAD])
        .headers(WRITING)
        .sends(Sends::Media(ROWS))
        .gives(&[(201, Gives::One("RowsTaken")), (200, Gives::One("RowsTaken"))]);
    let ready = get("/ready", "Says whether a write would be acknowledged")
        .gives(&[(200, Gives::One("Ready")), (503, Gives::One("Ready"))]);
    let measures = get("/metrics", "Tells the server's own metrics, as Prometheus reads them");
    vec![
        get("/", "Shows the web page").gives(&[(200, Gives::Media(&["text/html"]))]).by(getting(async || Html(PAGE))),
        read.refuses(REFUSES).by(getting(sql::read)),
        read_posted.sends(Sends::Media(SQL_BODIES)).refuses(REFUSES).by(posting(sql::read)),
        get("/ledger", "Tells of each table: received = stored + hot + rejected + duplicate")
            .gives(&[(200, Gives::One("Ledgers"))])
            .by(getting(ledger::ledger)),
        post("/verify", "Recounts every stored batch in ClickHouse")
            .gives(&[(200, Gives::One("Verified"))])
            .refuses(&[504])
            .by(posting(ledger::verify)),
        get("/datasets", "Lists tables and datasets with their columns")
            .gives(&[(200, Gives::One("Datasets"))])
            .by(getting(ledger::datasets)),
        ingest.refuses(&[401, 403, 404, 408, 409, 413, 415, 429]).by(posting(rows::ingest)),
        get("/health", "Says that the server lives, and how its parts are")
            .gives(&[(200, Gives::One("ServerHealth"))])
            .by(getting(health::health)),
        ready.by(getting(health::ready)),
        measures.gives(&[(200, Gives::Media(&["text/plain"]))]).by(getting(health::metrics)),
        get("/openapi.json", "Tells this document").gives(DOCUMENT).by(getting(described)),
        get("/api-docs/openapi.json", "Tells this document").gives(DOCUMENT).by(getting(described)),
    ]
}

async fn described() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], routes::document()).into_response()
}

async fn unknown(State(stages): State<Stages>, uri: Uri) -> Response {
    if cardinality::has(uri.path()) {
        return cardinality::unknown(uri).await;
    }
    Failure::new(ErrorKind::NotFound, format!("there is nothing at {}", uri.path()))
        .with_hint("GET /openapi.json describes every route; OTLP has ports of its own")
        .answer(&stages.request_id())
}

async fn wrong_method(State(stages): State<Stages>, uri: Uri) -> Response {
    if cardinality::has(uri.path()) {
        return cardinality::wrong_method(uri).await;
    }
    if uri.path().starts_with(prometheus::PREFIX) {
        return prometheus::wrong_method(uri.path());
    }
    Failure::invalid(format!("this method is not known at {}", uri.path()))
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .with_hint("read with GET, ask for SQL with GET or POST")
        .answer(&stages.request_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_described_parameter_of_a_read_is_known() {
        for param in SQL {
            let value = match param.kind {
                Kind::Number { .. } => "1",
                Kind::Flag => "true",
                _ => "text",
            };
            let query = format!("{}={value}", param.name.replace("{name}", "own"));
            let body: &[u8] = if param.name == "query" { b"" } else { b"SELECT 1" };
            assert!(sql_parameters::parse(&query, false, body).is_ok(), "{query}");
        }
    }
}
