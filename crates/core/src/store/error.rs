use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tidegate_model::ErrorKind;

/// Why ClickHouse did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// ClickHouse refused; its code and text (`X-ClickHouse-Exception-Code`).
    #[error("ClickHouse error {code}: {text}")]
    Refused {
        /// ClickHouse's number for the error; 0 where the answer had none.
        code: i32,
        /// Its text.
        text: String,
    },
    /// No answer: connection refused, reset, engine restarting.
    #[error("{step}")]
    Unreachable {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer within the time.
    #[error("ClickHouse did not answer within {0:?}")]
    Timeout(Duration),
    /// The answer ended before it was whole.
    #[error("the answer was cut off: {0}")]
    CutOff(String),
    /// An option cannot be used.
    #[error("the option `{option}` of the ClickHouse connection cannot be used: {why}")]
    BadOption {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The server lacks what the tables need.
    #[error("ClickHouse {found} is too old, Tidegate needs {needed} or newer; upgrade it, or use the embedded engine")]
    OldServer {
        /// What it says.
        found: String,
        /// The oldest version that will do.
        needed: &'static str,
    },
    /// The database was written by a newer Tidegate.
    #[error(
        "the ClickHouse database `{database}` was written by a newer version of Tidegate (its schema {found}, this program knows {known}); start that version or a newer one"
    )]
    Newer {
        /// The database.
        database: String,
        /// The newest step found.
        found: u64,
        /// The newest one known.
        known: u64,
    },
    /// A column is there with another type.
    #[error(
        "column `{column}` of `{table}` is {found} in ClickHouse, and should be {wanted}; rename or convert it there"
    )]
    OtherType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type in ClickHouse.
        found: String,
        /// The type that its rows have.
        wanted: String,
    },
}

impl StoreError {
    /// Says what the caller does next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { code, .. } => refusal_kind(*code),
            Self::Unreachable { .. } | Self::CutOff(_) => ErrorKind::Unavailable,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::BadOption { .. } | Self::OldServer { .. } | Self::Newer { .. } | Self::OtherType { .. } => {
                ErrorKind::Invalid
            }
        }
    }

    /// Reads a refusal out of an answer that is not a success.
    pub(super) fn from_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body).trim().to_owned();
        let code = exception_code(headers).or_else(|| code_in(&text));
        match code {
            Some(code) => Self::refused(code, &text),
            // Without ClickHouse's number it was a proxy that answered.
            None if status.is_server_error() => Self::Unreachable {
                step: "reach ClickHouse through a proxy",
                source: format!("HTTP {status}: {text}").into(),
            },
            None => Self::Refused { code: 0, text: format!("HTTP {status}: {text}") },
        }
    }

    /// Reads a refusal out of the text that ClickHouse writes into the middle of an answer.
    pub(super) fn from_text(text: &str) -> Self {
        Self::refused(code_in(text).unwrap_or(0), text)
    }

    /// Reads a failed request or a failed body.
    pub(super) fn from_http(step: &'static str, error: reqwest::Error) -> Self {
        Self::Unreachable { step, source: Box::new(error.without_url()) }
    }

    fn refused(code: i32, text: &str) -> Self {
        let text = text.trim();
        let text = text.split_once("DB::Exception: ").map_or(text, |(_, rest)| rest);
        Self::Refused { code, text: text.to_owned() }
    }
}

/// Returns the code that ClickHouse put into the headers.
pub(super) fn exception_code(headers: &HeaderMap) -> Option<i32> {
    headers.get("x-clickhouse-exception-code")?.to_str().ok()?.parse().ok()
}

fn code_in(text: &str) -> Option<i32> {
    let (_, after) = text.split_once("Code: ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// ClickHouse's numbers, by what they ask of the caller; a number that is not listed is the statement's own fault.
fn refusal_kind(code: i32) -> ErrorKind {
    match code {
        // UNKNOWN_TABLE, UNKNOWN_DATABASE
        60 | 81 => ErrorKind::NotFound,
        // TIMEOUT_EXCEEDED, TOO_SLOW
        159 | 160 => ErrorKind::Timeout,
        // QUOTA_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES, MEMORY_LIMIT_EXCEEDED, NOT_ENOUGH_SPACE, TOO_MANY_PARTS, SERVER_OVERLOADED
        201 | 202 | 241 | 243 | 252 | 745 => ErrorKind::Overloaded,
        // ALL_CONNECTION_TRIES_FAILED, NO_FREE_CONNECTION, SOCKET_TIMEOUT, NETWORK_ERROR, ABORTED, TABLE_IS_READ_ONLY,
        // TOO_FEW_LIVE_REPLICAS, UNKNOWN_STATUS_OF_INSERT, QUERY_WAS_CANCELLED, KEEPER_EXCEPTION, and the operating
        // system's errors (CANNOT_WRITE_TO_FILE_DESCRIPTOR, CANNOT_OPEN_FILE)
        75 | 76 | 203 | 209 | 210 | 236 | 242 | 279 | 285 | 319 | 394 | 999 => ErrorKind::Unavailable,
        // S3_ERROR: the cold volume is away, or refuses
        499 => ErrorKind::Unavailable,
        // LOGICAL_ERROR, STD_EXCEPTION, UNKNOWN_EXCEPTION, and an answer of no ClickHouse
        0 | 49 | 1001 | 1002 => ErrorKind::Internal,
        // CHECKSUM_DOESNT_MATCH, CORRUPTED_DATA, BAD_DATA_PART_NAME
        40 | 233 | 246 => ErrorKind::Corrupt,
        _ => ErrorKind::Invalid,
    }
}
