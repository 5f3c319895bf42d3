use tidegate_model::UnixNanos;

use crate::error::shown;
use crate::filter::Filter;
use crate::members::Members;
use crate::{Invalid, Json, SpanId, TraceId};

/// Traces or spans of one answer: more are read page by page.
const LIMIT_MAX: u32 = 10_000;
/// Ten years, in minutes.
const INTERVAL_MAX: u32 = 5_256_000;

/// What is asked of spans.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueryBody {
    /// Whole traces, or spans by themselves.
    pub focus: Option<Focus>,
    /// How traces are written.
    pub format: Option<Form>,
    /// Of which time, and how many.
    pub window: Window,
    /// Which of them.
    pub filter: Option<Filter>,
}

/// What an answer lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Focus {
    /// Whole traces, one of whose spans is meant.
    #[default]
    Trace,
    /// The spans that are meant.
    Span,
}

/// How traces are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Spans below each other, by their names.
    #[default]
    Agenta,
    /// A list of spans.
    OpenTelemetry,
}

/// Of which time, and how many.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// Not before.
    pub oldest: Option<UnixNanos>,
    /// Before.
    pub newest: Option<UnixNanos>,
    /// So many.
    pub limit: Option<u32>,
    /// In buckets of so many minutes.
    pub interval: Option<u32>,
    /// Of this share of the traces, from 0 to 1.
    pub rate: Option<f64>,
    /// Behind this one.
    pub next: Option<Cursor>,
    /// Oldest first; otherwise newest.
    pub is_ascending: bool,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The time of its last one.
    pub time: UnixNanos,
    /// Its trace.
    pub trace: TraceId,
    /// Its span.
    pub span: SpanId,
}

const WINDOW: &[&str] = &["oldest", "newest", "limit", "interval", "rate", "next", "order"];
const OWN: &[&str] = &["focus", "format", "filter", "filtering", "windowing", "formatting"];

impl QueryBody {
    /// Reads a body. `others` are members that the route knows beside these.
    pub fn read(body: &Json, others: &[&str]) -> Result<Self, Invalid> {
        let members = Members::of(body, "")?;
        members.known(&[OWN, WINDOW, others].concat())?;
        let formatting = members.get("formatting").map(|inner| Members::of(inner, "formatting")).transpose()?;
        if let Some(inner) = &formatting {
            inner.known(&["focus", "format"])?;
        }
        let word = |name: &str| {
            let inner = formatting.as_ref().map(|inner| inner.text(name)).transpose()?.flatten();
            Ok::<_, Invalid>(members.text(name)?.or(inner))
        };
        let focus =
            word("focus")?.map(|focus| one_of(focus, "focus", &[("trace", Focus::Trace), ("span", Focus::Span)]));
        let forms = [("agenta", Form::Agenta), ("opentelemetry", Form::OpenTelemetry)];
        let format = word("format")?.map(|format| one_of(format, "format", &forms));
        let named = if members.get("filtering").is_some() { "filtering" } else { "filter" };
        let filter = members.get(named).map(|filter| Filter::read(filter, named)).transpose()?;
        Ok(Self { focus: focus.transpose()?, format: format.transpose()?, window: Window::read(&members)?, filter })
    }

    /// Returns all that spans are narrowed down by, but for their time.
    #[must_use]
    pub fn conditions(&self) -> Filter {
        let all = self.filter.clone().unwrap_or(Filter::And(Vec::new()));
        match self.window.rate {
            Some(rate) => Filter::And(vec![all, Filter::Sample(rate * 100.0)]),
            None => all,
        }
    }
}

impl Window {
    /// Reads a window, whose members stand in `windowing` or beside it.
    fn read(members: &Members<'_>) -> Result<Self, Invalid> {
        let inner = members.get("windowing").map(|inner| Members::of(inner, "windowing")).transpose()?;
        if let Some(inner) = &inner {
            inner.known(WINDOW)?;
        }
        let within = |name: &str| inner.as_ref().filter(|inner| inner.get(name).is_some()).unwrap_or(members);
        let orders = [("ascending", true), ("asc", true), ("descending", false), ("desc", false)];
        let order = within("order").text("order")?;
        let window = Self {
            oldest: within("oldest").moment("oldest")?,
            newest: within("newest").moment("newest")?,
            limit: within("limit").whole("limit", (1, LIMIT_MAX))?,
            interval: within("interval").whole("interval", (1, INTERVAL_MAX))?,
            rate: within("rate").number("rate", (0.0, 1.0))?,
            next: within("next").parsed("next", Cursor::read)?,
            is_ascending: order.map(|order| one_of(order, "order", &orders)).transpose()?.unwrap_or(false),
        };
        match (window.oldest, window.newest) {
            (Some(oldest), Some(newest)) if oldest > newest => {
                let problem = format!("{oldest} is after `newest`, {newest}");
                Err(Invalid::at(within("oldest").place_of("oldest"), problem, "send the earlier time as `oldest`"))
            }
            _ => Ok(window),
        }
    }
}

impl Cursor {
    /// Reads the `next` of an answer.
    pub fn read(text: &str, place: &str) -> Result<Self, Invalid> {
        let wrong = || {
            let problem = format!("`{}` is no cursor", shown(text));
            Invalid::at(place, problem, "send `windowing.next` of an answer as it is, or leave it out")
        };
        let mut parts = text.split('_');
        let (Some(time), Some(trace), Some(span), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        Ok(Self {
            time: UnixNanos(time.parse().map_err(|_| wrong())?),
            trace: TraceId::read(trace, place).map_err(|_| wrong())?,
            span: SpanId::read(span, place).map_err(|_| wrong())?,
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}_{}", self.time.0, self.trace, self.span)
    }
}

fn one_of<T: Copy>(word: &str, place: &str, known: &[(&str, T)]) -> Result<T, Invalid> {
    known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        Invalid::at(place, format!("`{}` is none", shown(word)), format!("it is one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn read(text: &str) -> Result<QueryBody, String> {
        QueryBody::read(&parse(text).expect("JSON"), &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_window_stands_within_or_beside() {
        let one =
            read(r#"{"focus":"span","oldest":1769850000,"limit":5,"order":"ascending","rate":0.5}"#).expect("a body");
        let other = read(
            r#"{"formatting":{"focus":"span"},"windowing":{"oldest":"2026-01-31T09:00:00Z","limit":5,"order":"asc","rate":0.5}}"#,
        );
        assert_eq!(Ok(one.clone()), other);
        assert_eq!(one.conditions(), Filter::And(vec![Filter::And(vec![]), Filter::Sample(50.0)]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let check = |text: &str, wanted: &str| assert_eq!(read(text), Err(wanted.to_owned()));
        check(r#"{"focus":"tree"}"#, "focus: `tree` is none; it is one of trace, span");
        check(r#"{"limit":0}"#, "limit: 0 is out of range; send 1 to 10000");
        check(r#"{"windowing":{"limit":1.5}}"#, "windowing.limit: 1.5 is no whole number; send one without a fraction");
        check(r#"{"rate":2}"#, "rate: 2 is out of range; send 0 to 1");
        check(
            r#"{"windowing":{"olderst":1}}"#,
            "windowing.olderst: unknown field `olderst`; there are oldest, newest, limit, interval, rate, next, order",
        );
        check(
            r#"{"oldest":1769850001,"newest":1769850000}"#,
            "oldest: 2026-01-31T09:00:01Z is after `newest`, 2026-01-31T09:00:00Z; send the earlier time as `oldest`",
        );
        check(
            r#"{"next":"abc"}"#,
            "next: `abc` is no cursor; send `windowing.next` of an answer as it is, or leave it out",
        );
        assert!(
            read(r#"{"filters":{}}"#)
                .expect_err("unknown")
                .starts_with("filters: unknown field `filters`; there are focus, ")
        );
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let cursor = Cursor { time: UnixNanos(-5), trace: TraceId(7), span: SpanId::doubled(9) };
        assert_eq!(Cursor::read(&cursor.to_string(), "next"), Ok(cursor));
    }
}
