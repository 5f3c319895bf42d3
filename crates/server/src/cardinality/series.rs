use std::collections::BTreeMap;

use serde::Deserialize;

use tidegate_model::tables::METRIC_SERIES;

use super::items::Detail;
use super::read::{Reader, Sql};
use crate::errors::Failure;

/// What the series of a metric say of it; of several that differ, the first in the order of text.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Declared {
    item: String,
    pub(super) about: String,
    pub(super) in_unit: String,
    pub(super) temporality: String,
    pub(super) monotonic: bool,
    pub(super) own_metadata: BTreeMap<String, String>,
}

/// The buckets of a metric, read from the points of a few of its series.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Buckets {
    item: String,
    pub(super) bounds: Vec<Option<f64>>,
    pub(super) scales: Vec<i32>,
    pub(super) quantiles: u64,
}

/// How many series each series of OTLP becomes in Prometheus, and how many keys its buckets count as.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) prometheus: u64,
    pub(super) keys: u64,
}

impl Buckets {
    /// Reads what the catalogue noted of a metric's points: the longest bounds, all scales, the most quantiles.
    pub(super) fn noted<'q>(qualities: impl Iterator<Item = impl AsRef<str> + 'q>) -> Option<Self> {
        let (mut buckets, mut is_noted, mut longest) = (Self::default(), false, (0, String::new()));
        for quality in qualities {
            let Some((name, value)) = quality.as_ref().split_once(':') else { continue };
            match name {
                "bounds" => {
                    let bounds: Vec<Option<f64>> = serde_json::from_str(value).unwrap_or_default();
                    if (bounds.len(), value) >= (longest.0, longest.1.as_str()) {
                        longest = (bounds.len(), value.to_owned());
                        buckets.bounds = bounds;
                    }
                }
                "scale" => buckets.scales.extend(value.parse::<i32>().ok()),
                "quantiles" => buckets.quantiles = buckets.quantiles.max(value.parse().unwrap_or(0)),
                _ => continue,
            }
            is_noted = true;
        }
        buckets.scales.sort_unstable();
        buckets.scales.dedup();
        is_noted.then_some(buckets)
    }

    /// Returns how many keys the buckets of a metric count as; `None`: it has some, and they were not noted.
    pub(super) fn keys_of<'q>(qualities: impl Iterator<Item = &'q str> + Clone) -> Option<u64> {
        let is_of = |name: &str| qualities.clone().any(|quality| quality.strip_prefix("type:") == Some(name));
        let of = |name: &str, buckets: &Option<Self>| match (is_of(name), buckets) {
            (true, Some(buckets)) => Some(buckets.weight(name).keys),
            (true, None) => None,
            (false, _) => Some(0),
        };
        let buckets = Self::noted(qualities.clone());
        Some(of("histogram", &buckets)?.max(of("exponential_histogram", &buckets)?))
    }

    /// Weighs a type: a histogram has a series for each bucket, one for its sum and one for its count.
    pub(super) fn weight(&self, metric_type: &str) -> Weight {
        match metric_type {
            "histogram" => {
                let buckets = self.bounds.len() as u64 + 1;
                Weight { prometheus: buckets + 2, keys: buckets }
            }
            "exponential_histogram" => {
                let top = self.scales.iter().copied().max().unwrap_or(0);
                let buckets = match u32::try_from(top) {
                    Ok(scale @ 1..) => 1_u64.checked_shl(scale + 1).unwrap_or(u64::MAX).min(160),
                    _ => 1,
                };
                Weight { prometheus: buckets + 2, keys: 10 * self.scales.len() as u64 }
            }
            "summary" => Weight { prometheus: self.quantiles + 2, keys: 0 },
            _ => Weight { prometheus: 1, keys: 0 },
        }
    }
}

impl Reader {
    /// Returns what the series of some metrics say of them.
    pub(super) async fn declared(&self, names: &[String]) -> Result<BTreeMap<String, Declared>, Failure> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let sql = Sql::new(
            "SELECT toString(metric_name) AS item, toString(min(description)) AS about, \
             toString(min(unit)) AS in_unit, \
             toString(max(aggregation_temporality)) AS temporality, max(is_monotonic) AS monotonic, \
             argMin(metadata, fingerprint) AS own_metadata FROM metric_series \
             WHERE metric_name IN {names:Array(String)} GROUP BY item",
        );
        let sql = sql.texts("names", names.iter().map(String::as_str));
        let rows: Vec<Declared> = self.steady_rows(&[&METRIC_SERIES], sql).await?;
        Ok(rows.into_iter().map(|row| (row.item.clone(), row)).collect())
    }

    /// Returns the buckets of those metrics that have any.
    pub(super) async fn buckets(&self, details: &[Detail]) -> Result<BTreeMap<String, Buckets>, Failure> {
        const WITH_BUCKETS: [&str; 3] = ["histogram", "exponential_histogram", "summary"];
        let mut asked: Vec<&Detail> = details
            .iter()
            .filter(|detail| detail.facets("type").iter().any(|name| WITH_BUCKETS.contains(name)))
            .collect();
        let noted = |detail: &&Detail| Some((detail.item.clone(), Buckets::noted(detail.qualities.iter())?));
        let mut found: BTreeMap<String, Buckets> = asked.iter().filter_map(noted).collect();
        // Of points that came before buckets were noted, the points themselves are asked.
        asked.retain(|detail| !found.contains_key(&detail.item));
        if asked.is_empty() {
            return Ok(found);
        }
        let points =
            "WHERE metric_name IN {names:Array(String)} AND fingerprint IN {series:Array(UInt64)} GROUP BY item";
        let sql = Sql::new(format!(
            "SELECT item, max(all_bounds) AS bounds, arraySort(groupUniqArrayArray(all_scales)) AS scales, \
             max(all_quantiles) AS quantiles FROM (\
             SELECT toString(metric_name) AS item, argMax(explicit_bounds, length(explicit_bounds)) AS all_bounds, \
             CAST([], 'Array(Int32)') AS all_scales, toUInt64(0) AS all_quantiles FROM metric_histograms {points} \
             UNION ALL SELECT toString(metric_name) AS item, CAST([], 'Array(Float64)') AS all_bounds, \
             groupUniqArray(scale) AS all_scales, toUInt64(0) AS all_quantiles \
             FROM metric_exponential_histograms {points} \
             UNION ALL SELECT toString(metric_name) AS item, CAST([], 'Array(Float64)') AS all_bounds, \
             CAST([], 'Array(Int32)') AS all_scales, max(length(quantiles)) AS all_quantiles \
             FROM metric_summaries {points}) GROUP BY item"
        ));
        let sql = sql
            .texts("names", asked.iter().map(|detail| detail.item.as_str()))
            // What a saved session says is of no series alone: it has 0 for one.
            .numbers(
                "series",
                [0].into_iter().chain(asked.iter().flat_map(|detail| detail.some_series.iter().copied())),
            );
        let rows: Vec<Buckets> = self.rows(sql).await?;
        found.extend(rows.into_iter().map(|row| (row.item.clone(), row)));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_weighed_as_the_reference_says() {
        let of = |metric_type: &str, bounds: usize, scales: &[i32]| {
            let buckets = Buckets { bounds: vec![Some(1.0); bounds], scales: scales.to_vec(), ..Buckets::default() };
            buckets.weight(metric_type).prometheus
        };
        assert_eq!((of("gauge", 0, &[]), of("sum", 0, &[])), (1, 1));
        assert_eq!(of("histogram", 4, &[]), 4 + 1 + 2);
        assert_eq!(of("exponential_histogram", 0, &[2, 3]), 16 + 2);
        assert_eq!(of("exponential_histogram", 0, &[20]), 160 + 2);
        assert_eq!((of("exponential_histogram", 0, &[-2]), of("exponential_histogram", 0, &[])), (3, 3));
    }
}
