//! The server's API, from the command line: one address, its errors in words.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;

/// How long a connection may take; a server on loopback answers in microseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server's address.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
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
struct ErrorDetail {
    message: String,
    hint: Option<String>,
}

impl Client {
    /// Prepares to talk to a server; connects to nothing yet.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        // A second call finds the provider installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http })
    }

    /// Begins a request to a path of the API.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
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
            Ok(ErrorBody { error }) => ClientError::Refused { status, message: error.message, hint: error.hint },
            Err(_) => ClientError::Refused { status, message: text.trim().to_owned(), hint: None },
        })
    }
}

/// Returns the last cause of an error: "connection refused" says more than "error sending request".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
