use std::collections::BTreeMap;

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::Client;

/// Items of one request: few requests for a long list, and answers that take the server no long time.
const PAGE_ITEMS: u64 = 1_000;
/// Requests in one batch, which is the server's limit.
const BATCH_QUERIES: usize = 100;

/// How many log records, spans and data points there are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SampleCounts {
    pub(crate) metrics: u64,
    pub(crate) spans: u64,
    pub(crate) logs: u64,
}

impl SampleCounts {
    /// Returns their sum.
    pub(crate) const fn total(&self) -> u64 {
        self.metrics + self.spans + self.logs
    }
}

/// How much there is of everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) total_metrics: u64,
    pub(crate) total_span_names: u64,
    pub(crate) total_log_severities: u64,
    pub(crate) total_log_patterns: u64,
    pub(crate) total_services: u64,
    pub(crate) total_attributes: u64,
    pub(crate) high_cardinality_count: u64,
    pub(crate) active_series: u64,
    pub(crate) samples: SampleCounts,
    pub(crate) bytes: u64,
    pub(crate) exact: bool,
    /// The limit that was hit, where the numbers are not exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cap: Option<String>,
}

/// What one service sends.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServiceSummary {
    pub(crate) service_name: String,
    #[serde(flatten)]
    pub(crate) summary: Summary,
}

/// A metric.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Metric {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) sample_count: u64,
    pub(crate) bytes: u64,
    pub(crate) active_series: u64,
    pub(crate) services: BTreeMap<String, u64>,
}

/// A span's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind_name: String,
    pub(crate) sample_count: u64,
    pub(crate) bytes: u64,
    pub(crate) services: BTreeMap<String, u64>,
}

/// A severity of log records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) severity: String,
    pub(crate) sample_count: u64,
    pub(crate) bytes: u64,
    pub(crate) services: BTreeMap<String, u64>,
}

/// A template of log bodies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Template {
    pub(crate) template_id: String,
    pub(crate) template: String,
    pub(crate) example_body: String,
    pub(crate) total_count: u64,
    #[serde(default)]
    pub(crate) severity_breakdown: BTreeMap<String, u64>,
    pub(crate) services: Vec<TemplateService>,
}

/// A service that logs by a template.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TemplateService {
    pub(crate) service_name: String,
    pub(crate) sample_count: u64,
    pub(crate) severities: Vec<String>,
}

/// An attribute, over all signals and places.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attribute {
    pub(crate) key: String,
    pub(crate) estimated_cardinality: u64,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) signal_types: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) value_samples: Vec<String>,
    pub(crate) first_seen: String,
    pub(crate) last_seen: String,
    pub(crate) exact: bool,
}

/// Reads a list: all of it, or the first `limit` items where that is not 0; and tells how many there are.
pub(crate) async fn pages<T: DeserializeOwned>(
    client: &Client,
    (path, field): (&str, &str),
    parameters: &[(&str, String)],
    limit: u64,
) -> anyhow::Result<(Vec<T>, u64)> {
    let wanted = if limit == 0 { u64::MAX } else { limit };
    let mut items = Vec::new();
    loop {
        let have = items.len() as u64;
        let page = [("limit", PAGE_ITEMS.min(wanted - have).to_string()), ("offset", have.to_string())];
        let asked: Vec<_> = parameters.iter().cloned().chain(page).collect();
        let mut answer: Value = client.get(path, &asked).await?;
        let total = answer["total"].as_u64().unwrap_or(0);
        let page: Vec<T> =
            serde_json::from_value(answer[field].take()).with_context(|| format!("read the list of {path}"))?;
        let is_last = page.is_empty() || answer["has_more"] != true;
        items.extend(page);
        if is_last || items.len() as u64 >= wanted {
            return Ok((items, total));
        }
    }
}

/// Asks for the summary of each of these services, many in one request.
pub(crate) async fn service_summaries(
    client: &Client,
    services: &[String],
    window: &[(&str, String)],
) -> anyhow::Result<Vec<ServiceSummary>> {
    let mut told = Vec::with_capacity(services.len());
    for some in services.chunks(BATCH_QUERIES) {
        let query = |(at, service): (usize, &String)| {
            let mut params: Map<String, Value> =
                window.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            params.insert("service".to_owned(), json!(service));
            json!({ "id": at.to_string(), "endpoint": "/api/v1/summary", "params": params })
        };
        let queries: Vec<Value> = some.iter().enumerate().map(query).collect();
        let mut answer: Value = client.post("/v2/query/batch", &json!({ "queries": queries })).await?;
        for (at, service) in some.iter().enumerate() {
            let own = answer["results"][at.to_string()].take();
            anyhow::ensure!(own["error"].is_null(), "the summary of the service `{service}`: {}", own["error"]);
            let summary = serde_json::from_value(own).with_context(|| format!("read the summary of `{service}`"))?;
            told.push(ServiceSummary { service_name: service.clone(), summary });
        }
    }
    Ok(told)
}
