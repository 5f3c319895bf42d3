use super::tree::Tree;

/// A stretch of time in which a trace waited for one span and for none of its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where the span is in the tree's list.
    pub span: usize,
    /// When the stretch begins (nanoseconds since 1970).
    pub start: i64,
    /// When it ends.
    pub end: i64,
}

/// A span that the walk is in.
struct Step {
    span: usize,
    from: i64,
    /// Nothing behind it is to be told any more.
    point: i64,
    /// End, begin and place of its children within it, the last to end first.
    children: std::vec::IntoIter<(i64, i64, usize)>,
}

/// Returns the critical path of a root, first stretch first: one after another, without a gap, they are the time from its
/// begin to its end.
///
/// It is walked from the end back: of a span's children the one that ends last, at or before the point that the walk has
/// come to, is walked in the same way, and then the walk goes on from where that child began. What no such child covers
/// is the span's own. A child counts as far as it lies within its parent: what goes on after its parent's end, nothing
/// waited for.
#[must_use]
pub fn critical_path(tree: &Tree, root: usize) -> Vec<Segment> {
    let Some(placed) = tree.spans.get(root) else { return Vec::new() };
    let mut path = Vec::new();
    let mut way = vec![Step::into(tree, root, (placed.span.start, placed.span.end()))];
    while let Some(step) = way.last_mut() {
        let point = step.point;
        let next = step.children.find(|(end, _, _)| *end <= point);
        let until = next.map_or(step.from, |(end, _, _)| end);
        if until < point {
            path.push(Segment { span: step.span, start: until, end: point });
        }
        match next {
            Some((end, start, child)) => {
                step.point = start;
                way.push(Step::into(tree, child, (start, end)));
            }
            None => {
                way.pop();
            }
        }
    }
    path.reverse();
    path
}

impl Step {
    fn into(tree: &Tree, span: usize, (from, point): (i64, i64)) -> Self {
        let within = |child: &usize| {
            let own = &tree.spans[*child].span;
            (own.end().min(point), own.start.max(from), *child)
        };
        let children = tree.spans[span].children.iter().map(within);
        let mut children: Vec<_> = children.filter(|(end, start, _)| start < end).collect();
        // Of those that end at once the one that began first explains more.
        children.sort_by_key(|(end, start, child)| (std::cmp::Reverse(*end), *start, *child));
        Self { span, from, point, children: children.into_iter() }
    }
}
