use std::collections::{BTreeMap, HashMap, HashSet};

use tidegate_model::UnixNanos;
use tidegate_model::limits::PRIMARY_TRACES_AT_ONCE;
use tidegate_primary::{Order, PrimaryError, Reading, Scan, TimeColumn};
use tidegate_traces::{Cursor, Object, Prices, QueryBody, Span, SpanId, TraceId, Window, derive, json};

use super::analytics::{Root, is_rolled_up};
use super::listing::{Listing, Place};
use super::read::{Stored, tree};
use crate::errors::Failure;

/// Spans of one project as PostgreSQL holds them. Filters are evaluated here, one span after another, in the order in
/// which an answer has them: so a page ends where ClickHouse would end it, also while ClickHouse is away.
pub(super) struct Held<'r> {
    pub(super) reading: Reading,
    pub(super) prices: &'r Prices,
}

impl From<PrimaryError> for Failure {
    fn from(error: PrimaryError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl Held<'_> {
    /// Reads the spans of a page, and where the next one begins.
    pub(super) async fn page(
        &mut self,
        query: &QueryBody,
        limit: usize,
    ) -> Result<(Vec<Stored>, Option<Cursor>), Failure> {
        let (filter, mut found) = (query.conditions(), Vec::new());
        self.reading.scan(&scan_of(&query.window, query.window.next.map(|next| next.time))).await?;
        while found.len() <= limit {
            let some = self.reading.next().await?;
            if some.is_empty() {
                break;
            }
            let is_meant = |span: &Span| filter.matches(span) && is_behind(&query.window, key(span));
            found.extend(some.into_iter().filter(is_meant));
        }
        let is_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| is_more).map(|last| Cursor {
            time: last.start_time,
            trace: last.trace_id,
            span: last.span_id,
        });
        Ok((found.into_iter().map(|span| self.stored(span)).collect(), next))
    }

    /// Finds the traces of a page, by the earliest of their spans that are meant, and where the next one begins.
    pub(super) async fn trace_ids(
        &mut self,
        query: &QueryBody,
        limit: usize,
    ) -> Result<(Vec<TraceId>, Option<Cursor>), Failure> {
        let (filter, window) = (query.conditions(), &query.window);
        let (mut seen, mut places) = (HashSet::new(), Vec::new());
        self.reading.scan(&scan_of(window, window.next.map(|next| next.time))).await?;
        loop {
            let some = self.reading.next().await?;
            let Some(last) = some.last().map(|span| span.start_time) else { break };
            let mut fresh: Vec<TraceId> =
                some.iter().filter(|span| filter.matches(span)).map(|span| span.trace_id).collect();
            fresh.retain(|id| seen.insert(*id));
            for (id, spans) in self.reading.traces(&fresh).await? {
                let meant = spans.iter().filter(|span| is_within(window, span.start_time) && filter.matches(span));
                let Some(at) = meant.map(|span| span.start_time).min() else { continue };
                if is_behind(window, (at, turned(id.0), None)) {
                    places.push((at, turned(id.0), id));
                }
            }
            // A trace that was not seen yet is not before what was looked at last.
            let is_before = |at: UnixNanos| if window.is_ascending { at < last } else { at > last };
            if places.iter().filter(|(at, ..)| is_before(*at)).count() > limit {
                break;
            }
        }
        places.sort_unstable_by_key(|(at, id, _)| (*at, *id));
        if !window.is_ascending {
            places.reverse();
        }
        let is_more = places.len() > limit;
        places.truncate(limit);
        let next = places.last().filter(|_| is_more).map(|(time, _, trace)| Cursor {
            time: *time,
            trace: *trace,
            span: SpanId(1),
        });
        Ok((places.into_iter().map(|(.., id)| id).collect(), next))
    }

    /// Reads all spans of some traces.
    pub(super) async fn traces(&mut self, ids: &[TraceId]) -> Result<BTreeMap<TraceId, Vec<Stored>>, Failure> {
        let found = self.reading.traces(ids).await?;
        let stored =
            |(id, spans): (TraceId, Vec<Span>)| (id, spans.into_iter().map(|span| self.stored(span)).collect());
        Ok(found.into_iter().map(stored).collect())
    }

    /// Reads the roots of a window, by when they came in, with what is asked of their attributes.
    pub(super) async fn roots(&mut self, query: &QueryBody, paths: &[&str]) -> Result<Vec<Root>, Failure> {
        let filter = query.conditions();
        let (from, to) = (query.window.oldest, query.window.newest);
        let scan =
            Scan { order: Order::Ascending, column: TimeColumn::Created, from, to, roots_only: true, having: None };
        self.reading.scan(&scan).await?;
        let mut found: Vec<(TraceId, SpanId, UnixNanos, Object)> = Vec::new();
        loop {
            let some = self.reading.next().await?;
            if some.is_empty() {
                break;
            }
            for span in some.into_iter().filter(|span| filter.matches(span)) {
                let mut attributes = Object::new();
                for path in paths.iter().filter(|path| !is_rolled_up(path)) {
                    let steps: Vec<&str> = path.split('.').collect();
                    if let Some(value) = json::at(&span.attributes, path) {
                        let _ = json::put(&mut attributes, &steps, value.clone());
                    }
                }
                found.push((span.trace_id, span.span_id, span.lifecycle.created_at, attributes));
            }
        }
        let mut ids: Vec<TraceId> = found.iter().map(|(trace, ..)| *trace).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut roll_ups = HashMap::new();
        for some in ids.chunks(PRIMARY_TRACES_AT_ONCE) {
            for (trace, spans) in self.traces(some).await? {
                let (_, sums) = tree(&spans);
                let of_roots = spans.iter().zip(sums).filter(|(stored, _)| stored.span.parent_id.is_none());
                roll_ups.extend(of_roots.map(|(stored, sum)| ((trace, stored.span.span_id), sum)));
            }
        }
        let root = |(trace, span, created_at, attributes)| {
            Root::of(created_at, roll_ups.get(&(trace, span)).copied().unwrap_or_default(), attributes)
        };
        Ok(found.into_iter().map(root).collect())
    }

    /// Lists sessions or users with their first or last times, in the order of the page, one more than it has.
    pub(super) async fn list(&mut self, listing: &Listing) -> Result<Vec<Place>, Failure> {
        let (query, limit) = (&listing.query, listing.limit());
        let filter = query.conditions();
        self.reading.scan(&Scan { having: Some(listing.column), ..scan_of(&query.window, None) }).await?;
        let mut places: BTreeMap<String, UnixNanos> = BTreeMap::new();
        loop {
            let some = self.reading.next().await?;
            if some.is_empty() {
                break;
            }
            for span in some.into_iter().filter(|span| filter.matches(span)) {
                let id = if listing.column == "user_id" { &span.user_id } else { &span.session_id };
                let Some(id) = id.as_ref().filter(|id| !id.is_empty()) else { continue };
                let at = places.entry(id.clone()).or_insert(span.start_time);
                *at = if listing.is_realtime { span.start_time.max(*at) } else { span.start_time.min(*at) };
            }
        }
        let mut places: Vec<Place> = places.into_iter().map(|(id, at)| (at, id)).collect();
        places.sort_unstable();
        if !query.window.is_ascending {
            places.reverse();
        }
        if let Some(next) = &listing.next {
            places.retain(|place| if query.window.is_ascending { place > next } else { place < next });
        }
        places.truncate(limit + 1);
        Ok(places)
    }

    fn stored(&self, span: Span) -> Stored {
        Stored { derived: derive(&span, self.prices), version: 0, span }
    }
}

/// Returns a UUID as ClickHouse compares it: by its second half first.
const fn turned(id: u128) -> u128 {
    id.rotate_left(64)
}

/// A place in an order: a time, a trace, and a span where spans are listed.
type Key = (UnixNanos, u128, Option<u128>);

fn key(span: &Span) -> Key {
    (span.start_time, turned(span.trace_id.0), Some(turned(span.span_id.0)))
}

/// Says whether a place is behind where the page begins.
fn is_behind(window: &Window, key: Key) -> bool {
    let Some(next) = window.next else { return true };
    let begins = (next.time, turned(next.trace.0), key.2.map(|_| turned(next.span.0)));
    if window.is_ascending { key > begins } else { key < begins }
}

fn is_within(window: &Window, at: UnixNanos) -> bool {
    window.oldest.is_none_or(|oldest| at >= oldest) && window.newest.is_none_or(|newest| at < newest)
}

/// Plans a look at the spans of a window, in its order, from where a page begins.
fn scan_of(window: &Window, begins: Option<UnixNanos>) -> Scan {
    let (mut from, mut to) = (window.oldest, window.newest);
    match (begins, window.is_ascending) {
        (Some(at), true) => from = from.max(Some(at)),
        // Its own time, too: others may have it.
        (Some(at), false) => to = Some(to.map_or(after(at), |to| to.min(after(at)))),
        (None, _) => {}
    }
    let order = if window.is_ascending { Order::Ascending } else { Order::Descending };
    Scan { order, column: TimeColumn::Start, from, to, roots_only: false, having: None }
}

const fn after(at: UnixNanos) -> UnixNanos {
    UnixNanos(at.0.saturating_add(1))
}
