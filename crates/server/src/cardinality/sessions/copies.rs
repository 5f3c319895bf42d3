use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tidegate_core::store::Store;
use tidegate_model::{ErrorKind, SAVED};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, mpsc};

use super::super::read::Reader;
use super::content::Content;
use super::file::{Tally, opened};
use super::folder::{SessionFolder, failed};
use crate::errors::Failure;
use crate::stages::Stages;

/// Bytes of rows that one insert sends: large enough to be one part of a table, small beside the server's memory.
const INSERT_BYTES: usize = 4 << 20;

/// A session of more items is read anew each time it is compared; with ten keys each they take 20 MB.
const ITEMS_KEPT_MAX: usize = 10_000;

/// The file that lists what was brought to ClickHouse: after a crash it is known what to remove.
const LIST: &str = "copies.txt";

/// The rows of one session in ClickHouse. They go when nobody reads them any more.
#[derive(Debug)]
pub(in super::super) struct Copy {
    key: String,
    store: Store,
    /// What it says: it never changes.
    content: OnceCell<Arc<Content>>,
}

/// The sessions that are in ClickHouse, by name.
#[derive(Debug, Default)]
pub(in super::super) struct Copies {
    known: BTreeMap<String, Arc<Copy>>,
    /// Whether what an earlier process left is removed.
    is_clean: bool,
}

impl Copy {
    /// Returns what the rows are found by.
    pub(in super::super) fn key(&self) -> &str {
        &self.key
    }

    /// Returns what the session says; `reader` reads this copy.
    pub(super) async fn content(&self, reader: &Reader, name: &str) -> Result<Arc<Content>, Failure> {
        if let Some(content) = self.content.get() {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(Content::of(reader, name).await?);
        if content.items.len() <= ITEMS_KEPT_MAX {
            // Somebody else may have been first, with the same.
            let _ = self.content.set(Arc::clone(&content));
        }
        Ok(content)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Without a runtime the process is ending; the next one finds the key in the list.
        let Ok(runtime) = Handle::try_current() else { return };
        let (store, key) = (self.store.clone(), std::mem::take(&mut self.key));
        runtime.spawn(async move {
            if let Err(error) = store.drop_session(&key).await {
                tracing::warn!(key, %error, "the copy of a session could not be removed");
            }
        });
    }
}

impl Copies {
    /// Forgets a session that is gone or replaced.
    pub(super) fn forget(&mut self, name: &str) {
        self.known.remove(name);
    }
}

/// Returns the rows of a session in ClickHouse; brings them there first where they are not.
pub(in super::super) async fn bring(stages: &Stages, name: &str) -> Result<Arc<Copy>, Failure> {
    let Some(path) = stages.cardinality.sessions.clone() else {
        return Err(Failure::new(ErrorKind::Unavailable, "this server has no folder for sessions"));
    };
    let mut copies = stages.cardinality.copies.lock().await;
    if let Some(copy) = copies.known.get(name) {
        return Ok(Arc::clone(copy));
    }
    crate::api::tables_are_there(stages).await?;
    let folder = SessionFolder { path };
    // Before anything is brought: a session that is not there costs nothing.
    let file = folder.open(name)?;
    if !copies.is_clean {
        clean(&stages.store, &folder.path).await?;
        copies.is_clean = true;
    }
    let copy = Copy { key: stages.request_id(), store: stages.store.clone(), content: OnceCell::new() };
    note(&folder.path, &copy.key).map_err(|error| failed(&error))?;
    insert(&copy, file).await?;
    let copy = Arc::new(copy);
    copies.known.insert(name.to_owned(), Arc::clone(&copy));
    Ok(copy)
}

/// Removes what an earlier process of this folder brought.
async fn clean(store: &Store, folder: &Path) -> Result<(), Failure> {
    let list = folder.join(LIST);
    let keys = match fs::read_to_string(&list) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        keys => keys.map_err(|error| failed(&error))?,
    };
    for key in keys.lines() {
        store.drop_session(key).await.map_err(|error| Failure::of(error.kind(), &error))?;
    }
    fs::remove_file(list).map_err(|error| failed(&error))
}

fn note(folder: &Path, key: &str) -> std::io::Result<()> {
    let mut list = OpenOptions::new().create(true).append(true).open(folder.join(LIST))?;
    writeln!(list, "{key}")?;
    list.sync_all()
}

/// Sends a file's rows, a few pieces at a time.
async fn insert(copy: &Copy, file: fs::File) -> Result<(), Failure> {
    let (pieces, mut taken) = mpsc::channel(2);
    let key = copy.key.clone();
    let reading = tokio::task::spawn_blocking(move || read(&key, file, &pieces));
    while let Some((which, lines)) = taken.recv().await {
        let sent = copy.store.insert_session_rows(&SAVED[which], lines).await;
        sent.map_err(|error| Failure::of(error.kind(), &error))?;
    }
    reading.await.map_err(|error| Failure::of(ErrorKind::Internal, &error))?
}

/// Reads a file's rows into pieces for each table; a receiver that is gone has failed by itself.
fn read(key: &str, file: fs::File, pieces: &mpsc::Sender<(usize, Vec<u8>)>) -> Result<(), Failure> {
    let (_, lines) = opened(file)?;
    let mut tally = Tally::default();
    let mut waiting: Vec<Vec<u8>> = SAVED.iter().map(|_| Vec::new()).collect();
    for line in lines {
        let line = line?;
        let (saved, begins) = tally.add(&line)?;
        let which = SAVED.iter().position(|own| std::ptr::eq(own, saved)).unwrap_or_default();
        let own = &mut waiting[which];
        // `{"table":[…]}` becomes `["key",…]`.
        own.extend_from_slice(format!("[\"{key}\",").as_bytes());
        own.extend_from_slice(&line.as_bytes()[begins + 1..line.len() - 1]);
        own.push(b'\n');
        if own.len() >= INSERT_BYTES && pieces.blocking_send((which, std::mem::take(own))).is_err() {
            return Ok(());
        }
    }
    for (which, own) in waiting.into_iter().enumerate().filter(|(_, own)| !own.is_empty()) {
        if pieces.blocking_send((which, own)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
