use hashbrown::HashMap;

use crate::forest::{Forest, NodeIndex};
use crate::limits::{CONTEXT_WORDS, PLACES_MAX, PLACES_PER_TEMPLATE_MAX, VALUES_STRONG, VALUES_WEAK};
use crate::shape::{HOLE, TemplateId};

/// The words that templates differ in: which templates are the same but for one word, and in which place.
///
/// A place is named by the id that the template with a hole there has, so that it is found from either side.
#[derive(Debug, Default)]
pub(crate) struct Places {
    members: HashMap<TemplateId, Vec<Member>>,
    scratch: Vec<u8>,
}

/// A template that has a constant word in the place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) node: NodeIndex,
    /// Which of its words it is.
    pub(crate) word: u16,
}

impl Places {
    /// Notes a template in all its places and returns those that have turned out to be variables.
    pub(crate) fn note(&mut self, forest: &Forest, at: NodeIndex) -> Vec<Vec<Member>> {
        let node = forest.node(at);
        let mut turned: Vec<Vec<Member>> = self.turned(forest, node.id).into_iter().collect();
        // A template of one word has no context by which the word could be known to vary.
        if node.shape.words.len() < 2 {
            return turned;
        }
        for word in 0..node.shape.words.len().min(PLACES_PER_TEMPLATE_MAX) {
            let place = self.place(&node.shape.bytes, node.shape.words[word]);
            let known = self.members.len();
            if known >= PLACES_MAX && !self.members.contains_key(&place) {
                continue;
            }
            let members = self.members.entry(place).or_default();
            if members.len() < VALUES_WEAK {
                #[expect(clippy::cast_possible_truncation, reason = "below PLACES_PER_TEMPLATE_MAX")]
                members.push(Member { node: at, word: word as u16 });
            }
            turned.extend(self.turned(forest, place));
        }
        turned
    }

    pub(crate) fn clear(&mut self) {
        self.members.clear();
    }

    fn place(&mut self, bytes: &[u8], (start, end): (u16, u16)) -> TemplateId {
        self.scratch.clear();
        self.scratch.extend_from_slice(&bytes[..usize::from(start)]);
        self.scratch.push(HOLE);
        self.scratch.extend_from_slice(&bytes[usize::from(end)..]);
        TemplateId::of(&self.scratch)
    }

    /// Takes a place's members if they are enough to call it a variable.
    fn turned(&mut self, forest: &Forest, place: TemplateId) -> Option<Vec<Member>> {
        let members = self.members.get_mut(&place)?;
        let member = *members.first()?;
        let shape = &forest.node(member.node).shape;
        let context = shape.words.len() - 1;
        let is_first = shape.words[usize::from(member.word)].0 == 0;
        let sibling = forest.find(place).map(|at| forest.node(at));
        let needed = match sibling {
            Some(sibling) if sibling.is_join || context >= CONTEXT_WORDS => 1,
            // Values with digits in this very place were seen: half a proof.
            Some(_) => VALUES_STRONG,
            None if context < CONTEXT_WORDS || is_first => VALUES_WEAK,
            None => VALUES_STRONG,
        };
        (members.len() >= needed).then(|| std::mem::take(members))
    }
}
