//! What users' SQL may not say, whatever the engine's grants are: a second lock on the same door.

use super::error::QueryError;
use super::tokens::{Token, TokenKind};

/// Functions that reach files, the network or other processes, or that name a table in a way that hot rows
/// cannot follow (`merge`, `view`, `loop`, …). A test compares the list with the engine's own.
const FUNCTIONS_REFUSED: &[&str] = &[
    "arrowstream",
    "azureblobstorage",
    "azureblobstoragecluster",
    "catboostevaluate",
    "cluster",
    "clusterallreplicas",
    "cosn",
    "deltalake",
    "deltalakeazure",
    "deltalakeazurecluster",
    "deltalakecluster",
    "deltalakelocal",
    "deltalakes3",
    "deltalakes3cluster",
    "dictionary",
    "eval",
    "executable",
    "file",
    "filecluster",
    "filesystem",
    "fuzzjson",
    "fuzzquery",
    "gcs",
    "hdfs",
    "hdfscluster",
    "hudi",
    "hudicluster",
    "iceberg",
    "icebergazure",
    "icebergazurecluster",
    "icebergcluster",
    "iceberghdfs",
    "iceberghdfscluster",
    "iceberglocal",
    "iceberglocalcluster",
    "icebergs3",
    "icebergs3cluster",
    "input",
    "jdbc",
    "loop",
    "merge",
    "mergetreeanalyzeindexes",
    "mergetreeanalyzeindexesuuid",
    "mergetreeindex",
    "mergetreeparts",
    "mergetreeprojection",
    "mergetreetextindex",
    "mongodb",
    "mysql",
    "odbc",
    "oss",
    "paimon",
    "paimonazure",
    "paimonazurecluster",
    "paimoncluster",
    "paimonhdfs",
    "paimonhdfscluster",
    "paimonlocal",
    "paimons3",
    "paimons3cluster",
    "postgresql",
    "prometheusquery",
    "prometheusqueryrange",
    "redis",
    "remote",
    "remotesecure",
    "s3",
    "s3cluster",
    "sqlite",
    "timeseriesdata",
    "timeseriesmetrics",
    "timeseriessamples",
    "timeseriesselector",
    "timeseriestags",
    "url",
    "urlcluster",
    "view",
    "viewexplain",
    "viewifpermitted",
    "ytsaurus",
];

/// The tables of `system` that tell of the engine and of the schema, not of other people's queries or secrets.
const SYSTEM_TABLES: &[&str] = &[
    "aggregate_function_combinators",
    "build_options",
    "collations",
    "columns",
    "data_skipping_indices",
    "data_type_families",
    "databases",
    "formats",
    "functions",
    "keywords",
    "licenses",
    "merges",
    "numbers",
    "numbers_mt",
    "one",
    "parts",
    "parts_columns",
    "projections",
    "settings",
    "table_engines",
    "table_functions",
    "tables",
    "time_zones",
    "zeros",
    "zeros_mt",
];

/// Columns that ClickHouse makes up from its parts; rows that are not in a part yet have none.
const PART_COLUMNS: &[&str] = &[
    "_block_number",
    "_block_offset",
    "_database",
    "_disk_name",
    "_distance",
    "_part",
    "_part_data_version",
    "_part_granule_offset",
    "_part_index",
    "_part_offset",
    "_part_starting_offset",
    "_part_uuid",
    "_partition_id",
    "_partition_value",
    "_row_exists",
    "_sample_factor",
    "_table",
];

/// Refuses what no read may say.
pub(super) fn check_any(tokens: &[Token<'_>]) -> Result<(), QueryError> {
    for (at, token) in tokens.iter().enumerate() {
        let next = |ahead: usize| tokens.get(at + ahead);
        let next_is_mark = |ahead: usize, mark: char| next(ahead).is_some_and(|token| token.is_mark(mark));
        if token.is_word("INTO") && next(1).is_some_and(|next| next.is_word("OUTFILE")) {
            return Err(refuse(token, "INTO OUTFILE writes a file on the server: save the answer on your side"));
        }
        if token.is_word("INSERT") && next(1).is_some_and(|next| next.is_word("INTO")) {
            return Err(refuse(token, WRITES));
        }
        if token.is_word("SETTINGS") && next(1).is_some_and(|name| name.name().is_some()) && next_is_mark(2, '=') {
            let message = "a SETTINGS clause is not allowed: the limits of a read are parameters of the request";
            return Err(refuse(token, message));
        }
        check_function(tokens, at)?;
        check_system_table(tokens, at)?;
    }
    Ok(())
}

/// Refuses what does not work on stored and hot rows taken together, so that an answer never depends on where the
/// rows are at the moment.
pub(super) fn check_union(tokens: &[Token<'_>], is_table: impl Fn(&Token<'_>) -> bool) -> Result<(), QueryError> {
    for (at, token) in tokens.iter().enumerate() {
        if token.is_word("PREWHERE") {
            return Err(refuse(token, "PREWHERE is not allowed: write WHERE, ClickHouse moves it by itself"));
        }
        if token.name().is_some_and(|name| PART_COLUMNS.contains(&name)) {
            let message = format!("`{}` tells of ClickHouse's parts; newest rows are in none yet", token.text);
            return Err(refuse(token, message));
        }
        if is_table(token) {
            check_modifier(&tokens[at + 1..])?;
        }
    }
    Ok(())
}

pub(super) const WRITES: &str = "this statement writes, or is none; reads are SELECT, WITH, SHOW, DESCRIBE, EXISTS and \
     EXPLAIN, rows go in by OTLP or by \
     POST /datasets/{slug}/ingest";

/// Builds the refusal of a statement at a token.
pub(super) fn refuse(token: &Token<'_>, message: impl Into<String>) -> QueryError {
    QueryError::Refused { message: message.into(), position: token.start }
}

fn check_function(tokens: &[Token<'_>], at: usize) -> Result<(), QueryError> {
    let token = &tokens[at];
    let back = |by: usize| at.checked_sub(by).map(|index| &tokens[index]);
    let is_word = |by: usize, word: &str| back(by).is_some_and(|token| token.is_word(word));
    let is_called = tokens.get(at + 1).is_some_and(|next| next.is_mark('('));
    let is_applied = is_word(1, "APPLY") || (back(1).is_some_and(|token| token.is_mark('(')) && is_word(2, "APPLY"));
    let Some(name) = token.name().filter(|_| is_called || is_applied) else { return Ok(()) };
    if FUNCTIONS_REFUSED.binary_search(&name.to_ascii_lowercase().as_str()).is_err() {
        return Ok(());
    }
    let message = format!("the function `{name}` is not allowed: it reaches beyond the tables of this database");
    Err(refuse(token, message))
}

fn check_system_table(tokens: &[Token<'_>], at: usize) -> Result<(), QueryError> {
    let token = &tokens[at];
    let follows_dot = at.checked_sub(1).is_some_and(|before| tokens[before].is_mark('.'));
    let is_system = token.name().is_some_and(|name| name.eq_ignore_ascii_case("system"));
    let is_qualifier = tokens.get(at + 1).is_some_and(|next| next.is_mark('.'));
    if follows_dot || !is_system || !is_qualifier {
        return Ok(());
    }
    match tokens.get(at + 2).and_then(Token::name) {
        Some(table) if !SYSTEM_TABLES.contains(&table) => {
            let message = format!("`system.{table}` is not open to reads; open are: {}", SYSTEM_TABLES.join(", "));
            Err(refuse(token, message))
        }
        _ => Ok(()),
    }
}

/// Looks for FINAL and SAMPLE behind a table's name and its alias.
fn check_modifier(behind: &[Token<'_>]) -> Result<(), QueryError> {
    let is_modifier = |token: &&Token<'_>| token.is_word("FINAL") || token.is_word("SAMPLE");
    let alias_at = usize::from(behind.first().is_some_and(|token| token.is_word("AS")));
    let has_alias = behind.get(alias_at).is_some_and(|token| matches!(token.kind, TokenKind::Word | TokenKind::Quoted));
    let found = behind.first().filter(is_modifier).or_else(|| {
        let behind_alias = behind.get(alias_at + 1).filter(is_modifier);
        behind_alias.filter(|_| has_alias)
    });
    let ends = |at: usize| behind.get(at).is_none_or(|token| !token.is_mark('.') && !token.is_mark(','));
    match found {
        Some(token) if ends(alias_at + 2) => {
            let message =
                format!("{} does not go with this table: stored and newest rows are read together", token.text);
            Err(refuse(token, message))
        }
        _ => Ok(()),
    }
}
