use hashbrown::{HashMap, HashSet};

use crate::shape::TemplateId;

/// The merges of any number of nodes and times, as a reader has them from the stored facts.
///
/// It grows only; the order in which merges are added, and repeats, make no difference to what ids resolve to.
#[derive(Debug, Clone, Default)]
pub struct Aliases {
    merges: HashMap<TemplateId, HashSet<TemplateId>>,
}

impl Aliases {
    /// Adds the merge of `from` into `into`.
    pub fn add(&mut self, from: TemplateId, into: TemplateId) {
        if from != into {
            self.merges.entry(from).or_default().insert(into);
            self.merges.entry(into).or_default();
        }
    }

    /// Says for every merged id which id it counts under: of all that are connected, the widest, which is merged into
    /// no other. Where two nodes found different widest ones and neither saw the other's state, it is the smaller id.
    #[must_use]
    pub fn resolved(&self) -> HashMap<TemplateId, TemplateId> {
        let mut parents: HashMap<TemplateId, TemplateId> = HashMap::new();
        for (from, all_into) in &self.merges {
            for into in all_into {
                let (a, b) = (root(&mut parents, *from), root(&mut parents, *into));
                parents.insert(a, b);
            }
        }
        let mut widest: HashMap<TemplateId, TemplateId> = HashMap::new();
        for (id, _) in self.merges.iter().filter(|(_, into)| into.is_empty()) {
            let component = root(&mut parents, *id);
            widest.entry(component).and_modify(|known| *known = (*known).min(*id)).or_insert(*id);
        }
        self.merges.keys().map(|id| (*id, widest.get(&root(&mut parents, *id)).copied().unwrap_or(*id))).collect()
    }
}

fn root(parents: &mut HashMap<TemplateId, TemplateId>, id: TemplateId) -> TemplateId {
    let mut root = id;
    while let Some(parent) = parents.get(&root).filter(|parent| **parent != root) {
        root = *parent;
    }
    // The next look-up is one step.
    let mut at = id;
    while let Some(next) = parents.get(&at).copied().filter(|next| *next != at && *next != root) {
        parents.insert(at, root);
        at = next;
    }
    root
}
