use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::{Exact, OVERFLOW};
use super::arguments::Page;
use super::read::{Filter, Reader, Sql};
use super::totals;
use super::window::rfc3339;
use crate::errors::Failure;

/// A page of distinct names, and what all of them have together.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Names {
    pub(super) total: u64,
    pub(super) samples: u64,
    /// Whether some were past a limit, and are counted together.
    pub(super) capped: bool,
    pub(super) items: Vec<String>,
}

/// What the catalogue knows of one metric, span name, severity or template.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Detail {
    pub(super) item: String,
    pub(super) samples: u64,
    pub(super) size: u64,
    pub(super) services: Vec<(String, u64)>,
    pub(super) active: u64,
    pub(super) some_series: Vec<u64>,
    pub(super) qualities: Vec<String>,
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    pub(super) dropped: Vec<[u64; 3]>,
}

impl Detail {
    /// Returns the distinct values of a quality, sorted.
    pub(super) fn facets(&self, name: &str) -> Vec<&str> {
        let facets = self.qualities.iter();
        let mut found: Vec<&str> = facets.filter_map(|facet| facet.strip_prefix(name)?.strip_prefix(':')).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns the first value of a quality, empty where there is none.
    pub(super) fn facet(&self, name: &str) -> &str {
        self.facets(name).first().copied().unwrap_or_default()
    }

    /// Returns the services with their counts.
    pub(super) fn service_counts(&self) -> BTreeMap<&str, u64> {
        self.services.iter().map(|(name, count)| (name.as_str(), *count)).collect()
    }

    /// Returns the instrumentation scope.
    pub(super) fn scope_info(&self) -> ScopeInfo<'_> {
        ScopeInfo { name: self.facet("scope"), version: self.facet("scope_version") }
    }

    /// Returns what producers left out: of attributes (0), events (1) or links (2); the total, the most, of how many.
    pub(super) fn dropped(&self, which: usize) -> [u64; 3] {
        self.dropped.get(which).copied().unwrap_or_default()
    }

    /// Returns what every kind of item has.
    pub(super) fn common(&self) -> Common<'_> {
        Common {
            sample_count: self.samples,
            bytes: self.size,
            services: self.service_counts(),
            first_seen: rfc3339(self.first_seen),
            last_seen: rfc3339(self.last_seen),
            exact: Exact::unless(self.item == OVERFLOW),
        }
    }
}

/// An instrumentation scope.
#[derive(Debug, Serialize)]
pub(super) struct ScopeInfo<'a> {
    name: &'a str,
    version: &'a str,
}

/// What every kind of item tells.
#[derive(Debug, Serialize)]
pub(super) struct Common<'a> {
    sample_count: u64,
    bytes: u64,
    services: BTreeMap<&'a str, u64>,
    first_seen: String,
    last_seen: String,
    #[serde(flatten)]
    exact: Exact,
}

impl Reader {
    /// Returns a page of names (or of another column) in their order.
    pub(super) async fn names(
        &self,
        column: &str,
        signal: Option<&str>,
        filter: &Filter,
        page: Page,
    ) -> Result<Names, Failure> {
        let is_service = column == "service_name";
        let recalled = self.recall(filter, |seen| Some(totals::names(seen, is_service, signal, page)));
        if let Some(names) = recalled.await? {
            return Ok(names);
        }
        let signal_is = if signal.is_some() { " AND signal = {signal:String}" } else { "" };
        let sql = Sql::new(format!(
            "SELECT length(names) AS total, n AS samples, is_capped AS capped, \
             arraySlice(arrayPartialSort({{end:UInt64}}, names), {{offset:UInt64}} + 1, {{limit:UInt64}}) AS items \
             FROM (SELECT groupUniqArray({column}) AS names, sum(records) AS n, \
             CAST(max({column} = '{OVERFLOW}'), 'Bool') AS is_capped FROM catalog_signals WHERE 1{signal_is}{})",
            filter.condition()
        ));
        let sql = sql.filtered(filter).number("offset", page.offset).number("limit", page.items());
        // One set of all names, of which only the beginning is put in order: half the time of grouping by them.
        let sql = sql.number("end", page.offset + page.items());
        self.row(sql.text("signal", signal.unwrap_or_default())).await
    }

    /// Returns what is known of some names of a signal, in the order of the names.
    pub(super) async fn details(
        &self,
        signal: &str,
        names: &[String],
        filter: &Filter,
    ) -> Result<Vec<Detail>, Failure> {
        match self.recall(filter, |seen| totals::details(seen, signal, names)).await? {
            Some(details) => Ok(details),
            None => self.details_of_tables(signal, names, filter).await,
        }
    }

    /// Returns the same without a look at memory.
    pub(super) async fn details_of_tables(
        &self,
        signal: &str,
        names: &[String],
        filter: &Filter,
    ) -> Result<Vec<Detail>, Failure> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let dropped = ["attributes", "events", "links"];
        let inner_dropped = dropped.map(|what| {
            format!(
                "sum(dropped_{what}) AS total_{what}, max(dropped_{what}_max) AS max_{what}, \
                 sum(dropped_{what}_records) AS records_{what}"
            )
        });
        let outer_dropped = dropped.map(|what| format!("[sum(total_{what}), max(max_{what}), sum(records_{what})]"));
        let sql = Sql::new(format!(
            "SELECT item, sum(n) AS samples, sum(inner_size) AS size, \
             arraySort(groupArray(CAST((service, n), 'Tuple(String, UInt64)'))) AS services, \
             uniqExactArrayMerge(fingerprints) AS active, groupUniqArrayArray(4)(some) AS some_series, \
             groupUniqArrayArray(inner_qualities) AS qualities, \
             toUnixTimestamp64Nano(min(first_time)) AS first_seen, toUnixTimestamp64Nano(max(last_time)) AS last_seen, \
             [{}] AS dropped \
             FROM (SELECT toString(name) AS item, toString(service_name) AS service, sum(records) AS n, \
             sum(bytes) AS inner_size, uniqExactArrayState(series) AS fingerprints, \
             groupUniqArrayArray(4)(series) AS some, groupUniqArrayArray(facets) AS inner_qualities, \
             min(first_timestamp) AS first_time, max(last_timestamp) AS last_time, {} \
             FROM catalog_signals WHERE signal = {{signal:String}} AND name IN {{names:Array(String)}}{} \
             GROUP BY item, service) GROUP BY item ORDER BY item",
            outer_dropped.join(", "),
            inner_dropped.join(", "),
            filter.condition()
        ));
        let sql = sql.text("signal", signal).texts("names", names.iter().map(String::as_str)).filtered(filter);
        self.rows(sql).await
    }
}
