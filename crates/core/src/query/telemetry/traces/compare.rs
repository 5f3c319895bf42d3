use std::collections::HashMap;

use serde::Serialize;

use super::tree::Tree;

/// Two traces side by side, by the way of services and operations that leads to a span.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The id of the first.
    pub left: String,
    /// The id of the second.
    pub right: String,
    /// Every way that one of them has, each before those that go on from it.
    pub paths: Vec<ComparedPath>,
}

/// A way: the spans that were reached by the same services and operations.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedPath {
    /// Where the way is in the list that this one goes on from.
    pub parent: Option<usize>,
    /// How many steps are before its last one.
    pub depth: u64,
    /// The service of its last step.
    pub service: String,
    /// The operation of its last step.
    pub operation: String,
    /// The first trace's spans.
    pub left: Sums,
    /// The second trace's spans.
    pub right: Sums,
    /// The second less the first.
    pub difference: Sums,
    /// The side that alone has it: `left` or `right`.
    pub only: Option<&'static str>,
}

/// What some spans come to; what is longer than 292 years is told as that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// How many they are.
    pub count: i64,
    /// How long they took together.
    pub total_ns: i64,
    /// How long they worked while no child of theirs did.
    pub self_ns: i64,
}

/// A way while spans are counted.
struct Way<'t> {
    parent: Option<usize>,
    depth: u64,
    step: (&'t str, &'t str),
    sums: [Sums; 2],
    children: Vec<usize>,
}

impl Comparison {
    /// Compares two trees.
    #[must_use]
    pub fn of([left, right]: [String; 2], trees: &[Tree; 2]) -> Self {
        let ways = ways(trees);
        let mut waiting: Vec<usize> = (0..ways.len()).rev().filter(|at| ways[*at].parent.is_none()).collect();
        let (mut paths, mut position) = (Vec::with_capacity(ways.len()), vec![0; ways.len()]);
        while let Some(at) = waiting.pop() {
            position[at] = paths.len();
            waiting.extend(ways[at].children.iter().rev());
            paths.push(ways[at].told(&position));
        }
        Self { left, right, paths }
    }
}

/// Sums both traces up. A way is known by the one before it and its last step, so deep traces need no long names.
fn ways<'t>(trees: &'t [Tree; 2]) -> Vec<Way<'t>> {
    let mut ways: Vec<Way<'t>> = Vec::new();
    let mut known: HashMap<(Option<usize>, &str, &str), usize> = HashMap::new();
    for (side, tree) in trees.iter().enumerate() {
        let mut way_of: Vec<usize> = Vec::with_capacity(tree.spans.len());
        for placed in &tree.spans {
            let parent = placed.parent.map(|parent| way_of[parent]);
            let step = (placed.span.service.as_str(), placed.span.name.as_str());
            let at = *known.entry((parent, step.0, step.1)).or_insert_with(|| {
                ways.push(Way { parent, depth: placed.depth, step, sums: Default::default(), children: Vec::new() });
                let at = ways.len() - 1;
                if let Some(parent) = parent {
                    ways[parent].children.push(at);
                }
                at
            });
            let sums = &mut ways[at].sums[side];
            sums.count += 1;
            sums.total_ns = sums.total_ns.saturating_add(placed.span.duration);
            sums.self_ns = sums.self_ns.saturating_add(placed.self_time);
            way_of.push(at);
        }
    }
    ways
}

impl Way<'_> {
    fn told(&self, position: &[usize]) -> ComparedPath {
        let [left, right] = self.sums;
        ComparedPath {
            parent: self.parent.map(|parent| position[parent]),
            depth: self.depth,
            service: self.step.0.to_owned(),
            operation: self.step.1.to_owned(),
            left,
            right,
            difference: Sums {
                count: right.count - left.count,
                total_ns: right.total_ns.saturating_sub(left.total_ns),
                self_ns: right.self_ns.saturating_sub(left.self_ns),
            },
            only: match (left.count, right.count) {
                (_, 0) => Some("left"),
                (0, _) => Some("right"),
                _ => None,
            },
        }
    }
}
