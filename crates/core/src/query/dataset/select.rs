use tidegate_model::limits::{DATASET_QUERY_ROWS, DATASET_QUERY_ROWS_MAX};
use tidegate_model::{ColumnKind, TableSpec};

use super::body::DatasetQuery;
use super::buckets;
use super::cursor::Cursor;
use super::predicates::conditions;
use super::statement::{Bound, Form, bare, column, quoted, selected, user_columns};
use crate::catalog::Dataset;
use crate::query::plan::Pushed;
use crate::query::{QueryError, STORED_PARAM};

/// A column of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) form: Form,
}

/// The statement that answers a request.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) params: Vec<(String, String)>,
    /// Behind two numbers that are not shown: of a row its time and its `_seq`, of a bucket how many of its rows there
    /// are and how many are hot.
    pub(super) shown: Vec<Shown>,
    /// What stored and hot rows are narrowed down by before they are put together; of buckets nothing can be.
    pub(super) pushed: Option<Pushed>,
    pub(super) is_downsampled: bool,
    pub(super) limit: usize,
    pub(super) cursor: Option<Cursor>,
}

/// Writes the statement for a request.
pub(super) fn statement(query: &DatasetQuery, dataset: &Dataset) -> Result<Statement, QueryError> {
    let spec = &dataset.spec;
    let mut bound = Bound::default();
    let time = time_column(query, dataset)?;
    let cursor = query.cursor.as_deref().map(|text| Cursor::decode(text, query.fingerprint)).transpose()?;
    let limit = query.limit.unwrap_or(DATASET_QUERY_ROWS);
    if !(1..=DATASET_QUERY_ROWS_MAX).contains(&limit) {
        return Err(QueryError::Parameter(format!("`limit` is 1 to {DATASET_QUERY_ROWS_MAX}, it is {limit}")));
    }
    let mut narrowed = span(query, time.as_deref(), &mut bound)?;
    narrowed.extend(conditions(&query.filters, spec, &mut bound)?);
    if let Some(cursor) = &cursor {
        let watermark = bound.bind("UInt64", cursor.watermark.to_string())?;
        narrowed.push(format!("`{}` <= {watermark}", TableSpec::SEQ));
    }
    let pieces = match &query.downsample {
        None => raw(query, spec, (time.as_deref(), cursor.as_ref()), &mut bound, &mut narrowed)?,
        Some(_) => downsampled(query, spec, (time.as_deref(), cursor.as_ref()), &mut bound, &mut narrowed)?,
    };
    let Pieces { selected, shown, behind } = pieces;
    let list: Vec<_> = selected.iter().enumerate().map(|(at, text)| format!("{text} AS _c{at}")).collect();
    let pushed = query.downsample.is_none().then(|| Pushed {
        conditions: narrowed.join(" AND "),
        behind: format!("{behind} LIMIT {}", limit + 1),
        ..Pushed::default()
    });
    let filter = if narrowed.is_empty() { String::new() } else { format!(" WHERE {}", narrowed.join(" AND ")) };
    // One row more says whether another page follows.
    let sql = format!("SELECT {} FROM `{}`{filter}{behind} LIMIT {}", list.join(", "), spec.name, limit + 1);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_downsampled = query.downsample.is_some();
    Ok(Statement { sql, params: bound.params, shown, pushed, is_downsampled, limit, cursor })
}

struct Pieces {
    selected: Vec<String>,
    shown: Vec<Shown>,
    /// What stands behind the conditions.
    behind: String,
}

type Place<'c> = (Option<&'c str>, Option<&'c Cursor>);

fn raw(
    query: &DatasetQuery,
    spec: &TableSpec,
    (time, cursor): Place<'_>,
    bound: &mut Bound,
    narrowed: &mut Vec<String>,
) -> Result<Pieces, QueryError> {
    let seq = quoted(TableSpec::SEQ);
    let time = time.map(quoted);
    if let Some(cursor) = cursor {
        let after = bound.bind("UInt64", cursor.seq.to_string())?;
        narrowed.push(match (&time, cursor.time) {
            (Some(time), Some(last)) => {
                let last = bound.moment(last)?;
                format!("{time} >= {last} AND ({time} > {last} OR {seq} > {after})")
            }
            _ => format!("{seq} > {after}"),
        });
    }
    let mut selected_all = vec![
        time.as_ref().map_or_else(|| "toInt64(0)".to_owned(), |time| format!("toUnixTimestamp64Nano({time})")),
        seq.clone(),
    ];
    let mut shown = Vec::new();
    for own in columns(query, spec)? {
        let (text, form) = selected(&quoted(&own.name), &own.kind);
        selected_all.push(text);
        shown.push(Shown { name: own.name.clone(), form });
    }
    let order = time.map_or_else(|| seq.clone(), |time| format!("{time}, {seq}"));
    Ok(Pieces { selected: selected_all, shown, behind: format!(" ORDER BY {order}") })
}

fn downsampled(
    query: &DatasetQuery,
    spec: &TableSpec,
    (time, cursor): Place<'_>,
    bound: &mut Bound,
    narrowed: &mut Vec<String>,
) -> Result<Pieces, QueryError> {
    let (Some(downsample), Some(name)) = (&query.downsample, time) else {
        return Err(QueryError::Parameter("`downsample` needs a time: name one as `timestampColumn`".to_owned()));
    };
    if query.columns.is_some() {
        return Err(QueryError::Parameter(
            "`columns` goes with rows; what is told of buckets is in `downsample.aggregations`".to_owned(),
        ));
    }
    let begin = buckets::begin(downsample, &quoted(name))?;
    if let Some(last) = cursor.and_then(|cursor| cursor.time) {
        let moment = bound.moment(last)?;
        let last = bound.bind("Int64", last.0.to_string())?;
        narrowed.push(format!("{} > {moment} AND {begin} > {last}", quoted(name)));
    }
    let hot = format!("countIf(`{}` > {{{STORED_PARAM}:UInt64}})", TableSpec::SEQ);
    let mut selected_all = vec!["count()".to_owned(), hot, begin];
    let mut shown = vec![Shown { name: name.to_owned(), form: Form::Moment }];
    for told in buckets::told(downsample, spec, name)? {
        selected_all.push(told.expression);
        shown.push(Shown { name: told.alias, form: told.form });
    }
    Ok(Pieces { selected: selected_all, shown, behind: " GROUP BY _c2 ORDER BY _c2".to_owned() })
}

/// Returns the conditions on time: rows without one are in no answer that has an order of time.
fn span(query: &DatasetQuery, time: Option<&str>, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
    let Some(time) = time.map(quoted) else {
        return match query.time_range {
            None => Ok(Vec::new()),
            Some(_) => Err(QueryError::Parameter(
                "`timeRange` needs a time, and the dataset has none: name a column as `timestampColumn`".to_owned(),
            )),
        };
    };
    let mut narrowed = vec![format!("isNotNull({time})")];
    if let Some(range) = query.time_range {
        let (start, end) = (range.start.0, range.end.0);
        if start > end {
            return Err(QueryError::Parameter(format!("`timeRange.start` ({start}) is after `timeRange.end` ({end})")));
        }
        narrowed.push(format!("{time} >= {}", bound.moment(start)?));
        narrowed.push(format!("{time} <= {}", bound.moment(end)?));
    }
    Ok(narrowed)
}

fn time_column(query: &DatasetQuery, dataset: &Dataset) -> Result<Option<String>, QueryError> {
    let Some(name) = &query.timestamp_column else { return Ok(dataset.time_column.clone()) };
    let found = column(&dataset.spec, name, "timestampColumn")?;
    match bare(&found.kind) {
        ColumnKind::Timestamp => Ok(Some(name.clone())),
        other => {
            let kind = other.clickhouse();
            Err(QueryError::Parameter(format!("`timestampColumn` names `{name}`, which is a {kind} and no timestamp")))
        }
    }
}

fn columns<'s>(query: &DatasetQuery, spec: &'s TableSpec) -> Result<Vec<&'s tidegate_model::ColumnSpec>, QueryError> {
    let Some(names) = &query.columns else { return Ok(user_columns(spec).collect()) };
    if names.is_empty() {
        return Err(QueryError::Parameter("`columns` is empty: name columns, or leave it out for all".to_owned()));
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let own = column(spec, name, "columns")?;
        if found.contains(&own) {
            return Err(QueryError::Parameter(format!("`columns` names `{name}` twice")));
        }
        found.push(own);
    }
    Ok(found)
}
