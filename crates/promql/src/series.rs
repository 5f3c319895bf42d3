use crate::{Labels, METRIC_NAME, label_name, metric_name};

/// A series as OpenTelemetry has it, and whether it came as one of Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtelSeries {
    /// Its metric's name.
    pub metric_name: String,
    /// gauge, sum, histogram, exponential_histogram or summary.
    pub metric_type: String,
    /// Its metric's unit.
    pub unit: String,
    /// CUMULATIVE, DELTA, …
    pub temporality: String,
    /// Whether a sum only grows.
    pub is_monotonic: bool,
    /// It came by remote write: name and labels are Prometheus' own.
    pub is_exact: bool,
    /// The attributes of its points.
    pub attributes: Vec<(String, String)>,
    /// The attributes of its resource.
    pub resource: Vec<(String, String)>,
}

/// What of a stored point a Prometheus series holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// The value of a gauge or sum.
    Value,
    /// The running counts of a histogram, with the label `le`.
    Bucket,
    /// The sum of a histogram.
    HistogramSum,
    /// The count of a histogram.
    HistogramCount,
    /// The sum of an exponential histogram.
    ExponentialSum,
    /// The count of an exponential histogram.
    ExponentialCount,
    /// The quantiles of a summary, with the label `quantile`.
    Quantile,
    /// The sum of a summary.
    SummarySum,
    /// The count of a summary.
    SummaryCount,
}

impl Facet {
    /// Returns the label that tells the facet's series of one stored series apart.
    #[must_use]
    pub const fn label(self) -> Option<&'static str> {
        match self {
            Self::Bucket => Some("le"),
            Self::Quantile => Some("quantile"),
            _ => None,
        }
    }
}

impl OtelSeries {
    /// Lists what the series is in Prometheus: facets and their names.
    #[must_use]
    pub fn facets(&self) -> Vec<(Facet, String)> {
        if self.is_exact {
            return vec![(Facet::Value, self.metric_name.clone())];
        }
        let is_counter = self.metric_type == "sum" && self.is_monotonic && self.temporality != "DELTA";
        let is_gauge = self.metric_type == "gauge";
        let name = metric_name(&self.metric_name, &self.unit, is_counter, is_gauge);
        let parts = |bare: &[(Facet, &str)]| bare.iter().map(|(facet, end)| (*facet, format!("{name}{end}"))).collect();
        match self.metric_type.as_str() {
            "histogram" => {
                parts(&[(Facet::Bucket, "_bucket"), (Facet::HistogramSum, "_sum"), (Facet::HistogramCount, "_count")])
            }
            "exponential_histogram" => parts(&[(Facet::ExponentialSum, "_sum"), (Facet::ExponentialCount, "_count")]),
            "summary" => parts(&[(Facet::Quantile, ""), (Facet::SummarySum, "_sum"), (Facet::SummaryCount, "_count")]),
            _ => parts(&[(Facet::Value, "")]),
        }
    }

    /// Returns the labels of one of its facets, but for `le` and `quantile`.
    #[must_use]
    pub fn labels(&self, name: &str) -> Labels {
        let mut labels = Labels::default();
        if self.is_exact {
            labels = self.attributes.iter().map(|(key, value)| (key, value.as_str())).collect();
        } else {
            self.put_attributes(&mut labels);
            self.put_resource(&mut labels);
        }
        labels.with(METRIC_NAME, name)
    }

    /// Attributes whose names become one are joined with `;`, by their keys.
    fn put_attributes(&self, labels: &mut Labels) {
        let mut sorted: Vec<_> = self.attributes.iter().collect();
        sorted.sort_unstable();
        for (key, value) in sorted {
            let name = label_name(key);
            let before = labels.get(&name);
            let joined = if before.is_empty() { value.clone() } else { format!("{before};{value}") };
            labels.set(&name, joined);
        }
    }

    /// `job` is the service with its namespace; `instance` the instance of it, or else the host.
    fn put_resource(&self, labels: &mut Labels) {
        let of = |key: &str| self.resource.iter().find(|(own, _)| own == key).map_or("", |(_, value)| value.as_str());
        let job = match (of("service.namespace"), of("service.name")) {
            (_, "") => String::new(),
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        let instance = match of("service.instance.id") {
            "" => of("host.name"),
            id => id,
        };
        for (name, value) in [("job", job.as_str()), ("instance", instance)] {
            if !value.is_empty() {
                labels.set(name, value);
            }
        }
    }
}
