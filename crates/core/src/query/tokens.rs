//! ClickHouse's lexical rules, followed exactly: a gate that sees other tokens than the engine does can be walked around.
//!
//! Checked on the engine: block comments nest, `//` and `#!` begin a comment as `--` does, `#` only before a space,
//! curly quotes quote, `x'…'` knows no escapes.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// White space or a comment.
    Trivia,
    /// A bare identifier or keyword.
    Word,
    /// An identifier in backticks, double quotes or curly double quotes.
    Quoted,
    /// A string literal, a heredoc, a hexadecimal or binary string.
    Literal,
    /// A number, or an identifier that begins with a digit.
    Number,
    /// Any other single character.
    Mark,
    /// A string, quoted identifier or comment that is not closed: it reaches to the end.
    Open,
}

/// One token; all tokens of a text, put together, are the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'s> {
    /// What it is.
    pub kind: TokenKind,
    /// Its text, quotes included.
    pub text: &'s str,
    /// The byte at which it begins.
    pub start: usize,
}

impl<'s> Token<'s> {
    /// Returns the byte behind the token.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Says whether the token is this keyword, in any case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Says whether the token is this character.
    #[must_use]
    pub fn is_mark(&self, mark: char) -> bool {
        self.kind == TokenKind::Mark && self.text.starts_with(mark)
    }

    /// Returns the name that an identifier token stands for. Quoted names are taken as they are written: the
    /// planner refuses those with escapes.
    #[must_use]
    pub fn name(&self) -> Option<&'s str> {
        match self.kind {
            TokenKind::Word | TokenKind::Number => Some(self.text),
            TokenKind::Quoted => {
                let mut characters = self.text.chars();
                characters.next();
                characters.next_back();
                Some(characters.as_str())
            }
            TokenKind::Trivia | TokenKind::Literal | TokenKind::Mark | TokenKind::Open => None,
        }
    }

    /// Says whether an expression must follow the token.
    #[must_use]
    pub fn expects_operand(&self) -> bool {
        const WORDS: &[&str] = &[
            "SELECT",
            "DISTINCT",
            "ALL",
            "BY",
            "WHERE",
            "HAVING",
            "QUALIFY",
            "ON",
            "AND",
            "OR",
            "NOT",
            "AS",
            "LIKE",
            "ILIKE",
            "IN",
            "BETWEEN",
            "IS",
            "LIMIT",
            "OFFSET",
            "FROM",
            "JOIN",
            "USING",
            "WITH",
            "CASE",
            "WHEN",
            "THEN",
            "ELSE",
            "INTERVAL",
            "DIV",
            "MOD",
            "GLOBAL",
            "EXCEPT",
            "REPLACE",
            "APPLY",
            "UNION",
            "INTERSECT",
        ];
        match self.kind {
            TokenKind::Mark => !matches!(self.text, ")" | "]" | "}" | "*"),
            TokenKind::Word => WORDS.iter().any(|word| self.is_word(word)),
            _ => false,
        }
    }
}

/// Splits a text into tokens.
pub fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &sql[start..];
        let (kind, length) = first_token(rest)?;
        let token = Token { kind, text: &rest[..length], start };
        start += length;
        Some(token)
    })
}

/// Returns the kind and the length of the token that the text begins with.
fn first_token(rest: &str) -> Option<(TokenKind, usize)> {
    let first = rest.chars().next()?;
    let second = rest[first.len_utf8()..].chars().next();
    Some(match (first, second) {
        (c, _) if is_space(c) => (TokenKind::Trivia, rest.find(|c| !is_space(c)).unwrap_or(rest.len())),
        ('-', Some('-')) | ('/', Some('/')) | ('#', Some(' ' | '!')) => {
            (TokenKind::Trivia, rest.find('\n').unwrap_or(rest.len()))
        }
        ('/', Some('*')) => block_comment(rest),
        ('\'', _) => escaped(rest, TokenKind::Literal),
        ('`' | '"', _) => escaped(rest, TokenKind::Quoted),
        ('\u{201c}', _) => until(rest, '\u{201d}', TokenKind::Quoted),
        ('\u{2018}', _) => until(rest, '\u{2019}', TokenKind::Literal),
        ('x' | 'X' | 'b' | 'B', Some('\'')) => digits_string(rest),
        ('$', _) => heredoc(rest).unwrap_or_else(|| word(rest)),
        ('a'..='z' | 'A'..='Z' | '_', _) => word(rest),
        ('0'..='9', _) => (TokenKind::Number, word(rest).1),
        _ => (TokenKind::Mark, first.len_utf8()),
    })
}

/// The byte-order mark counts as space in the engine.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}')
}

fn is_word_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

fn word(rest: &str) -> (TokenKind, usize) {
    (TokenKind::Word, rest.find(|c| !is_word_part(c)).unwrap_or(rest.len()))
}

fn block_comment(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let (mut at, mut depth) = (2, 1_usize);
    while at + 2 <= bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return (TokenKind::Trivia, at);
        }
    }
    (TokenKind::Open, rest.len())
}

/// A quote ends at its like, unless a backslash stands before it or it is doubled.
fn escaped(rest: &str, kind: TokenKind) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return (kind, at + 1),
            _ => at += 1,
        }
    }
    (TokenKind::Open, rest.len())
}

fn until(rest: &str, close: char, kind: TokenKind) -> (TokenKind, usize) {
    rest.find(close).map_or((TokenKind::Open, rest.len()), |at| (kind, at + close.len_utf8()))
}

/// `x'4f'` and `b'01'`: nothing but hexadecimal digits may stand inside.
fn digits_string(rest: &str) -> (TokenKind, usize) {
    let end = rest[2..].find(|c: char| !c.is_ascii_hexdigit()).map(|at| at + 2);
    match end {
        Some(end) if rest[end..].starts_with('\'') => (TokenKind::Literal, end + 1),
        _ => (TokenKind::Open, rest.len()),
    }
}

/// `$tag$ … $tag$`; a dollar sign that opens none begins a word.
fn heredoc(rest: &str) -> Option<(TokenKind, usize)> {
    let tag_end = rest[1..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))? + 1;
    let tag = rest.get(..=tag_end).filter(|tag| tag.ends_with('$'))?;
    let close = rest[tag.len()..].find(tag)?;
    Some((TokenKind::Literal, close + 2 * tag.len()))
}
