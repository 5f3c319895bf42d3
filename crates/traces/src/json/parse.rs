use std::borrow::Cow;

use super::{Json, Number, View};
use crate::Invalid;

/// Arrays and objects within each other that a text may have: real ones stay under 20, and reading them takes the stack.
pub const DEPTH_MAX: usize = 64;

/// Members of one object that are few.
const FEW: usize = 16;

/// Reads one JSON value; of members with one name the last counts.
pub fn parse(text: &str) -> Result<Json, Invalid> {
    read(text)
}

/// Does the same, and copies nothing that stands in the text as it is.
pub fn view(text: &str) -> Result<View<'_>, Invalid> {
    read(text)
}

/// What a text is read into.
trait Form<'t>: Sized {
    fn null() -> Self;
    fn flag(flag: bool) -> Self;
    fn number(digits: &'t str) -> Self;
    fn text(text: Cow<'t, str>) -> Self;
    fn list(elements: Vec<Self>) -> Self;
    /// Makes an object of members as they were written, those with one name among them.
    fn object(members: Vec<(Cow<'t, str>, Self)>) -> Self;
}

impl<'t> Form<'t> for Json {
    fn null() -> Self {
        Self::Null
    }

    fn flag(flag: bool) -> Self {
        Self::Bool(flag)
    }

    fn number(digits: &'t str) -> Self {
        Self::Number(Number(digits.to_owned()))
    }

    fn text(text: Cow<'t, str>) -> Self {
        Self::Text(text.into_owned())
    }

    fn list(elements: Vec<Self>) -> Self {
        Self::List(elements)
    }

    fn object(members: Vec<(Cow<'t, str>, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.into_owned(), value)).collect())
    }
}

impl<'t> Form<'t> for View<'t> {
    fn null() -> Self {
        Self::Null
    }

    fn flag(flag: bool) -> Self {
        Self::Bool(flag)
    }

    fn number(digits: &'t str) -> Self {
        Self::Number(digits)
    }

    fn text(text: Cow<'t, str>) -> Self {
        Self::Text(text)
    }

    fn list(elements: Vec<Self>) -> Self {
        Self::List(elements)
    }

    fn object(mut members: Vec<(Cow<'t, str>, Self)>) -> Self {
        // Few members are compared with one another sooner than they are sorted.
        let is_twice = |at: usize| members[..at].iter().any(|(name, _)| *name == members[at].0);
        if members.len() > FEW || (1..members.len()).any(is_twice) {
            members.reverse();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            members.dedup_by(|(later, _), (first, _)| later == first);
        }
        Self::Object(members)
    }
}

fn read<'t, F: Form<'t>>(text: &'t str) -> Result<F, Invalid> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() { Err(reader.wrong("something stands behind the value")) } else { Ok(value) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn wrong(&self, problem: &str) -> Invalid {
        Invalid::at(format!("byte {}", self.at), format!("no JSON: {problem}"), "send valid JSON (RFC 8259)")
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value<F: Form<'t>>(&mut self, depth: usize) -> Result<F, Invalid> {
        self.space();
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => Err(self.wrong("arrays and objects are nested too deep")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(F::text),
            Some(b'-' | b'0'..=b'9') => self.number().map(F::number),
            Some(b't') => self.word("true").map(|()| F::flag(true)),
            Some(b'f') => self.word("false").map(|()| F::flag(false)),
            Some(b'n') => self.word("null").map(|()| F::null()),
            Some(_) => Err(self.wrong("a value is expected here")),
            None => Err(self.wrong("the text ends where a value is expected")),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Invalid> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("a value is expected here"));
        }
        self.at += word.len();
        Ok(())
    }

    fn object<F: Form<'t>>(&mut self, depth: usize) -> Result<F, Invalid> {
        let mut members = Vec::new();
        self.at += 1;
        self.space();
        if self.ends(b'}') {
            return Ok(F::object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a member's name in quotes is expected here"));
            }
            let name = self.string()?;
            self.space();
            if !self.ends(b':') {
                return Err(self.wrong("`:` is expected here"));
            }
            let value = self.value(depth + 1)?;
            members.push((name, value));
            self.space();
            if self.ends(b'}') {
                return Ok(F::object(members));
            }
            if !self.ends(b',') {
                return Err(self.wrong("`,` or `}` is expected here"));
            }
        }
    }

    fn list<F: Form<'t>>(&mut self, depth: usize) -> Result<F, Invalid> {
        let mut elements = Vec::new();
        self.at += 1;
        self.space();
        if self.ends(b']') {
            return Ok(F::list(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.space();
            if self.ends(b']') {
                return Ok(F::list(elements));
            }
            if !self.ends(b',') {
                return Err(self.wrong("`,` or `]` is expected here"));
            }
        }
    }

    /// Steps over a mark, if it is the next.
    fn ends(&mut self, mark: u8) -> bool {
        let is_next = self.peek() == Some(mark);
        self.at += usize::from(is_next);
        is_next
    }

    fn number(&mut self) -> Result<&'t str, Invalid> {
        let from = self.at;
        self.ends(b'-');
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.text.as_bytes()[self.at - whole] == b'0') {
            return Err(self.wrong("a number has digits, and no zero before others"));
        }
        if self.ends(b'.') && self.digits() == 0 {
            return Err(self.wrong("digits are expected behind the point"));
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.wrong("digits are expected in the exponent"));
            }
        }
        Ok(&self.text[from..self.at])
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - from
    }

    fn string(&mut self) -> Result<Cow<'t, str>, Invalid> {
        self.at += 1;
        let text = self.text;
        let mut out = String::new();
        loop {
            let rest = &text.as_bytes()[self.at..];
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
            let plain = &text[self.at..self.at + length];
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(if out.is_empty() { Cow::Borrowed(plain) } else { Cow::Owned(out + plain) });
                }
                Some(b'\\') => {
                    out.push_str(plain);
                    out.push(self.escape()?);
                }
                Some(_) => return Err(self.wrong("a control character stands in a text: escape it")),
                None => return Err(self.wrong("the text ends within a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Invalid> {
        let mark = self.text.as_bytes().get(self.at + 1).copied();
        self.at += 2;
        Ok(match mark {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => {
                self.at -= 2;
                return Err(self.wrong("an unknown escape"));
            }
        })
    }

    fn unicode(&mut self) -> Result<char, Invalid> {
        let high = self.four()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let low = self.four()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.wrong("a surrogate without its other half"));
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.wrong("a surrogate without its other half"))
    }

    fn four(&mut self) -> Result<u32, Invalid> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.wrong("`\\u` is followed by four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}
