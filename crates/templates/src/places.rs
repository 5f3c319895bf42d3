use hashbrown::{HashMap, HashSet};
use twox_hash::XxHash3_64;

use crate::forest::{Forest, NodeIndex};
use crate::limits::{
    CONTEXT_WORDS, PLACES_MAX, PLACES_PER_TEMPLATE_MAX, PROVEN_MAX, VALUES_PROVEN, VALUES_STRONG, VALUES_WEAK,
    WATCHED_MAX,
};
use crate::shape::{HOLE, Shape, TemplateId};

/// The words that templates differ in: which templates are the same but for one word, and in which place.
///
/// A place is named by the id that the template with a hole there has, so that it is found from either side.
#[derive(Debug, Default)]
pub(crate) struct Places {
    members: HashMap<TemplateId, Vec<Member>>,
    /// Words that were values of a variable, each with the word that stood before it: `user` `ada`.
    proven: HashSet<u64>,
    /// Places that wait for proof of their words, by the word before them.
    watched: HashMap<u64, Vec<TemplateId>>,
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
        let mut turned = Vec::new();
        let node = forest.node(at);
        self.take_if_turned(forest, node.id, &mut turned);
        // A template of one word has no context by which the word could be known to vary.
        if node.shape.words.len() < 2 {
            return turned;
        }
        for word in 0..node.shape.words.len().min(PLACES_PER_TEMPLATE_MAX) {
            let place = self.place(&node.shape.bytes, node.shape.words[word]);
            if self.members.len() >= PLACES_MAX && !self.members.contains_key(&place) {
                continue;
            }
            let members = self.members.entry(place).or_default();
            if members.len() < VALUES_WEAK {
                #[expect(clippy::cast_possible_truncation, reason = "below PLACES_PER_TEMPLATE_MAX")]
                members.push(Member { node: at, word: word as u16 });
            }
            self.take_if_turned(forest, place, &mut turned);
        }
        turned
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn place(&mut self, bytes: &[u8], (start, end): (u16, u16)) -> TemplateId {
        self.scratch.clear();
        self.scratch.extend_from_slice(&bytes[..usize::from(start)]);
        self.scratch.push(HOLE);
        self.scratch.extend_from_slice(&bytes[usize::from(end)..]);
        TemplateId::of(&self.scratch)
    }

    /// Takes a place's members if they are enough to call it a variable, and those of places that this proves.
    fn take_if_turned(&mut self, forest: &Forest, place: TemplateId, turned: &mut Vec<Vec<Member>>) {
        let mut waiting = vec![place];
        while let Some(place) = waiting.pop() {
            let Some(members) = self.members.get(&place).filter(|members| !members.is_empty()) else { continue };
            if members.len() < self.needed(forest, place, members) {
                self.watch(forest, place);
                continue;
            }
            let members = self.members.get_mut(&place).map(std::mem::take).unwrap_or_default();
            for member in &members {
                let shape = &forest.node(member.node).shape;
                let Some(before) = before(shape, member.word) else { continue };
                if self.proven.len() < PROVEN_MAX && self.proven.insert(proof(before, shape, member.word)) {
                    waiting.extend(self.watched.get(&before).into_iter().flatten());
                }
            }
            turned.push(members);
        }
    }

    /// Says how many distinct words make a variable of a place.
    fn needed(&self, forest: &Forest, place: TemplateId, members: &[Member]) -> usize {
        let shape = &forest.node(members[0].node).shape;
        let context = shape.words.len() - 1;
        let is_first = shape.words[usize::from(members[0].word)].0 == 0;
        let is_proven = |member: &Member| {
            let shape = &forest.node(member.node).shape;
            before(shape, member.word).is_some_and(|before| self.proven.contains(&proof(before, shape, member.word)))
        };
        match forest.find(place).map(|at| forest.node(at)) {
            Some(sibling) if sibling.is_join || context >= CONTEXT_WORDS => 1,
            // Values with digits in this very place were seen: half a proof.
            Some(_) => VALUES_STRONG,
            None if context < CONTEXT_WORDS || is_first => VALUES_WEAK,
            None if members.iter().all(is_proven) => VALUES_PROVEN,
            None => VALUES_STRONG,
        }
    }

    fn watch(&mut self, forest: &Forest, place: TemplateId) {
        let Some(member) = self.members.get(&place).and_then(|members| members.first()) else { return };
        let Some(before) = before(&forest.node(member.node).shape, member.word) else { return };
        if self.watched.len() < PLACES_MAX || self.watched.contains_key(&before) {
            let watched = self.watched.entry(before).or_default();
            if watched.len() < WATCHED_MAX && !watched.contains(&place) {
                watched.push(place);
            }
        }
    }
}

/// Returns the hash of the constant word before a word, with what is between the two.
fn before(shape: &Shape, word: u16) -> Option<u64> {
    let word = usize::from(word);
    let (from, to) = (shape.words[word.checked_sub(1)?].0, shape.words[word].0);
    Some(XxHash3_64::oneshot(&shape.bytes[usize::from(from)..usize::from(to)]))
}

fn proof(before: u64, shape: &Shape, word: u16) -> u64 {
    let (start, end) = shape.words[usize::from(word)];
    XxHash3_64::oneshot_with_seed(before, &shape.bytes[usize::from(start)..usize::from(end)])
}
