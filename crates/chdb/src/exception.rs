use std::fmt;

use http::StatusCode;

/// ClickHouse's numbers of the errors that this program raises itself.
pub(crate) mod codes {
    pub(crate) const CANNOT_DECOMPRESS: i32 = 271;
    pub(crate) const SYNTAX_ERROR: i32 = 62;
    pub(crate) const BAD_ARGUMENTS: i32 = 36;
    pub(crate) const LOGICAL_ERROR: i32 = 49;
    pub(crate) const UNKNOWN_SETTING: i32 = 115;
    pub(crate) const READONLY: i32 = 164;
    pub(crate) const TOO_MANY_SIMULTANEOUS_QUERIES: i32 = 202;
    pub(crate) const QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: i32 = 216;
    pub(crate) const QUERY_NOT_ALLOWED: i32 = 392;
    pub(crate) const SESSION_NOT_FOUND: i32 = 372;
    pub(crate) const SESSION_IS_LOCKED: i32 = 373;
    pub(crate) const QUERY_WAS_CANCELLED: i32 = 394;
    pub(crate) const AUTHENTICATION_FAILED: i32 = 516;
    pub(crate) const CANNOT_READ_ALL_DATA: i32 = 33;
}

/// A ClickHouse error: its number, and its text as every ClickHouse client knows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Exception {
    /// ClickHouse's number for the error.
    pub code: i32,
    /// `Code: 60. DB::Exception: … (UNKNOWN_TABLE)`.
    pub text: String,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Exception {
    /// Words an error of our own as ClickHouse would.
    pub(crate) fn of(code: i32, name: &str, message: impl fmt::Display) -> Self {
        Self { code, text: format!("Code: {code}. DB::Exception: {message}. ({name})") }
    }

    /// Wraps a failure that is nobody's request's fault.
    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        Self::of(codes::LOGICAL_ERROR, "LOGICAL_ERROR", message)
    }

    /// Reads the number out of the engine's text.
    pub(crate) fn from_text(text: String) -> Self {
        let code = text
            .split_once("Code: ")
            .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next())
            .and_then(|digits| digits.parse().ok());
        match code {
            Some(code) => Self { code, text: text.trim_end().to_owned() },
            None => Self::internal(text.trim_end()),
        }
    }

    /// Returns the HTTP status that ClickHouse gives this error.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 291 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
            6 | 7 | 8 | 10 | 16 | 25 | 26 | 27 | 33 | 34 | 35 | 36 | 38 | 41 | 42 | 43 | 44 | 53 | 59 | 62 | 72
            | 117 | 130 | 167 | 168 | 179 | 271 | 306 | 372 | 373 | 386 | 392 | 427 | 441 | 456 | 457 => {
                StatusCode::BAD_REQUEST
            }
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 81 | 115 | 336 => StatusCode::NOT_FOUND,
            48 => StatusCode::NOT_IMPLEMENTED,
            159 => StatusCode::REQUEST_TIMEOUT,
            202 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            381 => StatusCode::LENGTH_REQUIRED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
