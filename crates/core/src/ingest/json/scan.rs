//! A strict JSON scanner over bytes: it hands out slices of the body and copies nothing.

use std::borrow::Cow;

/// Where and why the text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The byte at which reading stopped.
    pub(crate) at: usize,
    /// What should stand there, or what must not.
    pub(crate) problem: &'static str,
}

impl SyntaxError {
    /// Returns the line and the column (in bytes) of the error, both from 1.
    pub(crate) fn line_and_column(&self, body: &[u8]) -> (usize, usize) {
        let before = &body[..self.at.min(body.len())];
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        (line, before.len() - line_start + 1)
    }
}

/// A string as written, between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// The bytes between the quotes, escapes still in them.
    pub(crate) raw: &'a [u8],
    /// Some of them are escapes.
    pub(crate) is_escaped: bool,
}

impl<'a> Text<'a> {
    /// Returns the string's bytes; `None` where an escaped surrogate has no partner.
    pub(crate) fn bytes(&self) -> Option<Cow<'a, [u8]>> {
        if self.is_escaped { unescape(self.raw).map(Cow::Owned) } else { Some(Cow::Borrowed(self.raw)) }
    }
}

/// The next value: scalars are read, an object or an array is only announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as written.
    Number(&'a [u8]),
    /// A string.
    Text(Text<'a>),
    /// An object begins here; [`Scanner::open`] enters it.
    Object,
    /// An array begins here; [`Scanner::open`] enters it.
    Array,
}

impl Value<'_> {
    /// Names the kind of value, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    body: &'a [u8],
    /// The next byte to read.
    pub(crate) at: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte; a byte order mark is stepped over.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 } }
    }

    /// Returns the next byte that is not white space, without reading it; 0 at the end.
    #[inline]
    pub(crate) fn peek(&mut self) -> u8 {
        while let Some(&byte) = self.body.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Reads a scalar, or announces an object or an array.
    pub(crate) fn value(&mut self) -> Result<Value<'a>, SyntaxError> {
        match self.peek() {
            b'"' => self.text().map(Value::Text),
            b'{' => Ok(Value::Object),
            b'[' => Ok(Value::Array),
            b't' => self.literal(b"true").map(|()| Value::Bool(true)),
            b'f' => self.literal(b"false").map(|()| Value::Bool(false)),
            b'n' => self.literal(b"null").map(|()| Value::Null),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            _ => Err(self.error("expected a value")),
        }
    }

    /// Reads the bracket that [`Self::value`] announced.
    pub(crate) fn open(&mut self) {
        self.at += 1;
    }

    /// Reads up to the value of the next member of an object, and returns its name; `None` once the object is closed.
    pub(crate) fn next_member(&mut self, is_first: &mut bool) -> Result<Option<Text<'a>>, SyntaxError> {
        if self.is_closed(b'}', is_first)? {
            return Ok(None);
        }
        if self.peek() != b'"' {
            return Err(self.error("expected a name in quotes"));
        }
        let name = self.text()?;
        if self.peek() != b':' {
            return Err(self.error("expected `:` after the name"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Steps to the next element of an array; `false` once the array is closed.
    pub(crate) fn next_element(&mut self, is_first: &mut bool) -> Result<bool, SyntaxError> {
        self.is_closed(b']', is_first).map(|closed| !closed)
    }

    fn is_closed(&mut self, bracket: u8, is_first: &mut bool) -> Result<bool, SyntaxError> {
        let byte = self.peek();
        if byte == bracket {
            self.at += 1;
            return Ok(true);
        }
        if std::mem::take(is_first) {
            return Ok(false);
        }
        if byte != b',' {
            let problem = if bracket == b'}' { "expected `,` or `}`" } else { "expected `,` or `]`" };
            return Err(self.error(problem));
        }
        self.at += 1;
        if self.peek() == bracket { Err(self.error("a comma before the closing bracket")) } else { Ok(false) }
    }

    /// Reads over one value of any kind, and checks that it is JSON.
    pub(crate) fn skip(&mut self) -> Result<(), SyntaxError> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            let mut is_first = match self.value()? {
                opened @ (Value::Object | Value::Array) => {
                    self.open();
                    open.push(if opened == Value::Object { b'}' } else { b']' });
                    true
                }
                _ => false,
            };
            loop {
                let Some(&bracket) = open.last() else { return Ok(()) };
                let has_more = if bracket == b'}' {
                    self.next_member(&mut is_first)?.is_some()
                } else {
                    self.next_element(&mut is_first)?
                };
                if has_more {
                    break;
                }
                open.pop();
                is_first = false;
            }
        }
    }

    /// Says that nothing but white space may follow.
    pub(crate) fn finish(&mut self) -> Result<(), SyntaxError> {
        self.peek();
        if self.at == self.body.len() { Ok(()) } else { Err(self.error("expected nothing after the value")) }
    }

    /// Returns the bytes from `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.body[start..self.at]
    }

    fn error(&self, problem: &'static str) -> SyntaxError {
        let problem = if self.at >= self.body.len() { "the text ends too early" } else { problem };
        SyntaxError { at: self.at, problem }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), SyntaxError> {
        if !self.body[self.at..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a string from its opening quote to its closing one.
    fn text(&mut self) -> Result<Text<'a>, SyntaxError> {
        self.at += 1;
        let start = self.at;
        let mut is_escaped = false;
        loop {
            self.at += plain_bytes(&self.body[self.at..]);
            match self.body.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.escape()?;
                    is_escaped = true;
                }
                _ => return Err(self.error("a control character in a string")),
            }
        }
        let raw = self.since(start);
        self.at += 1;
        Ok(Text { raw, is_escaped })
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        match self.body.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.body.get(self.at).is_some_and(u8::is_ascii_hexdigit) {
                        return Err(self.error("expected four hex digits after `\\u`"));
                    }
                }
                self.at += 1;
            }
            _ => return Err(self.error("an unknown escape in a string")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<&'a [u8], SyntaxError> {
        let start = self.at;
        self.at += number_bytes(&self.body[start..]).map_err(|at| {
            self.at = start + at;
            self.error("expected a digit")
        })?;
        if matches!(self.body.get(self.at), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
            return Err(self.error("expected the end of the number"));
        }
        Ok(self.since(start))
    }
}

/// Counts the bytes up to the first quote, backslash or control character, eight at a time.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let stops = control | zero_bytes(word ^ (ONES * 0x22)) | zero_bytes(word ^ (ONES * 0x5c));
        if stops != 0 {
            // The lowest mark is exact; borrows can only make false ones above it.
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(rest.len())
}

/// Counts the bytes of the number that begins here; an error is the place where a digit is missing.
pub(crate) fn number_bytes(bytes: &[u8]) -> Result<usize, usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let some_digits = |from: usize| match digits(from) {
        0 => Err(from),
        count => Ok(from + count),
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut end = if bytes.get(start) == Some(&b'0') { start + 1 } else { some_digits(start)? };
    if bytes.get(end) == Some(&b'.') {
        end = some_digits(end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = some_digits(end + 1 + sign)?;
    }
    Ok(end)
}

/// Resolves the escapes of a string that was scanned; `None` where a surrogate has no partner.
fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(backslash) = rest.iter().position(|&b| b == b'\\') {
        text.extend_from_slice(&rest[..backslash]);
        let mark = *rest.get(backslash + 1)?;
        rest = &rest[backslash + 2..];
        match mark {
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let (symbol, after) = code_point(rest)?;
                text.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            itself => text.push(itself),
        }
    }
    text.extend_from_slice(rest);
    Some(text)
}

/// Reads the four digits after `\u`, and the second escape of a pair.
fn code_point(rest: &[u8]) -> Option<(char, &[u8])> {
    let unit = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits.get(..4)?).ok()?, 16).ok();
    let first = unit(rest)?;
    let rest = &rest[4..];
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let second = unit(rest.strip_prefix(b"\\u")?)?;
    let is_low = (0xdc00..0xe000).contains(&second);
    let symbol = is_low.then(|| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)))??;
    Some((symbol, &rest[6..]))
}
