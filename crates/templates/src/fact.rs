use crate::shape::TemplateId;

/// Something the miner found out, to be stored beside the rows. Facts are true for ever: storing one twice, or in
/// another order, or those of several nodes in one table, gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fact {
    /// A template is seen for the first time by this miner; its text comes with it, variables as `<*>`.
    New {
        /// The hash of the text.
        id: TemplateId,
        /// The template for people.
        text: String,
    },
    /// Two ids are one template: rows stored under `from` are to be counted under `into`, which covers them.
    Merged {
        /// The narrower template.
        from: TemplateId,
        /// The wider one.
        into: TemplateId,
    },
}

/// One template for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The hash of its canonical text.
    pub id: TemplateId,
    /// The text with `<*>` for every variable; the same on every node.
    pub text: String,
    /// The text with variables named by what they looked like so far: `<IP>`, `<NUM>`; `<*>` where that differed.
    pub named_text: String,
    /// The template that its rows count under, if it was merged.
    pub merged_into: Option<TemplateId>,
}

/// What a miner counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Lines that were given a template, [`TemplateId::OVERFLOW`] included.
    pub lines: u64,
    /// Lines that were given [`TemplateId::OVERFLOW`].
    pub overflowed: u64,
    /// Templates that are remembered, merged ones included.
    pub templates: u64,
    /// Merges that were found.
    pub merges: u64,
    /// Times that rare templates were forgotten to make room.
    pub trims: u64,
}
