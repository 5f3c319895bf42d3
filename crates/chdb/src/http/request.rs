//! A request's URL parameters and headers, sorted into what they mean to ClickHouse.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;

use crate::codec::Encoding;
use crate::connection::Parameter;
use crate::exception::{Exception, codes};
use crate::limits::{SESSION_TIMEOUT, SESSION_TIMEOUT_MAX};

/// The header by which a full user has a statement run under the reader's rules.
const READONLY_HEADER: &str = "x-tidegate-readonly";

/// Parameters of ClickHouse's interface that have no meaning here and do no harm.
const IGNORED: [&str; 8] = [
    "quota_key",
    "stacktrace",
    "role",
    "log_comment",
    "client_protocol_version",
    "http_zlib_compression_level",
    "http_response_buffer_size",
    "log_queries",
];

/// A request without its body.
#[derive(Debug, Default)]
pub(crate) struct RequestHead {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) query: String,
    pub(crate) query_id: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) default_format: Option<String>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) external: BTreeMap<String, ExternalShape>,
    pub(crate) session: Option<SessionAsked>,
    /// The body comes in ClickHouse's blocks.
    pub(crate) decompress: bool,
    /// The answer goes in ClickHouse's blocks.
    pub(crate) compress: bool,
    pub(crate) content_encoding: Option<Encoding>,
    pub(crate) accept_encoding: Option<Encoding>,
    /// The boundary of a multipart body.
    pub(crate) boundary: Option<String>,
    pub(crate) wait_end: bool,
    pub(crate) readonly: bool,
    pub(crate) is_get: bool,
}

/// How the rows of an external table are to be read.
#[derive(Debug, Default, Clone)]
pub(crate) struct ExternalShape {
    pub(crate) format: Option<String>,
    /// `name Type, …`.
    pub(crate) structure: Option<String>,
    /// `Type, …`; the columns are named `_1`, `_2`, ….
    pub(crate) types: Option<String>,
}

/// The session that a request belongs to.
#[derive(Debug, Clone)]
pub(crate) struct SessionAsked {
    pub(crate) id: String,
    pub(crate) timeout: Duration,
    /// The session must exist already.
    pub(crate) check: bool,
}

impl RequestHead {
    /// Sorts the parameters and headers.
    pub(crate) fn parse(parts: &Parts) -> Result<Self, Exception> {
        let mut head = Self { is_get: parts.method == http::Method::GET, ..Self::default() };
        head.read_headers(parts)?;
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let mut session = Session::default();
        let mut http_compression = false;
        for (name, value) in pairs {
            head.take_parameter(&name, value.into_owned(), &mut session, &mut http_compression)?;
        }
        head.session = session.finish()?;
        if !http_compression {
            head.accept_encoding = None;
        }
        if head.boundary.is_some() {
            head.split_external();
        }
        Ok(head)
    }

    fn read_headers(&mut self, parts: &Parts) -> Result<(), Exception> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        if let Some((user, password)) = header(AUTHORIZATION.as_str()).and_then(basic_credentials) {
            (self.user, self.password) = (user, password);
        }
        let owned = |name: &str| header(name).map(str::to_owned);
        self.user = owned("x-clickhouse-user").unwrap_or_else(|| std::mem::take(&mut self.user));
        self.password = owned("x-clickhouse-key").unwrap_or_else(|| std::mem::take(&mut self.password));
        self.database = owned("x-clickhouse-database");
        self.default_format = owned("x-clickhouse-format");
        self.query_id = owned("x-clickhouse-query-id");
        self.readonly = header(READONLY_HEADER).is_some_and(is_true);
        self.accept_encoding = header(ACCEPT_ENCODING.as_str()).and_then(Encoding::accepted);
        self.content_encoding = match header(CONTENT_ENCODING.as_str()) {
            None | Some("" | "identity") => None,
            Some(name) => Some(Encoding::named(name).ok_or_else(|| {
                let message = format!("Unknown Content-Encoding `{name}`; use gzip, deflate, zstd or lz4");
                Exception::of(codes::BAD_ARGUMENTS, "BAD_ARGUMENTS", message)
            })?),
        };
        self.boundary = header(CONTENT_TYPE.as_str()).and_then(|value| multer::parse_boundary(value).ok());
        Ok(())
    }

    fn take_parameter(
        &mut self,
        name: &str,
        value: String,
        session: &mut Session,
        http_compression: &mut bool,
    ) -> Result<(), Exception> {
        match name {
            "query" => self.query = value,
            "query_id" => self.query_id = Some(value),
            "database" => self.database = Some(value),
            "default_format" => self.default_format = Some(value),
            "user" => self.user = value,
            "password" => self.password = value,
            "compress" => self.compress = is_true(&value),
            "decompress" => self.decompress = is_true(&value),
            "wait_end_of_query" => self.wait_end = is_true(&value),
            "buffer_size" => {}
            "enable_http_compression" => *http_compression = is_true(&value),
            "session_id" => session.id = Some(value),
            "session_timeout" => session.timeout = Some(value),
            "session_check" => session.check = is_true(&value),
            name if name.starts_with("param_") => self.parameters.push((name["param_".len()..].to_owned(), value)),
            name if IGNORED.contains(&name) => {}
            name if is_setting_name(name) || self.boundary.is_some() => self.settings.push((name.to_owned(), value)),
            name => {
                let message = format!("Setting {name} is neither a builtin setting nor started with the prefix 'SQL_'");
                return Err(Exception::of(codes::UNKNOWN_SETTING, "UNKNOWN_SETTING", message));
            }
        }
        Ok(())
    }

    /// Takes `name_structure`, `name_types` and `name_format` out of what looked like settings.
    fn split_external(&mut self) {
        for (name, value) in &self.settings {
            if let Some(table) = name.strip_suffix("_structure") {
                self.external.entry(table.to_owned()).or_default().structure = Some(value.clone());
            } else if let Some(table) = name.strip_suffix("_types") {
                self.external.entry(table.to_owned()).or_default().types = Some(value.clone());
            }
        }
        for (name, value) in &self.settings {
            if let Some(shape) = name.strip_suffix("_format").and_then(|table| self.external.get_mut(table)) {
                shape.format = Some(value.clone());
            }
        }
        let external = &self.external;
        self.settings.retain(|(name, _)| {
            let table = ["_structure", "_types", "_format"].iter().find_map(|suffix| name.strip_suffix(suffix));
            !table.is_some_and(|table| external.contains_key(table))
        });
    }

    /// Takes a form field of a multipart body, which is a parameter that did not fit the URL.
    pub(crate) fn take_field(&mut self, name: &str, value: String) -> Result<(), Exception> {
        let (mut session, mut compression) = (Session::default(), false);
        self.take_parameter(name, value, &mut session, &mut compression)?;
        if let Some(session) = session.finish()? {
            self.session = Some(session);
        }
        self.split_external();
        Ok(())
    }
}

#[derive(Default)]
struct Session {
    id: Option<String>,
    timeout: Option<String>,
    check: bool,
}

impl Session {
    fn finish(self) -> Result<Option<SessionAsked>, Exception> {
        let Some(id) = self.id.filter(|id| !id.is_empty()) else { return Ok(None) };
        let timeout = match self.timeout {
            None => SESSION_TIMEOUT,
            Some(text) => text
                .parse()
                .map(Duration::from_secs)
                .ok()
                .filter(|timeout| *timeout <= SESSION_TIMEOUT_MAX)
                .ok_or_else(|| {
                    let message = format!(
                        "Invalid session timeout: '{text}'; give seconds, at most {}",
                        SESSION_TIMEOUT_MAX.as_secs()
                    );
                    Exception::of(codes::BAD_ARGUMENTS, "INVALID_SESSION_TIMEOUT", message)
                })?,
        };
        Ok(Some(SessionAsked { id, timeout, check: self.check }))
    }
}

fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn is_true(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

fn is_setting_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}
