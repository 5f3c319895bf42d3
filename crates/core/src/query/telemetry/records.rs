use serde_json::Value;
use tidegate_model::limits::TELEMETRY_ROWS_MAX;
use tidegate_model::{RollUps, Seq, TableSpec};

use super::coarse::{Origin, Sides, cover, records, union};
use super::entry::Record;
use super::filter::LEVEL;
use super::{Asked, Asking, Page, Paging, RecordFilter, RecordKind, Stats, cut_page, fingerprint, text, texts, whole};
use crate::query::dataset::{Bound, Cursor};
use crate::query::plan::Pushed;
use crate::query::{Freshness, Query, QueryError};

impl Query {
    /// Answers with a page of log records or events.
    pub async fn records(
        &self,
        kind: RecordKind,
        filter: &RecordFilter,
        (paging, asking): (&Paging, &Asking),
    ) -> Result<Page, QueryError> {
        let of = fingerprint(&(kind, filter, paging.rises));
        let cursor = checked(paging, of)?;
        let asked = page(kind, filter, paging, cursor.as_ref())?;
        let (lines, freshness) = self.lines(asked, asking).await?;
        let head = freshness.watermarks.first().map_or(Seq::ZERO, |(_, seq)| *seq);
        let watermark = cursor.map_or(head, |cursor| cursor.watermark);
        let mut rows = Vec::with_capacity(lines.len());
        for line in lines {
            let record = read(&line)?;
            rows.push((record.time, record.seq, record.to_json(kind)));
        }
        let next_cursor = cut_page(&mut rows, paging, (of, watermark));
        Ok(Page { rows: rows.into_iter().map(|(_, _, row)| row).collect(), next_cursor, freshness })
    }

    /// Answers with records of a range of numbers, in their order: what a reader of the newest ones missed.
    pub async fn records_between(
        &self,
        kind: RecordKind,
        filter: &RecordFilter,
        (after, to): (Seq, Seq),
        asking: &Asking,
    ) -> Result<Vec<Record>, QueryError> {
        let mut bound = Bound::default();
        let mut conditions = filter.conditions(kind, &mut bound)?;
        conditions.push(format!("_seq > {after} AND _seq <= {to}"));
        let rare = filter.rare(&mut bound)?;
        let asked = statement(kind, (rare, &conditions), " ORDER BY _seq", bound);
        let (lines, _) = self.lines(asked, asking).await?;
        lines.iter().map(|line| read(line)).collect()
    }

    /// Answers with how many records there are, by level, or by the kind of event.
    pub async fn record_stats(
        &self,
        kind: RecordKind,
        filter: &RecordFilter,
        asking: &Asking,
    ) -> Result<Stats, QueryError> {
        let (lines, freshness, origin) = match self.stats_rolled(kind, filter, asking).await? {
            Some((lines, freshness)) => (lines, freshness, Origin::RollUp),
            None => {
                let (lines, freshness) = self.lines(stats_of_rows(kind, filter)?, asking).await?;
                (lines, freshness, Origin::Rows)
            }
        };
        let by = lines.iter().map(|line| Ok((text(line, 0)?.to_owned(), whole(line, 1)?)));
        let by = by.collect::<Result<Vec<(String, u64)>, QueryError>>()?;
        Ok(Stats { total: by.iter().map(|(_, rows)| rows).sum(), by, origin, freshness })
    }

    async fn stats_rolled(
        &self,
        kind: RecordKind,
        filter: &RecordFilter,
        asking: &Asking,
    ) -> Result<Option<(Vec<Vec<Value>>, Freshness)>, QueryError> {
        let Some(of) = RollUps::find(&kind.spec().name) else { return Ok(None) };
        let timeless = RecordFilter { from: None, to: None, ..filter.clone() };
        // A roll-up knows levels and services.
        let known =
            RecordFilter { levels: filter.levels.clone(), sources: filter.sources.clone(), ..RecordFilter::default() };
        let Some(cover) = cover((filter.from, filter.to), of.grains).filter(|_| timeless == known) else {
            return Ok(None);
        };
        let mut bound = Bound::default();
        let conditions = known.conditions(kind, &mut bound)?;
        let (rolled, rows) =
            (format!("{LEVEL} AS _level, {} AS _rows", records()), format!("{LEVEL} AS _level, count() AS _rows"));
        let sides = Sides { rolled: &rolled, rows: &rows, groups: "_level", conditions: &conditions, of_rows: "" };
        let sql = format!(
            "SELECT toString(_level) AS _by, sum(_rows) AS _all FROM ({}) GROUP BY _by ORDER BY _all DESC, _by \
             LIMIT {TELEMETRY_ROWS_MAX}",
            union(of, &cover, &sides, &mut bound)?
        );
        self.lines_rolled(of, &Asked { sql, params: bound.params, ..Asked::default() }, asking).await
    }
}

fn stats_of_rows(kind: RecordKind, filter: &RecordFilter) -> Result<Asked, QueryError> {
    let mut bound = Bound::default();
    let (rare, conditions) = (filter.rare(&mut bound)?, filter.conditions(kind, &mut bound)?);
    let by = match kind {
        RecordKind::Logs => LEVEL,
        RecordKind::Events => "event_name",
    };
    let filter = filtered(&rare, &conditions);
    let sql = format!(
        "SELECT toString({by}) AS _by, count() AS _rows FROM {}{filter} GROUP BY _by ORDER BY _rows DESC, _by \
             LIMIT {TELEMETRY_ROWS_MAX}",
        kind.spec().name
    );
    // ClickHouse takes no hint through a union: what an index is to leave out is said on both sides of it.
    let pushed = Some(Pushed { rare, conditions: conditions.join(" AND "), behind: String::new() });
    Ok(Asked { sql, params: bound.params, pushed, ..Asked::default() })
}

/// Checks what is asked of a page; returns the cursor.
pub(super) fn checked(paging: &Paging, of: u64) -> Result<Option<Cursor>, QueryError> {
    if !(1..=TELEMETRY_ROWS_MAX).contains(&paging.limit) {
        return Err(QueryError::Parameter(format!("`limit` is 1 to {TELEMETRY_ROWS_MAX}, it is {}", paging.limit)));
    }
    paging.cursor.as_deref().map(|text| Cursor::decode(text, of)).transpose()
}

/// Returns the conditions that leave only what is behind a page.
pub(super) fn behind(cursor: &Cursor, rises: bool, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
    let watermark = bound.bind("UInt64", cursor.watermark.to_string())?;
    let seq = bound.bind("UInt64", cursor.seq.to_string())?;
    let time = bound.moment(cursor.time.unwrap_or_default())?;
    let (sign, or_equal) = if rises { (">", ">=") } else { ("<", "<=") };
    Ok(vec![
        format!("_seq <= {watermark}"),
        format!("timestamp {or_equal} {time} AND (timestamp {sign} {time} OR _seq {sign} {seq})"),
    ])
}

fn page(
    kind: RecordKind,
    filter: &RecordFilter,
    paging: &Paging,
    cursor: Option<&Cursor>,
) -> Result<Asked, QueryError> {
    let mut bound = Bound::default();
    let mut conditions = filter.conditions(kind, &mut bound)?;
    if let Some(cursor) = cursor {
        conditions.extend(behind(cursor, paging.rises, &mut bound)?);
    }
    let way = if paging.rises { "ASC" } else { "DESC" };
    // The first of these is what rows are stored by, so reading ends with the limit.
    let order = format!(" ORDER BY {} {way}, timestamp {way}, _seq {way} LIMIT {}", kind.bucket(), paging.limit + 1);
    let rare = filter.rare(&mut bound)?;
    Ok(statement(kind, (rare, &conditions), &order, bound))
}

/// Writes all conditions as one clause.
fn filtered(rare: &str, conditions: &[String]) -> String {
    let all: Vec<&str> =
        std::iter::once(rare).filter(|rare| !rare.is_empty()).chain(conditions.iter().map(String::as_str)).collect();
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}

fn statement(kind: RecordKind, (rare, conditions): (String, &[String]), behind: &str, bound: Bound) -> Asked {
    let (agent, session, name) = match kind {
        RecordKind::Logs => ("resource_attributes['agent.id']", "''", "''"),
        RecordKind::Events => ("agent_id", "session_id", "event_name"),
    };
    let filter = filtered(&rare, conditions);
    let columns = [
        "toUnixTimestamp64Nano(timestamp)",
        TableSpec::SEQ,
        LEVEL,
        "service_name",
        name,
        "body",
        "body_type",
        "mapKeys(attributes)",
        "mapValues(attributes)",
        "attribute_types",
        "mapKeys(resource_attributes)",
        "mapValues(resource_attributes)",
        "resource_attribute_types",
        "trace_id",
        "span_id",
        agent,
        session,
    ];
    let columns: Vec<String> = columns.iter().enumerate().map(|(at, text)| format!("{text} AS _c{at}")).collect();
    let sql = format!("SELECT {} FROM {}{filter}{behind}", columns.join(", "), kind.spec().name);
    let pushed = Pushed { rare, conditions: conditions.join(" AND "), behind: behind.to_owned() };
    Asked { sql, params: bound.params, pushed: Some(pushed), stored_of: None }
}

fn read(line: &[Value]) -> Result<Record, QueryError> {
    let own = |at: usize| text(line, at).map(str::to_owned);
    let entries = |at: usize| Ok::<_, QueryError>((texts(line, at)?, texts(line, at + 1)?, own(at + 2)?));
    Ok(Record {
        time: whole(line, 0)?,
        seq: whole(line, 1)?,
        level: own(2)?,
        source: own(3)?,
        event_type: own(4)?,
        body: (own(5)?, own(6)?),
        attributes: entries(7)?,
        resource: entries(10)?,
        trace_id: own(13)?,
        span_id: own(14)?,
        agent_id: own(15)?,
        session_id: own(16)?,
    })
}
