//! Which part of a window of time roll-ups answer for, and which rows answer for the rest.
//!
//! ```text
//!  from            the coarsest that fits                to      ─▶ time
//!   │ rows │ minutes │           hours          │ minutes │ rows │
//!                    └── and rows above the stored watermark, from the hot tail ──┘
//! ```
//!
//! A roll-up's row tells the least and the greatest `_seq` of the rows in it. With the stored watermark between them it
//! has merged with rows of a batch that is on its way: the statement fails, and is asked again or of rows alone.

use std::time::Duration;

use serde_json::Value;
use tidegate_model::limits::{ROLL_UP_PAUSE_MS, ROLL_UP_TRIES};
use tidegate_model::{Grain, RollUps, Rule, UnixNanos};
use tokio::time::sleep;

use super::{Asked, Asking};
use crate::query::dataset::Bound;
use crate::query::{Freshness, Query, QueryError, STORED_PARAM};

/// ClickHouse's number for what `throwIf` throws.
const THROWN: i32 = 395;

/// What an answer was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Rows alone.
    Rows,
    /// Roll-ups, and rows at the window's edges and above the stored watermark.
    RollUp,
}

impl Origin {
    /// Returns the word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::RollUp => "roll-up",
        }
    }
}

/// From, and before; without one there is no such end.
pub(super) type Window = (Option<UnixNanos>, Option<UnixNanos>);

/// How a window is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cover {
    /// What each roll-up answers for, coarsest first.
    rolled: Vec<(Grain, Window)>,
    /// All of that together.
    inner: Window,
    /// What rows answer for.
    edges: Vec<Window>,
}

/// Splits a window between roll-ups, finest first, and rows; `None`: no whole bucket of one is in it.
pub(super) fn cover(window: Window, grains: &[Grain]) -> Option<Cover> {
    if window.0.zip(window.1).is_some_and(|(from, to)| from >= to) {
        return None;
    }
    let (mut rolled, mut open) = (Vec::new(), vec![window]);
    for grain in grains.iter().rev() {
        let mut rest = Vec::new();
        for window in open {
            let Some(whole) = whole_buckets(window, *grain) else {
                rest.push(window);
                continue;
            };
            rolled.push((*grain, whole));
            rest.extend([(window.0, whole.0), (whole.1, window.1)].into_iter().filter(|(from, to)| from != to));
        }
        open = rest;
    }
    let inner = grains.first().and_then(|finest| whole_buckets(window, *finest))?;
    Some(Cover { rolled, inner, edges: open })
}

/// Returns the whole buckets in a window.
fn whole_buckets((from, to): Window, grain: Grain) -> Option<Window> {
    let floor = |time: UnixNanos| time.0.checked_sub(time.0.rem_euclid(grain.nanos()));
    let begin = match from {
        Some(from) => Some(floor(UnixNanos(from.0.checked_add(grain.nanos() - 1)?))?),
        None => None,
    };
    let end = match to {
        Some(to) => Some(floor(to)?),
        None => None,
    };
    let is_some = begin.zip(end).is_none_or(|(begin, end)| begin < end);
    is_some.then_some((begin.map(UnixNanos), end.map(UnixNanos)))
}

/// Returns the number of a time's bucket; times before 1970 have negative ones.
pub(super) fn bucket(time: &str, nanos: i64) -> String {
    let time = format!("toUnixTimestamp64Nano({time})");
    format!("intDiv({time} - toInt64(positiveModulo({time}, toInt64({nanos}))), {nanos})")
}

/// How many rows a roll-up tells of: the stored ones; fails where others are among them.
pub(super) fn records() -> String {
    let stored = format!("{{{STORED_PARAM}:UInt64}}");
    format!("sumIf(records, _last <= {stored}) + throwIf(countIf(_first <= {stored} AND _last > {stored}) > 0)")
}

/// What a roll-up tells of the stored rows in one of its columns.
pub(super) fn told(rule: Rule, column: &str) -> String {
    format!("{}If({column}, _last <= {{{STORED_PARAM}:UInt64}})", rule.function())
}

/// What is selected of each side, the groups among it: `_rows` is how many rows it tells of.
pub(super) struct Sides<'a> {
    /// Of a roll-up; its time is named `_when`.
    pub(super) rolled: &'a str,
    /// Of rows, whose time is named so, too.
    pub(super) rows: &'a str,
    /// The names of the groups.
    pub(super) groups: &'a str,
    /// Conditions that both sides can answer, but for time.
    pub(super) conditions: &'a [String],
    /// Further ones of rows.
    pub(super) of_rows: &'a str,
}

/// Writes what is read of roll-ups and rows, as parts of one union.
pub(super) fn union(of: &RollUps, cover: &Cover, sides: &Sides<'_>, bound: &mut Bound) -> Result<String, QueryError> {
    let (groups, table) = (sides.groups, (of.of)());
    let mut parts = Vec::new();
    for (grain, window) in &cover.rolled {
        let mut conditions = sides.conditions.to_vec();
        conditions.extend(within(grain.column(), *window, bound)?);
        let select = sides.rolled.replace("_when", grain.column());
        parts.push(format!(
            "SELECT {select} FROM {}{} GROUP BY {groups} HAVING _rows > 0",
            of.table(*grain),
            filter(&conditions)
        ));
    }
    let hot = format!("_seq > {{{STORED_PARAM}:UInt64}}");
    let windows = cover.edges.iter().map(|edge| (*edge, "")).chain([(cover.inner, hot.as_str())]);
    for (window, further) in windows {
        let mut conditions = sides.conditions.to_vec();
        conditions.extend(within("timestamp", window, bound)?);
        conditions
            .extend([sides.of_rows, further].iter().filter(|text| !text.is_empty()).map(|text| (*text).to_owned()));
        let select = sides.rows.replace("_when", "timestamp");
        parts.push(format!("SELECT {select} FROM {table}{} GROUP BY {groups}", filter(&conditions)));
    }
    Ok(parts.join(" UNION ALL "))
}

/// Returns the conditions of a window on a column.
pub(super) fn within(column: &str, (from, to): Window, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
    let ends = [(">=", from), ("<", to)].into_iter().filter_map(|(sign, time)| Some((sign, time?)));
    ends.map(|(sign, time)| Ok(format!("{column} {sign} {}", bound.moment(time)?))).collect()
}

/// Joins conditions to a clause.
pub(super) fn filter(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

impl Query {
    /// Asks roll-ups of a table, with rows where they have no answer; `None`: they cannot be asked now.
    pub(super) async fn lines_rolled(
        &self,
        of: &RollUps,
        asked: &Asked,
        asking: &Asking,
    ) -> Result<Option<(Vec<Vec<Value>>, Freshness)>, QueryError> {
        let table = (of.of)();
        // Rows that go leave table and roll-ups one after the other: nobody is answered from both meanwhile.
        let Some(_kept) = self.store.try_keep_rows().filter(|_| self.store.is_rolled_up(table)) else {
            return Ok(None);
        };
        if self.catalog.open_removals().await?.iter().any(|(_, removal)| removal.table == *table) {
            return Ok(None);
        }
        for attempt in 0..ROLL_UP_TRIES {
            if attempt > 0 {
                sleep(Duration::from_millis(ROLL_UP_PAUSE_MS)).await;
            }
            let query_id = format!("{}-roll-up-{attempt}", asking.query_id);
            let asked = Asked { stored_of: Some(table.clone()), ..asked.clone() };
            match self.lines(asked, &Asking { query_id, ..asking.clone() }).await {
                Err(QueryError::Engine { code: THROWN, .. }) => {}
                outcome => return outcome.map(Some),
            }
        }
        tracing::debug!(%table, "roll-ups hold rows of a batch on its way, rows are read instead");
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;
    const MINUTE: i64 = 60_000_000_000;

    fn window(from: i64, to: i64) -> Window {
        (Some(UnixNanos(from)), Some(UnixNanos(to)))
    }

    fn both(from: i64, to: i64) -> Option<Cover> {
        cover(window(from, to), &[Grain::Minute, Grain::Hour])
    }

    #[test]
    fn a_window_is_split_without_gap_or_overlap() {
        let ends =
            [-HOUR - 1, -HOUR, -MINUTE, -1, 0, 1, MINUTE, MINUTE + 1, HOUR - 1, HOUR, 2 * HOUR, 3 * HOUR + MINUTE + 7];
        for (at, from) in ends.iter().enumerate() {
            for to in &ends[at + 1..] {
                let Some(cover) = both(*from, *to) else {
                    assert!(to - from < 2 * MINUTE, "{from} to {to}");
                    continue;
                };
                let mut parts: Vec<_> = cover.rolled.iter().map(|(_, part)| *part).chain(cover.edges.clone()).collect();
                parts.sort_unstable();
                assert_eq!((parts[0].0, parts[parts.len() - 1].1), window(*from, *to));
                assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0), "{from} to {to}: {parts:?}");
                for (grain, (begin, end)) in &cover.rolled {
                    assert!([begin, end].iter().all(|time| time.unwrap_or_default().0 % grain.nanos() == 0));
                }
            }
        }
    }

    #[test]
    fn the_coarsest_that_fits_is_asked() {
        let grains = |from, to| both(from, to).map(|cover| cover.rolled.iter().map(|(grain, _)| *grain).collect());
        let (hour, minute) = (Grain::Hour, Grain::Minute);
        assert_eq!(grains(0, 2 * HOUR), Some(vec![hour]));
        assert_eq!(grains(1, 2 * HOUR + 5 * MINUTE), Some(vec![hour, minute, minute]));
        assert_eq!(grains(HOUR - MINUTE, HOUR + MINUTE), Some(vec![minute]));
        assert_eq!(grains(1, MINUTE), None::<Vec<_>>);
        assert_eq!(both(5, 5), None);
        assert_eq!(cover((None, None), &[hour]).map(|cover| cover.edges), Some(Vec::new()));
    }
}
