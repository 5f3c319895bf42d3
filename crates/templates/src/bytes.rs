//! What a byte can be part of.

pub(crate) const LETTER: u8 = 1;
pub(crate) const DIGIT: u8 = 2;
/// Holds the parts of a word together: `eth0.100`, `blk_-1`, `well-known`.
pub(crate) const JOINT: u8 = 4;
/// White space, and control characters, which mean nothing in a log line.
pub(crate) const SPACE: u8 = 8;
pub(crate) const ENDS_PATH: u8 = 16;
pub(crate) const HEX: u8 = 32;
/// Punctuation that stands between the parts of one value: `10.0.0.1:80`, `1, 2, 3`, `2005/06/09`.
pub(crate) const LINKS_VALUES: u8 = 64;

pub(crate) const WORD: u8 = LETTER | DIGIT | JOINT;
pub(crate) const NAME: u8 = LETTER | DIGIT;

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = of(at);
        at += 1;
    }
    table
};

const fn of(byte: usize) -> u8 {
    const A: usize = b'a' as usize;
    match byte {
        0..=31 | 127 => SPACE | ENDS_PATH,
        128.. => LETTER,
        48..=57 => DIGIT | HEX,
        65..=70 | A..=102 => LETTER | HEX,
        71..=90 | 103..=122 => LETTER,
        _ => punctuation(byte),
    }
}

const fn punctuation(byte: usize) -> u8 {
    const fn is(byte: usize, set: &[u8]) -> bool {
        let mut at = 0;
        while at < set.len() {
            if set[at] as usize == byte {
                return true;
            }
            at += 1;
        }
        false
    }
    let joint = if is(byte, b"._-$~@+%&") { JOINT | LINKS_VALUES } else { 0 };
    let space = if is(byte, b" ") { SPACE | ENDS_PATH } else { 0 };
    let end = if is(byte, b",;\"'()[]{}<>|") { ENDS_PATH } else { 0 };
    let link = if is(byte, b":/#,*^!\\") { LINKS_VALUES } else { 0 };
    joint | space | end | link
}

#[inline]
pub(crate) fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Returns the class of the byte at `at`, or none at the end.
#[inline]
pub(crate) fn class_at(line: &[u8], at: usize) -> u8 {
    line.get(at).map_or(0, |byte| class(*byte))
}

#[inline]
pub(crate) fn is_all(word: &[u8], classes: u8) -> bool {
    word.iter().all(|byte| class(*byte) & classes != 0)
}
