//! ClickHouse's tokens, as far as a gate must tell words from strings and comments.

/// One token of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind,
    /// The token's text; for quoted ones with the quotes.
    pub(crate) text: &'t str,
    /// Where it begins in the statement.
    pub(crate) start: usize,
    /// Whether its end was seen: a string at the end of half a text may go on.
    pub(crate) closed: bool,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A bare identifier, keyword or number.
    Word,
    /// An identifier in backticks or double quotes.
    Quoted,
    /// A string literal or heredoc.
    Literal,
    /// Any other single character.
    Mark,
}

impl<'t> Token<'t> {
    /// Returns where the token ends.
    pub(crate) const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Says whether the token is this keyword, in any case.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Says whether the token is this single character.
    pub(crate) fn is_mark(&self, mark: char) -> bool {
        self.kind == TokenKind::Mark && self.text.starts_with(mark)
    }

    /// Returns the identifier's name, without quotes.
    pub(crate) fn name(&self) -> Option<&'t str> {
        match self.kind {
            TokenKind::Word => Some(self.text),
            TokenKind::Quoted => self.text.get(1..self.text.len().saturating_sub(1)),
            TokenKind::Literal | TokenKind::Mark => None,
        }
    }
}

/// Splits a statement into tokens; space and comments fall away.
pub(crate) fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at = skip_blank(sql, at);
        let rest = sql.get(at..)?;
        let first = rest.chars().next()?;
        let (kind, length, closed) = match first {
            '\'' => quoted(rest, '\'', TokenKind::Literal),
            '`' => quoted(rest, '`', TokenKind::Quoted),
            '"' => quoted(rest, '"', TokenKind::Quoted),
            '$' => heredoc(rest),
            c if is_word_part(c) => word(rest),
            c => (TokenKind::Mark, c.len_utf8(), true),
        };
        let token = Token { kind, text: &rest[..length], start: at, closed };
        at += length;
        Some(token)
    })
}

fn is_word_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

fn word(rest: &str) -> (TokenKind, usize, bool) {
    let length = rest.find(|c| !(is_word_part(c) || c == '$')).unwrap_or(rest.len());
    (TokenKind::Word, length, length < rest.len())
}

/// A quote ends at its like, unless a backslash stands before it or it is doubled.
fn quoted(rest: &str, quote: char, kind: TokenKind) -> (TokenKind, usize, bool) {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return (kind, at + 1, true);
            }
        }
    }
    (kind, rest.len(), false)
}

/// `$tag$ … $tag$`, or a lone dollar sign.
fn heredoc(rest: &str) -> (TokenKind, usize, bool) {
    let Some(tag_end) = rest[1..].find(|c| !is_word_part(c)).map(|at| at + 1) else {
        return (TokenKind::Mark, 1, true);
    };
    if !rest[tag_end..].starts_with('$') {
        return (TokenKind::Mark, 1, true);
    }
    let tag = &rest[..=tag_end];
    match rest[tag.len()..].find(tag) {
        Some(at) => (TokenKind::Literal, tag.len() * 2 + at, true),
        None => (TokenKind::Mark, 1, true),
    }
}

fn skip_blank(sql: &str, mut at: usize) -> usize {
    loop {
        let rest = &sql[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        let skipped = if trimmed.starts_with("--") || trimmed.starts_with("# ") || trimmed.starts_with("#!") {
            trimmed.find('\n').unwrap_or(trimmed.len())
        } else if trimmed.starts_with("/*") {
            trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
        } else {
            return at;
        };
        at += skipped;
    }
}
