use std::fmt;

use twox_hash::XxHash3_64;

use crate::kind::{Kind, Kinds};

/// Byte that stands for a variable; control characters of a line never reach a shape.
pub(crate) const HOLE: u8 = 0;

/// A template's name for ever and on every node: XXH3 (64 bits, seed 0) of its canonical text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateId(pub u64);

impl TemplateId {
    /// For rows that have no body.
    pub const NONE: Self = Self(0);
    /// The template of lines that came when no more templates could be remembered.
    pub const OVERFLOW: Self = Self(1);

    pub(crate) fn of(canonical: &[u8]) -> Self {
        match XxHash3_64::oneshot(canonical) {
            // The two reserved ids are no text's; where a text hashes to them its id is the next free number.
            reserved @ 0..=1 => Self(reserved + 2),
            hash => Self(hash),
        }
    }
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A line, or a template, as constant words, punctuation and holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The text with [`HOLE`] for every variable: what the id is made of.
    pub(crate) bytes: Vec<u8>,
    /// Where the constant words are in it: start and end.
    pub(crate) words: Vec<(u16, u16)>,
    /// What each hole looked like, in order.
    pub(crate) kinds: Vec<Kinds>,
}

/// One step through a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Word(&'a [u8]),
    Hole(Kinds),
    Mark(u8),
}

impl Shape {
    pub(crate) fn id(&self) -> TemplateId {
        TemplateId::of(&self.bytes)
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.words.clear();
        self.kinds.clear();
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let (mut at, mut word, mut hole) = (0, 0, 0);
        std::iter::from_fn(move || {
            let byte = *self.bytes.get(at)?;
            if let Some((start, end)) = self.words.get(word).map(|(s, e)| (usize::from(*s), usize::from(*e)))
                && start == at
            {
                (at, word) = (end, word + 1);
                return Some(Piece::Word(&self.bytes[start..end]));
            }
            at += 1;
            if byte != HOLE {
                return Some(Piece::Mark(byte));
            }
            hole += 1;
            Some(Piece::Hole(self.kinds.get(hole - 1).copied().unwrap_or(Kinds::NONE)))
        })
    }

    /// Returns the hash of what all shapes have in common that differ in words only.
    pub(crate) fn skeleton(&self) -> u64 {
        let marks: Vec<u8> =
            self.pieces().map(|piece| if let Piece::Mark(byte) = piece { byte } else { HOLE }).collect();
        XxHash3_64::oneshot(&marks)
    }

    /// Says whether every line of `other` is one of this shape, and how many of this shape's holes would take a word
    /// for the first time.
    pub(crate) fn fits(&self, other: &Self) -> Option<usize> {
        let mut first_words = 0;
        let (mut mine, mut theirs) = (self.pieces(), other.pieces());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) => return Some(first_words),
                (Some(Piece::Hole(_)), Some(Piece::Hole(_))) => {}
                (Some(Piece::Hole(kinds)), Some(Piece::Word(_))) => {
                    first_words += usize::from(!kinds.holds(Kind::Word));
                }
                (mine, theirs) if mine == theirs => {}
                _ => return None,
            }
        }
    }

    /// Counts the holes where words were seen.
    pub(crate) fn word_holes(&self) -> usize {
        self.kinds.iter().filter(|kinds| kinds.holds(Kind::Word)).count()
    }

    /// Returns the least general shape that covers both, if their skeletons are the same.
    ///
    /// The operation is commutative, associative and idempotent: it is what makes merges on two nodes agree.
    pub(crate) fn join(&self, other: &Self) -> Option<Self> {
        let mut joined = Self::default();
        let (mut mine, mut theirs) = (self.pieces(), other.pieces());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) => return Some(joined),
                (Some(Piece::Mark(a)), Some(Piece::Mark(b))) if a == b => joined.bytes.push(a),
                (Some(Piece::Word(a)), Some(Piece::Word(b))) if a == b => joined.push_word(a),
                (Some(a), Some(b)) => joined.push_hole(joint_kinds(a, b)?),
                _ => return None,
            }
        }
    }

    /// Returns this shape with its `at`-th word as a hole.
    pub(crate) fn with_hole(&self, at: usize) -> Self {
        let mut shape = Self::default();
        let mut word = 0;
        for piece in self.pieces() {
            match piece {
                Piece::Mark(byte) => shape.bytes.push(byte),
                Piece::Hole(kinds) => shape.push_hole(kinds),
                Piece::Word(text) => {
                    if word == at {
                        shape.push_hole(Kind::Word.into());
                    } else {
                        shape.push_word(text);
                    }
                    word += 1;
                }
            }
        }
        shape
    }

    /// Adds what another shape's values look like at this one's holes.
    pub(crate) fn unite_kinds(&mut self, other: &Self) {
        let mut hole = 0;
        let mut kinds = std::mem::take(&mut self.kinds);
        for (mine, theirs) in self.pieces().zip(other.pieces()) {
            if let Piece::Hole(_) = mine {
                let seen = match theirs {
                    Piece::Hole(kinds) => kinds,
                    Piece::Word(_) => Kind::Word.into(),
                    Piece::Mark(_) => Kinds::NONE,
                };
                kinds[hole].unite(seen);
                hole += 1;
            }
        }
        self.kinds = kinds;
    }

    pub(crate) fn push_word(&mut self, text: &[u8]) {
        let start = narrow(self.bytes.len());
        self.bytes.extend_from_slice(text);
        self.words.push((start, narrow(self.bytes.len())));
    }

    pub(crate) fn push_hole(&mut self, kinds: Kinds) {
        self.bytes.push(HOLE);
        self.kinds.push(kinds);
    }

    /// Writes the shape for people: `<*>` for a hole, or the name that `name` has for its kinds.
    pub(crate) fn text<'a>(&self, name: impl Fn(Kinds) -> &'a str) -> String {
        let mut text = Vec::with_capacity(self.bytes.len() + 8 * self.kinds.len());
        for piece in self.pieces() {
            match piece {
                Piece::Word(word) => text.extend_from_slice(word),
                Piece::Mark(byte) => text.push(byte),
                Piece::Hole(kinds) => {
                    text.push(b'<');
                    text.extend_from_slice(name(kinds).as_bytes());
                    text.push(b'>');
                }
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn joint_kinds(a: Piece<'_>, b: Piece<'_>) -> Option<Kinds> {
    let of = |piece| match piece {
        Piece::Word(_) => Some(Kinds::from(Kind::Word)),
        Piece::Hole(kinds) => Some(kinds),
        Piece::Mark(_) => None,
    };
    let mut kinds = of(a)?;
    kinds.unite(of(b)?);
    Some(kinds)
}

#[expect(clippy::cast_possible_truncation, reason = "a shape has at most SHAPE_BYTES_MAX bytes")]
fn narrow(at: usize) -> u16 {
    at as u16
}
