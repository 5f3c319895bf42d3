//! The catalogue of all hours, in memory: a read of it asks no table.
//!
//! Invariants:
//! - It holds every row of its sources up to the number that it counted of each, and nothing above.
//! - What it cannot hold within its room it says (`None`), so that the tables are asked instead; it never guesses.
//! - It is made from the tables when somebody first looks, and dropped when nobody has looked for a while.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`Totals`]: whether there is one, and whose turn it is with it |
//! | `catalogue.rs` | [`Catalogue`]: items, and keys over all of them |
//! | `item.rs` | [`Item`]: its sources, its attributes |
//! | `summary.rs` | [`Summary`]: what all attributes of an item come to |
//! | `counted.rs` | [`Counted`]: how much came of an attribute |
//! | `hours.rs` | between which hours something came |
//! | `rows.rs` | rows of the catalogue's tables, read from Arrow |
//! | `hashes.rs` | distinct values |
//! | `values.rs` | the text of some of them |
//! | `words.rs` | texts as numbers |

mod catalogue;
mod counted;
mod hashes;
mod hours;
mod item;
mod rows;
mod summary;
mod values;
mod words;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use hashbrown::HashMap;
use tidegate_model::limits::{CATALOG_TOTALS_BYTES, CATALOG_TOTALS_RETRY_SECONDS, CATALOG_TOTALS_UNREAD_SECONDS};
use tidegate_model::tables::CATALOG_VALUES;
use tidegate_model::{Seq, TableName};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

pub use catalogue::{Catalogue, Names};
pub use counted::{Counted, SAMPLES};
pub use hashes::{Hashes, distinct};
pub use hours::Hours;
pub use item::{Attribute, Item, Source};
pub use rows::LAST_HOUR;
pub use summary::Summary;
pub use values::Text;
pub use words::Word;

use super::Part;

/// The catalogue in memory; clones share it.
#[derive(Debug, Clone)]
pub struct Totals {
    state: Arc<RwLock<State>>,
    room: usize,
    additions: Arc<AtomicU64>,
}

#[derive(Debug)]
enum State {
    /// Nobody has looked lately; before that moment they are not read.
    Unread(Instant),
    /// Somebody reads the tables.
    Loading,
    Held(Box<Held>),
    /// It takes more than its room even without the values of any attribute.
    TooLarge,
}

#[derive(Debug)]
struct Held {
    catalogue: Catalogue,
    counted: HashMap<TableName, Seq>,
    read_at: Instant,
}

impl Default for Totals {
    fn default() -> Self {
        Self::within(CATALOG_TOTALS_BYTES)
    }
}

impl Totals {
    /// Holds nothing yet; takes at most about so many bytes.
    #[must_use]
    pub fn within(room: usize) -> Self {
        Self { state: Arc::new(RwLock::new(State::Unread(Instant::now()))), room, additions: Arc::default() }
    }

    /// Returns an empty catalogue, to be filled from the tables and then held.
    #[must_use]
    pub fn empty(&self) -> Catalogue {
        Catalogue::after(Arc::clone(&self.additions))
    }

    /// Returns how many bytes it may take.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.room
    }

    /// Waits for the turn to change it.
    pub async fn turn(&self) -> TotalsTurn {
        TotalsTurn { state: Arc::clone(&self.state).write_owned().await, room: self.room }
    }
}

/// The turn of one who changes the totals, or is about to read them.
#[derive(Debug)]
pub struct TotalsTurn {
    state: OwnedRwLockWriteGuard<State>,
    room: usize,
}

impl TotalsTurn {
    /// Says that the totals have to be read from the tables first, and that the caller does it.
    pub fn begin_loading(&mut self) -> bool {
        let is_first = matches!(*self.state, State::Unread(from) if from <= Instant::now());
        if is_first {
            *self.state = State::Loading;
        }
        is_first
    }

    /// Returns up to which row of a table all are counted; `None`: there are no totals.
    #[must_use]
    pub fn counted(&self, table: &TableName) -> Option<Seq> {
        match &*self.state {
            State::Held(held) => Some(held.counted.get(table).copied().unwrap_or(Seq::ZERO)),
            _ => None,
        }
    }

    /// Takes the totals that were read from the tables, and up to which rows they go.
    pub fn hold(&mut self, catalogue: Catalogue, counted: impl IntoIterator<Item = (TableName, Seq)>) {
        let counted = counted.into_iter().collect();
        *self.state = State::Held(Box::new(Held { catalogue, counted, read_at: Instant::now() }));
        self.keep_to_room();
    }

    /// Adds what came of rows, up to these of their tables.
    pub fn add<'p>(
        &mut self,
        heads: impl IntoIterator<Item = (TableName, Seq)>,
        parts: impl IntoIterator<Item = (&'p TableName, &'p RecordBatch)>,
    ) -> Result<(), ArrowError> {
        let State::Held(held) = &mut *self.state else { return Ok(()) };
        // What is counted of a value finds its text.
        let (texts, counts): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|(table, _)| **table == CATALOG_VALUES.name);
        let mut all = texts.into_iter().chain(counts);
        let added = all.try_for_each(|(of, rows)| held.catalogue.add(of, rows));
        held.counted.extend(heads);
        if added.is_err() {
            // Added in part they would be neither before nor behind these rows.
            self.forget();
        }
        self.keep_to_room();
        added
    }

    /// Drops the totals; whoever looks next has them read again.
    pub fn forget(&mut self) {
        *self.state = State::Unread(Instant::now());
    }

    /// Says that they could not be read: it is tried again, but not at once.
    pub fn fail(&mut self) {
        *self.state = State::Unread(Instant::now() + Duration::from_secs(CATALOG_TOTALS_RETRY_SECONDS));
    }

    /// Says that there is too much for the room.
    pub fn give_up(&mut self) {
        tracing::info!(
            room = self.room,
            "the catalogue is too large to be kept in memory; its tables are read instead"
        );
        *self.state = State::TooLarge;
    }

    /// Drops what nobody has read for a while.
    pub fn forget_if_unread(&mut self) {
        let unread = Duration::from_secs(CATALOG_TOTALS_UNREAD_SECONDS);
        if matches!(&*self.state, State::Held(held) if held.read_at.elapsed() > unread) {
            self.forget();
        }
    }

    /// Lets others read as well; `None`: there are no totals.
    #[must_use]
    pub fn into_reading(mut self) -> Option<TotalsReading> {
        let State::Held(held) = &mut *self.state else { return None };
        held.read_at = Instant::now();
        OwnedRwLockWriteGuard::try_downgrade_map(self.state, |state| match state {
            State::Held(held) => Some(&held.catalogue),
            _ => None,
        })
        .ok()
        .map(TotalsReading)
    }

    fn keep_to_room(&mut self) {
        let State::Held(held) = &mut *self.state else { return };
        if !held.catalogue.fits(self.room) {
            self.give_up();
        }
    }
}

/// The totals of one moment, which do not change while they are read.
#[derive(Debug)]
pub struct TotalsReading(OwnedRwLockReadGuard<State, Catalogue>);

impl Deref for TotalsReading {
    type Target = Catalogue;

    fn deref(&self) -> &Catalogue {
        &self.0
    }
}

/// Returns each part of a batch with its table.
pub fn by_table(parts: &[Part]) -> impl Iterator<Item = (&TableName, &RecordBatch)> {
    parts.iter().map(|part| (&part.spec.name, &part.rows))
}
