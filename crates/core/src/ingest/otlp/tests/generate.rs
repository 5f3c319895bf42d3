use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Draws messages with every field of OTLP, from a seed.
pub(crate) struct Generator(StdRng);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn logs(&mut self) -> LogsData {
        let resource_logs = self.many(3, |g| ResourceLogs {
            resource: g.maybe(Self::resource),
            scope_logs: g.many(3, |g| ScopeLogs {
                scope: g.maybe(Self::scope),
                log_records: g.many(5, Self::log_record),
                schema_url: g.text(),
            }),
            schema_url: g.text(),
        });
        LogsData { resource_logs }
    }

    pub(crate) fn traces(&mut self) -> TracesData {
        let resource_spans = self.many(3, |g| ResourceSpans {
            resource: g.maybe(Self::resource),
            scope_spans: g.many(3, |g| ScopeSpans {
                scope: g.maybe(Self::scope),
                spans: g.many(5, Self::span),
                schema_url: g.text(),
            }),
            schema_url: g.text(),
        });
        TracesData { resource_spans }
    }

    pub(crate) fn metrics(&mut self) -> MetricsData {
        let resource_metrics = self.many(3, |g| ResourceMetrics {
            resource: g.maybe(Self::resource),
            scope_metrics: g.many(3, |g| ScopeMetrics {
                scope: g.maybe(Self::scope),
                metrics: g.many(6, Self::metric),
                schema_url: g.text(),
            }),
            schema_url: g.text(),
        });
        MetricsData { resource_metrics }
    }

    fn log_record(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.time(),
            observed_time_unix_nano: self.time(),
            severity_number: self.0.random_range(0..=24),
            severity_text: self.text(),
            body: self.maybe(|g| g.value(0)),
            attributes: self.attributes(),
            dropped_attributes_count: self.small(),
            flags: self.small(),
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.text(),
        }
    }

    fn span(&mut self) -> Span {
        Span {
            trace_id: self.bytes(16),
            span_id: self.bytes(8),
            trace_state: self.text(),
            parent_span_id: self.id(8),
            flags: self.small(),
            name: self.text(),
            kind: self.0.random_range(0..8),
            start_time_unix_nano: self.time(),
            end_time_unix_nano: self.time(),
            attributes: self.attributes(),
            dropped_attributes_count: self.small(),
            events: self.many(4, Self::event),
            dropped_events_count: self.small(),
            links: self.many(4, Self::link),
            dropped_links_count: self.small(),
            status: self.maybe(|g| Status { message: g.text(), code: g.0.random_range(0..4) }),
        }
    }

    fn event(&mut self) -> Event {
        Event {
            time_unix_nano: self.time(),
            name: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.small(),
        }
    }

    fn link(&mut self) -> Link {
        Link {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.small(),
            flags: self.small(),
        }
    }

    fn metric(&mut self) -> Metric {
        let aggregation_temporality = self.0.random_range(0..4);
        let data = match self.0.random_range(0..5) {
            0 => Data::Gauge(Gauge { data_points: self.many(4, Self::number_point) }),
            1 => Data::Sum(Sum {
                data_points: self.many(4, Self::number_point),
                aggregation_temporality,
                is_monotonic: self.0.random(),
            }),
            2 => {
                Data::Histogram(Histogram { data_points: self.many(4, Self::histogram_point), aggregation_temporality })
            }
            3 => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.many(4, Self::exponential_point),
                aggregation_temporality,
            }),
            _ => Data::Summary(Summary { data_points: self.many(4, Self::summary_point) }),
        };
        Metric {
            name: self.text(),
            description: self.text(),
            unit: self.text(),
            metadata: self.attributes(),
            data: Some(data),
        }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            exemplars: self.many(3, Self::exemplar),
            flags: self.small(),
            value: match self.0.random_range(0..3) {
                0 => None,
                1 => Some(number_data_point::Value::AsDouble(self.double())),
                _ => Some(number_data_point::Value::AsInt(self.0.random())),
            },
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count: self.0.random(),
            sum: self.maybe(Self::double),
            bucket_counts: self.many(5, |g| g.0.random()),
            explicit_bounds: self.many(5, Self::double),
            exemplars: self.many(3, Self::exemplar),
            flags: self.small(),
            min: self.maybe(Self::double),
            max: self.maybe(Self::double),
        }
    }

    fn exponential_point(&mut self) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count: self.0.random(),
            sum: self.maybe(Self::double),
            scale: self.0.random(),
            zero_count: self.0.random(),
            positive: self.maybe(Self::buckets),
            negative: self.maybe(Self::buckets),
            flags: self.small(),
            exemplars: self.many(3, Self::exemplar),
            min: self.maybe(Self::double),
            max: self.maybe(Self::double),
            zero_threshold: self.double(),
        }
    }

    fn buckets(&mut self) -> Buckets {
        Buckets { offset: self.0.random_range(-3..3), bucket_counts: self.many(5, |g| g.0.random::<u64>() >> 20) }
    }

    fn summary_point(&mut self) -> SummaryDataPoint {
        SummaryDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.time(),
            time_unix_nano: self.time(),
            count: self.0.random(),
            sum: self.double(),
            quantile_values: self.many(4, |g| ValueAtQuantile { quantile: g.double(), value: g.double() }),
            flags: self.small(),
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.time(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value: match self.0.random_range(0..3) {
                0 => None,
                1 => Some(exemplar::Value::AsDouble(self.double())),
                _ => Some(exemplar::Value::AsInt(self.0.random())),
            },
        }
    }

    fn resource(&mut self) -> Resource {
        let mut attributes = self.attributes();
        if self.0.random() {
            attributes.push(key_value("service.name", Value::StringValue(self.text())));
        }
        let entity_refs = self.many(2, |g| EntityRef {
            schema_url: g.text(),
            r#type: g.text(),
            id_keys: g.many(3, Self::text),
            description_keys: g.many(3, Self::text),
        });
        Resource { attributes, dropped_attributes_count: self.small(), entity_refs }
    }

    fn scope(&mut self) -> InstrumentationScope {
        InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.small(),
        }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.many(6, |g| KeyValue { key: g.text(), value: g.maybe(|g| g.value(0)), key_strindex: 0 })
    }

    fn value(&mut self, depth: u32) -> AnyValue {
        let value = match self.0.random_range(0..if depth < 3 { 14 } else { 10 }) {
            0..5 => Some(Value::StringValue(self.text())),
            5 => Some(Value::BoolValue(self.0.random())),
            6 => Some(Value::IntValue(self.0.random())),
            7 => Some(Value::DoubleValue(self.double())),
            8 => Some(Value::BytesValue(self.bytes(5))),
            9 => None,
            10..12 => Some(Value::ArrayValue(ArrayValue { values: self.many(4, |g| g.value(depth + 1)) })),
            _ => {
                let pair =
                    |g: &mut Self| KeyValue { key: g.text(), value: g.maybe(|g| g.value(depth + 1)), key_strindex: 0 };
                Some(Value::KvlistValue(KeyValueList { values: self.many(4, pair) }))
            }
        };
        AnyValue { value }
    }

    /// Quarters, because the JSON parser of this test is not exact to the last bit.
    fn double(&mut self) -> f64 {
        match self.0.random_range(0..8) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => 0.0,
            _ => f64::from(self.0.random::<i32>()) / 4.0,
        }
    }

    fn text(&mut self) -> String {
        const TEXTS: [&str; 10] = [
            "",
            "a",
            "http.method",
            "GET",
            "a value that is longer than sixteen bytes and than thirty-two",
            "süß 日本語 🦀",
            "quote \" backslash \\ newline \n tab \t nul \0",
            "exactly8",
            "sixteen bytes ok",
            "service.namespace",
        ];
        TEXTS[self.0.random_range(0..TEXTS.len())].to_owned()
    }

    fn time(&mut self) -> u64 {
        if self.0.random_range(0..5) == 0 { 0 } else { self.0.random_range(0..=i64::MAX.unsigned_abs()) }
    }

    fn small(&mut self) -> u32 {
        if self.0.random() { 0 } else { self.0.random() }
    }

    fn id(&mut self, length: usize) -> Vec<u8> {
        if self.0.random() { Vec::new() } else { self.bytes(length) }
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.0.random()).collect()
    }

    fn many<T>(&mut self, max: usize, mut each: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.0.random_range(0..=max)).map(|_| each(self)).collect()
    }

    fn maybe<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.random::<bool>().then(|| some(self))
    }
}

pub(super) fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}
