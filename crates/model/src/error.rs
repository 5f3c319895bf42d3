use std::error::Error;

/// What the caller of a failed step does next; every stage's error maps to one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: mend it, a retry of the same will fail again.
    Invalid,
    /// The request contradicts what is stored (another content under one key, a stale precondition).
    Conflict,
    /// The named thing does not exist.
    NotFound,
    /// A budget is spent: retry later, the same request may pass.
    Overloaded,
    /// Something that this step needs does not answer: retry later.
    Unavailable,
    /// The step ran out of its time: the outcome is an error, never an empty answer.
    Timeout,
    /// Stored bytes are not what was written: a person must look.
    Corrupt,
    /// The part is shut down or poisoned: restart, then retry.
    Closed,
    /// A bug, or a failure with no better name.
    Internal,
}

impl ErrorKind {
    /// Says whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable | Self::Timeout | Self::Closed)
    }
}

/// Returns an error with all its causes, in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
