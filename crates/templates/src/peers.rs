//! Templates that are alike in all but several words: who did what to whom, where each line has other names.
//!
//! [`crate::places`] sees one word vary while all others stay. Where two or more names are in every line, hardly any two
//! lines differ in one of them alone; what tells them from constants is that several of them vary widely, each, while
//! the words around them never do.

use hashbrown::HashMap;
use twox_hash::XxHash3_64;

use crate::forest::{Forest, NodeIndex};
use crate::limits::{CONTEXT_WORDS, JOINT_HOLES_MAX, PEERS_MAX, VALUES_JOINT, VALUES_WEAK};
use crate::shape::{Piece, Shape};

/// Words of a template that are compared: as many as a mask has bits.
const WORDS_MAX: usize = u32::BITS as usize;

/// Templates found to be one, and what they have in common.
#[derive(Debug)]
pub(crate) struct Joint {
    pub(crate) members: Vec<NodeIndex>,
    pub(crate) hollow: Shape,
}

/// Roots by what they have beside their words.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    classes: HashMap<u64, Vec<Peer>>,
}

#[derive(Debug)]
struct Peer {
    node: NodeIndex,
    words: Box<[u64]>,
}

impl Peers {
    /// Notes a template, and tells whether it and others of its class turn out to be one.
    pub(crate) fn note(&mut self, forest: &Forest, at: NodeIndex) -> Option<Joint> {
        let shape = &forest.node(at).shape;
        if !(2 * CONTEXT_WORDS..=WORDS_MAX).contains(&shape.words.len()) || forest.root(at) != at {
            return None;
        }
        let class = self.classes.entry(class_of(shape)).or_default();
        class.retain(|peer| forest.root(peer.node) == peer.node && peer.node != at);
        let own = Peer { node: at, words: hashes(shape) };
        let found = joint(class, &own);
        let Some((constant, members)) = found else {
            if class.len() < PEERS_MAX {
                class.push(own);
            }
            return None;
        };
        class.retain(|peer| !members.contains(&peer.node));
        let varies = (0..shape.words.len()).rev().filter(|word| constant & 1 << word == 0);
        let hollow = varies.fold(shape.clone(), |shape, word| shape.with_hole(word));
        Some(Joint { members, hollow })
    }

    pub(crate) fn clear(&mut self) {
        self.classes.clear();
    }
}

/// Finds the words that a template shares with enough others which differ in all the rest, as many words as possible.
fn joint(class: &[Peer], own: &Peer) -> Option<(u32, Vec<NodeIndex>)> {
    if class.len() + 1 < VALUES_JOINT {
        return None;
    }
    let shared: Vec<u32> = class.iter().map(|peer| alike(peer, own)).collect();
    let mut masks = shared.clone();
    for (at, one) in class.iter().enumerate() {
        let others = class[..at].iter().map(|other| alike(one, other));
        // What they share and this template does not have is none of its business.
        masks.extend(others.filter(|mask| mask & shared[at] == *mask));
    }
    let words = own.words.len();
    masks.retain(|mask| {
        let constants = mask.count_ones() as usize;
        let holes = words - constants;
        (2..=JOINT_HOLES_MAX).contains(&holes) && constants >= holes.max(CONTEXT_WORDS)
    });
    masks.sort_unstable_by_key(|mask| (u32::MAX - mask.count_ones(), *mask));
    masks.dedup();
    masks.into_iter().find_map(|mask| {
        let fits = class.iter().zip(&shared).filter(|(_, shared)| *shared & mask == mask).map(|(peer, _)| peer);
        let members: Vec<&Peer> = fits.chain([own]).collect();
        let varies = (0..words).filter(|word| mask & 1 << word == 0).all(|word| vary(&members, word));
        varies.then(|| (mask, members.iter().map(|peer| peer.node).collect()))
    })
}

fn vary(members: &[&Peer], word: usize) -> bool {
    let mut values: Vec<u64> = members.iter().map(|peer| peer.words[word]).collect();
    values.sort_unstable();
    values.dedup();
    // The first word mostly names who speaks.
    values.len() >= if word == 0 { VALUES_WEAK } else { VALUES_JOINT }
}

/// Returns a bit for each word that is the same in both.
fn alike(one: &Peer, other: &Peer) -> u32 {
    one.words.iter().zip(&other.words).enumerate().map(|(at, (a, b))| u32::from(a == b) << at).sum()
}

fn hashes(shape: &Shape) -> Box<[u64]> {
    let words = shape.words.iter().map(|(start, end)| &shape.bytes[usize::from(*start)..usize::from(*end)]);
    words.map(XxHash3_64::oneshot).collect()
}

/// Returns the hash of what a shape has beside its words, and of where they are.
fn class_of(shape: &Shape) -> u64 {
    let piece = |piece| match piece {
        Piece::Word(_) => 1,
        Piece::Hole(_) => 0,
        Piece::Mark(byte) => byte,
    };
    XxHash3_64::oneshot(&shape.pieces().map(piece).collect::<Vec<u8>>())
}
