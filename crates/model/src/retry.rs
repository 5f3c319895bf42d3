use crate::UnixNanos;

/// What makes a request recognisable when it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RetryKey {
    /// The hash of the idempotency key (with its scope), or of the content where there is none.
    pub key: u128,
    /// The hash of the content.
    pub content: u128,
}

/// A retry key with its answer, to be kept elsewhere before its segment goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRetry {
    /// The key.
    pub retry: RetryKey,
    /// When the first request came.
    pub at: UnixNanos,
    /// What it was told.
    pub answer: Vec<u8>,
}
