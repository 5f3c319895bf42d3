//! The one place where error kinds become HTTP and gRPC.

use std::error::Error;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tidegate_core::ingest::IngestError;
use tidegate_core::ingest::rows::RowsError;
use tidegate_core::query::QueryError;
use tidegate_model::ErrorKind;
pub(crate) use tidegate_model::chain;
use tonic::Code;

/// A client that was told nothing better tries again after so many milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// What a client is told about a request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the client does next.
    pub kind: ErrorKind,
    /// What is wrong, and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The HTTP status, where it says more than the kind does (405, 413, 415).
    pub status: Option<StatusCode>,
    /// When to try again.
    pub retry_after_ms: Option<u64>,
    /// Further members of the answer.
    pub more: Vec<(&'static str, Value)>,
}

impl Failure {
    /// Tells a failure that the doors themselves found.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry_after_ms = kind.is_retryable().then_some(RETRY_AFTER_MS);
        Self { kind, message: message.into(), hint: None, status: None, retry_after_ms, more: Vec::new() }
    }

    /// Says that the request itself is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Gives the failure an HTTP status of its own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells a stage's error; what a client cannot mend stays in the log, whole.
    pub fn of(kind: ErrorKind, error: &(dyn Error + 'static)) -> Self {
        match kind {
            ErrorKind::Internal | ErrorKind::Corrupt => {
                tracing::error!(error = chain(error), ?kind, "a request failed");
                Self::new(kind, "the server failed; its log says why")
            }
            _ => Self::new(kind, error.to_string()),
        }
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn http_status(&self) -> StatusCode {
        self.status.unwrap_or(match self.kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Unavailable | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Corrupt | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }

    /// Returns the gRPC code.
    #[must_use]
    pub fn grpc_code(&self) -> Code {
        match self.kind {
            ErrorKind::Invalid if self.status == Some(StatusCode::PAYLOAD_TOO_LARGE) => Code::ResourceExhausted,
            ErrorKind::Invalid => Code::InvalidArgument,
            // ABORTED would be sent again by exporters, and fail again.
            ErrorKind::Conflict => Code::AlreadyExists,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Overloaded => Code::ResourceExhausted,
            ErrorKind::Unavailable | ErrorKind::Closed => Code::Unavailable,
            ErrorKind::Timeout => Code::DeadlineExceeded,
            ErrorKind::Corrupt => Code::DataLoss,
            ErrorKind::Internal => Code::Internal,
        }
    }

    /// Returns the value of `Retry-After`, in whole seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<HeaderValue> {
        self.retry_after_ms.map(|ms| HeaderValue::from(ms.div_ceil(1_000).max(1)))
    }

    /// Answers a request of the main API: `{"error":{"kind","message","hint","request_id"}}`.
    pub(crate) fn answer(&self, request_id: &str) -> Response {
        let mut error = json!({
            "kind": kind_name(self.kind),
            "message": self.message,
            "hint": self.hint.as_deref().unwrap_or(hint(self.kind)),
            "request_id": request_id,
        });
        if let Some(after) = self.retry_after_ms {
            error["retry_after_ms"] = json!(after);
        }
        for (name, value) in &self.more {
            error[*name] = value.clone();
        }
        let mut response = (self.http_status(), axum::Json(json!({ "error": error }))).into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if let Ok(id) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert("x-sql-request-id", id);
        }
        response
    }
}

impl From<IngestError> for Failure {
    fn from(error: IngestError) -> Self {
        let failure = Self::of(error.kind(), &error);
        let retry_after_ms = error.retry_after_ms().or(failure.retry_after_ms);
        let failure = Self { retry_after_ms, ..failure };
        if let IngestError::OverQuota { over } = &error {
            let more = vec![("details", json!(over))];
            return Self {
                more,
                ..failure.with_hint("nothing was written; GET /admin/datasets/{id}/quota tells the limits")
            };
        }
        let IngestError::Rows { error: RowsError::Schema { reasons, plan, .. } } = error else { return failure };
        let more =
            [("name", json!("SchemaEvolutionError")), ("reasons", json!(reasons)), ("migrationPlan", json!(plan))];
        Self { more: more.into(), ..failure.with_hint("follow migrationPlan; nothing was written") }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let failure = Self::of(error.kind(), &error);
        match error {
            // It may be on its way: an acknowledgement takes one sync of the log.
            QueryError::NotYet { table, wanted, head, waited_ms } => Self {
                retry_after_ms: Some(RETRY_AFTER_MS),
                more: vec![(
                    "details",
                    json!({
                        "table": table,
                        "min_watermark": wanted,
                        "latest_ingest_watermark": head,
                        "waited_ms": waited_ms,
                    }),
                )],
                ..failure.with_hint("read again later, or with a lower `min_watermark`")
            },
            _ => failure,
        }
    }
}

/// Returns the kind's name in answers and metrics.
pub(crate) const fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "invalid",
        ErrorKind::Conflict => "conflict",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Closed => "closed",
        ErrorKind::Internal => "internal",
    }
}

const fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "mend the request; the same will fail again",
        ErrorKind::Conflict => "the request contradicts what is stored; read it again first",
        ErrorKind::NotFound => "check the name; GET /datasets lists what there is",
        ErrorKind::Overloaded => "send the same again after the time in Retry-After",
        ErrorKind::Unavailable => "try again in a moment; GET /health says how the engine is",
        ErrorKind::Timeout => "ask for less, or allow more time",
        ErrorKind::Closed => "the server is stopping or needs a restart; then send the same again",
        ErrorKind::Corrupt | ErrorKind::Internal => "look into the server's log, by the request_id",
    }
}
