use hashbrown::HashMap;

use crate::shape::{Shape, TemplateId};

/// A template's place in the forest.
pub(crate) type NodeIndex = u32;

/// One template: a line's own shape, or the join of several.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: TemplateId,
    pub(crate) shape: Shape,
    /// The template it was merged into, or itself.
    pub(crate) parent: NodeIndex,
    /// Whether other templates were merged into it.
    pub(crate) is_join: bool,
    /// Lines that had exactly this shape since room was last made.
    pub(crate) hits: u32,
}

/// All templates, and which was merged into which.
///
/// Invariant: a parent covers its children with more holes, so chains end, and a root's text matches every line below.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    nodes: Vec<Node>,
    by_id: HashMap<TemplateId, NodeIndex>,
    /// Joins by skeleton: what a line of unknown shape may belong to.
    joins: HashMap<u64, Vec<NodeIndex>>,
    /// All roots by skeleton: what a join may cover.
    roots: HashMap<u64, Vec<NodeIndex>>,
}

impl Forest {
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    #[inline]
    pub(crate) fn find(&self, id: TemplateId) -> Option<NodeIndex> {
        self.by_id.get(&id).copied()
    }

    #[inline]
    pub(crate) fn node(&self, at: NodeIndex) -> &Node {
        &self.nodes[at as usize]
    }

    #[inline]
    pub(crate) fn node_mut(&mut self, at: NodeIndex) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    #[inline]
    pub(crate) fn root(&self, mut at: NodeIndex) -> NodeIndex {
        while self.node(at).parent != at {
            at = self.node(at).parent;
        }
        at
    }

    pub(crate) fn insert(&mut self, id: TemplateId, shape: Shape) -> NodeIndex {
        let at = NodeIndex::try_from(self.nodes.len()).expect("templates are bounded far below u32");
        self.roots.entry(shape.skeleton()).or_default().push(at);
        self.nodes.push(Node { id, shape, parent: at, is_join: false, hits: 0 });
        self.by_id.insert(id, at);
        at
    }

    /// Makes `child`, a root, a part of `parent`, another root that covers it.
    pub(crate) fn attach(&mut self, child: NodeIndex, parent: NodeIndex) {
        let shape = std::mem::take(&mut self.node_mut(child).shape);
        let above = self.node_mut(parent);
        above.shape.unite_kinds(&shape);
        let child = self.node_mut(child);
        child.shape = shape;
        child.parent = parent;
        self.mark_join(parent);
    }

    pub(crate) fn mark_join(&mut self, at: NodeIndex) {
        if !std::mem::replace(&mut self.node_mut(at).is_join, true) {
            let skeleton = self.node(at).shape.skeleton();
            self.joins.entry(skeleton).or_default().push(at);
        }
    }

    /// Returns the joins that may cover a shape of that skeleton, parts of other joins left out.
    pub(crate) fn rivals(&mut self, skeleton: u64) -> &[NodeIndex] {
        let Some(joins) = self.joins.get_mut(&skeleton) else { return &[] };
        joins.retain(|at| self.nodes[*at as usize].parent == *at);
        joins
    }

    /// Returns the roots of a node's skeleton, joins and others.
    pub(crate) fn roots_like(&mut self, at: NodeIndex) -> &[NodeIndex] {
        let skeleton = self.node(at).shape.skeleton();
        let Some(roots) = self.roots.get_mut(&skeleton) else { return &[] };
        roots.retain(|at| self.nodes[*at as usize].parent == *at);
        roots
    }

    /// Writes what was seen at the holes of a child into its root.
    pub(crate) fn pass_kinds_up(&mut self, child: NodeIndex) {
        let root = self.root(child);
        if root != child {
            let shape = std::mem::take(&mut self.node_mut(child).shape);
            self.node_mut(root).shape.unite_kinds(&shape);
            self.node_mut(child).shape = shape;
        }
    }

    /// Empties the forest and returns the roots that are worth keeping: joins, and shapes that came more than once.
    pub(crate) fn drain_lasting(&mut self) -> Vec<Node> {
        self.by_id.clear();
        self.joins.clear();
        self.roots.clear();
        let roots = std::mem::take(&mut self.nodes).into_iter().enumerate();
        roots
            .filter(|(at, node)| node.parent as usize == *at && (node.is_join || node.hits > 1))
            .map(|(_, n)| n)
            .collect()
    }
}
