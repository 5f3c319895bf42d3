//! Log templates that are new, and hours in which one came far more often than before: worked out at each read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::answer::{Answer, Ask, List, OVERFLOW, list, say_exact};
use super::super::read::{Filter, Sql};
use super::super::templates::Roots;
use super::super::window::{Window, rfc3339};
use crate::errors::Failure;
use crate::routes::{Kind, Param};

const SECONDS_PER_HOUR: u64 = 3_600;
const NANOS: i64 = 1_000_000_000;
/// A quarter: the past that an hour is compared with is held in memory, hour by hour and template by template.
const HOURS_MAX: u64 = 24 * 92;

/// The parameters beside window, service and page.
pub(super) const EVENTS: &[Param] = &[
    Param::word("kind", &["all", "new_template", "count_jump"], "which events"),
    Param::number("hours", 24, HOURS_MAX, "hours before it that an hour is compared with"),
    Param::number("min_hours", 3, HOURS_MAX, "how many of them there must be since the template began"),
    Param::number("min_count", 10, u64::MAX, "the least count of a jump's hour"),
    Param { name: "min_factor", kind: Kind::Decimal { default: 2.0 }, about: "the least multiple of the median" },
    Param { name: "min_score", kind: Kind::Decimal { default: 3.5 }, about: "the least modified z-score" },
];

/// When a count is a jump: all four must hold.
#[derive(Debug)]
struct Rule {
    /// The hours before it that an hour is compared with.
    hours: u64,
    /// How many of them there must be since the template was first seen.
    hours_min: u64,
    /// The least count of the hour.
    count_min: u64,
    /// The least multiple of the median.
    factor_min: f64,
    /// The least modified z-score.
    score_min: f64,
}

#[derive(Debug, Deserialize)]
struct Event {
    kind: String,
    root: u64,
    at: i64,
    n: u64,
    first_time: i64,
    services: Vec<String>,
    previous: u64,
    // Absent where an hour has no past: ClickHouse's `nan` is written as null.
    median: Option<f64>,
    mad: Option<f64>,
    score: Option<f64>,
}

/// Answers `GET logs/patterns/events`, the newest first.
pub(in super::super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page, rule) = (ask.filter()?, ask.arguments.page(), Rule::of(&ask)?);
    let kind = ask.arguments.word("kind").unwrap_or_default();
    let roots = ask.reader.roots().await?;
    let inner = statement(&filter, &rule);
    let bind = |sql: String| rule.bind(roots.bind(Sql::new(sql)).filtered(&filter)).text("kind", kind);
    let columns = "kind, root, at, n, first_time, services, previous, median, mad, score";
    let ranked = ask.reader.ranked::<Event>((columns, &inner, "at DESC, n DESC, root, kind DESC"), bind, page).await?;
    let texts = ask.reader.template_texts(ranked.rows.iter().map(|event| event.root).collect::<BTreeSet<_>>()).await?;
    let capped = ranked.rows.iter().any(|event| texts.get(&event.root).is_some_and(|text| text == OVERFLOW));
    let data = ranked.rows.iter().map(|event| told(event, &texts)).collect();
    let list = list(data, page, ranked.total, ranked.samples, capped);
    Answer::told(&Events { list, rule: rule.told() })
}

#[derive(Debug, Serialize)]
struct Events {
    #[serde(flatten)]
    list: List<Value>,
    rule: Value,
}

impl Rule {
    fn of(ask: &Ask) -> Result<Self, Failure> {
        let arguments = &ask.arguments;
        let rule = Self {
            hours: arguments.number("hours").unwrap_or_default(),
            hours_min: arguments.number("min_hours").unwrap_or_default(),
            count_min: arguments.number("min_count").unwrap_or_default(),
            factor_min: arguments.decimal("min_factor"),
            score_min: arguments.decimal("min_score"),
        };
        if rule.hours_min == 0 || rule.hours < rule.hours_min {
            return Err(Failure::invalid(format!(
                "`min_hours` is at least 1 and at most `hours`: they are {} and {}",
                rule.hours_min, rule.hours
            )));
        }
        Ok(rule)
    }

    fn bind(&self, sql: Sql) -> Sql {
        let sql = sql.number("hours", self.hours).number("hours_min", self.hours_min);
        let sql = sql.number("count_min", self.count_min);
        sql.text("factor_min", &self.factor_min.to_string()).text("score_min", &self.score_min.to_string())
    }

    fn told(&self) -> Value {
        json!({
            "hours": self.hours,
            "min_hours": self.hours_min,
            "min_count": self.count_min,
            "min_factor": self.factor_min,
            "min_score": self.score_min,
        })
    }
}

/// Returns the statement: hours of each template, each with the hours before it; hours without records count 0.
fn statement(filter: &Filter, rule: &Rule) -> String {
    let root = Roots::SQL;
    // The past of the first hour lies before the window; when a template began is a question about all time.
    let past = filter.window.from.map(|from| from - i64::try_from(rule.hours * SECONDS_PER_HOUR).unwrap_or(from));
    let until = Filter { window: Window { from: None, ..filter.window }, ..filter.clone() }.condition();
    let since = Filter { window: Window { from: past, ..filter.window }, ..filter.clone() }.condition();
    let from = filter.window.from.unwrap_or(i64::MIN);
    // Absurd times share the hour 0.
    let logs = "FROM catalog_signals WHERE signal = 'logs' AND template_id != 0 AND hour > toDateTime64(0, 9, 'UTC')";
    let frame = rule.hours * SECONDS_PER_HOUR;
    let median = "arrayReduce('quantileExactInclusive(0.5)', ";
    format!(
        "SELECT kind, root, at, n, first_time, services, previous, median, mad, score FROM (\
         SELECT root, at, n, first_time, services, \
         least({{hours:UInt64}}, intDiv(at - began, {SECONDS_PER_HOUR})) AS previous, \
         arrayResize(before, previous, 0) AS past, {median}past) AS median, \
         {median}arrayMap(count -> abs(count - median), past)) AS mad, \
         (n - median) / greatest(1.4826 * mad, sqrt(median), 1) AS score, \
         previous >= {{hours_min:UInt64}} AND n >= {{count_min:UInt64}} AND n >= {{factor_min:Float64}} * median \
         AND score >= {{score_min:Float64}} AS is_jump, \
         arrayConcat(if(at = began, ['new_template'], []), if(is_jump, ['count_jump'], [])) AS kinds \
         FROM (SELECT *, groupArray(n) OVER (PARTITION BY root ORDER BY at \
         RANGE BETWEEN {frame} PRECEDING AND 1 PRECEDING) AS before FROM (\
         SELECT {root} AS root, toInt64(toUnixTimestamp(hour)) AS at, sum(records) AS n, \
         toUnixTimestamp64Nano(min(first_timestamp)) AS first_time, \
         arraySort(groupUniqArray(toString(service_name))) AS services {logs}{since} GROUP BY root, at)) AS hours \
         JOIN (SELECT {root} AS root, toInt64(toUnixTimestamp(min(hour))) AS began {logs}{until} GROUP BY root) \
         AS beginnings USING (root) WHERE at >= {from}) \
         ARRAY JOIN kinds AS kind WHERE {{kind:String}} IN ('all', kind)"
    )
}

fn told(event: &Event, texts: &BTreeMap<u64, String>) -> Value {
    let template = texts.get(&event.root).map_or("", String::as_str);
    let mut value = json!({
        "kind": event.kind,
        "template": template,
        "template_id": event.root.to_string(),
        "hour": rfc3339(event.at.saturating_mul(NANOS)),
        "first_seen": rfc3339(event.first_time),
        "count": event.n,
        "services": event.services,
    });
    if event.kind == "count_jump" {
        value["previous_hours"] = json!(event.previous);
        value["median"] = json!(event.median);
        value["mad"] = json!(event.mad);
        value["score"] = json!(event.score);
    }
    say_exact(&mut value, template == OVERFLOW);
    value
}
