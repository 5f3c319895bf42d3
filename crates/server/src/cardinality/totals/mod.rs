//! The same answers as the statements give, from the catalogue in memory.
//!
//! Every function answers `None` where memory does not hold what is asked for (the values of a key with very many):
//! then the statement is run, and also where a window cuts through what is held for all hours together. A test asks both
//! ways and compares.
//!
//! | file | answers |
//! |---|---|
//! | `mod.rs` | when memory may answer; pages |
//! | `items.rs` | names, and what is known of each |
//! | `keys.rs` | attributes, by item and by key |
//! | `lists.rs` | rankings, summaries, what a session says |
//! | `templates.rs` | templates of log records |

mod items;
mod keys;
mod lists;
mod templates;

use std::cell::Cell;
use std::cmp::Ordering;

use tidegate_core::rollup::totals::{Attribute, Catalogue, Hours, Item, Source, Word};

use super::arguments::Page;
use super::read::{Filter, Ranked, Reader, told};
use super::window::Window;
use crate::errors::Failure;
use crate::stages::SchemaState;

pub(super) use items::{details, names, tell};
pub(super) use keys::{KeyFilter, Order, key_rows, keys_where, signals_of, uses};
pub(super) use lists::{complexity, content, high, label_scores, services_of_severities, span_names, summary};
pub(super) use templates::{pattern_count, pieces, ranked_templates, severities_of};

/// The catalogue in memory, as far as one service sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) catalogue: &'a Catalogue,
    service: Service,
    window: Window,
    /// Whether the window was found to cut through something, so that the answer is none.
    is_cut: &'a Cell<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Service {
    Any,
    Only(Word),
    /// One that never came.
    Unknown,
}

impl Reader {
    /// Answers from memory if it can; `None`: the tables are asked.
    pub(super) async fn recall<T>(
        &self,
        filter: &Filter,
        answer: impl FnOnce(Seen<'_>) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let answered = self.recalled(filter, answer).await;
        let from = if matches!(answered, Ok(Some(_))) { "memory" } else { "tables" };
        self.stages.metrics.catalogue_answer(from);
        answered
    }

    /// Says whether what is asked for is ever in memory.
    fn may_recall(&self) -> bool {
        // Before ClickHouse has its tables there is nothing to read into memory.
        let has_tables = *self.stages.schema.borrow() == SchemaState::Current;
        has_tables && self.sources.is_plain()
    }

    async fn recalled<T>(
        &self,
        filter: &Filter,
        answer: impl FnOnce(Seen<'_>) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        if !self.may_recall() {
            return Ok(None);
        }
        let Some(totals) = self.stages.query.totals().await.map_err(told)? else { return Ok(None) };
        let service = match filter.service.as_ref().map(|service| totals.word(service)) {
            None => Service::Any,
            Some(Some(word)) => Service::Only(word),
            Some(None) => Service::Unknown,
        };
        // Here and not on another thread: to wake one takes longer than most answers.
        Ok(tokio::task::block_in_place(|| {
            let is_cut = Cell::new(false);
            let told = answer(Seen { catalogue: &totals, service, window: filter.window, is_cut: &is_cut });
            told.filter(|_| !is_cut.get())
        }))
    }
}

impl<'a> Seen<'a> {
    fn text(self, word: Word) -> &'a str {
        self.catalogue.text(word)
    }

    /// Returns all items of a signal, or of all signals.
    fn items(self, signal: Option<&str>) -> impl Iterator<Item = (Word, Word, &'a Item)> {
        let asked = signal.map(|signal| self.catalogue.word(signal));
        self.catalogue.items().filter(move |(signal, _, _)| asked.is_none_or(|asked| asked == Some(*signal)))
    }

    fn sources(self, item: &'a Item) -> impl Iterator<Item = &'a Source> + Clone {
        item.sources.iter().filter(move |source| self.is_of(source.service) && self.is_in(source.hours))
    }

    fn attributes(self, item: &'a Item) -> impl Iterator<Item = &'a Attribute> {
        item.attributes.iter().filter(move |own| self.is_of(own.service) && self.is_in(own.counted.hours))
    }

    /// Says whether neither a service nor a window is asked for alone.
    pub(super) fn sees_all(self) -> bool {
        matches!(self.service, Service::Any) && self.window == Window::default()
    }

    fn is_in(self, hours: Hours) -> bool {
        self.window.holds(hours).unwrap_or_else(|| {
            self.is_cut.set(true);
            false
        })
    }

    fn is_of(self, service: Word) -> bool {
        match self.service {
            Service::Any => true,
            Service::Only(only) => only == service,
            Service::Unknown => false,
        }
    }
}

/// Takes a page out of rows in an order, without putting all of them in order.
fn page_of<T>(mut rows: Vec<T>, page: Page, order: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let end = page.offset.saturating_add(page.items());
    if let Ok(end) = usize::try_from(end)
        && end < rows.len()
    {
        rows.select_nth_unstable_by(end, &order);
        rows.truncate(end);
    }
    rows.sort_unstable_by(order);
    page.of(rows).collect()
}

/// The same with the count of rows, and of the samples in all of them.
fn ranked<T>(rows: Vec<T>, page: Page, samples: impl Fn(&T) -> u64, order: impl Fn(&T, &T) -> Ordering) -> Ranked<T> {
    let (total, samples) = (rows.len() as u64, rows.iter().map(samples).sum());
    Ranked { rows: page_of(rows, page, order), total, samples }
}
