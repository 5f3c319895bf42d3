//! The server's own metrics as an OTLP request, so that a fresh install has real data to look at.

use prometheus::proto::{Metric, MetricFamily, MetricType};
use tidegate_core::ingest::wire::Writer;
use tidegate_model::UnixNanos;

use crate::stages::Stages;

const CUMULATIVE: u64 = 2;

/// Writes an `ExportMetricsServiceRequest` with the current value of every metric.
#[must_use]
pub fn metrics_request(stages: &Stages, started: UnixNanos, resource: &[(&str, &str)]) -> Vec<u8> {
    let now = stages.clock.now();
    let families = stages.metrics.gather(stages);
    let mut writer = Writer::new();
    writer.message(1, |resource_metrics| {
        resource_metrics
            .message(1, |writer| resource.iter().for_each(|(name, value)| attribute(writer, 1, name, value)));
        resource_metrics.message(2, |scope_metrics| {
            scope_metrics.message(1, |scope| {
                scope.bytes(1, b"tidegate");
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for family in &families {
                scope_metrics.message(2, |metric| write_family(metric, family, started, now));
            }
        });
    });
    writer.into_bytes()
}

fn write_family(writer: &mut Writer, family: &MetricFamily, started: UnixNanos, now: UnixNanos) {
    writer.bytes(1, family.name().as_bytes());
    writer.bytes(2, family.help().as_bytes());
    match family.get_field_type() {
        MetricType::COUNTER => writer.message(7, |sum| {
            for metric in family.get_metric() {
                sum.message(1, |point| write_number(point, metric, metric.get_counter().get_value(), started, now));
            }
            sum.uint(2, CUMULATIVE);
            sum.uint(3, 1);
        }),
        MetricType::HISTOGRAM => writer.message(9, |histogram| {
            for metric in family.get_metric() {
                histogram.message(1, |point| write_histogram(point, metric, started, now));
            }
            histogram.uint(2, CUMULATIVE);
        }),
        _ => writer.message(5, |gauge| {
            for metric in family.get_metric() {
                gauge.message(1, |point| write_number(point, metric, metric.get_gauge().get_value(), started, now));
            }
        }),
    }
}

fn write_number(point: &mut Writer, metric: &Metric, value: f64, started: UnixNanos, now: UnixNanos) {
    point.fixed64(2, started.0.cast_unsigned());
    point.fixed64(3, now.0.cast_unsigned());
    point.double(4, value);
    labels(point, 7, metric);
}

fn write_histogram(point: &mut Writer, metric: &Metric, started: UnixNanos, now: UnixNanos) {
    let histogram = metric.get_histogram();
    point.fixed64(2, started.0.cast_unsigned());
    point.fixed64(3, now.0.cast_unsigned());
    point.fixed64(4, histogram.get_sample_count());
    point.double(5, histogram.get_sample_sum());
    let bounded: Vec<_> = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()).collect();
    // Prometheus counts up to each bound, OTLP between bounds.
    point.message(6, |counts| {
        let mut below = 0;
        for bucket in &bounded {
            counts.packed_fixed64(bucket.cumulative_count() - below);
            below = bucket.cumulative_count();
        }
        counts.packed_fixed64(histogram.get_sample_count() - below);
    });
    point.message(7, |bounds| bounded.iter().for_each(|bucket| bounds.packed_fixed64(bucket.upper_bound().to_bits())));
    labels(point, 9, metric);
}

fn labels(writer: &mut Writer, field: u32, metric: &Metric) {
    metric.get_label().iter().for_each(|label| attribute(writer, field, label.name(), label.value()));
}

fn attribute(writer: &mut Writer, field: u32, name: &str, value: &str) {
    writer.message(field, |pair| {
        pair.bytes(1, name.as_bytes());
        pair.message(2, |any| any.bytes(1, value.as_bytes()));
    });
}
