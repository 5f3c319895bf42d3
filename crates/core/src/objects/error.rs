use std::path::PathBuf;

use object_store::Error;
use tidegate_model::ErrorKind;

/// Why an object could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The bucket cannot be asked for at all.
    #[error("the settings `[s3]` cannot be used: {0}")]
    Settings(String),
    /// A name that no object may have.
    #[error("`{0}` cannot be an object's name")]
    Name(String),
    /// There is no such object.
    #[error("there is no object {object}")]
    Missing {
        /// Its bucket and key.
        object: String,
    },
    /// An object that is read at once is too long for that.
    #[error("{object} has {bytes} bytes, at most {most} are read at once")]
    TooLong {
        /// Its bucket and key.
        object: String,
        /// Its length.
        bytes: u64,
        /// The most.
        most: u64,
    },
    /// The server refused, or did not answer, also after retries.
    #[error("{step} {object}: {answer}; {}", mend.words())]
    Server {
        /// What was tried.
        step: &'static str,
        /// With what: its bucket and key.
        object: String,
        /// What the server answered, or why it did not.
        answer: String,
        /// What is to be done.
        mend: Mend,
    },
    /// The file on this side failed.
    #[error("{step} {}", path.display())]
    Disk {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// What mends a refusal of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// The bucket is not there.
    Bucket,
    /// The key or what it may do.
    Rights,
    /// The address, or time.
    Server,
}

impl Mend {
    const fn words(self) -> &'static str {
        match self {
            Self::Bucket => "make the bucket, or mend `s3.bucket` and `s3.endpoint`",
            Self::Rights => {
                "mend `s3.access_key_id` and `s3.secret_access_key`, or let that key read, write, list and delete there"
            }
            Self::Server => "see whether `s3.endpoint` answers from here, and whether its disk has room",
        }
    }
}

impl ObjectError {
    /// Says what the caller does next.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Settings(_) | Self::Name(_) => ErrorKind::Invalid,
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::TooLong { .. } => ErrorKind::Corrupt,
            Self::Server { .. } | Self::Disk { .. } => ErrorKind::Unavailable,
        }
    }

    /// Tells what the client of S3 says in words of ours.
    pub(super) fn of(step: &'static str, object: String, error: &Error) -> Self {
        let answer = told(error);
        match error {
            Error::NotFound { .. } if !answer.contains("NoSuchBucket") => Self::Missing { object },
            Error::NotFound { .. } => Self::Server { step, object, answer, mend: Mend::Bucket },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                Self::Server { step, object, answer, mend: Mend::Rights }
            }
            _ => Self::Server { step, object, answer, mend: Mend::Server },
        }
    }
}

/// Returns the innermost words: those around them name the client's own parts, and repeat what is inside.
fn told(error: &Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let mut words = inner.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = words.char_indices().nth(500) {
        words.truncate(at);
    }
    words
}
