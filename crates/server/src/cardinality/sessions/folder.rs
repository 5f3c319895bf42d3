use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use serde::Deserialize;
use tidegate_model::ErrorKind;
use tidegate_model::limits::CATALOG_SESSIONS_MAX;
use tokio::sync::mpsc;

use super::file::{Header, Stats, Tally, opened, packed};
use crate::errors::Failure;

const ENDING: &str = ".json.gz";
const NAME_BYTES_MAX: usize = 128;

/// Names that are words of the routes.
const TAKEN: [&str; 4] = ["live", "diff", "import", "merge"];

/// The folder of the session files.
#[derive(Debug, Clone)]
pub(super) struct SessionFolder {
    pub(super) path: PathBuf,
}

/// A piece of an answer with a session's rows; a channel that ends without `None` is an answer that broke off.
pub(super) type Step = Option<bytes::Bytes>;

#[derive(Debug, Deserialize)]
struct Answered {
    line: String,
}

/// Checks a session's name: it is a file's name too.
pub(in super::super) fn checked_name(name: &str) -> Result<&str, Failure> {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_good) {
        return Err(Failure::invalid(format!(
            "a session's name is of a-z, 0-9 and -, at most {NAME_BYTES_MAX} of them, it is `{name}`"
        )));
    }
    if TAKEN.contains(&name) {
        return Err(Failure::invalid(format!("`{name}` is a word of this API: choose another name")));
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
        fs::read(self.file(checked_name(name)?)).map_err(|error| missing(name, &error))
    }

    /// Opens a file.
    pub(super) fn open(&self, name: &str) -> Result<File, Failure> {
        File::open(self.file(checked_name(name)?)).map_err(|error| missing(name, &error))
    }

    /// Reads what a session is; returns the size of its file too.
    pub(super) fn header(&self, name: &str) -> Result<(Header, u64), Failure> {
        let file = self.open(name)?;
        let size = file.metadata().map_err(|error| failed(&error))?.len();
        Ok((opened(file)?.0, size))
    }

    /// Refuses a name that is taken, unless it is to be replaced, and one session too many.
    pub(super) fn check_room(&self, name: &str, force: bool) -> Result<(), Failure> {
        let names = self.names()?;
        let is_there = names.iter().any(|known| known == checked_name(name).unwrap_or_default());
        if is_there && !force {
            return Err(Failure::new(ErrorKind::Conflict, format!("the session `{name}` exists"))
                .with_hint("choose another name, DELETE it first, or replace it with ?force=true"));
        }
        if !is_there && names.len() >= CATALOG_SESSIONS_MAX {
            let message = format!("there are {CATALOG_SESSIONS_MAX} sessions already: DELETE one first");
            return Err(Failure::invalid(message).with_status(StatusCode::TOO_MANY_REQUESTS));
        }
        Ok(())
    }

    /// Writes the rows of an answer as they come, beside the session that they will be; waits for them.
    pub(super) fn write_rows(&self, name: &str, pieces: &mut mpsc::Receiver<Step>) -> Result<Stats, Failure> {
        fs::create_dir_all(&self.path).map_err(|error| failed(&error))?;
        let file = File::create(self.draft(name, "rows")).map_err(|error| failed(&error))?;
        let mut packing = GzEncoder::new(file, Compression::default());
        let (mut tally, mut rest) = (Tally::default(), Vec::new());
        loop {
            match pieces.blocking_recv() {
                Some(Some(piece)) => rest.extend_from_slice(&piece),
                Some(None) => break,
                None => return Err(Failure::new(ErrorKind::Unavailable, "the catalogue's answer broke off")),
            }
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            for answered in rest[..end].split(|byte| *byte == b'\n') {
                let answered: Answered =
                    serde_json::from_slice(answered).map_err(|error| failed(&io::Error::from(error)))?;
                tally.add(&answered.line)?;
                packing.write_all(answered.line.as_bytes()).map_err(|error| failed(&error))?;
                packing.write_all(b"\n").map_err(|error| failed(&error))?;
            }
            rest.drain(..=end);
        }
        if !rest.is_empty() {
            return Err(Failure::new(ErrorKind::Unavailable, "the catalogue's answer broke off"));
        }
        packing.finish().map_err(|error| failed(&error))?;
        Ok(tally.stats())
    }

    /// Makes a session of the rows that were written.
    pub(super) fn finish(&self, header: &Header) -> Result<u64, Failure> {
        let head = packed(header)?;
        let write = || {
            let mut rows = File::open(self.draft(&header.id, "rows"))?;
            self.replace(&header.id, |file| {
                file.write_all(&head)?;
                io::copy(&mut rows, file).map(drop)
            })
        };
        write().map_err(|error| failed(&error))
    }

    /// Writes a session's file as it is.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<u64, Failure> {
        fs::create_dir_all(&self.path).map_err(|error| failed(&error))?;
        self.replace(checked_name(name)?, |file| file.write_all(bytes)).map_err(|error| failed(&error))
    }

    /// Removes what was written of a session that will not be.
    pub(super) fn remove_drafts(&self, name: &str) {
        for what in ["rows", "whole"] {
            if let Err(error) = fs::remove_file(self.draft(name, what))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(name, %error, "a draft of a session could not be removed");
            }
        }
    }

    /// Removes a session.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        fs::remove_file(self.file(checked_name(name)?)).map_err(|error| missing(name, &error))
    }

    /// A reader finds the old file or the new one, whole, also after a crash.
    fn replace(&self, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<u64> {
        let draft = self.draft(name, "whole");
        let mut file = File::create(&draft)?;
        write(&mut file)?;
        file.sync_all()?;
        let size = file.metadata()?.len();
        fs::rename(&draft, self.file(name))?;
        File::open(&self.path)?.sync_all()?;
        Ok(size)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}{ENDING}"))
    }

    fn draft(&self, name: &str, what: &str) -> PathBuf {
        self.path.join(format!("{name}.{what}.draft"))
    }
}

fn missing(name: &str, error: &io::Error) -> Failure {
    if error.kind() != io::ErrorKind::NotFound {
        return failed(error);
    }
    Failure::new(ErrorKind::NotFound, format!("there is no session `{name}`"))
        .with_hint("GET /api/v1/sessions lists what there is")
}

/// Tells a failure of the disk.
pub(super) fn failed(error: &io::Error) -> Failure {
    Failure::of(ErrorKind::Internal, error)
}
