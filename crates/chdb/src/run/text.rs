use std::io::{self, Read};

use crate::exception::{Exception, codes};
use crate::limits::{INSERT_HEAD_BYTES_MAX, QUERY_BYTES_MAX};
use crate::statement::{InsertHead, insert_head};

/// A statement's text, and the data behind it when it is an insert.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) data: Option<InsertData>,
}

/// The data of an insert.
#[derive(Debug)]
pub(super) struct InsertData {
    pub(super) format: Option<String>,
    /// The first bytes, which were read together with the statement; the body has the others.
    pub(super) inline: Vec<u8>,
}

impl Statement {
    /// A statement without data.
    pub(super) const fn of_text(sql: String) -> Self {
        Self { sql, data: None }
    }
}

/// Reads the statement: the URL's text, a line end, and the body, up to where an insert's data begins.
pub(super) fn read(url: &str, body: &mut impl Read) -> Result<Statement, Exception> {
    let mut text = Vec::from(url);
    if !text.is_empty() {
        text.push(b'\n');
    }
    let mut complete = false;
    let mut piece = vec![0; 64 << 10];
    loop {
        match insert_head(valid_prefix(&text), complete) {
            InsertHead::Query => break,
            InsertHead::Data { statement_end, data_start, format } => {
                return insert(&text, statement_end, data_start, format);
            }
            InsertHead::More if text.len() > INSERT_HEAD_BYTES_MAX => {
                return Err(syntax("an INSERT's data begins later than 1 MiB into its text"));
            }
            InsertHead::More => {
                let count = body.read(&mut piece).map_err(|error| unreadable(&error))?;
                complete = count == 0;
                text.extend_from_slice(&piece[..count]);
            }
        }
    }
    let limit = u64::try_from(QUERY_BYTES_MAX + 1 - text.len().min(QUERY_BYTES_MAX)).unwrap_or(u64::MAX);
    body.take(limit).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    if text.len() > QUERY_BYTES_MAX {
        return Err(syntax("the query is longer than 16 MiB"));
    }
    let sql = String::from_utf8(text).map_err(|_| syntax("the query is not UTF-8"))?;
    if sql.trim().is_empty() { Err(syntax("Empty query")) } else { Ok(Statement::of_text(sql)) }
}

fn insert(
    text: &[u8],
    statement_end: usize,
    data_start: usize,
    format: Option<String>,
) -> Result<Statement, Exception> {
    let sql = String::from_utf8(text[..statement_end].to_vec()).map_err(|_| syntax("the query is not UTF-8"))?;
    let inline = text.get(data_start..).unwrap_or_default().to_vec();
    Ok(Statement { sql: sql.trim_end().to_owned(), data: Some(InsertData { format, inline }) })
}

/// The text up to the first byte that is no UTF-8: an insert's binary data, or half a character.
fn valid_prefix(text: &[u8]) -> &str {
    match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// Says whether the text has a word anywhere, in any case; a cheap test before an exact one.
pub(super) fn mentions(sql: &str, word: &str) -> bool {
    sql.as_bytes().windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// Words a body that cannot be read.
pub(super) fn unreadable(error: &io::Error) -> Exception {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Exception::of(
            codes::CANNOT_READ_ALL_DATA,
            "CANNOT_READ_ALL_DATA",
            format!("Cannot read the body: {error}"),
        );
    }
    Exception::of(codes::CANNOT_DECOMPRESS, "CANNOT_DECOMPRESS", format!("Cannot decode the body: {error}"))
}

fn syntax(message: &str) -> Exception {
    Exception::of(codes::SYNTAX_ERROR, "SYNTAX_ERROR", message)
}
