use std::collections::BTreeMap;

use tidegate_traces::{Cursor, Form, Json, RollUp, TraceId, json};

use super::read::{Stored, tree};

/// Writes a span with what it and those below it come to.
pub(super) fn span_json(stored: &Stored, roll_up: &RollUp) -> Json {
    let mut span = stored.span.clone();
    roll_up.tell(&stored.derived, &mut span.attributes);
    span.json()
}

/// Writes `{"count": …, "spans": […], "windowing": {"next": …}}`.
pub(super) fn spans(found: &[(Stored, RollUp)], next: Option<Cursor>) -> String {
    let mut out = format!("{{\"count\":{},\"spans\":[", found.len());
    for (index, (stored, roll_up)) in found.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        span_json(stored, roll_up).write(&mut out);
    }
    out.push_str("],");
    close(&mut out, next.as_ref().map(Cursor::to_string));
    out
}

/// Writes `{"count": …, "traces": {…}, "windowing": {"next": …}}`: whole traces in the order in which they were found.
pub(super) fn traces(
    order: &[TraceId],
    found: &BTreeMap<TraceId, Vec<Stored>>,
    (form, next): (Form, Option<Cursor>),
) -> String {
    let present: Vec<(&TraceId, &Vec<Stored>)> = order.iter().filter_map(|id| Some((id, found.get(id)?))).collect();
    let mut out = format!("{{\"count\":{},\"traces\":{{", present.len());
    for (index, (id, spans)) in present.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::write_text(&mut out, &id.to_string());
        out.push_str(":{\"trace_id\":");
        json::write_text(&mut out, &id.to_string());
        out.push_str(",\"spans\":");
        trace(&mut out, spans, form);
        out.push('}');
    }
    out.push_str("},");
    close(&mut out, next.as_ref().map(Cursor::to_string));
    out
}

fn trace(out: &mut String, spans: &[Stored], form: Form) {
    let (tree, roll_ups) = tree(spans);
    match form {
        Form::Agenta => {
            tree.write(
                out,
                |at| spans[at].span.span_name.as_str(),
                |at, out| {
                    span_json(&spans[at], &roll_ups[at]).write(out);
                    // Those below it follow within it.
                    out.pop();
                },
            );
        }
        Form::OpenTelemetry => {
            out.push('[');
            for (index, at) in tree.order.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                span_json(&spans[*at], &roll_ups[*at]).write(out);
            }
            out.push(']');
        }
    }
}

/// Ends an answer with where its next page begins.
pub(super) fn close(out: &mut String, next: Option<String>) {
    let next = next.map_or(Json::Null, Json::Text);
    out.push_str(&format!("\"windowing\":{{\"next\":{next}}}}}"));
}
