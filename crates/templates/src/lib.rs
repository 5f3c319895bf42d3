//! Log templates, mined line by line, and span-name patterns: which constant text a log body was printed from.
//!
//! Pure: no I/O, no clock, no chance. Of Drain's family (He et al., "Drain: an online log parsing approach with fixed
//! depth tree", ICWS 2017), with the observation of Brain (Yu et al., "Brain: log parsing with bidirectional parallel
//! tree", TSC 2023) that how many distinct words a place has decides whether it is a variable. Unlike either, it only
//! ever merges, and what it merges it says.
//!
//! ```text
//! body ─▶ scan: masks ─▶ shape ─▶ its hash is the id ─▶ merged? ─▶ the id to store with the row
//!                                     │ unknown shape                      │
//!                                     ▼                                    ▼
//!                     places: same but for one word? ─▶ join ─▶ Fact::New, Fact::Merged ─▶ table of aliases
//! ```
//!
//! # Ids
//!
//! A line's **shape** is its words and punctuation with values cut out, by their look alone ([`Kind`]). A template is
//! a shape; its id is the hash of its canonical text, so the same text has the same id on every node, after every
//! restart and in every order of lines. What the variables looked like names them (`<IP>`) and is not in the id.
//!
//! A word that is a variable without looking like one (a user's name) is known only after several lines. Then the
//! templates that differ in it are merged into one with a hole there: their **join**. Rows that are stored already keep
//! their id; [`Fact::Merged`] says that it counts under the join's. New rows get the join's id at once.
//!
//! # What holds
//!
//! - Every line gets exactly one id, [`TemplateId::OVERFLOW`] at worst, and counts by id add up to the lines.
//! - A merge goes from a template to one that covers it with more holes: no cycles, and the widest template's text
//!   matches every line below it. Two templates that are found to be one are merged into the least general that covers
//!   both, whoever found what first: joins are a semilattice.
//! - Merges are never taken back. The set of all [`Fact`]s of all nodes is a grow-only set: order and repeats make no
//!   difference to how [`Aliases`] resolves it, and lines that one node calls one template are one to every reader.
//! - A state that is exported and imported goes on exactly as the miner would have; states of several nodes unite in
//!   any order, and repeatedly, to the same templates.
//! - Which words are *found* to vary depends on which lines a node saw, and within its limits hardly on their order:
//!   evidence is only added. Past the limits, evidence is dropped, never an id.
//! - Memory is bounded whatever comes ([`limits`]).
//!
//! It never splits a template, never reads more than a body's first line; of a JSON object, its message or its keys.
//!
//! | file | holds |
//! |---|---|
//! | `limits.rs` | every bound, with the reason for its number |
//! | `bytes.rs` | what a byte can be part of |
//! | `kind.rs` | [`Kind`], [`Kinds`]: what a variable looks like |
//! | `value.rs` | which words are values by their look |
//! | `masks.rs` | [`Settings`], [`UserMask`]: a user's own masks, built-in ones switched off |
//! | `scan.rs` | a line becomes its shape |
//! | `json.rs` | a JSON object is its message's line, or its keys |
//! | `shape.rs` | [`TemplateId`]; shapes: what they cover, their join, their text |
//! | `places.rs` | where templates differ in one word, and when that makes it a variable |
//! | `peers.rs` | where they differ in several, each time in all of them |
//! | `forest.rs` | all templates, and which was merged into which |
//! | `miner.rs` | [`Miner`]: all of it for one body after the other |
//! | `fact.rs` | [`Fact`], [`Template`], [`Stats`] |
//! | `aliases.rs` | [`Aliases`]: the reader's side of merges |
//! | `state.rs` | export and import |
//! | `span.rs` | [`span_pattern`] |
//! | `error.rs` | [`SettingsError`], [`StateError`] |

mod bytes;
mod error;
mod kind;
pub mod limits;
mod masks;
mod value;
mod scan;
mod json;
mod shape;
mod places;
mod peers;
mod forest;
mod miner;
mod fact;
mod aliases;
mod state;
mod span;

pub use aliases::Aliases;
pub use error::{SettingsError, StateError};
pub use fact::{Fact, Stats, Template};
pub use kind::{Kind, Kinds};
pub use masks::{Settings, UserMask};
pub use miner::Miner;
pub use shape::TemplateId;
pub use span::span_pattern;
