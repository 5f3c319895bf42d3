use std::collections::BTreeSet;
use std::io::{self, Write};

use super::answer::{Segment, Span, Trace};
use super::{cut, plain, took};

/// Lines that a person reads.
const LINES_SHOWN: usize = 200;

/// Deeper spans are not set in further; their depth is written.
const DEPTH_SHOWN: usize = 16;

/// Bars shorter than this say nothing.
const BAR_CHARS_MIN: usize = 10;

const RED: &str = "\u{1b}[31m";
const RESET: &str = "\u{1b}[0m";

/// How a trace is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// Characters of a line.
    pub(super) width: usize,
    pub(super) has_colours: bool,
    /// Every span is drawn, however many they are.
    pub(super) all: bool,
}

/// Draws a trace: a line a span, bars over its time.
pub(super) fn write(trace: &Trace, shown: &Shown, out: &mut impl Write) -> io::Result<()> {
    write_head(trace, out)?;
    let chosen = if shown.all { (0..trace.spans.len()).collect() } else { chosen(trace) };
    let labels: Vec<String> = chosen.iter().map(|at| label(&trace.spans[*at])).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let times: Vec<String> = chosen.iter().map(|at| took(trace.spans[*at].duration_ns)).collect();
    let time = times.iter().map(|time| time.chars().count()).max().unwrap_or(0);
    let name = longest.min((shown.width / 2).max(20));
    // Two marks, and blanks between the three columns.
    let bar = shown.width.saturating_sub(name + time + 5).max(BAR_CHARS_MIN);
    let mut waited = vec![Vec::new(); trace.spans.len()];
    for segment in &trace.critical_path.segments {
        if let Some(of_span) = waited.get_mut(segment.span) {
            of_span.push(segment);
        }
    }
    for ((at, label), took) in chosen.iter().zip(&labels).zip(&times) {
        let span = &trace.spans[*at];
        let is_error = span.status == "ERROR";
        let marks = format!("{}{}", if span.on_critical_path { '*' } else { ' ' }, if is_error { '!' } else { ' ' });
        let bar = draw(span, &waited[*at], (trace.duration_ns, bar));
        let line = format!("{marks} {:<name$} {took:>time$} {bar}", cut(label, name));
        let line = line.trim_end();
        if is_error && shown.has_colours { writeln!(out, "{RED}{line}{RESET}") } else { writeln!(out, "{line}") }?;
    }
    write_left_out(trace.spans.len() - chosen.len(), trace.spans.len(), out)?;
    writeln!(out, "* on the critical path, where the bar is █; ! failed")
}

/// Lists what a trace waited for.
pub(super) fn write_path(trace: &Trace, all: bool, out: &mut impl Write) -> io::Result<()> {
    write_head(trace, out)?;
    let segments = &trace.critical_path.segments;
    let shown = if all { segments.len() } else { segments.len().min(LINES_SHOWN) };
    writeln!(out, "critical path, {} in {} stretches:", took(trace.critical_path.duration_ns), segments.len())?;
    for Segment { span, start_offset_ns, duration_ns } in &segments[..shown] {
        let Some(span) = trace.spans.get(*span) else { continue };
        let mark = if span.status == "ERROR" { '!' } else { ' ' };
        let (start, took) = (took(*start_offset_ns), took(*duration_ns));
        writeln!(out, "{mark} +{start:<10} {took:>10} {}", label(span))?;
    }
    if shown < segments.len() {
        writeln!(out, "{} of {} stretches are not shown: --all shows them", segments.len() - shown, segments.len())?;
    }
    Ok(())
}

fn write_head(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    let (spans, services) = (trace.spans.len(), trace.services.len());
    let many = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    writeln!(
        out,
        "trace {} at {}: {}, {} of {}, {} failed",
        plain(&trace.trace_id),
        plain(&trace.start),
        took(trace.duration_ns),
        many(spans, "span"),
        many(services, "service"),
        trace.errors
    )?;
    let odd = [
        (trace.orphans, "with a parent that is not there, shown as roots"),
        (trace.cycles, "their own ancestors, shown as roots"),
        (trace.doubled, "with another span's id"),
    ];
    for (count, what) in odd.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "{count} {what}")?;
    }
    Ok(())
}

/// Chooses which spans are drawn, in their order: those on the critical path, then failed ones, then the longest.
fn chosen(trace: &Trace) -> Vec<usize> {
    let mut all: Vec<usize> = (0..trace.spans.len()).collect();
    if all.len() > LINES_SHOWN {
        all.sort_by_key(|at| {
            let span = &trace.spans[*at];
            let reversed = (span.on_critical_path, span.status == "ERROR", span.duration_ns);
            (std::cmp::Reverse(reversed), *at)
        });
        all.truncate(LINES_SHOWN);
        all.sort_unstable();
    }
    all
}

fn write_left_out(left_out: usize, all: usize, out: &mut impl Write) -> io::Result<()> {
    if left_out == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "{left_out} of {all} spans are not shown (those on the critical path come first, then failed ones, then the \
         longest): --all shows them"
    )
}

fn label(span: &Span) -> String {
    let set_in = "  ".repeat(span.depth.min(DEPTH_SHOWN));
    let depth = if span.depth > DEPTH_SHOWN { format!("({}) ", span.depth) } else { String::new() };
    let place = match span.place.as_str() {
        "orphan" => " (orphan)",
        "cycle" => " (cycle)",
        _ => "",
    };
    format!("{set_in}{depth}{}: {}{place}", plain(&span.service), plain(&span.name))
}

/// Draws a span's time, at least one character of it; solid where the trace waited for it.
fn draw(span: &Span, waited: &[&Segment], (whole, chars): (i64, usize)) -> String {
    let cells = |start: i64, took: i64| {
        let first = cell(start, whole, chars).min(chars - 1);
        first..cell(start.saturating_add(took), whole, chars).max(first + 1)
    };
    let own = cells(span.start_offset_ns, span.duration_ns);
    let solid: BTreeSet<usize> =
        waited.iter().flat_map(|segment| cells(segment.start_offset_ns, segment.duration_ns)).collect();
    let one = |at| match () {
        () if solid.contains(&at) => '█',
        () if own.contains(&at) => '░',
        () => ' ',
    };
    (0..own.end).map(one).collect()
}

/// Returns the character in which a moment of the trace is.
fn cell(offset: i64, whole: i64, chars: usize) -> usize {
    let chars_wide = i128::try_from(chars).unwrap_or(i128::MAX);
    let at = i128::from(offset) * chars_wide / i128::from(whole.max(1));
    usize::try_from(at).unwrap_or(0).min(chars)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    use super::*;

    fn span(depth: usize, name: &str, (start, took): (i64, i64), on_critical_path: bool) -> Value {
        json!({
            "depth": depth, "place": "child", "start_offset_ns": start, "duration_ns": took, "service": "shop",
            "name": name, "status": if name == "pay" { "ERROR" } else { "OK" }, "on_critical_path": on_critical_path,
        })
    }

    fn trace(spans: &[Value], segments: &[(usize, i64, i64)]) -> Trace {
        let segment = |(span, start, took): &(usize, i64, i64)| json!({ "span": span, "start_offset_ns": start, "duration_ns": took });
        let segments: Vec<Value> = segments.iter().map(segment).collect();
        serde_json::from_value(json!({
            "trace_id": "0af7", "start": "2026-01-31T09:00:00Z", "duration_ns": 1000, "errors": 1, "orphans": 0,
            "cycles": 0, "doubled": 0, "services": ["shop"], "spans": spans,
            "critical_path": { "duration_ns": 1000, "segments": segments },
        }))
        .expect("a trace")
    }

    fn check(trace: &Trace, all: bool, drawn: &Expect) {
        let mut out = Vec::new();
        write(trace, &Shown { width: 50, has_colours: false, all }, &mut out).expect("a Vec takes everything");
        drawn.assert_eq(&String::from_utf8(out).expect("text"));
    }

    #[test]
    fn bars_are_scaled_to_the_width_and_solid_where_the_trace_waited() {
        let spans = [
            span(0, "buy\u{1b}[2J\n", (0, 1000), true),
            span(1, "pay", (500, 400), true),
            span(1, "mail", (0, 3), false),
        ];
        check(
            &trace(&spans, &[(0, 0, 500), (1, 500, 400), (0, 900, 100)]),
            false,
            &expect![[r#"
                trace 0af7 at 2026-01-31T09:00:00Z: 1.00µs, 3 spans of 1 service, 1 failed
                *  shop: buy�[2J� 1.00µs ████████████░░░░░░░░░░███
                *!   shop: pay     400ns             ██████████
                     shop: mail      3ns ░
                * on the critical path, where the bar is █; ! failed
            "#]],
        );
    }

    #[test]
    fn what_is_left_out_of_a_large_trace_is_told() {
        let mut spans = vec![span(0, "buy", (0, 1000), true)];
        spans.extend((0..500).map(|n| span(1, "read", (n, 1), false)));
        let trace = trace(&spans, &[(0, 0, 1000)]);
        let drawn = |all| {
            let mut out = Vec::new();
            write(&trace, &Shown { width: 80, has_colours: false, all }, &mut out).expect("a Vec takes everything");
            String::from_utf8(out).expect("text")
        };
        let (some, every) = (drawn(false), drawn(true));
        assert_eq!((some.matches("shop: ").count(), every.matches("shop: ").count()), (LINES_SHOWN, 501));
        assert!(some.contains("301 of 501 spans are not shown") && some.contains("--all"), "{some}");
        assert!(
            !every.contains("not shown")
                && some.lines().all(|line| line.starts_with("301") || line.chars().count() <= 80)
        );
    }
}
