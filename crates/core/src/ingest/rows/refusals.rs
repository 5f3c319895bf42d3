use std::collections::BTreeMap;

use arrow_array::BooleanArray;
use tidegate_model::limits::{QUARANTINE_REQUEST_ROWS_MAX, REJECTIONS_LISTED_MAX};

use crate::ingest::{Reason, Rejection, Rejections};

/// Which rows of a request are refused; columns are read one after the other, so they do not come in order.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    is_refused: Vec<bool>,
    counts: [u64; Reason::ALL.len()],
    /// The first refused rows.
    listed: BTreeMap<usize, (Reason, String)>,
}

impl Refusals {
    /// Adds one row, not refused, and returns its place.
    pub(super) fn add_row(&mut self) -> usize {
        self.is_refused.push(false);
        self.is_refused.len() - 1
    }

    /// Adds rows, not refused.
    pub(super) fn add_rows(&mut self, rows: usize) {
        self.is_refused.resize(self.is_refused.len() + rows, false);
    }

    /// Returns the number of rows, refused ones included.
    pub(super) fn rows(&self) -> usize {
        self.is_refused.len()
    }

    /// Returns the number of rows that are not refused.
    pub(super) fn kept(&self) -> usize {
        self.is_refused.iter().filter(|is_refused| !**is_refused).count()
    }

    /// Refuses a row, for its first reason only.
    pub(super) fn refuse(&mut self, row: usize, reason: Reason, detail: impl FnOnce() -> String) {
        if std::mem::replace(&mut self.is_refused[row], true) {
            return;
        }
        self.counts[reason as usize] += 1;
        let is_among_first = self.listed.last_key_value().is_none_or(|(last, _)| row < *last);
        if self.listed.len() < QUARANTINE_REQUEST_ROWS_MAX || is_among_first {
            self.listed.insert(row, (reason, detail()));
        }
        if self.listed.len() > QUARANTINE_REQUEST_ROWS_MAX {
            self.listed.pop_last();
        }
    }

    /// Returns the filter that keeps the other rows.
    pub(super) fn filter(&self) -> BooleanArray {
        self.is_refused.iter().map(|is_refused| Some(!is_refused)).collect()
    }

    /// Returns what the requester is told, and the first refused rows with their texts.
    pub(super) fn into_rejections(self, text: impl Fn(usize) -> String) -> (Rejections, Vec<RefusedRow>) {
        let told = self.listed.iter().take(REJECTIONS_LISTED_MAX);
        let listed =
            told.map(|(row, (reason, detail))| Rejection::new(*row as u64, *reason, detail.as_str())).collect();
        let rows = self.listed.into_iter();
        let rows = rows.map(|(row, (reason, detail))| RefusedRow {
            rejection: Rejection::new(row as u64, reason, detail),
            text: text(row),
        });
        (Rejections { counts: self.counts, listed }, rows.collect())
    }
}

/// A refused row, to be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RefusedRow {
    pub(super) rejection: Rejection,
    /// As it was written, or as JSON.
    pub(super) text: String,
}
