use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::answer::{Answer, Ask, Exact, OVERFLOW, list, say_exact, unknown};
use super::super::keys::HASHES;
use super::super::read::{Filter, Reader, Sql};
use super::super::totals::{self, KeyFilter, Order};
use super::{attributes, logs, metrics, spans, watch};
use crate::errors::Failure;

/// Answers `GET services`.
pub(in super::super) async fn all(ask: Ask) -> Result<Answer, Failure> {
    let (filter, page) = (ask.filter()?, ask.arguments.page());
    let names = ask.reader.names("service_name", None, &filter, page).await?;
    Answer::told(&list(names.items, page, names.total, names.samples, names.capped))
}

/// Answers `GET services/{name}/overview`; `limit` and `offset` page through each of its three lists.
pub(in super::super) async fn overview(ask: Ask) -> Result<Answer, Failure> {
    let (service, page) = (ask.path("name"), ask.arguments.page());
    let filter = Filter { service: Some(service.to_owned()), window: ask.arguments.window()? };
    let reader = &ask.reader;
    let names = |signal| reader.names("name", Some(signal), &filter, page);
    let (metric_names, span_names, severities) = tokio::try_join!(names("metrics"), names("traces"), names("logs"))?;
    if metric_names.total + span_names.total + severities.total == 0 {
        return Err(unknown("service", service, "/api/v1/services"));
    }
    let (metrics, spans, logs) = tokio::try_join!(
        metrics::told(reader, &metric_names.items, &filter),
        spans::told(reader, &span_names.items, &filter),
        logs::told(reader, &severities.items, &filter),
    )?;
    Answer::told(&Overview {
        service_name: service,
        metric_count: metric_names.total,
        span_count: span_names.total,
        log_count: severities.total,
        data_point_samples: metric_names.samples,
        span_samples: span_names.samples,
        log_samples: severities.samples,
        metrics,
        spans,
        logs,
        exact: Exact::unless(service == OVERFLOW || metric_names.capped || span_names.capped),
    })
}

#[derive(Debug, Serialize)]
struct Overview<'a> {
    service_name: &'a str,
    metric_count: u64,
    span_count: u64,
    log_count: u64,
    data_point_samples: u64,
    span_samples: u64,
    log_samples: u64,
    metrics: Vec<Box<RawValue>>,
    spans: Vec<Box<RawValue>>,
    logs: Vec<Box<RawValue>>,
    #[serde(flatten)]
    exact: Exact,
}

/// Answers `GET services/{name}/attributes`.
pub(in super::super) async fn keys(ask: Ask) -> Result<Answer, Failure> {
    let service = ask.path("name");
    let (filter, page) =
        (Filter { service: Some(service.to_owned()), window: ask.arguments.window()? }, ask.arguments.page());
    let wanted = KeyFilter::default();
    let recalled = ask.reader.recall(&filter, |seen| totals::key_rows(seen, &wanted, Order::BY_KEY, page));
    let mut ranked = match recalled.await? {
        Some(ranked) => ranked,
        None => {
            let columns = attributes::columns(HASHES);
            let inner =
                format!("SELECT {columns} FROM catalog_attributes WHERE 1{} GROUP BY label", filter.condition());
            let bind = |sql: String| Sql::new(sql).filtered(&filter);
            ask.reader.ranked::<attributes::Row>((attributes::NAMES, &inner, "label"), bind, page).await?
        }
    };
    if ranked.total == 0 {
        return Err(unknown("attribute of the service", service, "/api/v1/services"));
    }
    attributes::add_samples(&ask.reader, &mut ranked.rows).await?;
    let watched = watch::keys(&ask.reader);
    let keys: Vec<_> = ranked.rows.iter().map(|row| row.told(watched.contains(&row.label))).collect();
    let mut value = json!({
        "service": service,
        "keys": keys,
        "total": ranked.total,
        "limit": page.limit,
        "offset": page.offset,
        "has_more": page.has_more(ranked.total),
    });
    say_exact(&mut value, service == OVERFLOW || ranked.rows.iter().any(|row| row.label == OVERFLOW));
    Ok(value.into())
}

#[derive(Debug, Default, Deserialize)]
pub(in super::super) struct Totals {
    pub(in super::super) metric_names: u64,
    pub(in super::super) span_names: u64,
    pub(in super::super) severities: u64,
    pub(in super::super) services: u64,
    pub(in super::super) data_points: u64,
    pub(in super::super) span_records: u64,
    pub(in super::super) log_records: u64,
    pub(in super::super) series_count: u64,
    pub(in super::super) size: u64,
    pub(in super::super) capped: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(in super::super) struct KeyTotals {
    pub(in super::super) total: u64,
    pub(in super::super) high: u64,
}

/// Answers `GET summary`: how much there is of everything.
pub(in super::super) async fn summary(ask: Ask) -> Result<Answer, Failure> {
    let filter = ask.filter()?;
    let (all, patterns) =
        tokio::try_join!(all_totals(&ask.reader, &filter), logs::pattern_count(&ask.reader, &filter))?;
    let (totals, keys) = all;
    let mut value = json!({
        "total_metrics": totals.metric_names,
        "total_span_names": totals.span_names,
        "total_log_severities": totals.severities,
        "total_log_patterns": patterns,
        "total_services": totals.services,
        "total_attributes": keys.total,
        "high_cardinality_count": keys.high,
        "active_series": totals.series_count,
        "samples": {
            "metrics": totals.data_points,
            "spans": totals.span_records,
            "logs": totals.log_records,
        },
        "bytes": totals.size,
    });
    say_exact(&mut value, totals.capped);
    Ok(value.into())
}

async fn all_totals(reader: &Reader, filter: &Filter) -> Result<(Totals, KeyTotals), Failure> {
    if let Some(summary) = reader.recall(filter, totals::summary).await? {
        return Ok(summary);
    }
    let sql = Sql::new(format!(
        "SELECT uniqExactIf(name, signal = 'metrics') AS metric_names, \
         uniqExactIf(name, signal = 'traces') AS span_names, \
         uniqExactIf(name, signal = 'logs') AS severities, uniqExact(service_name) AS services, \
         sumIf(records, signal = 'metrics') AS data_points, sumIf(records, signal = 'traces') AS span_records, \
         sumIf(records, signal = 'logs') AS log_records, uniqExactArray(series) AS series_count, sum(bytes) AS size, \
         CAST(max(name = '{OVERFLOW}' OR service_name = '{OVERFLOW}'), 'Bool') AS capped \
         FROM catalog_signals WHERE 1{}",
        filter.condition()
    ));
    let keys = Sql::new(format!(
        "SELECT count() AS total, countIf(cardinality > 100) AS high FROM (SELECT key, \
         uniqExactArray(value_hashes) AS cardinality FROM catalog_attributes WHERE 1{} GROUP BY key)",
        filter.condition()
    ));
    tokio::try_join!(reader.row::<Totals>(sql.filtered(filter)), reader.row::<KeyTotals>(keys.filtered(filter)),)
}
