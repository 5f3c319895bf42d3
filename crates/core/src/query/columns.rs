//! Which columns a statement can reach: only those travel.
//!
//! A column that is left out and needed would be an error or, under an alias of the same name, a wrong answer; so a
//! column stays out only when nothing in the text can mean it.

use tidegate_model::TableSpec;

use super::tokens::{Token, TokenKind};

/// Returns the columns of a table, whose name stands at these tokens, as positions in its spec.
pub(super) fn reached(tokens: &[Token<'_>], spec: &TableSpec, named_at: &[usize]) -> Vec<usize> {
    let all = reaches_all(tokens) || named_at.iter().any(|&at| is_set(tokens, at));
    (0..spec.columns.len()).filter(|&at| all || reaches(tokens, &spec.columns[at].name)).collect()
}

/// Says whether a token names the column, alone or as the first part of a path written in one pair of quotes.
fn reaches(tokens: &[Token<'_>], column: &str) -> bool {
    tokens.iter().filter_map(Token::name).any(|name| name == column || name.split('.').any(|part| part == column))
}

/// Says whether the statement can reach columns that it does not name.
fn reaches_all(tokens: &[Token<'_>]) -> bool {
    (0..tokens.len()).any(|at| {
        let token = &tokens[at];
        let has_quote_inside =
            token.kind == TokenKind::Quoted && token.name().is_some_and(|name| name.contains(['`', '"']));
        token.is_word("COLUMNS") || token.is_word("NATURAL") || has_quote_inside || is_all_columns(tokens, at)
    })
}

/// Tells `*` for all columns from the sign of multiplication and from `count(*)`; in doubt it is all columns.
fn is_all_columns(tokens: &[Token<'_>], at: usize) -> bool {
    if !tokens[at].is_mark('*') {
        return false;
    }
    let back = |by: usize| at.checked_sub(by).map(|index| &tokens[index]);
    let next = tokens.get(at + 1);
    let counts = back(1).is_some_and(|token| token.is_mark('('))
        && back(2).is_some_and(|token| token.is_word("count"))
        && next.is_some_and(|token| token.is_mark(')'));
    let follows_operand = back(1).is_some_and(|token| !token.is_mark('.') && !token.expects_operand());
    let precedes_operand = next.is_some_and(|token| match token.kind {
        TokenKind::Number | TokenKind::Quoted | TokenKind::Literal => true,
        TokenKind::Mark => token.is_mark('('),
        TokenKind::Word => !ends_all_columns(token),
        TokenKind::Trivia | TokenKind::Open => false,
    });
    !(counts || follows_operand && precedes_operand)
}

/// Says whether the word may follow a `*` that stands for all columns.
fn ends_all_columns(token: &Token<'_>) -> bool {
    const WORDS: &[&str] = &[
        "FROM",
        "EXCEPT",
        "REPLACE",
        "APPLY",
        "LIKE",
        "ILIKE",
        "NOT",
        "WHERE",
        "PREWHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "UNION",
        "INTERSECT",
        "SETTINGS",
        "FORMAT",
        "INTO",
        "WINDOW",
        "QUALIFY",
        "AS",
        "FINAL",
    ];
    WORDS.iter().any(|word| token.is_word(word))
}

/// Says whether the name is the right side of `IN`: then all columns of the table are compared.
fn is_set(tokens: &[Token<'_>], at: usize) -> bool {
    let mut before = &tokens[..at];
    if let [rest @ .., _qualifier, dot] = before
        && dot.is_mark('.')
    {
        before = rest;
    }
    while let [rest @ .., open] = before
        && open.is_mark('(')
    {
        before = rest;
    }
    before.last().is_some_and(|token| token.is_word("IN"))
}
