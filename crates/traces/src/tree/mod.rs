//! The spans of a trace below each other, and what they come to together.
//!
//! Worked out from the spans as they are now, whenever and in whatever order they came. Every span is shown: one whose
//! parent is not there stands at the top, and of spans that are each other's parents the one that began first does.
//! Nothing here recurses: a trace may be a chain of a hundred thousand spans.

mod roll_up;
mod write;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use tidegate_model::UnixNanos;

use crate::SpanId;
pub use roll_up::{Own, RollUp};

/// The spans of one trace, by their places in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Those at the top, in the order of time.
    pub roots: Vec<usize>,
    /// Those directly below each, in the order of time.
    pub children: Vec<Vec<usize>>,
    /// All of them, each before those below it.
    pub order: Vec<usize>,
}

/// What a tree is made of: a span's id, its parent's, and when it began.
pub type Place = (SpanId, Option<SpanId>, UnixNanos);

impl Tree {
    /// Puts spans below each other.
    #[must_use]
    pub fn of(places: &[Place]) -> Self {
        let mut by_time: Vec<usize> = (0..places.len()).collect();
        by_time.sort_by_key(|at| (places[*at].2, places[*at].0));
        let found: HashMap<SpanId, usize> = by_time.iter().rev().map(|at| (places[*at].0, *at)).collect();
        let parent = |at: usize| places[at].1.and_then(|id| found.get(&id)).copied().filter(|parent| *parent != at);
        let mut children = vec![Vec::new(); places.len()];
        let mut roots = Vec::new();
        for at in &by_time {
            match parent(*at) {
                Some(parent) => children[parent].push(*at),
                None => roots.push(*at),
            }
        }
        let mut tree = Self { roots, children, order: Vec::with_capacity(places.len()) };
        let mut is_seen = vec![false; places.len()];
        for root in tree.roots.clone() {
            tree.walk(root, &mut is_seen);
        }
        // What no root leads to hangs on a ring of parents, which is cut at the span that began first.
        for at in by_time.iter().copied() {
            if is_seen[at] {
                continue;
            }
            let cut = first_on_ring(at, &parent, places);
            if let Some(parent) = parent(cut) {
                tree.children[parent].retain(|child| *child != cut);
            }
            tree.roots.push(cut);
            tree.walk(cut, &mut is_seen);
        }
        tree.roots.sort_by_key(|at| (places[*at].2, places[*at].0));
        tree
    }

    /// Lists what is below a span, itself first.
    fn walk(&mut self, root: usize, is_seen: &mut [bool]) {
        let mut waiting = vec![root];
        while let Some(at) = waiting.pop() {
            if std::mem::replace(&mut is_seen[at], true) {
                continue;
            }
            self.order.push(at);
            waiting.extend(self.children[at].iter().rev());
        }
    }
}

/// Follows parents until they repeat, and returns that of the ring which began first.
fn first_on_ring(from: usize, parent: &impl Fn(usize) -> Option<usize>, places: &[Place]) -> usize {
    let (mut slow, mut fast) = (from, from);
    loop {
        let step = |at: usize| parent(at).unwrap_or(at);
        slow = step(slow);
        fast = step(step(fast));
        if slow == fast {
            break;
        }
    }
    let (mut first, mut at) = (slow, slow);
    loop {
        at = parent(at).unwrap_or(slow);
        if at == slow {
            return first;
        }
        if (places[at].2, places[at].0) < (places[first].2, places[first].0) {
            first = at;
        }
    }
}
