use std::collections::BTreeSet;

use serde::Serialize;
use tidegate_model::UnixNanos;

use super::path::critical_path;
use super::tree::{Place, Tree};

/// A trace as it is told.
#[derive(Debug, Clone, Serialize)]
pub struct Trace {
    /// Its id.
    pub trace_id: String,
    /// When its first span began.
    pub start: String,
    /// From then until the end of the span that ends last.
    pub duration_ns: i64,
    /// How many spans it has; all of them are listed.
    pub span_count: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How many are shown as roots.
    pub roots: u64,
    /// How many of these have a parent that is not there.
    pub orphans: u64,
    /// How many of these are their own ancestors.
    pub cycles: u64,
    /// How many spans have another's id.
    pub doubled: u64,
    /// The services in it.
    pub services: Vec<String>,
    /// What its main root waited for.
    pub critical_path: ShownPath,
    /// All spans, each before its children.
    pub spans: Vec<ShownSpan>,
}

/// A critical path.
#[derive(Debug, Clone, Serialize)]
pub struct ShownPath {
    /// Where its root is in the list of spans.
    pub root: Option<usize>,
    /// How long that root took.
    pub duration_ns: i64,
    /// Its stretches, without a gap.
    pub segments: Vec<ShownSegment>,
}

/// A stretch of it.
#[derive(Debug, Clone, Serialize)]
pub struct ShownSegment {
    /// Where its span is in the list.
    pub span: usize,
    /// When it begins, from the trace's begin.
    pub start_offset_ns: i64,
    /// How long it is.
    pub duration_ns: i64,
}

/// A span of it.
#[derive(Debug, Clone, Serialize)]
pub struct ShownSpan {
    span_id: String,
    parent_span_id: String,
    parent: Option<usize>,
    depth: u64,
    place: Place,
    doubled: bool,
    start_offset_ns: i64,
    duration_ns: i64,
    self_ns: i64,
    service: String,
    name: String,
    kind: String,
    status: String,
    status_message: String,
    on_critical_path: bool,
}

impl Trace {
    /// Tells a tree of spans.
    #[must_use]
    pub fn of(trace_id: String, tree: Tree) -> Self {
        let start = tree.spans.iter().map(|placed| placed.span.start).min().unwrap_or_default();
        let end = tree.spans.iter().map(|placed| placed.span.end()).max().unwrap_or_default();
        let path = path(&tree, start);
        let mut on_path = vec![false; tree.spans.len()];
        for segment in &path.segments {
            // Ancestors of a stretch may have no time of their own in it, and are on the path all the same.
            let mut at = Some(segment.span);
            while let Some(here) = at.filter(|here| !on_path[*here]) {
                on_path[here] = true;
                at = tree.spans[here].parent;
            }
        }
        let count = |is: &dyn Fn(Place) -> bool| tree.spans.iter().filter(|placed| is(placed.place)).count() as u64;
        Self {
            trace_id,
            start: UnixNanos(start).to_string(),
            duration_ns: end.saturating_sub(start),
            span_count: tree.spans.len() as u64,
            errors: tree.spans.iter().filter(|placed| placed.span.status == "ERROR").count() as u64,
            roots: count(&|place| place != Place::Child),
            orphans: count(&|place| place == Place::Orphan),
            cycles: count(&|place| place == Place::Cycle),
            doubled: tree.spans.iter().filter(|placed| placed.is_doubled).count() as u64,
            services: tree
                .spans
                .iter()
                .map(|one| one.span.service.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            critical_path: path,
            spans: spans(tree, start, &on_path),
        }
    }
}

fn path(tree: &Tree, start: i64) -> ShownPath {
    let root = tree.main_root();
    let segments = root.map(|root| critical_path(tree, root)).unwrap_or_default();
    ShownPath {
        root,
        duration_ns: root.map_or(0, |root| tree.spans[root].span.duration),
        segments: segments
            .into_iter()
            .map(|segment| ShownSegment {
                span: segment.span,
                start_offset_ns: segment.start.saturating_sub(start),
                duration_ns: segment.end - segment.start,
            })
            .collect(),
    }
}

fn spans(tree: Tree, start: i64, on_path: &[bool]) -> Vec<ShownSpan> {
    let shown = tree.spans.into_iter().zip(on_path).map(|(placed, on_path)| ShownSpan {
        start_offset_ns: placed.span.start.saturating_sub(start),
        duration_ns: placed.span.duration,
        self_ns: placed.self_time,
        span_id: placed.span.span_id,
        parent_span_id: placed.span.parent_id,
        parent: placed.parent,
        depth: placed.depth,
        place: placed.place,
        doubled: placed.is_doubled,
        service: placed.span.service,
        name: placed.span.name,
        kind: placed.span.kind,
        status: placed.span.status,
        status_message: placed.span.status_message,
        on_critical_path: *on_path,
    });
    shown.collect()
}
