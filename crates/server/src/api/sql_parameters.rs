use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use tidegate_model::limits::{QUERY_SQL_BYTES_MAX, SQL_PARAMETERS_MAX};

/// What a request to `/sql/read` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlParameters {
    /// The statement.
    pub sql: String,
    /// The values of `{name:Type}` in it.
    pub params: Vec<(String, String)>,
    /// The form of the answer, as the client named it.
    pub format: Option<String>,
    /// Rows that must be in the answer.
    pub min_watermark: Option<String>,
    /// At most so many rows.
    pub max_rows: Option<u64>,
    /// At most so many milliseconds.
    pub timeout_ms: Option<u64>,
}

/// Why the parameters cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidParameters {
    message: String,
    is_too_long: bool,
}

impl InvalidParameters {
    /// Says whether a shorter statement would do.
    #[must_use]
    pub const fn is_too_long(&self) -> bool {
        self.is_too_long
    }
}

impl fmt::Display for InvalidParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidParameters {}

/// The body as JSON; values of `params` may be text, numbers or booleans.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(alias = "query")]
    sql: Option<String>,
    #[serde(default, alias = "parameters")]
    params: BTreeMap<String, Value>,
    format: Option<String>,
    #[serde(alias = "minWatermark")]
    min_watermark: Option<Value>,
    #[serde(default, alias = "requireFresh")]
    require_fresh: bool,
    #[serde(alias = "maxRows")]
    max_rows: Option<u64>,
    #[serde(alias = "timeoutMs")]
    timeout_ms: Option<u64>,
}

/// Reads the query string and the body of a request to `/sql/read`; does nothing else, so that it can be fuzzed.
pub fn parse(query: &str, is_json: bool, body: &[u8]) -> Result<SqlParameters, InvalidParameters> {
    let mut parameters = SqlParameters::default();
    if !body.is_empty() {
        let text = std::str::from_utf8(body).map_err(|error| invalid(format!("the body is not UTF-8: {error}")))?;
        if is_json { read_json(&mut parameters, text)? } else { text.clone_into(&mut parameters.sql) }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        read_pair(&mut parameters, &decoded(name)?, decoded(value)?)?;
    }
    check(parameters)
}

fn read_json(parameters: &mut SqlParameters, text: &str) -> Result<(), InvalidParameters> {
    let body: Body = serde_json::from_str(text).map_err(|error| {
        invalid(format!("the JSON body cannot be read ({error}): send {{\"sql\":\"SELECT …\",\"params\":{{…}}}}"))
    })?;
    parameters.sql = body.sql.unwrap_or_default();
    parameters.format = body.format;
    parameters.max_rows = body.max_rows;
    parameters.timeout_ms = body.timeout_ms;
    parameters.min_watermark = body.min_watermark.map(|value| plain(&value));
    for (name, value) in &body.params {
        if value.is_array() || value.is_object() || value.is_null() {
            return Err(invalid(format!("the parameter `{name}` must be text, a number or a boolean")));
        }
        parameters.params.push((name.clone(), plain(value)));
    }
    // Every answer is fresh here: whoever insists on it gets what everyone gets.
    let _ = body.require_fresh;
    Ok(())
}

fn read_pair(parameters: &mut SqlParameters, name: &str, value: String) -> Result<(), InvalidParameters> {
    match name {
        "query" | "sql" if parameters.sql.is_empty() => parameters.sql = value,
        "query" | "sql" => return Err(invalid("the SQL is given twice: in the body or as `query`, not both")),
        "format" => parameters.format = Some(value),
        "min_watermark" | "minWatermark" => parameters.min_watermark = Some(value),
        "requireFresh" | "require_fresh" => drop(boolean(name, &value)?),
        "max_rows" | "maxRows" => parameters.max_rows = Some(number(name, &value)?),
        "timeout_ms" | "timeoutMs" => parameters.timeout_ms = Some(number(name, &value)?),
        _ => match name.strip_prefix("param_") {
            Some(own) => parameters.params.push((own.to_owned(), value)),
            None => {
                return Err(invalid(format!(
                    "the parameter `{name}` is not known: there are query, format, min_watermark, requireFresh, max_rows, timeout_ms and param_…"
                )));
            }
        },
    }
    Ok(())
}

fn check(parameters: SqlParameters) -> Result<SqlParameters, InvalidParameters> {
    if parameters.sql.trim().is_empty() {
        return Err(invalid("there is no SQL: give it as `query=…` or as the body of a POST"));
    }
    if parameters.sql.len() > QUERY_SQL_BYTES_MAX {
        let message = format!("the SQL is longer than {QUERY_SQL_BYTES_MAX} bytes");
        return Err(InvalidParameters { message, is_too_long: true });
    }
    if parameters.params.len() > SQL_PARAMETERS_MAX {
        return Err(invalid(format!("there are more than {SQL_PARAMETERS_MAX} parameters")));
    }
    let odd = parameters.params.iter().find(|(name, _)| !is_identifier(name));
    match odd {
        Some((name, _)) => Err(invalid(format!("`{name}` cannot name a parameter: use letters, digits and _"))),
        None => Ok(parameters),
    }
}

fn is_identifier(name: &str) -> bool {
    let begins = name.as_bytes().first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    begins && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Undoes the encoding of a query string: `+` is a space, `%41` is `A`.
pub(crate) fn decoded(text: &str) -> Result<String, InvalidParameters> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (pair, after) = rest.split_first_chunk::<2>().ok_or_else(|| invalid("a % needs two hex digits"))?;
                let digits = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
                let value = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
                bytes.push(value.ok_or_else(|| invalid("a % needs two hex digits"))?);
                rest = after;
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid("a parameter is not UTF-8"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number(name: &str, value: &str) -> Result<u64, InvalidParameters> {
    value.parse().map_err(|_| invalid(format!("`{name}` must be a number, it is `{value}`")))
}

fn boolean(name: &str, value: &str) -> Result<bool, InvalidParameters> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(invalid(format!("`{name}` must be true or false, it is `{value}`"))),
    }
}

fn invalid(text: impl Into<String>) -> InvalidParameters {
    InvalidParameters { message: text.into(), is_too_long: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_good(query: &str, is_json: bool, body: &str, expected: SqlParameters) {
        assert_eq!(parse(query, is_json, body.as_bytes()), Ok(expected));
    }

    fn check_bad(query: &str, is_json: bool, body: &[u8], part: &str) {
        let error = parse(query, is_json, body).expect_err("these parameters are wrong").to_string();
        assert!(error.contains(part), "{error}");
    }

    fn sql(sql: &str) -> SqlParameters {
        SqlParameters { sql: sql.into(), ..SqlParameters::default() }
    }

    #[test]
    fn sql_comes_as_text_as_json_or_in_the_address() {
        check_good("query=SELECT+1%2B1", false, "", sql("SELECT 1+1"));
        check_good("", false, "SELECT 2", sql("SELECT 2"));
        let format = Some("csv".to_owned());
        check_good("format=csv", true, r#"{"sql":"SELECT 3"}"#, SqlParameters { format, ..sql("SELECT 3") });
    }

    #[test]
    fn parameters_of_the_statement_are_kept_as_text() {
        let params = vec![("a".to_owned(), "x y".to_owned()), ("n".to_owned(), "5".to_owned())];
        check_good(
            "param_a=x%20y&param_n=5",
            false,
            "SELECT 1",
            SqlParameters { params: params.clone(), ..sql("SELECT 1") },
        );
        check_good(
            "",
            true,
            r#"{"sql":"SELECT 1","params":{"a":"x y","n":5}}"#,
            SqlParameters { params, ..sql("SELECT 1") },
        );
    }

    #[test]
    fn wrong_parameters_are_named() {
        check_bad("", false, b"", "no SQL");
        check_bad("query=%4", false, b"", "two hex digits");
        check_bad("query=%+1", false, b"", "two hex digits");
        check_bad("query=%ff", false, b"", "not UTF-8");
        check_bad("qeury=1", false, b"SELECT 1", "`qeury`");
        check_bad("query=SELECT+2", false, b"SELECT 1", "given twice");
        check_bad("max_rows=many", false, b"SELECT 1", "`max_rows`");
        check_bad("param_a-b=1", false, b"SELECT 1", "cannot name a parameter");
        check_bad("", true, br#"{"sgl":"SELECT 1"}"#, "sgl");
        check_bad("", true, br#"{"sql":"SELECT 1","params":{"a":[1]}}"#, "`a`");
    }
}
