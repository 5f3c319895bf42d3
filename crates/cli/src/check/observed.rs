use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::session::{self, Baseline};
use crate::catalogue::{Attribute, Log, Metric, ServiceSummary, Span, Summary, Template, pages, service_summaries};
use crate::client::Client;

/// Services that are told one by one; all are counted.
const SERVICES_TOLD_MAX: u64 = 1_000;

/// What a server's catalogue tells.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) time: String,
    pub(super) summary: Summary,
    pub(super) metrics: Vec<Metric>,
    pub(super) spans: Vec<Span>,
    pub(super) logs: Vec<Log>,
    pub(super) templates: Vec<Template>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) services: Vec<ServiceSummary>,
    pub(super) rejected: Vec<Rejected>,
    /// What changed since a saved session, as the server tells it.
    pub(super) comparison: Option<Value>,
}

/// Records of a table that were refused.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rejected {
    pub(super) table: String,
    pub(super) rejected: u64,
}

/// What is asked of the server beside the whole catalogue.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The hours, as parameters of the API.
    pub(super) window: Vec<(&'static str, String)>,
    pub(super) service: Option<&'a str>,
    pub(super) baseline: Option<&'a Baseline>,
}

#[derive(Deserialize)]
struct Health {
    timestamp: String,
}

#[derive(Deserialize)]
struct Ledger {
    tables: Vec<Rejected>,
}

/// Reads everything that is judged, the largest numbers first.
pub(super) async fn observe(client: &Client, wanted: &Wanted<'_>) -> Result<Observed> {
    let service = wanted.service.map(|name| ("service", name.to_owned()));
    let narrowed: Vec<_> = wanted.window.iter().cloned().chain(service).collect();
    let time = client.get::<Health>("/api/v1/health", &[]).await?.timestamp;
    let summary = client.get("/api/v1/summary", &narrowed).await?;
    let (mut metrics, _) = pages::<Metric>(client, ("/api/v1/metrics", "data"), &narrowed, 0).await?;
    metrics.sort_by_key(|metric| std::cmp::Reverse((metric.active_series, metric.sample_count)));
    let (mut spans, _) = pages::<Span>(client, ("/api/v1/spans", "data"), &narrowed, 0).await?;
    spans.sort_by_key(|span| std::cmp::Reverse(span.sample_count));
    let (mut logs, _) = pages::<Log>(client, ("/api/v1/logs", "data"), &narrowed, 0).await?;
    logs.sort_by_key(|log| std::cmp::Reverse(log.sample_count));
    let every = [("min_count", "0".to_owned()), ("min_services", "0".to_owned())];
    let every: Vec<_> = narrowed.iter().cloned().chain(every).collect();
    let (templates, _) = pages::<Template>(client, ("/api/v1/logs/patterns", "patterns"), &every, 0).await?;
    // In the order of their names while the pages are read: counts change meanwhile.
    let by_key: Vec<_> = narrowed.iter().cloned().chain([("sort_by", "key".to_owned())]).collect();
    let (mut attributes, _) = pages::<Attribute>(client, ("/api/v1/attributes", "data"), &by_key, 0).await?;
    attributes.sort_by_key(|attribute| std::cmp::Reverse((attribute.estimated_cardinality, attribute.count)));
    let services = services(client, wanted).await?;
    let mut rejected = client.get::<Ledger>("/ledger", &[]).await?.tables;
    rejected.retain(|table| table.rejected > 0);
    let comparison = match wanted.baseline {
        Some(baseline) => Some(session::compare(client, baseline, wanted.service).await?),
        None => None,
    };
    Ok(Observed { time, summary, metrics, spans, logs, templates, attributes, services, rejected, comparison })
}

async fn services(client: &Client, wanted: &Wanted<'_>) -> Result<Vec<ServiceSummary>> {
    let names = match wanted.service {
        Some(service) => vec![service.to_owned()],
        None => pages(client, ("/api/v1/services", "data"), &wanted.window, SERVICES_TOLD_MAX).await?.0,
    };
    let mut told = service_summaries(client, &names, &wanted.window).await?;
    told.sort_by_key(|service| std::cmp::Reverse(service.summary.samples.total()));
    Ok(told)
}
