//! Decides what one text of SQL is, which of our tables it names, and which columns of theirs it can reach.
//!
//! Pure and total: any text gives a plan or a refusal. It works on tokens, not on a syntax tree, so it never has to
//! follow ClickHouse's grammar; where tokens leave a doubt, it takes the side that is slower and right.

use tidegate_model::TableSpec;
use tidegate_model::limits::QUERY_SQL_BYTES_MAX;

use super::columns;
use super::error::QueryError;
use super::format::Format;
use super::gate::{self, refuse};
use super::tokens::{Token, TokenKind, tokens};

/// What a read's SQL asks for.
#[derive(Debug)]
pub struct Plan<'t> {
    /// The statement as written, without its FORMAT clause and semicolons.
    pub sql: String,
    /// The same, with `database.table` rewritten so that the names of common table expressions shadow it.
    pub shadowed: String,
    /// What the FORMAT clause asks for.
    pub format: Option<Format>,
    /// The tables that it names.
    pub tables: Vec<TableUse<'t>>,
}

/// How a statement uses one table.
#[derive(Debug)]
pub struct TableUse<'t> {
    /// The table.
    pub spec: &'t TableSpec,
    /// The columns that the statement can reach, as positions in the spec; `_seq` is always among those that travel.
    pub columns: Vec<usize>,
    /// Whether the user's own WITH takes the table's name, so that `database.table` needs another.
    pub renamed: bool,
    /// Conditions, order and limit of a statement of ours that hold for stored and for hot rows alike.
    pub pushed: Option<Pushed>,
}

/// What of a statement of ours is done on stored and on hot rows already, before they are put together: so ClickHouse
/// reads stored rows in their order, and only as many as are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// A condition of which an index leaves few rows; empty: none. Stored rows are read by it before any other: left to
    /// itself ClickHouse asks the index twice, which for an id among ten million rows is a third of the whole read.
    pub rare: String,
    /// `a AND b`, beside `rare`; empty: none.
    pub conditions: String,
    /// ` ORDER BY … LIMIT …`.
    pub behind: String,
}

impl TableUse<'_> {
    /// Returns the name by which `database.table` is read where the user's own WITH has taken the table's name.
    #[must_use]
    pub fn second_name(&self) -> String {
        format!("_all_{}", self.spec.name)
    }
}

/// Plans one read. `params` are the texts of `{name:Type}`, `tables` all tables that may have hot rows.
pub fn plan<'t>(
    sql: &str,
    params: &[(String, String)],
    database: &str,
    tables: &[&'t TableSpec],
) -> Result<Plan<'t>, QueryError> {
    if sql.len() > QUERY_SQL_BYTES_MAX {
        return Err(QueryError::Parameter(format!(
            "the SQL has {} bytes, {QUERY_SQL_BYTES_MAX} are allowed",
            sql.len()
        )));
    }
    let sql = put_identifiers(sql, params)?;
    let mut tokens = significant(&sql)?;
    cut_at_semicolon(&mut tokens)?;
    check_brackets(&tokens)?;
    let is_select = is_select(&tokens)?;
    let format = cut_format(&mut tokens)?;
    gate::check_any(&tokens)?;

    let body = body(&sql, &tokens);
    if !is_select {
        return Ok(Plan { sql: body.clone(), shadowed: body, format, tables: Vec::new() });
    }
    let uses = uses(&tokens, tables);
    if !uses.is_empty() {
        gate::check_union(&tokens, |token| {
            token.name().is_some_and(|name| uses.iter().any(|used| used.is_named(name)))
        })?;
    }
    let shadowed = shadow(&sql, &tokens, database, &uses);
    Ok(Plan { sql: body, shadowed, format, tables: uses })
}

/// Lists the distinct names in a text that could be tables'.
#[must_use]
pub fn names(sql: &str, params: &[(String, String)]) -> Vec<String> {
    let in_text = tokens(sql).filter_map(|token| token.name().map(str::to_owned));
    let mut names: Vec<_> = in_text.chain(params.iter().map(|(_, value)| value.clone())).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Writes the names of `{name:Identifier}` into the text: which table is meant decides which rows travel.
fn put_identifiers(sql: &str, params: &[(String, String)]) -> Result<String, QueryError> {
    let all = significant(sql)?;
    let mut put = String::with_capacity(sql.len());
    let mut copied = 0;
    for group in all.windows(5) {
        let [open, name, colon, kind, close] = group else { continue };
        let is_param = open.is_mark('{') && colon.is_mark(':') && kind.is_word("Identifier") && close.is_mark('}');
        let Some(name) = name.name().filter(|_| is_param) else { continue };
        let value = params.iter().find(|(param, _)| param == name).map(|(_, value)| value.as_str());
        let Some(value) = value else {
            return Err(refuse(open, format!("the parameter `{name}` has no value: send `param_{name}`")));
        };
        let is_plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if value.is_empty() || !is_plain {
            return Err(refuse(open, format!("`{name}` must be one name of letters, digits and _, it is `{value}`")));
        }
        put.push_str(&sql[copied..open.start]);
        put.extend(["`", value, "`"]);
        copied = close.end();
    }
    put.push_str(&sql[copied..]);
    Ok(put)
}

/// Returns the tokens that are neither space nor comment.
fn significant(sql: &str) -> Result<Vec<Token<'_>>, QueryError> {
    let mut found = Vec::new();
    for token in tokens(sql) {
        match token.kind {
            TokenKind::Trivia => {}
            TokenKind::Open => {
                return Err(refuse(&token, "what begins here is not closed: a string, a quoted name or a comment"));
            }
            TokenKind::Quoted if token.text.contains('\\') => {
                return Err(refuse(&token, "a quoted name holds a backslash: double the quote instead of escaping it"));
            }
            TokenKind::Mark if token.is_mark('\0') => return Err(refuse(&token, "the SQL holds a zero byte")),
            _ => found.push(token),
        }
    }
    Ok(found)
}

fn cut_at_semicolon(tokens: &mut Vec<Token<'_>>) -> Result<(), QueryError> {
    let Some(end) = tokens.iter().position(|token| token.is_mark(';')) else { return Ok(()) };
    if let Some(second) = tokens[end..].iter().find(|token| !token.is_mark(';')) {
        return Err(refuse(second, "a second statement begins here: send one at a time"));
    }
    tokens.truncate(end);
    Ok(())
}

/// The statement is put in parentheses later; it must not close them.
fn check_brackets(tokens: &[Token<'_>]) -> Result<(), QueryError> {
    let mut open = Vec::new();
    for token in tokens.iter().filter(|token| token.kind == TokenKind::Mark) {
        let opener = match token.text {
            "(" | "[" | "{" => {
                open.push(token);
                continue;
            }
            ")" => '(',
            "]" => '[',
            "}" => '{',
            _ => continue,
        };
        if open.pop().is_none_or(|last| !last.is_mark(opener)) {
            return Err(refuse(token, format!("`{}` closes nothing", token.text)));
        }
    }
    open.pop().map_or(Ok(()), |last| Err(refuse(last, format!("`{}` is not closed", last.text))))
}

/// Tells statements that read tables from those that ask about the schema; refuses all others.
fn is_select(tokens: &[Token<'_>]) -> Result<bool, QueryError> {
    let Some(first) = tokens.first() else {
        return Err(QueryError::Refused { message: "the SQL is empty".into(), position: 0 });
    };
    if ["SELECT", "WITH", "FROM"].iter().any(|word| first.is_word(word)) || first.is_mark('(') {
        return Ok(true);
    }
    if ["SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"].iter().any(|word| first.is_word(word)) {
        return Ok(false);
    }
    Err(refuse(first, gate::WRITES))
}

/// Cuts the trailing `FORMAT name` off. A column or alias may be called `format`, so the word counts only behind
/// something complete and before the last name.
fn cut_format(tokens: &mut Vec<Token<'_>>) -> Result<Option<Format>, QueryError> {
    let [.., before, clause, name] = tokens.as_slice() else { return Ok(None) };
    let is_name = matches!(name.kind, TokenKind::Word);
    if !clause.is_word("FORMAT") || !is_name || before.expects_operand() {
        return Ok(None);
    }
    let Some(format) = Format::of_clause(name.text) else {
        return Err(refuse(name, format!("the format `{}` is not known; known are: {}", name.text, Format::known())));
    };
    let first = *clause;
    tokens.truncate(tokens.len() - 2);
    match cut_format(tokens)? {
        Some(_) => Err(refuse(&first, "the FORMAT clause is given twice")),
        None => Ok(Some(format)),
    }
}

fn body(sql: &str, tokens: &[Token<'_>]) -> String {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => sql[first.start..last.end()].to_owned(),
        _ => String::new(),
    }
}

impl TableUse<'_> {
    fn is_named(&self, name: &str) -> bool {
        self.spec.name.as_str() == name
    }
}

fn uses<'t>(tokens: &[Token<'_>], tables: &[&'t TableSpec]) -> Vec<TableUse<'t>> {
    let mut uses = Vec::new();
    for &spec in tables {
        let at: Vec<usize> = (0..tokens.len()).filter(|&at| tokens[at].name() == Some(spec.name.as_str())).collect();
        if at.is_empty() {
            continue;
        }
        let renamed = at.iter().any(|&at| {
            tokens.get(at + 1).is_some_and(|next| next.is_word("AS"))
                && tokens.get(at + 2).is_some_and(|next| next.is_mark('('))
        });
        let columns = columns::reached(tokens, spec, &at);
        uses.push(TableUse { spec, columns, renamed, pushed: None });
    }
    uses
}

/// Rewrites `database.table`: blanked to the bare name, so that byte positions stay, or replaced where the user's own
/// WITH has taken that name.
fn shadow(sql: &str, tokens: &[Token<'_>], database: &str, uses: &[TableUse<'_>]) -> String {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return String::new() };
    let mut text = String::with_capacity(sql.len());
    let mut copied = first.start;
    for at in 0..tokens.len().saturating_sub(2) {
        let (qualifier, dot, name) = (&tokens[at], &tokens[at + 1], &tokens[at + 2]);
        let follows_dot = at.checked_sub(1).is_some_and(|before| tokens[before].is_mark('.'));
        if follows_dot || qualifier.name() != Some(database) || !dot.is_mark('.') {
            continue;
        }
        let Some(used) = name.name().and_then(|name| uses.iter().find(|used| used.is_named(name))) else { continue };
        text.push_str(&sql[copied..qualifier.start]);
        let is_column = tokens.get(at + 3).is_some_and(|next| next.is_mark('.'));
        if used.renamed && !is_column {
            text.push_str(&used.second_name());
            copied = name.end();
        } else {
            text.extend(std::iter::repeat_n(' ', name.start - qualifier.start));
            copied = name.start;
        }
    }
    text.push_str(&sql[copied..last.end()]);
    text
}
