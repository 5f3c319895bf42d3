//! What a request's text asks for, before the engine sees it.

use crate::lexer::{Token, TokenKind, tokens};

/// The head of an `INSERT`, as far as it has been received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InsertHead {
    /// The text is no `INSERT` with data: a query, or `INSERT … SELECT`.
    Query,
    /// More of the text is needed to tell.
    More,
    /// An `INSERT` whose data begins at `data_start`.
    Data {
        /// Up to here reaches the statement without its `FORMAT` clause.
        statement_end: usize,
        /// Where the data begins; the text's length when it holds none.
        data_start: usize,
        /// The data's format, when the text names it.
        format: Option<String>,
    },
}

/// Reads the head of a text that may be cut anywhere; `complete` says that nothing follows.
pub(crate) fn insert_head(sql: &str, complete: bool) -> InsertHead {
    let more = |otherwise| if complete { otherwise } else { InsertHead::More };
    let mut tokens = tokens(sql).peekable();
    match tokens.next() {
        None => return more(InsertHead::Query),
        Some(first) if first.is_word("INSERT") => {}
        // A cut may stand inside a word, or inside the marks that begin a comment.
        Some(first) if first.end() == sql.len() => return more(InsertHead::Query),
        Some(_) => return InsertHead::Query,
    }
    tokens.next_if(|token| token.is_word("INTO"));
    tokens.next_if(|token| token.is_word("TABLE"));
    tokens.next_if(|token| token.is_word("FUNCTION"));
    // The target's name may be any word, `format` and `values` too.
    tokens.next();
    while tokens.next_if(|token| token.is_mark('.')).is_some() {
        tokens.next();
    }
    let mut depth = 0_usize;
    let mut end = sql.len();
    while let Some(token) = tokens.next() {
        if token.is_mark('(') {
            depth += 1;
            if tokens.peek().is_some_and(|next| next.is_word("SELECT") || next.is_word("WITH")) {
                return InsertHead::Query;
            }
        } else if token.is_mark(')') {
            depth = depth.saturating_sub(1);
        } else if token.is_mark(';') {
            end = token.start;
            break;
        } else if depth == 0 && (token.is_word("SELECT") || token.is_word("WITH") || token.is_word("WATCH")) {
            return if token.closed || complete { InsertHead::Query } else { InsertHead::More };
        } else if depth == 0 && token.is_word("VALUES") {
            return if token.closed || complete { data(token, token.end(), "Values") } else { InsertHead::More };
        } else if depth == 0 && token.is_word("FORMAT") {
            return match tokens.next() {
                Some(name) if name.kind == TokenKind::Word => after_format(sql, complete, token, name),
                _ => more(InsertHead::Query),
            };
        }
    }
    more(InsertHead::Data { statement_end: end, data_start: sql.len(), format: None })
}

fn data(clause: Token<'_>, data_start: usize, format: &str) -> InsertHead {
    InsertHead::Data { statement_end: clause.start, data_start, format: Some(format.to_owned()) }
}

/// The data begins after the format's name, blanks, a semicolon and one line end.
fn after_format(sql: &str, complete: bool, clause: Token<'_>, name: Token<'_>) -> InsertHead {
    let blank = |at: usize| sql[at..].find(|c| !matches!(c, ' ' | '\t' | '\x0c')).map_or(sql.len(), |skip| at + skip);
    let skip = |at: usize, mark: char| if sql[at..].starts_with(mark) { at + 1 } else { at };
    let line_end = skip(blank(skip(blank(name.end()), ';')), '\r');
    let data_start = skip(line_end, '\n');
    // A cut right behind the name or its blanks may hide the line end that belongs to the clause.
    if data_start == sql.len() && line_end == data_start && !complete {
        return InsertHead::More;
    }
    data(clause, data_start, name.text)
}

/// Says whether a statement is a `SELECT`, whose answer may be large.
pub(crate) fn is_select(sql: &str) -> bool {
    let first = tokens(sql).find(|token| !token.is_mark('('));
    first.is_some_and(|word| ["SELECT", "WITH", "FROM"].iter().any(|name| word.is_word(name)))
}

/// Where a query's own `FORMAT` clause stands, and what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FormatClause<'t> {
    start: usize,
    end: usize,
    format: &'t str,
}

/// Finds the clause: outside of parentheses, and at the statement's end or before `SETTINGS`.
fn format_clause(sql: &str) -> Option<FormatClause<'_>> {
    let mut depth = 0_usize;
    let mut clause = None;
    let mut tokens = tokens(sql).peekable();
    while let Some(token) = tokens.next() {
        if token.is_mark('(') || token.is_mark('[') {
            depth += 1;
        } else if token.is_mark(')') || token.is_mark(']') {
            depth = depth.saturating_sub(1);
        } else if depth == 0
            && token.is_word("FORMAT")
            && let Some(name) = tokens.next_if(|next| next.kind == TokenKind::Word)
            && tokens.peek().is_none_or(|next| next.is_mark(';') || next.is_word("SETTINGS"))
        {
            clause = Some(FormatClause { start: token.start, end: name.end(), format: name.text });
        }
    }
    clause
}

/// Returns the format that a query's own `FORMAT` clause names.
pub(crate) fn output_format(sql: &str) -> Option<&str> {
    format_clause(sql).map(|clause| clause.format)
}

/// Has a `SELECT` write its answer to a file, which is one end of a pipe of ours.
///
/// libchdb's own streaming makes a whole document of every block, which only formats without head
/// and tail survive; what it writes `INTO OUTFILE` is one document, in constant memory.
pub(crate) fn into_file(sql: &str, format: &str, path: &str) -> String {
    let (start, end) = match format_clause(sql) {
        Some(clause) => (clause.start, clause.end),
        None => {
            let end = tokens(sql).filter(|token| !token.is_mark(';')).last().map_or(0, |last| last.end());
            (end, end)
        }
    };
    format!("{}\nINTO OUTFILE '{path}' TRUNCATE FORMAT {format}{}", &sql[..start], &sql[end..])
}

/// Says whether a statement carries a clause `SETTINGS name = …`.
pub(crate) fn settings_clause(sql: &str) -> Option<String> {
    let mut window: [Option<Token<'_>>; 3] = [None; 3];
    for token in tokens(sql) {
        window.rotate_left(1);
        window[2] = Some(token);
        if let [Some(settings), Some(name), Some(equals)] = window
            && settings.is_word("SETTINGS")
            && equals.is_mark('=')
            && let Some(name) = name.name()
        {
            return Some(name.to_owned());
        }
    }
    None
}

/// Says what in a statement reaches files whoever asks: grants do not guard these.
pub(crate) fn reaches_files(sql: &str) -> Option<&'static str> {
    let all: Vec<Token<'_>> = tokens(sql).collect();
    // `BACKUP … TO File('name')` names a target below the allowed path, not a function.
    let is_backup = all.first().is_some_and(|first| first.is_word("BACKUP") || first.is_word("RESTORE"));
    for (at, token) in all.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).and_then(|index| all.get(index));
        if token.is_word("OUTFILE") && before(1).is_some_and(|word| word.is_word("INTO")) {
            return Some("INTO OUTFILE");
        }
        if token.is_word("INFILE") && before(1).is_some_and(|word| word.is_word("FROM")) {
            return Some("FROM INFILE");
        }
        let names_file = token.name().is_some_and(|name| name.eq_ignore_ascii_case("file"));
        let is_call = all.get(at + 1).is_some_and(|next| next.is_mark('('));
        let is_applied = before(1).is_some_and(|word| word.is_word("APPLY"))
            || (before(1).is_some_and(|mark| mark.is_mark('(')) && before(2).is_some_and(|word| word.is_word("APPLY")));
        if names_file && !is_backup && (is_call || is_applied) {
            return Some("the function file()");
        }
    }
    None
}

/// Says which statement of `SYSTEM` would end or stop the process.
pub(crate) fn ends_the_process(sql: &str) -> bool {
    let mut tokens = tokens(sql);
    let is_system = tokens.next().is_some_and(|first| first.is_word("SYSTEM"));
    let second = tokens.next();
    let forbidden = ["SHUTDOWN", "KILL", "SUSPEND"];
    let listens = tokens.next().is_some_and(|third| third.is_word("LISTEN"));
    is_system && second.is_some_and(|word| listens || forbidden.iter().any(|name| word.is_word(name)))
}

/// What a `KILL QUERY` statement wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// The query with this id.
    Query(String),
    /// The statement waits for its victim, which hangs in this engine (trap 3).
    Sync,
}

/// Recognises `KILL QUERY WHERE query_id = '…'`; any other statement is `None`.
pub(crate) fn kill(sql: &str) -> Option<Kill> {
    let all: Vec<Token<'_>> = tokens(sql).filter(|token| !token.is_mark(';')).collect();
    let [kill, query, rest @ ..] = all.as_slice() else { return None };
    if !kill.is_word("KILL") || !query.is_word("QUERY") {
        return None;
    }
    let words_match = |at: usize, word: &str| rest.get(at).is_some_and(|token| token.is_word(word));
    let id = rest.get(3).filter(|token| token.kind == TokenKind::Literal);
    if words_match(0, "WHERE")
        && words_match(1, "query_id")
        && rest.get(2).is_some_and(|token| token.is_mark('='))
        && let Some(id) = id
        && rest.len() <= 5
    {
        return Some(Kill::Query(id.text.trim_matches('\'').to_owned()));
    }
    rest.last().is_some_and(|last| last.is_word("SYNC")).then_some(Kill::Sync)
}

#[cfg(test)]
mod tests;
