use super::{Json, Number, Object};
use crate::Invalid;

/// Arrays and objects within each other that a text may have: real ones stay under 20, and reading them takes the stack.
pub const DEPTH_MAX: usize = 64;

/// Reads one JSON value; of members with one name the last counts.
pub fn parse(text: &str) -> Result<Json, Invalid> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() { Err(reader.wrong("something stands behind the value")) } else { Ok(value) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
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

    fn value(&mut self, depth: usize) -> Result<Json, Invalid> {
        self.space();
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => Err(self.wrong("arrays and objects are nested too deep")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => Err(self.wrong("a value is expected here")),
            None => Err(self.wrong("the text ends where a value is expected")),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, Invalid> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("a value is expected here"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Json, Invalid> {
        let mut members = Object::new();
        self.at += 1;
        self.space();
        if self.ends(b'}') {
            return Ok(Json::Object(members));
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
            members.insert(name, value);
            self.space();
            if self.ends(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.ends(b',') {
                return Err(self.wrong("`,` or `}` is expected here"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, Invalid> {
        let mut elements = Vec::new();
        self.at += 1;
        self.space();
        if self.ends(b']') {
            return Ok(Json::List(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.space();
            if self.ends(b']') {
                return Ok(Json::List(elements));
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

    fn number(&mut self) -> Result<Json, Invalid> {
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
        Ok(Json::Number(Number(self.text[from..self.at].to_owned())))
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - from
    }

    fn string(&mut self) -> Result<String, Invalid> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let from = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.at += 1;
            }
            out.push_str(&self.text[from..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
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
