//! `/api/v1/*`: what existing clients of a cardinality checker ask for, by the names that they know.
//!
//! | file | answers |
//! |---|---|
//! | `metrics.rs` | `metrics`, `metrics/{name}` |
//! | `spans.rs` | `spans`, `spans/{name}`, `span-patterns` |
//! | `logs.rs` | `logs`, `logs/{severity}`, `logs/by-service`, `logs/service/…` |
//! | `patterns.rs` | `logs/patterns`, `logs/patterns/{severity}/{template}` |
//! | `events.rs` | `logs/patterns/events` |
//! | `services.rs` | `services`, `services/{name}/…`, `summary` |
//! | `attributes.rs` | `attributes`, `attributes/{key}`, `…/services`, `…/telemetry` |
//! | `watch/` | `attributes/{key}/watch` |
//! | `ranking.rs` | `cardinality/high`, `cardinality/complexity` |
//! | `system.rs` | `health`, `version`, `admin/clear` |

pub(super) mod attributes;
mod events;
pub(super) mod logs;
mod metrics;
pub(super) mod patterns;
pub(super) mod ranking;
pub(super) mod services;
pub(super) mod spans;
mod system;
pub(super) mod watch;

use tidegate_model::limits::CATALOG_HIGH_CARDINALITY;

use super::answer::asked;
use super::arguments::{PAGE_NUMBERS, PAGING, SCOPE, SERVICE, SIGNAL, VIEW};
use crate::routes::{Gives, Kind, Param, Route, delete, get, post};

const CARDINALITIES: &[Param] = &[
    Param::number("min_cardinality", 0, u64::MAX, "only keys with at least so many distinct values"),
    Param {
        name: "max_cardinality",
        kind: Kind::Number { default: None, max: u64::MAX },
        about: "only keys with at most so many distinct values",
    },
];
const SORTING: &[Param] = &[
    Param::word("sort_by", &["cardinality", "count", "first_seen", "last_seen", "key"], "the order"),
    DIRECTIONS[0],
    DIRECTIONS[1],
];
const DIRECTIONS: &[Param] = &[direction("sort_order"), direction("sort_direction")];
const WATCH: &[Param] = &[
    Param::word("sort_by", &["count", "value"], "the order"),
    DIRECTIONS[0],
    DIRECTIONS[1],
    Param::number("page", 1, u32::MAX as u64, "the page's number, from 1"),
    Param::number("page_size", 100, 10_000, "values of a page"),
    Param::text("q", "only values that begin so"),
];
const PATTERNS: &[Param] = &[
    Param::number("minCount", 10, u64::MAX, "only templates of at least so many records"),
    Param::number("minServices", 1, u64::MAX, "only templates of at least so many services"),
    Param { name: "min_count", kind: Kind::Number { default: None, max: u64::MAX }, about: "as `minCount`" },
    Param { name: "min_services", kind: Kind::Number { default: None, max: u64::MAX }, about: "as `minServices`" },
];
const RANKED: Param = Param::number("limit", 100, ranking::RANKED_MAX, "items; 0 for all");
const HIGH: &[Param] =
    &[Param::number("threshold", CATALOG_HIGH_CARDINALITY, u64::MAX, "the fewest distinct values"), RANKED];
const COMPLEX: &[Param] = &[Param::number("threshold", 10, u64::MAX, "the fewest keys"), RANKED];

const fn direction(name: &'static str) -> Param {
    let about = "numbers and times fall and texts rise, unless this says otherwise";
    Param { name, kind: Kind::Word { words: &["asc", "desc"], default: false }, about }
}

/// Routes `/api/v1` but for sessions.
pub(super) fn routes() -> Vec<Route> {
    [system(), items(), logs(), services(), attributes()].into_iter().flatten().collect()
}

fn system() -> Vec<Route> {
    vec![
        asked(get("/api/v1/health", "Tells how the server is").gives(&[(200, Gives::One("Health"))]), system::health),
        asked(get("/api/v1/version", "Tells the version").gives(&[(200, Gives::One("Version"))]), system::version),
        asked(
            post("/api/v1/admin/clear", "Ends all watches, and shows what is live")
                .gives(&[(200, Gives::One("Cleared"))]),
            system::clear,
        ),
    ]
}

/// Begins a route that reads the catalogue.
fn reads(path: &'static str, about: &'static str) -> Route {
    get(path, about).refuses(&[404, 429, 501, 504])
}

fn items() -> Vec<Route> {
    const ALL: &[&[Param]] = &[SERVICE, PAGING, VIEW];
    const ONE: &[&[Param]] = &[SERVICE, VIEW];
    let summary = reads("/api/v1/summary", "Tells how much there is of everything").takes(ONE);
    let metrics = reads("/api/v1/metrics", "Lists metrics").takes(ALL).gives(&[(200, Gives::Page("Metric"))]);
    let metric = reads("/api/v1/metrics/{*name}", "Tells of one metric").takes(ONE);
    let spans = reads("/api/v1/spans", "Lists span names").takes(ALL).gives(&[(200, Gives::Page("Span"))]);
    let span = reads("/api/v1/spans/{*name}", "Tells of one span name").takes(ONE);
    let patterns = reads("/api/v1/span-patterns", "Groups span names by their patterns").takes(ALL);
    let high = reads("/api/v1/cardinality/high", "Ranks keys by their distinct values");
    let complexity = reads("/api/v1/cardinality/complexity", "Ranks metrics, spans and severities by their keys");
    vec![
        asked(summary.gives(&[(200, Gives::One("Summary"))]), services::summary),
        asked(metrics, metrics::all),
        asked(metric.gives(&[(200, Gives::One("Metric"))]), metrics::one),
        asked(spans, spans::all),
        asked(span.gives(&[(200, Gives::One("Span"))]), spans::one),
        asked(patterns.gives(&[(200, Gives::One("SpanPatterns"))]), spans::patterns),
        asked(high.takes(&[HIGH, SIGNAL, SERVICE, VIEW]).gives(&[(200, Gives::One("HighCardinality"))]), ranking::high),
        asked(
            complexity.takes(&[COMPLEX, SIGNAL, SERVICE, VIEW]).gives(&[(200, Gives::One("Complexity"))]),
            ranking::complexity,
        ),
    ]
}

fn logs() -> Vec<Route> {
    const ALL: &[&[Param]] = &[SERVICE, PAGING, VIEW];
    let logs = reads("/api/v1/logs", "Lists severities").takes(ALL).gives(&[(200, Gives::Page("Log"))]);
    let log = reads("/api/v1/logs/{severity}", "Tells of one severity").takes(&[SERVICE, VIEW]);
    let by_service = reads("/api/v1/logs/by-service", "Counts records by service and severity").takes(ALL);
    let of_service = reads("/api/v1/logs/service/{service}/severity/{severity}", "Tells of one service's severity");
    let patterns = reads("/api/v1/logs/patterns", "Lists templates, the most frequent first");
    let events = reads("/api/v1/logs/patterns/events", "Lists templates that are new, and hours in which one jumped");
    let pattern = reads("/api/v1/logs/patterns/{severity}/{*template}", "Tells of a template, by its text or its id");
    vec![
        asked(logs, logs::all),
        asked(log.gives(&[(200, Gives::One("Log"))]), logs::one),
        asked(by_service.gives(&[(200, Gives::Page("LogsOfService"))]), logs::by_service),
        asked(of_service.takes(&[VIEW]).gives(&[(200, Gives::One("Log"))]), logs::of_service),
        asked(
            patterns.takes(&[PATTERNS, SERVICE, PAGING, VIEW]).gives(&[(200, Gives::One("LogPatterns"))]),
            patterns::all,
        ),
        asked(pattern.takes(&[SERVICE, VIEW]).gives(&[(200, Gives::One("LogPattern"))]), patterns::one),
        asked(
            events.takes(&[events::EVENTS, SERVICE, PAGING, VIEW]).gives(&[(200, Gives::One("TemplateEvents"))]),
            events::all,
        ),
    ]
}

fn services() -> Vec<Route> {
    let all = reads("/api/v1/services", "Lists services").gives(&[(200, Gives::Page("Name"))]);
    let overview = reads("/api/v1/services/{name}/overview", "Tells what a service sends, a page of each kind");
    let keys = reads("/api/v1/services/{name}/attributes", "Lists the attributes of a service");
    vec![
        asked(all.takes(&[PAGING, VIEW]), services::all),
        asked(overview.takes(&[PAGING, VIEW]).gives(&[(200, Gives::One("ServiceOverview"))]), services::overview),
        asked(keys.takes(&[PAGING, VIEW]).gives(&[(200, Gives::One("ServiceAttributes"))]), services::keys),
    ]
}

fn attributes() -> Vec<Route> {
    let all =
        reads("/api/v1/attributes", "Lists attributes over all signals").gives(&[(200, Gives::Page("Attribute"))]);
    let one = reads("/api/v1/attributes/{key}", "Tells of one attribute");
    let services = reads("/api/v1/attributes/{key}/services", "Tells who sends an attribute");
    let telemetry =
        reads("/api/v1/attributes/{key}/telemetry", "Tells which metrics, spans and logs have an attribute");
    let begin = post("/api/v1/attributes/{key}/watch", "Begins to count each value of an attribute");
    let show = reads("/api/v1/attributes/{key}/watch", "Tells the counts since the watch began");
    let end = delete("/api/v1/attributes/{key}/watch", "Ends the watch").gives(&[(204, Gives::Nothing)]);
    vec![
        asked(
            all.takes(&[SIGNAL, SCOPE, CARDINALITIES, SORTING, SERVICE, PAGING, PAGE_NUMBERS, VIEW]),
            attributes::all,
        ),
        asked(one.takes(&[SERVICE, VIEW]).gives(&[(200, Gives::One("OneAttribute"))]), attributes::one),
        asked(services.takes(&[VIEW]).gives(&[(200, Gives::One("AttributeServices"))]), attributes::services),
        asked(
            telemetry.takes(&[SERVICE, VIEW]).gives(&[(200, Gives::One("AttributeTelemetry"))]),
            attributes::telemetry,
        ),
        asked(begin.gives(&[(200, Gives::One("WatchBegun"))]).refuses(&[409, 429]), watch::begin),
        asked(show.takes(&[WATCH]).gives(&[(200, Gives::One("Watch"))]), watch::show),
        asked(end.refuses(&[404]), watch::end),
    ]
}
