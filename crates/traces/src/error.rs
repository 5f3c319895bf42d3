use tidegate_model::ErrorKind;

/// What cannot be meant: where it stands, what is wrong with it, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}; {help}")]
pub struct Invalid {
    /// The path into the request, as `filter.conditions[2].operator`.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub help: String,
}

impl Invalid {
    /// Makes one.
    pub fn at(place: impl Into<String>, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), help: help.into() }
    }

    /// Says what the caller does next: it mends the request.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// The beginning of a text of a client's, for messages.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    let mut shown: String = text.chars().take(CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
