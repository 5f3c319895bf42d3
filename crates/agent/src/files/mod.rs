//! Log files: found by patterns, followed over rotation and truncation, cut into rows.
//!
//! A file is its device and inode, not its name: renamed, it is read on. How far it was read is its mark, which goes
//! into the queue in one frame with the rows. A file whose first bytes changed, or that ends before its mark, was
//! truncated or written over: it begins anew, after what its copy (rotation by copy and truncate) has beyond the mark.
//!
//! What holds: files that were first seen at one path are read one after the other, oldest first. A copy is never read
//! twice. A row is taken only when its end is there; what has no end yet is read again at the next look.
//!
//! | file | holds |
//! |---|---|
//! | `source.rs` | which files are read, and how their bytes become rows |
//! | `followed.rs` | one file that is being read |
//! | `mark.rs` | how far, and what the file looked like there |
//! | `lines.rs` | bytes cut into rows |

mod followed;
mod lines;
mod mark;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::limits::AGENT_FILES_MAX;
use tidegate_model::Clock;

use crate::queue::{MarkChange, Marks};
use crate::rows::Piece;
use followed::{FileId, Followed, Read};
use mark::{Likeness, Mark};
pub(crate) use source::Source;

const KEY_PREFIX: &str = "file:";
/// The mark that says that files were looked for once.
const BEGUN: &str = "files";
/// How long a file that no pattern finds any more is kept open for what its writer may still add.
const KEPT_AFTER: Duration = Duration::from_secs(10);
/// What is read of one file before the next has its turn.
const PIECES_PER_TURN: usize = 64;

/// All files that are followed.
#[derive(Debug)]
pub(crate) struct Files {
    sources: Vec<Source>,
    followed: Vec<Followed>,
    /// Marks of files that were not found since the start.
    absent: Vec<(FileId, Mark)>,
    next_born: u64,
    /// No file was ever followed: sources may begin at the end of what is there.
    is_first_look: bool,
    clock: Arc<dyn Clock>,
    buffer: Vec<u8>,
    /// Marks that moved without rows.
    moved: Vec<MarkChange>,
    has_told_of_limit: bool,
}

/// A file as `tidegate agent status` shows it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct FileStatus {
    /// Where it was first seen.
    pub path: String,
    /// How far it was read.
    pub offset: u64,
    /// Bytes that are there and not yet read.
    pub behind: u64,
}

/// A file that a pattern found and that is not followed yet.
struct Candidate {
    id: FileId,
    path: PathBuf,
    source: usize,
    modified: (i64, i64),
}

impl Files {
    /// Takes up where the marks are.
    pub(crate) fn new(sources: Vec<Source>, marks: &Marks, clock: Arc<dyn Clock>) -> Self {
        let absent: Vec<_> = marks.iter().filter_map(|(key, value)| known(key, value)).collect();
        let next_born = absent.iter().map(|(_, mark)| mark.born + 1).max().unwrap_or(0);
        Self {
            sources,
            followed: Vec::new(),
            is_first_look: !marks.contains_key(BEGUN),
            absent,
            next_born,
            clock,
            buffer: Vec::new(),
            moved: Vec::new(),
            has_told_of_limit: false,
        }
    }

    /// Looks for files and hands over what they have that is new, until `take` refuses; says whether there may be more.
    pub(crate) fn look(&mut self, take: &mut impl FnMut(Piece) -> bool) -> bool {
        let now = self.clock.monotonic();
        self.find(now);
        let mut has_more = false;
        for index in 0..self.followed.len() {
            if self.waits_for_older(index) {
                continue;
            }
            for turn in 0..PIECES_PER_TURN {
                let Some(mut piece) = self.read(index, now) else { break };
                // What moved before goes with it, in that order.
                piece.marks.splice(0..0, self.moved.drain(..));
                if !take(piece) {
                    return false;
                }
                has_more |= turn + 1 == PIECES_PER_TURN;
            }
        }
        self.let_go(now);
        let moved = std::mem::take(&mut self.moved);
        if !moved.is_empty() && !take(Piece::of_marks(moved)) {
            return false;
        }
        has_more
    }

    /// Tells of every file that is followed.
    pub(crate) fn status(&self) -> Vec<FileStatus> {
        let status = |file: &Followed| FileStatus {
            path: file.mark.path.clone(),
            offset: file.mark.offset,
            behind: file.behind(),
        };
        self.followed.iter().map(status).collect()
    }

    /// Reads the next rows of a file; `None` when there are none now.
    fn read(&mut self, index: usize, now: Duration) -> Option<Piece> {
        let file = &mut self.followed[index];
        match file.read(&self.sources[file.source], &mut self.buffer, now) {
            Ok(Read::Rows(piece)) => Some(piece),
            Ok(Read::Nothing) => None,
            Ok(Read::Replaced) => {
                self.replaced(index, now);
                None
            }
            Err(error) => {
                tracing::warn!(path = %file.mark.path, %error, "a log file cannot be read");
                None
            }
        }
    }

    /// Lets a file begin anew, and puts its copy in its place when there is one with more than was read.
    fn replaced(&mut self, index: usize, now: Duration) {
        let file = &mut self.followed[index];
        let (old, id) = (file.mark.clone(), file.id);
        tracing::info!(path = %old.path, offset = old.offset, "a log file was truncated");
        let path = file.found_at.as_ref().map_or_else(|| old.path.clone(), |path| path.to_string_lossy().into_owned());
        let begun = Mark::begin(path, self.next_born);
        self.next_born += 1;
        file.mark = begun;
        file.is_read = false;
        let restarted = file.change();
        self.moved.push(restarted);
        if let Some((copy, copied)) = self.copy_of(&old, id) {
            let copy_id = FileId::of(&copied);
            let mut followed = Followed::new(copy_id, copy, old, self.followed[index].source, now);
            followed.found_at = None;
            self.moved.push(followed.change());
            // In the order of birth it comes before all that began later, and so before the file's second life.
            self.followed.push(followed);
        }
        self.followed.sort_by_key(|file| file.mark.born);
    }

    /// Finds the copy that was made of a file before it was truncated.
    fn copy_of(&self, mark: &Mark, id: FileId) -> Option<(File, std::fs::Metadata)> {
        let path = Path::new(&mark.path);
        let entries = std::fs::read_dir(path.parent()?).ok()?;
        for entry in entries.filter_map(Result::ok) {
            if !is_named_like(&entry.path(), path) {
                continue;
            }
            let Some((file, metadata)) = open(&entry.path()) else { continue };
            let is_known = FileId::of(&metadata) == id || self.is_followed(FileId::of(&metadata));
            if !is_known && mark.offset > 0 && mark.compare(&file).is_ok_and(|likeness| likeness == Likeness::Same) {
                return Some((file, metadata));
            }
        }
        None
    }

    /// Finds what the patterns find now: known files under their present names, and files to follow from now on.
    fn find(&mut self, now: Duration) {
        for file in &mut self.followed {
            file.found_at = None;
        }
        let mut candidates = Vec::new();
        let mut seen = BTreeSet::new();
        for source in 0..self.sources.len() {
            for path in self.sources[source].find() {
                let Ok(metadata) = std::fs::metadata(&path) else { continue };
                let id = FileId::of(&metadata);
                if !metadata.is_file() || !seen.insert(id) {
                    continue;
                }
                match self.followed.iter_mut().find(|file| file.id == id) {
                    Some(file) => (file.found_at, file.found_last) = (Some(path), now),
                    None => {
                        let modified = (metadata.mtime(), metadata.mtime_nsec());
                        candidates.push(Candidate { id, path, source, modified });
                    }
                }
            }
        }
        self.take_up_absent(&mut candidates, now);
        self.notice_replaced(now);
        candidates.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        for candidate in candidates {
            self.follow(candidate, now);
        }
        if std::mem::replace(&mut self.is_first_look, false) {
            self.moved.push((BEGUN.to_owned(), Some(String::new())));
        }
    }

    /// Looks whether files are still what they were, before others are taken for their copies.
    ///
    /// The length alone does not tell: a file that was truncated may have grown to its old length, and past it.
    fn notice_replaced(&mut self, now: Duration) {
        let ids: Vec<FileId> = self.followed.iter().map(|file| file.id).collect();
        for id in ids {
            let Some(index) = self.followed.iter().position(|file| file.id == id) else { continue };
            let file = &self.followed[index];
            if file.mark.compare(&file.file).is_ok_and(|likeness| likeness != Likeness::Same) {
                self.replaced(index, now);
            }
        }
    }

    /// Follows files of an earlier run: under the name they had, another that a pattern finds, or another in their folder.
    fn take_up_absent(&mut self, candidates: &mut Vec<Candidate>, now: Duration) {
        let mut absent = std::mem::take(&mut self.absent);
        absent.sort_by_key(|(_, mark)| mark.born);
        let mut gone = Vec::new();
        for (id, mark) in absent {
            let at = candidates.iter().position(|candidate| candidate.id == id);
            let (path, source) = match at.map(|at| candidates.remove(at)) {
                Some(candidate) => (Some(candidate.path), candidate.source),
                None => (None, self.source_of(&mark.path)),
            };
            let found = path.clone().or_else(|| find_inode(Path::new(&mark.path).parent()?, id));
            match found.as_deref().and_then(open) {
                Some((file, _)) => {
                    let mut followed = Followed::new(id, file, mark, source, now);
                    followed.found_at = path;
                    self.followed.push(followed);
                }
                // Its folder may be on a disk that is not mounted yet.
                None if !Path::new(&mark.path).parent().is_some_and(Path::exists) => self.absent.push((id, mark)),
                None => gone.push((id, mark)),
            }
        }
        // Copies are looked for when all that is known is known.
        gone.into_iter().for_each(|(id, mark)| self.lost_sight(id, mark, now));
        self.followed.sort_by_key(|file| file.mark.born);
    }

    /// A file went while no agent ran; a copy may have what was not read of it.
    fn lost_sight(&mut self, id: FileId, mark: Mark, now: Duration) {
        self.moved.push((id.key(), None));
        if let Some((copy, copied)) = self.copy_of(&mark, id) {
            let source = self.source_of(&mark.path);
            let followed = Followed::new(FileId::of(&copied), copy, mark, source, now);
            self.moved.push(followed.change());
            self.followed.push(followed);
        } else {
            tracing::warn!(path = %mark.path, offset = mark.offset, "a log file went before it was looked at again");
        }
    }

    fn source_of(&self, path: &str) -> usize {
        let finds = |source: &Source| {
            source.paths.iter().any(|pattern| glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(path)))
        };
        self.sources.iter().position(finds).unwrap_or(0)
    }

    fn follow(&mut self, candidate: Candidate, now: Duration) {
        let Some((file, metadata)) = open(&candidate.path) else { return };
        if self.is_followed(candidate.id) || metadata.len() == 0 || FileId::of(&metadata) != candidate.id {
            return;
        }
        if self.followed.iter().any(|original| is_copy(&candidate.path, &file, original)) {
            return;
        }
        if self.followed.len() >= AGENT_FILES_MAX {
            if !std::mem::replace(&mut self.has_told_of_limit, true) {
                tracing::warn!(limit = AGENT_FILES_MAX, "too many log files: further ones wait; name fewer in `paths`");
            }
            return;
        }
        let path = candidate.path.to_string_lossy().into_owned();
        let born = self.next_born;
        self.next_born += 1;
        let mut mark = Mark::begin(path, born);
        let is_skipped = self.is_first_look && self.sources[candidate.source].from_end;
        if is_skipped && let Err(error) = mark.move_to(&file, metadata.len()) {
            tracing::warn!(path = %mark.path, %error, "a log file cannot be read");
            return;
        }
        let mut followed = Followed::new(candidate.id, file, mark, candidate.source, now);
        followed.found_at = Some(candidate.path);
        self.moved.push(followed.change());
        self.followed.push(followed);
    }

    /// A file waits until older ones that were first seen at its path are read.
    fn waits_for_older(&self, index: usize) -> bool {
        let path = &self.followed[index].mark.path;
        self.followed[..index].iter().any(|older| older.mark.path == *path && !older.is_read)
    }

    fn is_followed(&self, id: FileId) -> bool {
        self.followed.iter().any(|file| file.id == id)
    }

    /// Closes files that are gone and read.
    fn let_go(&mut self, now: Duration) {
        let moved = &mut self.moved;
        self.followed.retain(|file| {
            let is_finished = file.is_finished(KEPT_AFTER, now);
            if is_finished {
                moved.push((file.id.key(), None));
            }
            !is_finished
        });
    }
}

/// Says whether a file is a copy of one that is followed: named after it, and the same as far as both go.
///
/// It is left alone until the original is truncated; when it turns out to hold something else, it is followed.
fn is_copy(path: &Path, file: &File, original: &Followed) -> bool {
    if !is_named_like(path, Path::new(&original.mark.path)) {
        return false;
    }
    let read = original.mark.offset;
    let is_shorter = file.metadata().is_ok_and(|metadata| metadata.len() < read);
    if read == 0 || is_shorter {
        return mark::begin_alike(file, &original.file).unwrap_or(false);
    }
    original.mark.compare(file).is_ok_and(|likeness| likeness == Likeness::Same)
}

/// Says whether a name is what rotation makes of another: `app.log` to `app.log.1`, `app.log-20260101`, `app-1.log`.
fn is_named_like(path: &Path, original: &Path) -> bool {
    let (Some(name), Some(original)) = (path.file_name(), original.file_name()) else { return false };
    let (name, original) = (name.to_string_lossy(), original.to_string_lossy());
    let stem = original.rsplit_once('.').map_or(original.as_ref(), |(stem, _)| stem);
    let goes_on = |start: &str| name.strip_prefix(start).is_some_and(|rest| rest.starts_with(['.', '-', '_']));
    name != original && path.parent().is_some() && (goes_on(&original) || goes_on(stem))
}

fn find_inode(dir: &Path, id: FileId) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let is_it = |entry: &std::fs::DirEntry| entry.metadata().is_ok_and(|metadata| FileId::of(&metadata) == id);
    entries.into_iter().find(is_it).map(|entry| entry.path())
}

fn open(path: &Path) -> Option<(File, std::fs::Metadata)> {
    let metadata = std::fs::metadata(path).ok()?;
    // A pipe would hold its opener up.
    metadata.is_file().then_some(())?;
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((metadata, file)) => Some((file, metadata)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "a log file cannot be opened");
            None
        }
    }
}

fn known(key: &str, value: &str) -> Option<(FileId, Mark)> {
    let (device, inode) = key.strip_prefix(KEY_PREFIX)?.split_once(':')?;
    Some((FileId(device.parse().ok()?, inode.parse().ok()?), serde_json::from_str(value).ok()?))
}
