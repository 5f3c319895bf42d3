use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::StatusCode;
use tidegate_model::ErrorKind;
use tidegate_model::limits::{CATALOG_SESSION_BYTES_MAX, CATALOG_SESSIONS_MAX};

use super::content::{FORMAT, Session};
use crate::errors::Failure;

const ENDING: &str = ".json.gz";
const NAME_BYTES_MAX: usize = 128;

/// The folder of the session files.
#[derive(Debug, Clone)]
pub(super) struct SessionFolder {
    pub(super) path: PathBuf,
}

/// A file's bytes as they are, and what is in them.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) session: Session,
    pub(super) size_bytes: u64,
}

/// Checks a session's name: it is a file's name too.
pub(super) fn checked_name(name: &str) -> Result<&str, Failure> {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_good) {
        return Err(Failure::invalid(format!(
            "a session's name is of a-z, 0-9 and -, at most {NAME_BYTES_MAX} of them, it is `{name}`"
        )));
    }
    Ok(name)
}

impl SessionFolder {
    /// Lists the names of all sessions.
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| failed(&error))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| failed(&error))?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(ENDING)).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Returns a file's bytes.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, Failure> {
        fs::read(self.file(checked_name(name)?)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_such(name),
            _ => failed(&error),
        })
    }

    /// Reads a session.
    pub(super) fn read(&self, name: &str) -> Result<Saved, Failure> {
        let bytes = self.bytes(name)?;
        Ok(Saved { session: unpacked(&bytes)?, size_bytes: bytes.len() as u64 })
    }

    /// Writes a session; one of the same name is replaced only with `force`.
    pub(super) fn write(&self, session: &Session, force: bool) -> Result<u64, Failure> {
        let name = checked_name(&session.id)?;
        let names = self.names()?;
        let is_there = names.iter().any(|known| known == name);
        if is_there && !force {
            return Err(Failure::new(ErrorKind::Conflict, format!("the session `{name}` exists"))
                .with_hint("choose another name, DELETE it first, or replace it with ?force=true"));
        }
        if !is_there && names.len() >= CATALOG_SESSIONS_MAX {
            return Err(Failure::invalid(format!(
                "there are {CATALOG_SESSIONS_MAX} sessions already: DELETE one first"
            ))
            .with_status(StatusCode::TOO_MANY_REQUESTS));
        }
        let bytes = packed(session)?;
        self.replace(name, &bytes).map_err(|error| failed(&error))?;
        Ok(bytes.len() as u64)
    }

    /// Removes a session.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        fs::remove_file(self.file(checked_name(name)?)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_such(name),
            _ => failed(&error),
        })
    }

    /// A reader finds the old file or the new one, whole, also after a crash.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let draft = self.path.join(format!("{name}.draft"));
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, self.file(name))?;
        File::open(&self.path)?.sync_all()
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.path).join(format!("{name}{ENDING}"))
    }
}

fn packed(session: &Session) -> Result<Vec<u8>, Failure> {
    let text = serde_json::to_vec(session).map_err(|error| failed(&io::Error::other(error)))?;
    if text.len() as u64 > CATALOG_SESSION_BYTES_MAX {
        return Err(too_large());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&text).and_then(|()| encoder.finish()).map_err(|error| failed(&error))
}

/// Reads a file's bytes, gzip or plain JSON, never more than the limit.
pub(super) fn unpacked(bytes: &[u8]) -> Result<Session, Failure> {
    let mut text = Vec::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes).take(CATALOG_SESSION_BYTES_MAX + 1).read_to_end(&mut text)
    } else {
        bytes.take(CATALOG_SESSION_BYTES_MAX + 1).read_to_end(&mut text)
    };
    read.map_err(|error| Failure::invalid(format!("the session is not whole: {error}")))?;
    if text.len() as u64 > CATALOG_SESSION_BYTES_MAX {
        return Err(too_large());
    }
    let session: Session = serde_json::from_slice(&text)
        .map_err(|error| Failure::invalid(format!("this is not a session of ours: {error}")))?;
    if session.format != FORMAT {
        return Err(Failure::invalid(format!(
            "the session has format {}, this server reads format {FORMAT}",
            session.format
        )));
    }
    checked_name(&session.id)?;
    Ok(session)
}

fn no_such(name: &str) -> Failure {
    Failure::new(ErrorKind::NotFound, format!("there is no session `{name}`"))
        .with_hint("GET /api/v1/sessions lists what there is")
}

fn too_large() -> Failure {
    Failure::invalid(format!("a session has at most {CATALOG_SESSION_BYTES_MAX} bytes as JSON"))
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
        .with_hint("save fewer `signals` or `services`")
}

fn failed(error: &io::Error) -> Failure {
    Failure::of(ErrorKind::Internal, error)
}
