use hashbrown::HashMap;

use crate::error::{SettingsError, StateError};
use crate::fact::{Fact, Stats, Template};
use crate::forest::{Forest, Node, NodeIndex};
use crate::json::{self, Json};
use crate::kind::Kinds;
use crate::limits::{
    CONTEXT_WORDS, FACTS_MAX, GATHERED_MAX, JOINED_MAX, LINE_BYTES_MAX, OVERFLOW_LINES_PER_TRIM, RIVALS_MAX,
    TEMPLATES_MAX,
};
use crate::masks::{Masks, Settings};
use crate::peers::{Joint, Peers};
use crate::places::Places;
use crate::scan::scan;
use crate::shape::{Shape, TemplateId};
use crate::state;

/// Templates that lines may make; the rest of [`TEMPLATES_MAX`] is for those that merges make.
const OWN_TEMPLATES_MAX: usize = TEMPLATES_MAX / 8 * 7;

/// Finds the template of one log body after the other.
#[derive(Debug)]
pub struct Miner {
    masks: Masks,
    forest: Forest,
    places: Places,
    peers: Peers,
    /// Shapes of lines that belong to a join without being noted as templates.
    joined: HashMap<TemplateId, NodeIndex>,
    facts: Vec<Fact>,
    /// Facts that were taken and are not stored yet.
    held: usize,
    stats: Stats,
    overflowed_at_trim: Option<u64>,
    shape: Shape,
}

#[derive(Debug)]
enum Step {
    Note(NodeIndex),
    Unite(NodeIndex, NodeIndex),
    /// Unites a join with the roots that it covers.
    Gather(NodeIndex),
}

impl Miner {
    /// Makes a miner that knows no template yet.
    ///
    /// # Errors
    /// Settings that name no mask, too many, or an expression that does not compile.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            masks: Masks::new(settings)?,
            forest: Forest::default(),
            places: Places::default(),
            peers: Peers::default(),
            joined: HashMap::new(),
            facts: Vec::new(),
            held: 0,
            stats: Stats::default(),
            overflowed_at_trim: None,
            shape: Shape::default(),
        })
    }

    /// Returns the template of a body: the one to store with its row, and to count the row under.
    ///
    /// Its first line decides; of a JSON object, that of its message, or its keys. The id may be merged into another later: see [`Fact`].
    #[inline]
    pub fn mine(&mut self, body: &str) -> TemplateId {
        self.stats.lines += 1;
        let mut shape = std::mem::take(&mut self.shape);
        self.read(body, &mut shape);
        let id = shape.id();
        let found = match self.forest.find(id) {
            Some(at) => {
                self.seen_again(at, &shape);
                Some(at)
            }
            None => self.joined.get(&id).copied().or_else(|| self.unknown(id, &shape)),
        };
        self.shape = shape;
        match found {
            Some(at) => self.forest.node(self.forest.root(at)).id,
            None => {
                self.stats.overflowed += 1;
                TemplateId::OVERFLOW
            }
        }
    }

    /// Takes what happened since it was last asked: new templates, and merges. Facts may be stored more than once.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// Says how many facts were taken and are not stored yet: while they are too many, no template is made.
    pub fn hold(&mut self, facts: usize) {
        self.held = facts;
    }

    /// Follows the merges that this miner remembers; an id that it does not know is returned as it is.
    #[must_use]
    pub fn resolve(&self, id: TemplateId) -> TemplateId {
        self.forest.find(id).map_or(id, |at| self.forest.node(self.forest.root(at)).id)
    }

    /// Returns a template that is remembered.
    #[must_use]
    pub fn template(&self, id: TemplateId) -> Option<Template> {
        self.forest.find(id).map(|at| self.view(at))
    }

    /// Returns every template that is remembered, the merged ones included.
    pub fn templates(&self) -> impl Iterator<Item = Template> + '_ {
        (0..).take(self.forest.len()).map(|at| self.view(at))
    }

    /// Returns what was counted since the miner was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { templates: self.forest.len() as u64, ..self.stats }
    }

    /// Writes all templates and merges as bytes: for a restart, or for another node to unite with its own.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        state::encode(&self.forest)
    }

    /// Unites an exported state with what is known here. Doing it twice, or in another order, makes no difference to
    /// which ids are one template. Templates that find no room are left out: their lines make them again.
    ///
    /// # Errors
    /// Bytes that are no state; then nothing has changed.
    pub fn import(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let entries = state::decode(bytes)?;
        let (mut known, mut notes) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in &entries {
            let id = entry.shape.id();
            let found = self.forest.find(id);
            if let Some(at) = found {
                self.forest.node_mut(at).shape.unite_kinds(&entry.shape);
            }
            let has_room = self.forest.len() < TEMPLATES_MAX;
            let at = found.or_else(|| has_room.then(|| self.forest.insert(id, entry.shape.clone())));
            if let Some(at) = at.filter(|_| entry.is_join) {
                self.forest.mark_join(at);
            }
            notes.extend(at.filter(|_| found.is_none()).map(Step::Note));
            known.push(at);
        }
        let merges = entries.iter().zip(&known).filter_map(|(entry, from)| {
            let into = known[entry.parent? as usize]?;
            Some(Step::Unite((*from)?, into))
        });
        let facts_before = self.facts.len();
        self.settle(&mut merges.collect());
        // What the other node merged is in its own facts; what follows from both is news.
        self.facts.truncate(facts_before);
        // Joins of both may have got to know words here that neither had at all of its holes.
        notes.extend(known.iter().flatten().filter(|at| self.forest.node(**at).is_join).map(|at| Step::Gather(*at)));
        self.settle(&mut notes);
        Ok(())
    }

    #[inline]
    fn read(&self, body: &str, shape: &mut Shape) {
        let bytes = body.as_bytes();
        let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len());
        if bytes.get(start) == Some(&b'{') {
            match json::read(&body[start..], &self.masks.message_fields, shape) {
                Json::Message(message) => return self.read_line(message.trim_start(), shape),
                Json::Keys => return,
                Json::Not => {}
            }
        }
        self.read_line(&body[start..], shape);
    }

    #[inline]
    fn read_line(&self, text: &str, shape: &mut Shape) {
        let bytes = text.as_bytes();
        let line = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
        let line = memchr::memchr2(b'\n', b'\r', line).map_or(line, |at| &line[..at]);
        if self.masks.is_empty() {
            return scan(line, &self.masks, shape);
        }
        let line = &text[..text.floor_char_boundary(line.len())];
        scan(self.masks.apply(line).as_bytes(), &self.masks, shape);
    }

    #[inline]
    fn seen_again(&mut self, at: NodeIndex, shape: &Shape) {
        let node = self.forest.node_mut(at);
        node.hits = node.hits.saturating_add(1);
        let news = node.shape.kinds.iter().zip(&shape.kinds).any(|(known, seen)| seen.0 & !known.0 != 0);
        if news {
            node.shape.unite_kinds(shape);
            self.forest.pass_kinds_up(at);
        }
    }

    /// Finds a place for a shape that was not seen yet, if there is room.
    #[cold]
    fn unknown(&mut self, id: TemplateId, shape: &Shape) -> Option<NodeIndex> {
        if let Some(at) = self.join_of(shape) {
            if self.joined.len() >= JOINED_MAX {
                self.joined.clear();
            }
            self.joined.insert(id, at);
            let words = self.forest.node(at).shape.word_holes();
            self.forest.node_mut(at).shape.unite_kinds(shape);
            if self.forest.node(at).shape.word_holes() > words {
                self.settle(&mut vec![Step::Gather(at)]);
            }
            return Some(at);
        }
        if self.forest.len() >= OWN_TEMPLATES_MAX {
            self.trim();
        }
        if self.forest.len() >= OWN_TEMPLATES_MAX || self.facts.len() + self.held >= FACTS_MAX {
            return None;
        }
        let at = self.insert(id, shape.clone());
        self.forest.node_mut(at).hits = 1;
        self.settle(&mut vec![Step::Note(at)]);
        Some(at)
    }

    /// Finds the join that covers a shape with the most constants; among equals, that of the smallest id.
    fn join_of(&mut self, shape: &Shape) -> Option<NodeIndex> {
        let rivals: Vec<NodeIndex> = self.forest.rivals(shape.skeleton()).iter().take(RIVALS_MAX).copied().collect();
        rivals.into_iter().filter(|at| takes(&self.forest.node(*at).shape, shape)).min_by_key(|at| {
            let node = self.forest.node(*at);
            (usize::MAX - node.shape.words.len(), node.id)
        })
    }

    fn insert(&mut self, id: TemplateId, shape: Shape) -> NodeIndex {
        self.facts.push(Fact::New { id, text: shape.text(|_| "*") });
        self.forest.insert(id, shape)
    }

    /// Carries out steps and what follows from them. It ends: every merge makes fewer roots, every join fewer words.
    fn settle(&mut self, steps: &mut Vec<Step>) {
        while let Some(step) = steps.pop() {
            match step {
                Step::Note(at) => self.note(at, steps),
                Step::Unite(a, b) => self.unite(a, b, steps),
                Step::Gather(join) => self.gather(join, steps),
            }
        }
    }

    /// Looks for a join that takes a template, and for what it proves to vary.
    fn note(&mut self, at: NodeIndex, steps: &mut Vec<Step>) {
        let shape = self.forest.node(at).shape.clone();
        steps.extend(self.join_of(&shape).filter(|join| *join != at).map(|join| Step::Unite(at, join)));
        for members in self.places.note(&self.forest, at) {
            let first = members[0];
            let hollow = self.forest.node(first.node).shape.with_hole(usize::from(first.word));
            let Some(join) = self.find_or_insert(hollow, steps) else { continue };
            self.make_join(join, members.iter().map(|member| member.node), steps);
        }
        if let Some(Joint { members, hollow }) = self.peers.note(&self.forest, at)
            && let Some(join) = self.find_or_insert(hollow, steps)
        {
            self.make_join(join, members.into_iter(), steps);
        }
    }

    fn make_join(&mut self, join: NodeIndex, parts: impl Iterator<Item = NodeIndex>, steps: &mut Vec<Step>) {
        self.forest.mark_join(join);
        steps.push(Step::Gather(join));
        steps.extend(parts.map(|part| Step::Unite(part, join)));
    }

    /// Finds what came before its join, and would be taken by it if it came now.
    fn gather(&mut self, join: NodeIndex, steps: &mut Vec<Step>) {
        let join = self.forest.root(join);
        let roots: Vec<NodeIndex> = self.forest.roots_like(join).iter().take(GATHERED_MAX).copied().collect();
        let shape = &self.forest.node(join).shape;
        let covered = roots.into_iter().filter(|at| *at != join && takes(shape, &self.forest.node(*at).shape));
        steps.extend(covered.map(|at| Step::Unite(at, join)));
    }

    fn unite(&mut self, a: NodeIndex, b: NodeIndex, steps: &mut Vec<Step>) {
        let (a, b) = (self.forest.root(a), self.forest.root(b));
        if a == b {
            return;
        }
        let Some(joined) = self.forest.node(a).shape.join(&self.forest.node(b).shape) else { return };
        let Some(join) = self.find_or_insert(joined, steps) else { return };
        if join == a || join == b {
            let child = if join == a { b } else { a };
            let (from, into) = (self.forest.node(child).id, self.forest.node(join).id);
            let words = self.forest.node(join).shape.word_holes();
            self.forest.attach(child, join);
            if self.forest.node(join).shape.word_holes() > words {
                steps.push(Step::Gather(join));
            }
            self.facts.push(Fact::Merged { from, into });
            self.stats.merges += 1;
        } else {
            steps.extend([Step::Unite(a, join), Step::Unite(b, join)]);
        }
    }

    fn find_or_insert(&mut self, shape: Shape, steps: &mut Vec<Step>) -> Option<NodeIndex> {
        let id = shape.id();
        if let Some(at) = self.forest.find(id) {
            return Some(at);
        }
        if self.forest.len() >= TEMPLATES_MAX {
            return None;
        }
        let at = self.insert(id, shape);
        steps.push(Step::Note(at));
        Some(at)
    }

    /// Forgets what came once and what was merged, so that an attack does not take the place of templates for ever.
    fn trim(&mut self) {
        let since = self.overflowed_at_trim.map_or(u64::MAX, |at| self.stats.overflowed - at);
        if since < OVERFLOW_LINES_PER_TRIM {
            return;
        }
        self.overflowed_at_trim = Some(self.stats.overflowed);
        self.stats.trims += 1;
        let lasting = self.forest.drain_lasting();
        self.places.clear();
        self.peers.clear();
        self.joined.clear();
        let mut steps = Vec::with_capacity(lasting.len());
        for Node { id, shape, is_join, .. } in lasting {
            let at = self.forest.insert(id, shape);
            if is_join {
                self.forest.mark_join(at);
            }
            steps.push(Step::Note(at));
        }
        self.settle(&mut steps);
    }

    fn view(&self, at: NodeIndex) -> Template {
        let node = self.forest.node(at);
        let root = self.forest.root(at);
        Template {
            id: node.id,
            text: node.shape.text(|_| "*"),
            named_text: node.shape.text(Kinds::name),
            merged_into: (root != at).then(|| self.forest.node(root).id),
        }
    }
}

/// Says whether a line's shape belongs to a join that covers it.
fn takes(join: &Shape, shape: &Shape) -> bool {
    // Words where only values with digits were so far need context, as they do between two templates.
    let first_words_max = usize::from(join.words.len() >= CONTEXT_WORDS);
    join.fits(shape).is_some_and(|first_words| first_words <= first_words_max)
}
