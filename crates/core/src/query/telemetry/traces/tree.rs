use std::collections::HashMap;

/// A span of a trace, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceSpan {
    /// Its id; empty where it has none.
    pub span_id: String,
    /// The id of the span that began it; empty: none did.
    pub parent_id: String,
    /// When it began (nanoseconds since 1970).
    pub start: i64,
    /// How long it took (nanoseconds), never less than 0.
    pub duration: i64,
    /// The service that sent it.
    pub service: String,
    /// What was done.
    pub name: String,
    /// `SERVER`, `CLIENT`, …
    pub kind: String,
    /// `OK`, `ERROR` or `UNSET`.
    pub status: String,
    /// What went wrong.
    pub status_message: String,
}

impl TraceSpan {
    /// Returns when it ended.
    #[must_use]
    pub const fn end(&self) -> i64 {
        self.start.saturating_add(self.duration)
    }
}

/// Why a span stands where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Below its parent.
    Child,
    /// It has no parent.
    Root,
    /// Its parent is not among the spans, so it is shown as a root.
    Orphan,
    /// It is its own ancestor; the first of such a circle is shown as a root.
    Cycle,
}

/// A span in its place.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The span.
    pub span: TraceSpan,
    /// Where its parent is in the tree's list.
    pub parent: Option<usize>,
    /// Where its children are, in the order in which they began.
    pub children: Vec<usize>,
    /// How many ancestors it has.
    pub depth: u64,
    /// Why it stands here.
    pub place: Place,
    /// Whether another span has its id.
    pub is_doubled: bool,
    /// How long it ran while no child of its did (nanoseconds).
    pub self_time: i64,
}

/// The spans of a trace, each before its children, roots and children in the order in which they began.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// All of them.
    pub spans: Vec<Placed>,
}

impl Tree {
    /// Puts spans into their places. Of spans with one id the first to begin has the children.
    #[must_use]
    pub fn of(mut spans: Vec<TraceSpan>) -> Self {
        spans.sort_by_key(|span| span.start);
        let (mut parents, mut places, doubled) = parents(&spans);
        cut_cycles(&mut parents, &mut places);
        let mut children = vec![Vec::new(); spans.len()];
        for (at, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(at);
            }
        }
        let order = in_order(&parents, &children);
        let mut position = vec![0; spans.len()];
        for (new, old) in order.iter().enumerate() {
            position[*old] = new;
        }
        let own = |at: usize| self_time(&spans[at], children[at].iter().map(|child| &spans[*child]));
        let self_times: Vec<i64> = (0..spans.len()).map(own).collect();
        let mut placed: Vec<Placed> = Vec::with_capacity(spans.len());
        for old in order {
            let parent = parents[old].map(|parent| position[parent]);
            placed.push(Placed {
                self_time: self_times[old],
                parent,
                children: children[old].iter().map(|child| position[*child]).collect(),
                depth: parent.map_or(0, |parent| placed[parent].depth + 1),
                place: places[old],
                is_doubled: doubled[old],
                span: std::mem::take(&mut spans[old]),
            });
        }
        Self { spans: placed }
    }

    /// Returns the root that the trace is told by: of those without a parent, or of all if there is none, the one that
    /// takes longest, and of equal ones the first.
    #[must_use]
    pub fn main_root(&self) -> Option<usize> {
        let roots = || (0..self.spans.len()).filter(|at| self.spans[*at].parent.is_none());
        let key = |at: &usize| (self.spans[*at].span.duration, std::cmp::Reverse(*at));
        let own = roots().filter(|at| self.spans[*at].place == Place::Root).max_by_key(key);
        own.or_else(|| roots().max_by_key(key))
    }
}

/// Finds each span's parent and place, and whether its id is another's too.
fn parents(spans: &[TraceSpan]) -> (Vec<Option<usize>>, Vec<Place>, Vec<bool>) {
    let mut ids: HashMap<&str, (usize, bool)> = HashMap::with_capacity(spans.len());
    for (at, span) in spans.iter().enumerate().filter(|(_, span)| !span.span_id.is_empty()) {
        ids.entry(&span.span_id).and_modify(|(_, is_doubled)| *is_doubled = true).or_insert((at, false));
    }
    let found = |span: &TraceSpan| match ids.get(span.parent_id.as_str()) {
        _ if span.parent_id.is_empty() => (None, Place::Root),
        None => (None, Place::Orphan),
        Some((parent, _)) => (Some(*parent), Place::Child),
    };
    let (parents, places) = spans.iter().map(found).unzip();
    let is_doubled = |span: &TraceSpan| ids.get(span.span_id.as_str()).is_some_and(|(_, is_doubled)| *is_doubled);
    (parents, places, spans.iter().map(is_doubled).collect())
}

/// Makes the first span of each circle a root.
fn cut_cycles(parents: &mut [Option<usize>], places: &mut [Place]) {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Never,
        Now,
        Before,
    }
    let mut seen = vec![Seen::Never; parents.len()];
    for begin in 0..parents.len() {
        let (mut way, mut at) = (Vec::new(), Some(begin));
        while let Some(here) = at.filter(|here| seen[*here] == Seen::Never) {
            seen[here] = Seen::Now;
            way.push(here);
            at = parents[here];
        }
        if let Some(met) = at.filter(|met| seen[*met] == Seen::Now) {
            let circle = way.iter().skip_while(|one| **one != met);
            let first = circle.min().copied().unwrap_or(met);
            parents[first] = None;
            places[first] = Place::Cycle;
        }
        for one in way {
            seen[one] = Seen::Before;
        }
    }
}

/// Lists each span before its children. A loop: a trace may be deeper than a stack.
fn in_order(parents: &[Option<usize>], children: &[Vec<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = (0..parents.len()).rev().filter(|at| parents[*at].is_none()).collect();
    let mut order = Vec::with_capacity(parents.len());
    while let Some(at) = waiting.pop() {
        order.push(at);
        waiting.extend(children[at].iter().rev());
    }
    order
}

/// Returns how long a span ran while none of its children did; these come in the order in which they began.
fn self_time<'s>(span: &TraceSpan, children: impl Iterator<Item = &'s TraceSpan>) -> i64 {
    let (mut reached, mut covered) = (span.start, 0);
    for child in children {
        let (start, end) = (child.start.max(reached), child.end().min(span.end()));
        if end > start {
            covered += end - start;
            reached = end;
        }
    }
    span.end() - span.start - covered
}
