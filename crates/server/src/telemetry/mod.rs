//! Logs, metrics and events as plain JSON: entries go in, entries come out, and new ones are followed.
//!
//! | file | holds |
//! |---|---|
//! | `entries.rs` | entries go in |
//! | `asked.rs` | the parameters of reads |
//! | `reads.rs` | pages, counts, buckets of time |
//! | `traces.rs` | traces, two of them compared, calls between services, spans as lines |
//! | `tail.rs` | new log records and events, as they are acknowledged |
//! | `shapes.rs` | the answers' JSON schemas |

mod asked;
mod entries;
mod reads;
mod shapes;
mod tail;
mod traces;

use axum::routing::get as getting;
use tidegate_core::ingest::plain::PlainKind;
use tidegate_core::query::telemetry::RecordKind;

use crate::api::WRITING;
use crate::routes::{Gives, Param, Route, Sends, get, post};

use asked::{BUCKETS, EVENTS, HOT, PAGE, POINTS, READ, RECORDS, RED, SPAN, SPANS};

pub(crate) use shapes::shapes;
pub(crate) use tail::Stopping;

/// Entries may come in any of these.
const ENTRIES: &[&str] = &["application/json", "application/x-ndjson"];
/// What requests with entries say beside them.
const HEADERS: &[Param] = &[WRITING[1], WRITING[2]];

/// The table of these routes.
pub(crate) fn routes() -> Vec<Route> {
    const TAKEN: &[(u16, Gives)] = &[(201, Gives::One("EntriesTaken")), (200, Gives::One("EntriesTaken"))];
    let taking = |path, about, kind| {
        let route = post(path, about).headers(HEADERS).sends(Sends::Media(ENTRIES)).gives(TAKEN);
        route.refuses(&[408, 409, 413, 415, 429]).by(entries::taking(kind))
    };
    let reading = |path, about, takes, gives| get(path, about).takes(takes).gives(gives).refuses(&[409, 429, 504]);
    let own = vec![
        taking("/v1/json/logs", "Takes log entries: one, an array, or one a line", PlainKind::Logs),
        taking("/v1/json/metrics", "Takes metric entries: one, an array, or one a line", PlainKind::Metrics),
        taking("/v1/json/events", "Takes event entries: one, an array, or one a line", PlainKind::Events),
        reading(
            "/v1/json/logs",
            "Lists log entries",
            &[SPAN, RECORDS, PAGE, HOT, READ],
            &[(200, Gives::One("LogPage"))],
        )
        .by(getting(reads::logs)),
        reading(
            "/v1/json/logs/stats",
            "Counts log entries by level",
            &[SPAN, RECORDS, READ],
            &[(200, Gives::One("LogStats"))],
        )
        .by(getting(reads::log_stats)),
        reading(
            "/v1/json/events",
            "Lists events",
            &[SPAN, RECORDS, EVENTS, PAGE, HOT, READ],
            &[(200, Gives::One("EventPage"))],
        )
        .by(getting(reads::events)),
        reading(
            "/v1/json/events/stats",
            "Counts events by their kind",
            &[SPAN, RECORDS, EVENTS, READ],
            &[(200, Gives::One("EventStats"))],
        )
        .by(getting(reads::event_stats)),
        reading(
            "/v1/json/metrics",
            "Lists data points",
            &[SPAN, POINTS, PAGE, READ],
            &[(200, Gives::One("PointPage"))],
        )
        .by(getting(reads::points)),
        reading(
            "/v1/json/metrics/aggregations",
            "Sums data points up over time",
            &[SPAN, POINTS, BUCKETS, READ],
            &[(200, Gives::One("PointBuckets"))],
        )
        .by(getting(reads::buckets)),
        of_spans(),
    ];
    own.into_iter().chain(tails()).chain(traces::routes()).collect()
}

fn of_spans() -> Route {
    const TOLD: &[(u16, Gives)] = &[(200, Gives::One("RedBuckets"))];
    let route = get("/v1/json/spans/red", "Tells requests, errors and durations of operations");
    route.takes(&[SPAN, SPANS, RED, READ]).gives(TOLD).refuses(&[409, 429, 504]).by(getting(reads::red))
}

fn tails() -> [Route; 2] {
    const STREAM: &[(u16, Gives)] = &[(200, Gives::Media(&["text/event-stream"]))];
    let following = |path, about, takes, kind| {
        get(path, about).takes(takes).gives(STREAM).refuses(&[429]).by(tail::following(kind))
    };
    [
        following(
            "/v1/json/logs/tail",
            "Sends log entries as they are acknowledged",
            &[SPAN, RECORDS],
            RecordKind::Logs,
        ),
        following(
            "/v1/json/events/tail",
            "Sends events as they are acknowledged",
            &[SPAN, RECORDS, EVENTS],
            RecordKind::Events,
        ),
    ]
}
