//! The miner's state as bytes: `TGTM`, a version, XXH3 of the rest, the number of templates, and the templates.
//!
//! A template is its canonical bytes, its words, the kinds of its holes, and its parent along with whether it is a
//! join; all lengths and numbers are LEB128. Places are not written: they follow from the templates.

use twox_hash::XxHash3_64;

use crate::error::StateError;
use crate::forest::Forest;
use crate::kind::Kinds;
use crate::limits::{LINE_BYTES_MAX, TEMPLATES_MAX};
use crate::shape::{HOLE, Shape};

const MAGIC: &[u8; 4] = b"TGTM";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 13;

/// A template as it was written.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) shape: Shape,
    /// Which entry it was merged into.
    pub(crate) parent: Option<u32>,
    pub(crate) is_join: bool,
}

pub(crate) fn encode(forest: &Forest) -> Vec<u8> {
    let mut body = Vec::new();
    put(&mut body, forest.len() as u64);
    for (at, node) in forest.nodes().iter().enumerate() {
        put(&mut body, node.shape.bytes.len() as u64);
        body.extend_from_slice(&node.shape.bytes);
        put(&mut body, node.shape.words.len() as u64);
        for (start, end) in &node.shape.words {
            put(&mut body, u64::from(*start));
            put(&mut body, u64::from(*end));
        }
        for kinds in &node.shape.kinds {
            put(&mut body, u64::from(kinds.0));
        }
        // Zero is no parent, so that the common case is one byte; the lowest bit tells a join.
        let parent = if node.parent as usize == at { 0 } else { u64::from(node.parent) + 1 };
        put(&mut body, 2 * parent + u64::from(node.is_join));
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&XxHash3_64::oneshot(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Entry>, StateError> {
    let Some((head, body)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Err(StateError::Magic) };
    if head[..4] != *MAGIC {
        return Err(StateError::Magic);
    }
    if head[4] != VERSION {
        return Err(StateError::Version { found: head[4] });
    }
    if head[5..] != XxHash3_64::oneshot(body).to_le_bytes() {
        return Err(StateError::Checksum);
    }
    let mut reader = Reader { body, at: 0 };
    let count = reader.number(TEMPLATES_MAX as u64)?;
    let entries = (0..count).map(|_| entry(&mut reader, count)).collect::<Result<Vec<_>, _>>()?;
    if reader.at == body.len() { Ok(entries) } else { Err(reader.malformed()) }
}

fn entry(reader: &mut Reader<'_>, count: u64) -> Result<Entry, StateError> {
    let length = reader.number(2 * LINE_BYTES_MAX as u64)?;
    let bytes = reader.take(length)?.to_vec();
    let mut shape = Shape { bytes, ..Shape::default() };
    let mut last = 0;
    for _ in 0..reader.number(length)? {
        let (start, end) = (reader.number(length)?, reader.number(length)?);
        if start < last || end <= start {
            return Err(reader.malformed());
        }
        last = end;
        let narrow = |at: u64| u16::try_from(at).map_err(|_| reader.malformed());
        shape.words.push((narrow(start)?, narrow(end)?));
    }
    let inside: usize = shape.words.iter().map(|(s, e)| holes(&shape.bytes[usize::from(*s)..usize::from(*e)])).sum();
    if inside > 0 {
        return Err(reader.malformed());
    }
    for _ in 0..holes(&shape.bytes) {
        let kinds = reader.number(u64::from(u32::MAX))?;
        shape.kinds.push(Kinds(u32::try_from(kinds).map_err(|_| reader.malformed())?));
    }
    let link = reader.number(2 * count + 1)?;
    // A number up to `count` names an entry.
    let parent = (link / 2).checked_sub(1);
    let parent = parent.map(|at| u32::try_from(at).map_err(|_| reader.malformed())).transpose()?;
    Ok(Entry { shape, parent, is_join: link % 2 == 1 })
}

fn holes(bytes: &[u8]) -> usize {
    memchr::memchr_iter(HOLE, bytes).count()
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], StateError> {
        let length = usize::try_from(length).map_err(|_| self.malformed())?;
        let taken = self.body.get(self.at..self.at + length).ok_or(self.malformed())?;
        self.at += length;
        Ok(taken)
    }

    fn number(&mut self, max: u64) -> Result<u64, StateError> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if number <= max { Ok(number) } else { Err(self.malformed()) };
            }
        }
        Err(self.malformed())
    }

    fn malformed(&self) -> StateError {
        StateError::Malformed { at: HEAD_BYTES + self.at }
    }
}
