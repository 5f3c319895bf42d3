//! One pass over a line's bytes: words are kept or cut out, white space becomes one space, punctuation stays.

use crate::bytes::{DIGIT, HEX, JOINT, LETTER, LINKS_VALUES, NAME, SPACE, WORD, class, class_at, is_all};
use crate::kind::{Kind, Kinds};
use crate::limits::{SHAPE_BYTES_MAX, SHAPE_TOKENS_MAX};
use crate::masks::Masks;
use crate::shape::{HOLE, Shape};
use crate::value;

/// Bytes of a quoted value that may hold spaces; longer quotes are sentences of the line itself.
const QUOTED_VALUE_BYTES_MAX: usize = 64;

/// Fills `shape` with what `line` has that is constant as far as the line alone can tell.
///
/// Marks of the user's masks may stand in the line.
pub(crate) fn scan(line: &[u8], masks: &Masks, shape: &mut Shape) {
    shape.clear();
    let mut scan = Scan { line, at: 0, off: masks.off, masks, shape, linked: None, masked: None };
    while scan.at < line.len() {
        if scan.is_full() {
            scan.linked = None;
            scan.hole(Kind::Id);
            break;
        }
        scan.step();
    }
    while shape.bytes.last() == Some(&b' ') {
        shape.bytes.pop();
    }
}

struct Scan<'a> {
    line: &'a [u8],
    at: usize,
    off: Kinds,
    masks: &'a Masks,
    shape: &'a mut Shape,
    /// The end of the last hole, while only punctuation that links values came after it.
    linked: Option<usize>,
    /// The last mask of the user's, and where its name ends in the shape.
    masked: Option<(u8, usize)>,
}

impl<'a> Scan<'a> {
    fn is_full(&self) -> bool {
        let tokens = self.shape.words.len() + self.shape.kinds.len();
        self.shape.bytes.len() >= SHAPE_BYTES_MAX || tokens >= SHAPE_TOKENS_MAX
    }

    #[inline]
    fn step(&mut self) {
        let byte = self.line[self.at];
        let class = class(byte);
        if class & WORD != 0 {
            self.word();
        } else if class & SPACE != 0 {
            self.space(byte);
        } else {
            self.punctuation(byte);
        }
    }

    fn space(&mut self, byte: u8) {
        self.at += 1;
        if let Some(name) = self.masks.name_of(byte) {
            self.user_mask(byte, name);
        } else if !matches!(self.shape.bytes.last(), None | Some(b' ')) {
            self.shape.bytes.push(b' ');
        }
    }

    /// Writes the name of a user's mask: a constant, told apart from all others; a list of the same is one.
    fn user_mask(&mut self, byte: u8, name: &str) {
        self.linked = None;
        let links = |byte: &u8| *byte == b' ' || class(*byte) & LINKS_VALUES != 0;
        if let Some((last, end)) = self.masked
            && last == byte
            && self.shape.bytes.get(end..).is_some_and(|between| between.iter().all(links))
        {
            self.shape.bytes.truncate(end);
            return;
        }
        self.shape.bytes.push(b'<');
        self.shape.bytes.extend_from_slice(name.as_bytes());
        self.shape.bytes.push(b'>');
        self.masked = Some((byte, self.shape.bytes.len()));
    }

    #[inline]
    fn word(&mut self) {
        let start = self.at;
        let (mut end, mut seen) = (start, 0);
        while end < self.line.len() {
            let class = class(self.line[end]);
            // Dots in a row are a leader between a name and its value: `enabled......1`.
            if class & WORD == 0 || (class & JOINT != 0 && line_has(self.line, end, b"..")) {
                break;
            }
            seen |= class;
            end += 1;
        }
        if end == start {
            return self.joints_alone();
        }
        if seen & JOINT == 0 {
            return self.trimmed_word(start, end, seen);
        }
        while end > start && class(self.line[end - 1]) & NAME == 0 && !self.is_sign_behind_name(start, end - 1) {
            end -= 1;
        }
        if end == start {
            return self.joints_alone();
        }
        let mut from = start;
        while self.line[from] != b'_' && class(self.line[from]) & NAME == 0 {
            if self.is_full() {
                return;
            }
            if matches!(self.line[from], b'-' | b'+') && class_at(self.line, from + 1) & DIGIT != 0 {
                break;
            }
            self.shape.bytes.push(self.line[from]);
            from += 1;
        }
        self.trimmed_word(from, end, seen);
    }

    /// Takes a run without a name in it: `...`, `--`, `___`.
    fn joints_alone(&mut self) {
        while class_at(self.line, self.at) & JOINT != 0 && !self.is_full() {
            self.mark(self.line[self.at]);
            self.at += 1;
        }
    }

    /// A sign right behind a name belongs to it: `x+`, `eth-`.
    fn is_sign_behind_name(&self, start: usize, at: usize) -> bool {
        at > start && matches!(self.line[at], b'+' | b'-') && class(self.line[at - 1]) & NAME != 0
    }

    #[inline]
    fn trimmed_word(&mut self, start: usize, end: usize, seen: u8) {
        let line = self.line;
        let (word, rest) = (&line[start..end], &line[end..]);
        let next = rest.first().copied().unwrap_or(b' ');
        if matches!(next, b':' | b'/' | b'\\')
            && let Some((end, kind)) = self.longer_value(start, end, seen)
        {
            self.at = end;
            return self.hole(kind);
        }
        self.at = end;
        if seen & DIGIT == 0 {
            return match value::without_digit(word, rest).or_else(|| self.flag(word, next)) {
                Some(kind) if self.off.holds(kind) => self.constant(word),
                Some(kind) => {
                    if kind == Kind::Timestamp {
                        self.at = value::calendar_end(line, end);
                    }
                    self.hole(kind);
                }
                None => self.constant(word),
            };
        }
        let kind = value::with_digit(word);
        // A key is a constant even with a digit in it: `ipv4=`, `p99=`.
        if (next == b'=' && class(word[0]) & LETTER != 0) || self.off.holds(kind) {
            return self.constant(word);
        }
        if kind == Kind::Num
            && let Some((length, kind)) = value::unit_after(rest)
        {
            self.at += length;
            return self.hole(kind);
        }
        self.hole(kind);
    }

    /// Tells a flag that is the value of a key from the same word in a sentence.
    fn flag(&self, word: &[u8], next: u8) -> Option<Kind> {
        if word.len() > 5 || !value::is_flag(word) {
            return None;
        }
        let before = self.shape.bytes.iter().rev().find(|byte| **byte != b' ').copied();
        let is_value = matches!(before, Some(b'=' | b':')) && class(next) & NAME == 0;
        let is_bracketed = matches!((before, next), (Some(b'('), b')') | (Some(b'['), b']') | (Some(b'<'), b'>'));
        (is_value || is_bracketed).then_some(Kind::Flag)
    }

    /// Finds values that go on behind the word: URLs, paths, hardware and IPv6 addresses.
    fn longer_value(&self, start: usize, end: usize, seen: u8) -> Option<(usize, Kind)> {
        let line = self.line;
        let rest = &line[end..];
        let found = if rest.starts_with(b"://") && seen & DIGIT == 0 {
            Some((value::path_end(line, end + 3), Kind::Url))
        } else if rest.starts_with(b":\\") && end == start + 1 {
            Some((value::path_end(line, end + 2), Kind::Path))
        } else if rest[0] == b':' && end - start <= 4 && is_all(&line[start..end], HEX) {
            value::colon_address(line, start)
        } else if rest[0] != b':' && !self.off.holds(Kind::Path) && value::goes_on_as_path(line, start, end) {
            // Digits before the slashes are a date: `2016/9/27`, `10/Oct/2000`.
            let kind = if seen & !(DIGIT | HEX) == 0 { Kind::Timestamp } else { Kind::Path };
            Some((value::path_end(line, end), kind))
        } else {
            None
        };
        found.filter(|(_, kind)| !self.off.holds(*kind))
    }

    fn punctuation(&mut self, byte: u8) {
        let line = self.line;
        let at = self.at;
        let next = line.get(at + 1).copied().unwrap_or(b' ');
        match byte {
            b'/' | b'\\' if value::begins_path(line, at) && !self.off.holds(Kind::Path) => {
                self.at = value::path_end(line, at + 1);
                return self.hole(Kind::Path);
            }
            // `<1 sec`, `>5`: about a number, and part of it; not `<3>`.
            b'<' | b'>' if class(next) & DIGIT != 0 && self.begins_chunk() && !self.is_bracketed() => {
                self.at += 1;
                return;
            }
            b'*' if line[at..].starts_with(b"***") => {
                self.at += line[at..].iter().take_while(|byte| **byte == b'*').count();
                return self.hole(Kind::Id);
            }
            // Empty brackets apart from a name are a value that is missing; behind one they are a call.
            b'(' | b'[' | b'"' | b'\'' if next == closing(byte) && class_before(line, at) & NAME == 0 => {
                self.mark(byte);
                self.hole(Kind::Id);
                self.mark(next);
                self.at += 2;
                return;
            }
            b'"' | b'\'' if self.shape.bytes.last() == Some(&b'=') && self.quoted_value(byte) => return,
            _ => {}
        }
        self.at += 1;
        self.mark(byte);
    }

    fn begins_chunk(&self) -> bool {
        self.at == 0 || class(self.line[self.at - 1]) & SPACE != 0
    }

    fn is_bracketed(&self) -> bool {
        let rest = &self.line[self.at + 1..];
        rest.iter().find(|byte| class(**byte) & NAME == 0) == Some(&b'>')
    }

    /// Takes `"two words"` or `"*alarm*"` behind an equals sign as one word, so that values of different length meet
    /// in one place.
    fn quoted_value(&mut self, quote: u8) -> bool {
        let from = self.at + 1;
        let most = self.line.len().min(from + QUOTED_VALUE_BYTES_MAX);
        let Some(length) = memchr::memchr(quote, &self.line[from..most]) else { return false };
        let value = &self.line[from..from + length];
        if value.is_empty() || value.iter().any(|byte| *byte < b' ') || self.is_behind_message_key() {
            return false;
        }
        self.mark(quote);
        if value.iter().any(|byte| class(*byte) & DIGIT != 0) {
            self.hole(Kind::Id);
        } else if value[0] == b'/' {
            self.hole(Kind::Path);
        } else {
            self.constant(value);
        }
        self.mark(quote);
        self.at = from + length + 1;
        true
    }

    /// Says whether the word before the equals sign names the message, which is a sentence and no value.
    fn is_behind_message_key(&self) -> bool {
        let Some((start, end)) = self.shape.words.last().map(|(start, end)| (usize::from(*start), usize::from(*end)))
        else {
            return false;
        };
        let key = &self.shape.bytes[start..end];
        end + 1 == self.shape.bytes.len()
            && self.masks.message_fields.iter().any(|name| key.eq_ignore_ascii_case(name.as_bytes()))
    }

    #[inline]
    fn mark(&mut self, byte: u8) {
        self.shape.bytes.push(byte);
        if class(byte) & LINKS_VALUES == 0 {
            self.linked = None;
        }
    }

    #[inline]
    fn constant(&mut self, word: &[u8]) {
        self.linked = None;
        let room = SHAPE_BYTES_MAX.saturating_sub(self.shape.bytes.len());
        if word.len() > room {
            return self.hole(Kind::Id);
        }
        self.shape.push_word(word);
    }

    /// Cuts a value out; values in a row (`10.0.0.1:80`, `1, 2, 3`, a date and a time) are one.
    #[inline]
    fn hole(&mut self, kind: Kind) {
        if let (Some(end), Some(last)) = (self.linked, self.shape.kinds.last_mut()) {
            let link = self.shape.bytes.get(end).copied().unwrap_or(b' ');
            *last = linked_kind(*last, link, kind);
            self.shape.bytes.truncate(end);
            return;
        }
        self.shape.bytes.push(HOLE);
        self.shape.kinds.push(kind.into());
        self.linked = Some(self.shape.bytes.len());
    }
}

/// Names values in a row: an address and its port, a date and a time, thousands, or a list of one kind.
fn linked_kind(first: Kinds, link: u8, second: Kind) -> Kinds {
    let has_port = link == b':' && (first.holds(Kind::Ip) || first.holds(Kind::Host));
    let is_time = first.holds(Kind::Timestamp) || (link == b':' && first.holds(Kind::Num) && second == Kind::Num);
    if is_time {
        Kind::Timestamp.into()
    } else if has_port || first == second.into() {
        first
    } else {
        Kind::Id.into()
    }
}

fn closing(opening: u8) -> u8 {
    match opening {
        b'(' => b')',
        b'[' => b']',
        quote => quote,
    }
}

fn line_has(line: &[u8], at: usize, what: &[u8]) -> bool {
    line[at..].starts_with(what)
}

fn class_before(line: &[u8], at: usize) -> u8 {
    if at == 0 { 0 } else { class(line[at - 1]) }
}
