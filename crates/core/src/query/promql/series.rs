use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use tidegate_model::limits::{PROMQL_NAMES_MAX, PROMQL_POINTS_MAX, PROMQL_SERIES_MAX};
use tidegate_model::tables::REMOTE_WRITE_SCOPE;
use tidegate_promql::{Facet, Labels, OtelSeries, PromqlError, Read, Selector, Want};

use super::{PromqlFailure, Reader};
use crate::query::{Freshness, QueryError, parameter_text};

/// A Prometheus series, and where its samples are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromqlSeries {
    /// Its labels, but for `le` and `quantile`.
    pub labels: Labels,
    /// The stored series.
    pub fingerprint: u64,
    /// What of its points.
    pub facet: Facet,
    /// The name of the stored metric.
    pub metric_name: String,
    /// Its type, as Prometheus says it.
    pub kind: &'static str,
    /// What it says of itself.
    pub description: String,
    /// Its unit.
    pub unit: String,
}

/// What a metric is but for the attributes of its series.
#[derive(Debug, Deserialize)]
struct MetricRow {
    metric_name: String,
    metric_type: String,
    unit: String,
    aggregation_temporality: String,
    is_monotonic: bool,
    _exact: u8,
}

#[derive(Debug, Deserialize)]
struct SeriesRow {
    #[serde(flatten)]
    metric: MetricRow,
    _fingerprint: String,
    description: String,
    attributes: BTreeMap<String, String>,
    _resource: Vec<String>,
}

const METRIC: &str = "metric_name, metric_type, unit, aggregation_temporality, is_monotonic";
const RESOURCE_KEYS: [&str; 4] = ["service.namespace", "service.name", "service.instance.id", "host.name"];

impl MetricRow {
    fn into_otel(self) -> OtelSeries {
        OtelSeries {
            metric_name: self.metric_name,
            metric_type: self.metric_type,
            unit: self.unit,
            temporality: self.aggregation_temporality,
            is_monotonic: self.is_monotonic,
            is_exact: self._exact != 0,
            ..OtelSeries::default()
        }
    }
}

impl Reader {
    /// Finds the series that any of these selectors may mean; without a selector, all.
    pub(super) async fn described(
        &self,
        selectors: &[Selector],
    ) -> Result<(Vec<PromqlSeries>, Freshness), PromqlFailure> {
        let (names, freshness) = self.metric_names(selectors).await?;
        if names.is_empty() {
            return Ok((Vec::new(), freshness));
        }
        let quoted: Vec<_> = names.iter().map(|name| format!("'{}'", parameter_text(name))).collect();
        let mut params = vec![("names".to_owned(), format!("[{}]", quoted.join(",")))];
        let narrowed = narrowed(selectors, &mut params);
        let resource = RESOURCE_KEYS.map(|key| format!("toString(resource_attributes['{key}'])")).join(", ");
        let sql = format!(
            "SELECT {METRIC}, scope_name = '{REMOTE_WRITE_SCOPE}' AS _exact, toString(fingerprint) AS _fingerprint, \
             description, attributes, [{resource}] AS _resource FROM metric_series \
             WHERE metric_name IN {{names:Array(String)}}{narrowed} LIMIT {} FORMAT JSONEachRow",
            PROMQL_SERIES_MAX + 1
        );
        let (bytes, freshness) = self.answer(sql, params, "series").await?;
        let rows = lines::<SeriesRow>(&bytes)?;
        if rows.len() > PROMQL_SERIES_MAX {
            let text = format!("more than {PROMQL_SERIES_MAX} series have these names: name more labels");
            return Err(PromqlError::TooLarge(text).into());
        }
        let is_meant = |described: &PromqlSeries| {
            selectors.is_empty() || selectors.iter().any(|selector| may_match(selector, described))
        };
        Ok((rows.into_iter().flat_map(facets).filter(is_meant).collect(), freshness))
    }

    /// Lists the stored metrics of which some facet has a name that is asked for.
    async fn metric_names(&self, selectors: &[Selector]) -> Result<(Vec<String>, Freshness), PromqlFailure> {
        let sql = format!(
            "SELECT DISTINCT {METRIC}, scope_name = '{REMOTE_WRITE_SCOPE}' AS _exact FROM metric_series \
             LIMIT {} FORMAT JSONEachRow",
            PROMQL_NAMES_MAX + 1
        );
        let (bytes, freshness) = self.answer(sql, Vec::new(), "names").await?;
        let rows = lines::<MetricRow>(&bytes)?;
        if rows.len() > PROMQL_NAMES_MAX {
            return Err(PromqlError::TooLarge(format!("there are more than {PROMQL_NAMES_MAX} metrics")).into());
        }
        let mut names = Vec::new();
        for row in rows {
            let otel = row.into_otel();
            let is_asked_for =
                |name: &str| selectors.is_empty() || selectors.iter().any(|selector| selector.may_be_named(name));
            if otel.facets().iter().any(|(_, name)| is_asked_for(name)) {
                names.push(otel.metric_name);
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok((names, freshness))
    }
}

/// Writes what the attributes of every meant series must hold, where one selector says it.
fn narrowed(selectors: &[Selector], params: &mut Vec<(String, String)>) -> String {
    let [selector] = selectors else { return String::new() };
    let mut sql = String::new();
    for (label, value) in selector.needs() {
        // These come from the resource, or from the points themselves.
        if ["__name__", "job", "instance", "le", "quantile"].contains(&label) {
            continue;
        }
        let name = format!("value{}", params.len());
        // A label may be made of several attributes: each is then a part of it.
        sql += &format!(
            " AND arrayExists(_own -> _own != '' AND position({{{name}:String}}, _own) > 0, mapValues(attributes))"
        );
        params.push((name, parameter_text(value)));
    }
    sql
}

/// `le` and `quantile` are known only once the points are read.
fn may_match(selector: &Selector, described: &PromqlSeries) -> bool {
    described.facet.label().is_some() || selector.matches(&described.labels)
}

fn facets(row: SeriesRow) -> Vec<PromqlSeries> {
    let fingerprint = row._fingerprint.parse().unwrap_or_default();
    let resource = RESOURCE_KEYS.iter().map(|key| (*key).to_owned()).zip(row._resource).collect();
    let (description, unit) = (row.description, row.metric.unit.clone());
    let attributes = row.attributes.into_iter().collect();
    let otel = OtelSeries { attributes, resource, ..row.metric.into_otel() };
    let kind = kind(&otel);
    let described = |(facet, name): (Facet, String)| PromqlSeries {
        labels: otel.labels(&name),
        fingerprint,
        facet,
        metric_name: otel.metric_name.clone(),
        kind,
        description: description.clone(),
        unit: unit.clone(),
    };
    otel.facets().into_iter().map(described).collect()
}

fn kind(otel: &OtelSeries) -> &'static str {
    match otel.metric_type.as_str() {
        _ if otel.is_exact => "unknown",
        "gauge" => "gauge",
        "sum" if otel.is_monotonic && otel.temporality != "DELTA" => "counter",
        "sum" if otel.temporality != "DELTA" => "gauge",
        "histogram" => "histogram",
        "summary" => "summary",
        _ => "unknown",
    }
}

/// The series of one read.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// By stored series and facet.
    pub(super) series: HashMap<(u64, Facet), Labels>,
    /// The names of their stored metrics.
    pub(super) names: Vec<String>,
    /// Several stored series have the same labels: their samples are put together before anything is computed.
    pub(super) is_merged: bool,
}

impl Chosen {
    pub(super) fn facets(&self) -> Vec<Facet> {
        let mut facets: Vec<_> = self.series.keys().map(|(_, facet)| *facet).collect();
        facets.sort_unstable();
        facets.dedup();
        facets
    }
}

/// Divides series among the reads that mean them.
pub(super) fn chosen(reads: &[Read], described: Vec<PromqlSeries>) -> Result<Vec<Chosen>, PromqlError> {
    let of = |read: &Read| {
        let mut chosen = Chosen::default();
        let mut seen = HashSet::new();
        for described in &described {
            if !may_match(&read.selector, described) || !is_named(&read.selector, &described.labels) {
                continue;
            }
            chosen.is_merged |= !seen.insert((&described.labels, described.facet));
            chosen.names.push(described.metric_name.clone());
            chosen.series.insert((described.fingerprint, described.facet), described.labels.clone());
        }
        chosen.names.sort_unstable();
        chosen.names.dedup();
        chosen
    };
    let chosen: Vec<_> = reads.iter().map(of).collect();
    let points = |(read, chosen): (&Read, &Chosen)| match read.want {
        Want::Grid(_) => chosen.series.len().saturating_mul(read.grid.steps),
        Want::Samples => 0,
    };
    let points: usize = reads.iter().zip(&chosen).map(points).sum();
    if points > PROMQL_POINTS_MAX {
        return Err(PromqlError::TooLarge(format!(
            "the query has {points} values, more than {PROMQL_POINTS_MAX}: name more labels, or ask for fewer steps"
        )));
    }
    Ok(chosen)
}

fn is_named(selector: &Selector, labels: &Labels) -> bool {
    selector.may_be_named(labels.get(tidegate_promql::METRIC_NAME))
}

fn lines<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<Vec<T>, QueryError> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(QueryError::Series)).collect()
}
