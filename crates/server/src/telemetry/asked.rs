use std::time::Duration;

use tidegate_core::query::telemetry::{
    Aggregate, Asking, Paging, PointBuckets, PointFilter, RecordFilter, RecordKind, RedBuckets, SpanFilter, Step,
    moment,
};
use tidegate_model::UnixNanos;
use tidegate_model::limits::{TELEMETRY_ROWS, TELEMETRY_ROWS_MAX};

use crate::datasets::parameters;
use crate::errors::Failure;
use crate::routes::{Kind, Param};

/// Times, and where to look.
pub(super) const SPAN: &[Param] = &[
    Param { name: "from", kind: Kind::Time, about: "not before" },
    Param { name: "to", kind: Kind::Time, about: "before" },
    Param::text("source", "from this service; several: the parameter again"),
    Param::text("resource", "`key=value` among the attributes of the resource; several must all be there"),
];
/// What tells log records.
pub(super) const RECORDS: &[Param] = &[
    Param::text("level", "of this level, in any case: ERROR, or UNSET; several: the parameter again"),
    Param::text("text", "the message has all these words of letters and digits, in any case and order"),
    Param::text("attribute", "`key=value` among the record's attributes; several must all be there"),
    Param::text("trace_id", "of this trace"),
    Param::text("agent_id", "from this agent"),
    Param::text("session_id", "of this session"),
];
/// What tells events beside that.
pub(super) const EVENTS: &[Param] = &[Param::text("event_type", "of this kind; several: the parameter again")];
/// What tells data points.
pub(super) const POINTS: &[Param] = &[
    Param::text("metric_name", "of this metric; several: the parameter again"),
    Param::text("tag", "`key=value` among the attributes of the series; several must all be there"),
];
/// Pages.
pub(super) const PAGE: &[Param] = &[
    Param::number("limit", TELEMETRY_ROWS, TELEMETRY_ROWS_MAX, "rows of a page"),
    Param::text("cursor", "`next_cursor` of the page before this one"),
    Param::word("order", &["desc", "asc"], "newest or oldest first"),
];
/// Pages of what is in memory.
pub(super) const HOT: &[Param] = &[Param::word(
    "hot_only",
    &["false", "true"],
    "only rows that ClickHouse does not have yet, without asking it: while it is away",
)];
/// What every read takes.
pub(super) const READ: &[Param] = &[
    Param::text("min_watermark", "rows that the answer must have seen: `logs=123`"),
    Param {
        name: "timeout_ms",
        kind: Kind::Number { default: None, max: u64::MAX },
        about: "milliseconds that it may take",
    },
];
/// Buckets of time.
pub(super) const BUCKETS: &[Param] = &[
    Param::word("aggregation", &["hour", "day", "minute"], "how long a bucket is"),
    Param::text(
        "functions",
        "of avg, max, min, sum, count, last and rate, with commas between; without it all but rate",
    ),
    Param::text("quantiles", "of 0 to 1, with commas between: `0.5,0.99` tells `p50` and `p99`"),
];
/// What tells spans.
pub(super) const SPANS: &[Param] = &[
    Param::text("operation", "with this name; several: the parameter again"),
    Param::text(
        "kind",
        "of this kind, in any case: SERVER, CLIENT, INTERNAL, PRODUCER, CONSUMER; several: the parameter again",
    ),
];
/// What is told of requests, errors and durations.
pub(super) const RED: &[Param] = &[
    Param::word("aggregation", &["all", "minute", "hour", "day"], "how long a bucket is, or all time together"),
    Param::text(
        "quantiles",
        "of 0 to 1, with commas between: `0.5,0.99` tells `p50` and `p99`, exact, read from the spans",
    ),
    Param::word("histogram", &["false", "true"], "whether durations are counted by powers of two"),
];

/// The parameters of a request, each taken once.
pub(super) struct Asked {
    given: Vec<(String, String)>,
}

impl Asked {
    /// Reads a query string; refuses names that the route does not know.
    pub(super) fn parse(query: Option<&str>, known: &[&[Param]]) -> Result<Self, Failure> {
        Ok(Self { given: parameters(query, known)? })
    }

    /// Returns a filter of log records or events.
    pub(super) fn records(&self, kind: RecordKind) -> Result<RecordFilter, Failure> {
        let filter = RecordFilter {
            from: self.time("from")?,
            to: self.time("to")?,
            levels: self.all("level").map(str::to_ascii_uppercase).collect(),
            sources: self.all("source").map(str::to_owned).collect(),
            event_types: match kind {
                RecordKind::Logs => Vec::new(),
                RecordKind::Events => self.all("event_type").map(str::to_owned).collect(),
            },
            words: Vec::new(),
            attributes: self.pairs("attribute")?,
            resource: self.pairs("resource")?,
            trace_id: self.one("trace_id").map(str::to_ascii_lowercase),
            session_id: self.one("session_id").map(str::to_owned),
            agent_id: self.one("agent_id").map(str::to_owned),
        };
        match self.one("text") {
            Some(text) => Ok(filter.with_text(text)?),
            None => Ok(filter),
        }
    }

    /// Returns a filter of data points.
    pub(super) fn points(&self) -> Result<PointFilter, Failure> {
        Ok(PointFilter {
            from: self.time("from")?,
            to: self.time("to")?,
            names: self.all("metric_name").map(str::to_owned).collect(),
            sources: self.all("source").map(str::to_owned).collect(),
            tags: self.pairs("tag")?,
            resource: self.pairs("resource")?,
        })
    }

    /// Returns a filter of spans.
    pub(super) fn spans(&self) -> Result<SpanFilter, Failure> {
        Ok(SpanFilter {
            from: self.time("from")?,
            to: self.time("to")?,
            services: self.all("source").map(str::to_owned).collect(),
            operations: self.all("operation").map(str::to_owned).collect(),
            kinds: self.all("kind").map(str::to_ascii_uppercase).collect(),
            resource: self.pairs("resource")?,
        })
    }

    /// Returns what is asked of spans.
    pub(super) fn red(&self) -> Result<RedBuckets, Failure> {
        let step = match self.one("aggregation").unwrap_or("all") {
            "all" => None,
            "minute" => Some(Step::Minute),
            "hour" => Some(Step::Hour),
            "day" => Some(Step::Day),
            other => {
                return Err(Failure::invalid(format!(
                    "`aggregation` is `all`, `minute`, `hour` or `day`, it is `{other}`"
                )));
            }
        };
        let histogram = match self.one("histogram").unwrap_or("false") {
            "true" => true,
            "false" => false,
            other => return Err(Failure::invalid(format!("`histogram` is `true` or `false`, it is `{other}`"))),
        };
        Ok(RedBuckets { step, quantiles: self.quantiles()?, histogram })
    }

    fn quantiles(&self) -> Result<Vec<f64>, Failure> {
        let part = |part: &str| {
            let number = part.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
            number.ok_or_else(|| Failure::invalid(format!("`quantiles` are numbers from 0 to 1, `{part}` is none")))
        };
        split(self.one("quantiles").unwrap_or_default()).map(part).collect()
    }

    pub(super) fn paging(&self) -> Result<Paging, Failure> {
        let rises = match self.one("order") {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(other) => return Err(Failure::invalid(format!("`order` is `asc` or `desc`, it is `{other}`"))),
        };
        let limit = self.number("limit")?.unwrap_or(TELEMETRY_ROWS);
        Ok(Paging { limit, cursor: self.one("cursor").map(str::to_owned), rises })
    }

    /// Says whether only rows in memory are asked for; these have no pages behind the first.
    pub(super) fn hot_only(&self) -> Result<bool, Failure> {
        match (self.one("hot_only"), self.one("cursor")) {
            (Some("true"), Some(_)) => Err(Failure::invalid("`hot_only` has one page: leave `cursor` out")),
            (Some("true"), None) => Ok(true),
            (None | Some("false"), _) => Ok(false),
            (Some(other), _) => Err(Failure::invalid(format!("`hot_only` is `true` or `false`, it is `{other}`"))),
        }
    }

    pub(super) fn asking(&self, id: &str) -> Result<Asking, Failure> {
        Ok(Asking {
            query_id: id.to_owned(),
            timeout: self.number("timeout_ms")?.map(Duration::from_millis),
            min_watermark: self.one("min_watermark").map(str::to_owned),
        })
    }

    pub(super) fn buckets(&self) -> Result<PointBuckets, Failure> {
        let step = match self.one("aggregation").unwrap_or("hour") {
            "minute" => Step::Minute,
            "hour" => Step::Hour,
            "day" => Step::Day,
            other => {
                return Err(Failure::invalid(format!("`aggregation` is `minute`, `hour` or `day`, it is `{other}`")));
            }
        };
        let mut aggregates = Vec::new();
        for word in split(self.one("functions").unwrap_or("avg,max,min,sum,count,last")) {
            let all = [
                Aggregate::Avg,
                Aggregate::Max,
                Aggregate::Min,
                Aggregate::Sum,
                Aggregate::Count,
                Aggregate::Last,
                Aggregate::Rate,
            ];
            let found = all.into_iter().find(|one| one.name() == word).ok_or_else(|| {
                Failure::invalid(format!("`functions` are avg, max, min, sum, count, last and rate, `{word}` is none"))
            })?;
            aggregates.push(found);
        }
        aggregates.extend(self.quantiles()?.into_iter().map(Aggregate::Quantile));
        if aggregates.is_empty() {
            return Err(Failure::invalid("`functions` and `quantiles` ask for nothing"));
        }
        Ok(PointBuckets { step, aggregates })
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.given.iter().filter(move |(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub(super) fn one(&self, name: &'static str) -> Option<&str> {
        self.given.iter().rfind(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn pairs(&self, name: &'static str) -> Result<Vec<(String, String)>, Failure> {
        let pair = |text: &str| {
            let found = text.split_once('=').filter(|(key, _)| !key.is_empty());
            let found = found.map(|(key, value)| (key.to_owned(), value.to_owned()));
            found.ok_or_else(|| Failure::invalid(format!("`{name}` is `key=value`, it is `{text}`")))
        };
        self.all(name).map(pair).collect()
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let number = text.parse();
        number.map(Some).map_err(|_| Failure::invalid(format!("`{name}` is a whole number, it is `{text}`")))
    }

    pub(super) fn time(&self, name: &'static str) -> Result<Option<UnixNanos>, Failure> {
        let Some(text) = self.one(name) else { return Ok(None) };
        let wrong = || format!("`{name}` is a time such as 2026-01-31T09:00:00Z or a Unix time, it is `{text}`");
        moment(text).map(Some).ok_or_else(|| Failure::invalid(wrong()))
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked, Failure> {
        Asked::parse(Some(query), &[SPAN, RECORDS, EVENTS, POINTS, PAGE, READ, BUCKETS])
    }

    #[test]
    fn a_filter_is_what_the_parameters_say() {
        let query = "from=2026-01-31T09:00:00Z&to=1769853600000&level=error&level=warn&source=a&text=Disk,+full&\
                     attribute=user.id%3D7%3D8&attribute=k=&trace_id=0AF7&event_type=x";
        let filter = asked(query).expect("parameters").records(RecordKind::Events).expect("a filter");
        assert_eq!(filter.from.map(|time| time.to_string()).as_deref(), Some("2026-01-31T09:00:00Z"));
        assert_eq!(filter.to.map(|time| time.to_string()).as_deref(), Some("2026-01-31T10:00:00Z"));
        assert_eq!(
            (filter.levels, filter.words),
            (vec!["ERROR".into(), "WARN".into()], vec!["disk".into(), "full".into()])
        );
        assert_eq!(filter.attributes, [("user.id".into(), "7=8".into()), ("k".into(), String::new())]);
        assert_eq!((filter.trace_id.as_deref(), filter.event_types), (Some("0af7"), vec!["x".to_owned()]));
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_name() {
        let refused = |query: &str| {
            let failure = asked(query).and_then(|asked| {
                asked.records(RecordKind::Logs)?;
                asked.paging()?;
                asked.asking("id")?;
                asked.buckets().map(drop)
            });
            failure.expect_err(query).message
        };
        for (query, part) in [
            ("from=yesterday", "`from`"),
            ("limit=x", "`limit`"),
            ("order=up", "`order`"),
            ("attribute=key", "`attribute`"),
            ("text=,;", "`text`"),
            ("functions=mean", "`mean`"),
            ("quantiles=2", "`2`"),
            ("functions=,", "ask for nothing"),
            ("lvl=ERROR", "`lvl`"),
        ] {
            assert!(refused(query).contains(part), "{query}");
        }
    }
}
