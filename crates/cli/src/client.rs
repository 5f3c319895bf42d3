//! The server's API, from the command line: one address, its errors in words.

use std::fmt::{self, Write as _};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long a connection may take; a server on loopback answers in microseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the server is, and who asks it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Asker {
    /// The server's address
    #[arg(long, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:8080", global = true)]
    url: String,
    /// Who does it, for the audit log
    #[arg(long, env = "TIDEGATE_ACTOR", value_name = "NAME", global = true)]
    actor: Option<String>,
    /// Scopes, with commas between, where the server wants some
    #[arg(long, env = "TIDEGATE_SCOPES", value_name = "SCOPES", global = true)]
    scopes: Option<String>,
}

impl Asker {
    /// Is a server that asks itself, with the scope for everything where it wants one.
    pub(crate) fn own(url: &str, scope: &str) -> Self {
        let scopes = (!scope.is_empty()).then(|| scope.to_owned());
        Self { url: url.to_owned(), actor: Some("tidegate".to_owned()), scopes }
    }
}

/// A server's address, and what every request to it says of who asks.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
    headers: Vec<(&'static str, String)>,
}

/// Why the server did not do what it was asked: what, and how to mend it.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// Nothing answers there.
    Unreachable { url: String, cause: String },
    /// The server refused.
    Refused { status: u16, message: String, hint: Option<String> },
    /// The answer ended before it was whole.
    CutOff { cause: String },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { url, cause } => {
                write!(
                    f,
                    "no server answers at {url} ({cause})\n  start one with `tidegate serve`, or name another with --url"
                )
            }
            Self::Refused { status, message, hint: None } => write!(f, "{message} (HTTP {status})"),
            Self::Refused { status, message, hint: Some(hint) } => write!(f, "{message} (HTTP {status})\n  {hint}"),
            Self::CutOff { cause } => {
                write!(
                    f,
                    "the answer was cut off, so it is not whole: {cause}\n  run the query again; the server's log says why"
                )
            }
        }
    }
}

impl std::error::Error for ClientError {}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorDetail {
    /// As the main API tells it.
    Parts { message: String, hint: Option<String> },
    /// As the cardinality API tells it.
    Text(String),
}

impl Client {
    /// Prepares to talk to a server; connects to nothing yet.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        // A second call finds the provider installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http, headers: Vec::new() })
    }

    /// Does the same, and says in every request who asks.
    pub(crate) fn of(asker: Asker) -> anyhow::Result<Self> {
        let named = [("x-actor-id", asker.actor), ("x-iam-scopes", asker.scopes)];
        let headers = named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(Self { headers, ..Self::new(&asker.url)? })
    }

    /// Begins a request to a path of the API.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    /// Sends a request; an answer that is not a success becomes an error with the server's words.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|error| ClientError::Unreachable { url: self.url.clone(), cause: innermost(&error) })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        Err(match serde_json::from_str::<ErrorBody>(&text) {
            Ok(ErrorBody { error: ErrorDetail::Parts { message, hint } }) => {
                ClientError::Refused { status, message, hint }
            }
            Ok(ErrorBody { error: ErrorDetail::Text(message) }) => ClientError::Refused { status, message, hint: None },
            Err(_) => ClientError::Refused { status, message: text.trim().to_owned(), hint: None },
        })
    }

    /// Asks a path of the API for JSON.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
    ) -> anyhow::Result<T> {
        let answer = self.send(self.request(Method::GET, path).query(parameters)).await?;
        read(path, answer).await
    }

    /// Sends JSON to a path of the API, and reads its answer.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.tell(Method::POST, path, body).await
    }

    /// Puts JSON at a path of the API, and reads its answer.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.tell(Method::PUT, path, body).await
    }

    async fn tell<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<T> {
        let request = self.request(method, path).header("content-type", "application/json");
        let answer = self.send(request.body(body.to_string())).await?;
        read(path, answer).await
    }
}

async fn read<T: DeserializeOwned>(path: &str, answer: Response) -> anyhow::Result<T> {
    let body = answer.bytes().await.map_err(|error| ClientError::CutOff { cause: innermost(&error) })?;
    serde_json::from_slice(&body).with_context(|| format!("read the server's answer to {path}"))
}

/// Encodes a name for a place between two slashes.
pub(crate) fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // A String takes all text.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Returns the last cause of an error: "connection refused" says more than "error sending request".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
