use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;
use tidegate_model::Signal;

use super::decoded;
use super::generate::Generator;
use super::restore::{Origin, Row};
use crate::ingest::otlp::Decoded;

/// Doubles compare by their bits, so messages compare by their bytes.
fn check<T: Message + std::fmt::Debug>(rows: &[(Origin, T)], sent: &[(Origin, T)]) {
    assert_eq!(rows.len(), sent.len());
    for ((row_origin, row), (sent_origin, sent)) in rows.iter().zip(sent) {
        assert_eq!(row.encode_to_vec(), sent.encode_to_vec(), "{row:?}\nwas sent as\n{sent:?}");
        assert_eq!(bytes_of(row_origin), bytes_of(sent_origin), "{row_origin:?}\nwas sent as\n{sent_origin:?}");
    }
}

type OriginBytes<'a> = (Option<Vec<u8>>, &'a str, Option<Vec<u8>>, &'a str);

fn bytes_of((resource, resource_schema, scope, scope_schema): &Origin) -> OriginBytes<'_> {
    let resource = resource.as_ref().map(Message::encode_to_vec);
    (resource, resource_schema, scope.as_ref().map(Message::encode_to_vec), scope_schema)
}

#[test]
fn log_records_come_back_as_they_were_sent() {
    for seed in 0..200 {
        let request = Generator::new(seed).logs();
        let decoded = decoded(Signal::Logs, &request.encode_to_vec());
        let mut sent = Vec::new();
        for resource in request.resource_logs {
            for scope in resource.scope_logs {
                let origin = origin_of(resource.resource.clone(), &resource.schema_url, scope.scope, &scope.schema_url);
                sent.extend(scope.log_records.into_iter().map(|mut record| {
                    record.body = holding(record.body);
                    normalise(&mut record.attributes);
                    (origin.clone(), record)
                }));
            }
        }
        assert_eq!((decoded.accepted, decoded.rejections.total()), (sent.len() as u64, 0));
        check(&rows(&decoded, "logs", log_record), &sent);
    }
}

#[test]
fn spans_come_back_as_they_were_sent() {
    for seed in 0..200 {
        let request = Generator::new(seed).traces();
        let decoded = decoded(Signal::Traces, &request.encode_to_vec());
        let mut sent = Vec::new();
        for resource in request.resource_spans {
            for scope in resource.scope_spans {
                let origin = origin_of(resource.resource.clone(), &resource.schema_url, scope.scope, &scope.schema_url);
                sent.extend(scope.spans.into_iter().map(|mut span| {
                    normalise(&mut span.attributes);
                    span.events.iter_mut().for_each(|event| normalise(&mut event.attributes));
                    span.links.iter_mut().for_each(|link| normalise(&mut link.attributes));
                    span.status.get_or_insert_default();
                    (origin.clone(), span)
                }));
            }
        }
        assert_eq!((decoded.accepted, decoded.rejections.total()), (sent.len() as u64, 0));
        check(&rows(&decoded, "spans", span), &sent);
    }
}

#[test]
fn data_points_of_every_kind_come_back_as_they_were_sent() {
    for seed in 0..300 {
        let request = Generator::new(seed).metrics();
        let decoded = decoded(Signal::Metrics, &request.encode_to_vec());
        let mut sent: [Vec<(Origin, Metric)>; 4] = Default::default();
        for resource in request.resource_metrics {
            for scope in resource.scope_metrics {
                let origin = origin_of(resource.resource.clone(), &resource.schema_url, scope.scope, &scope.schema_url);
                for mut metric in scope.metrics {
                    normalise(&mut metric.metadata);
                    let (table, metrics) = one_point_each(&metric);
                    sent[table].extend(metrics.into_iter().map(|metric| (origin.clone(), metric)));
                }
            }
        }
        let count: usize = sent.iter().map(Vec::len).sum();
        assert_eq!((decoded.accepted, decoded.rejections.total()), (count as u64, 0));
        let series = series_of(&decoded);
        let tables = ["metric_samples", "metric_histograms", "metric_exponential_histograms", "metric_summaries"];
        for (table, sent) in tables.iter().zip(&sent) {
            let points = rows_of(&decoded, table);
            let metrics: Vec<_> =
                points.iter().map(|point| metric(&series[&point.u64("fingerprint")], point)).collect();
            check(&metrics, sent);
        }
    }
}

fn rows_of(decoded: &Decoded, table: &str) -> Vec<Row> {
    decoded.rows.iter().find(|rows| rows.table.as_str() == table).map(|rows| Row::all(&rows.rows)).unwrap_or_default()
}

fn rows<T>(decoded: &Decoded, table: &str, restore: fn(&Row) -> T) -> Vec<(Origin, T)> {
    rows_of(decoded, table).iter().map(|row| (row.origin(), restore(row))).collect()
}

fn series_of(decoded: &Decoded) -> HashMap<u64, Row> {
    let rows = decoded.series.as_ref().map(|series| Row::all(&series.rows)).unwrap_or_default();
    let count = rows.len();
    let series: HashMap<_, _> = rows.into_iter().map(|row| (row.u64("fingerprint"), row)).collect();
    assert_eq!(series.len(), count, "a series has one row");
    series
}

fn origin_of(
    resource: Option<opentelemetry_proto::tonic::resource::v1::Resource>,
    resource_schema: &str,
    scope: Option<opentelemetry_proto::tonic::common::v1::InstrumentationScope>,
    scope_schema: &str,
) -> Origin {
    let (mut resource, mut scope) = (resource, scope);
    resource.iter_mut().for_each(|resource| normalise(&mut resource.attributes));
    scope.iter_mut().for_each(|scope| normalise(&mut scope.attributes));
    (resource, resource_schema.to_owned(), scope, scope_schema.to_owned())
}

/// An `AnyValue` that holds nothing is not told from an absent one.
fn holding(value: Option<AnyValue>) -> Option<AnyValue> {
    value.filter(|value| value.value.is_some())
}

fn normalise(attributes: &mut [KeyValue]) {
    attributes.iter_mut().for_each(|attribute| attribute.value = holding(attribute.value.take()));
}

fn log_record(row: &Row) -> LogRecord {
    let source = row.text("timestamp_source");
    LogRecord {
        time_unix_nano: if source == "event" { row.time("timestamp") } else { 0 },
        observed_time_unix_nano: row.time("observed_timestamp"),
        severity_number: row.u8("severity_number").into(),
        severity_text: row.text("severity_text"),
        body: row.body(),
        attributes: row.attributes("attributes", "attribute_types"),
        dropped_attributes_count: row.u32("dropped_attributes_count"),
        flags: row.u32("flags"),
        trace_id: row.hex("trace_id"),
        span_id: row.hex("span_id"),
        event_name: row.text("event_name"),
    }
}

fn number_of(name: &str, names: &[&str]) -> i32 {
    let place = names.iter().position(|known| *known == name);
    place.map_or_else(|| name.parse().unwrap(), |place| i32::try_from(place).unwrap())
}

fn span(row: &Row) -> Span {
    let kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
    let code = number_of(&row.text("status_code"), &["UNSET", "OK", "ERROR"]);
    assert_eq!(row.i64("duration_ns"), row.time("end_timestamp").cast_signed() - row.time("timestamp").cast_signed());
    Span {
        trace_id: row.hex("trace_id"),
        span_id: row.hex("span_id"),
        trace_state: row.text("trace_state"),
        parent_span_id: row.hex("parent_span_id"),
        flags: row.u32("flags"),
        name: row.text("name"),
        kind: number_of(&row.text("kind"), &kinds),
        start_time_unix_nano: row.time("timestamp"),
        end_time_unix_nano: row.time("end_timestamp"),
        attributes: row.attributes("attributes", "attribute_types"),
        dropped_attributes_count: row.u32("dropped_attributes_count"),
        events: row.items("event_").iter().map(event).collect(),
        dropped_events_count: row.u32("dropped_events_count"),
        links: row.items("link_").iter().map(link).collect(),
        dropped_links_count: row.u32("dropped_links_count"),
        status: Some(Status { message: row.text("status_message"), code }),
    }
}

fn event(row: &Row) -> Event {
    Event {
        time_unix_nano: row.time("event_timestamps"),
        name: row.text("event_names"),
        attributes: row.attributes("event_attributes", "event_attribute_types"),
        dropped_attributes_count: row.u32("event_dropped_attributes_counts"),
    }
}

fn link(row: &Row) -> Link {
    Link {
        trace_id: row.hex("link_trace_ids"),
        span_id: row.hex("link_span_ids"),
        trace_state: row.text("link_trace_states"),
        attributes: row.attributes("link_attributes", "link_attribute_types"),
        dropped_attributes_count: row.u32("link_dropped_attributes_counts"),
        flags: row.u32("link_flags"),
    }
}

/// Splits a metric into one for each of its points; returns the place of their table.
fn one_point_each(metric: &Metric) -> (usize, Vec<Metric>) {
    let alone = |data| Metric { data: Some(data), ..metric.clone() };
    match metric.data.clone().unwrap() {
        Data::Gauge(data) => (0, points(data.data_points, |p| alone(Data::Gauge(Gauge { data_points: p })))),
        Data::Sum(data) => {
            let (aggregation_temporality, is_monotonic) = (data.aggregation_temporality, data.is_monotonic);
            let sum = |p| Sum { data_points: p, aggregation_temporality, is_monotonic };
            (0, points(data.data_points, |p| alone(Data::Sum(sum(p)))))
        }
        Data::Histogram(data) => {
            let histogram = |p| Histogram { data_points: p, aggregation_temporality: data.aggregation_temporality };
            (1, points(data.data_points, |p| alone(Data::Histogram(histogram(p)))))
        }
        Data::ExponentialHistogram(data) => {
            let histogram =
                |p| ExponentialHistogram { data_points: p, aggregation_temporality: data.aggregation_temporality };
            (2, points(data.data_points, |p| alone(Data::ExponentialHistogram(histogram(p)))))
        }
        Data::Summary(data) => (3, points(data.data_points, |p| alone(Data::Summary(Summary { data_points: p })))),
    }
}

/// A point whose attributes and exemplars can be normalised.
trait Point {
    fn parts(&mut self) -> (&mut Vec<KeyValue>, &mut [Exemplar]);
}

macro_rules! points_with_exemplars {
    ($($point:ty),+) => {
        $(impl Point for $point {
            fn parts(&mut self) -> (&mut Vec<KeyValue>, &mut [Exemplar]) {
                (&mut self.attributes, &mut self.exemplars)
            }
        })+
    };
}
points_with_exemplars!(NumberDataPoint, HistogramDataPoint, ExponentialHistogramDataPoint);

impl Point for SummaryDataPoint {
    fn parts(&mut self) -> (&mut Vec<KeyValue>, &mut [Exemplar]) {
        (&mut self.attributes, &mut [])
    }
}

fn points<P: Point>(points: Vec<P>, alone: impl Fn(Vec<P>) -> Metric) -> Vec<Metric> {
    let normal = |mut point: P| {
        let (attributes, exemplars) = point.parts();
        normalise(attributes);
        exemplars.iter_mut().for_each(|exemplar| normalise(&mut exemplar.filtered_attributes));
        alone(vec![point])
    };
    points.into_iter().map(normal).collect()
}

fn metric(series: &Row, point: &Row) -> (Origin, Metric) {
    let temporality = || number_of(&series.text("aggregation_temporality"), &["UNSPECIFIED", "DELTA", "CUMULATIVE"]);
    let data = match series.text("metric_type").as_str() {
        "gauge" => Data::Gauge(Gauge { data_points: vec![number_point(series, point)] }),
        "sum" => Data::Sum(Sum {
            data_points: vec![number_point(series, point)],
            aggregation_temporality: temporality(),
            is_monotonic: series.bool("is_monotonic"),
        }),
        "histogram" => Data::Histogram(Histogram {
            data_points: vec![histogram_point(series, point)],
            aggregation_temporality: temporality(),
        }),
        "exponential_histogram" => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential_point(series, point)],
            aggregation_temporality: temporality(),
        }),
        _ => Data::Summary(Summary { data_points: vec![summary_point(series, point)] }),
    };
    assert_eq!(point.text("metric_name"), series.text("metric_name"));
    assert_eq!(point.text("service_name"), series.text("service_name"));
    let metric = Metric {
        name: series.text("metric_name"),
        description: series.text("description"),
        unit: series.text("unit"),
        metadata: series.attributes("metadata", "metadata_types"),
        data: Some(data),
    };
    (series.origin(), metric)
}

fn attributes(series: &Row) -> Vec<KeyValue> {
    series.attributes("attributes", "attribute_types")
}

fn number_point(series: &Row, point: &Row) -> NumberDataPoint {
    let value = match point.text("value_type").as_str() {
        "double" => Some(number_data_point::Value::AsDouble(point.f64("value"))),
        "int" => Some(number_data_point::Value::AsInt(point.i64("value_int"))),
        _ => None,
    };
    NumberDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: point.time("start_timestamp"),
        time_unix_nano: point.time("timestamp"),
        exemplars: exemplars(point),
        flags: point.u32("flags"),
        value,
    }
}

fn histogram_point(series: &Row, point: &Row) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: point.time("start_timestamp"),
        time_unix_nano: point.time("timestamp"),
        count: point.u64("count"),
        sum: point.optional("sum"),
        bucket_counts: point.u64s("bucket_counts"),
        explicit_bounds: point.f64s("explicit_bounds"),
        exemplars: exemplars(point),
        flags: point.u32("flags"),
        min: point.optional("min"),
        max: point.optional("max"),
    }
}

fn exponential_point(series: &Row, point: &Row) -> ExponentialHistogramDataPoint {
    let buckets = |offset, counts| {
        (!point.is_null(offset)).then(|| Buckets { offset: point.i32(offset), bucket_counts: point.u64s(counts) })
    };
    ExponentialHistogramDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: point.time("start_timestamp"),
        time_unix_nano: point.time("timestamp"),
        count: point.u64("count"),
        sum: point.optional("sum"),
        scale: point.i32("scale"),
        zero_count: point.u64("zero_count"),
        positive: buckets("positive_offset", "positive_bucket_counts"),
        negative: buckets("negative_offset", "negative_bucket_counts"),
        flags: point.u32("flags"),
        exemplars: exemplars(point),
        min: point.optional("min"),
        max: point.optional("max"),
        zero_threshold: point.f64("zero_threshold"),
    }
}

fn summary_point(series: &Row, point: &Row) -> SummaryDataPoint {
    let quantiles = point.f64s("quantiles").into_iter().zip(point.f64s("quantile_values"));
    SummaryDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: point.time("start_timestamp"),
        time_unix_nano: point.time("timestamp"),
        count: point.u64("count"),
        sum: point.f64("sum"),
        quantile_values: quantiles.map(|(quantile, value)| ValueAtQuantile { quantile, value }).collect(),
        flags: point.u32("flags"),
    }
}

fn exemplars(point: &Row) -> Vec<Exemplar> {
    let exemplar = |row: &Row| Exemplar {
        filtered_attributes: row.attributes("exemplar_attributes", "exemplar_attribute_types"),
        time_unix_nano: row.time("exemplar_timestamps"),
        span_id: row.hex("exemplar_span_ids"),
        trace_id: row.hex("exemplar_trace_ids"),
        value: match row.text("exemplar_value_types").as_str() {
            "double" => Some(exemplar::Value::AsDouble(row.f64("exemplar_values"))),
            "int" => Some(exemplar::Value::AsInt(row.i64("exemplar_values_int"))),
            _ => None,
        },
    };
    point.items("exemplar_").iter().map(exemplar).collect()
}
