//! Whatever prost reads as an Export request, the walker reads too, and accounts for every record in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use tidegate_core::ingest::otlp::{DecodeError, decode};
use tidegate_core::ingest::wire::WireFault;
use tidegate_model::{Signal, UnixNanos};

const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let signal = Signal::ALL[usize::from(*first) % 3];
    let walked = decode(signal, body, NOW, &|_| false);
    let Some(records) = records(signal, body) else { return };
    match walked {
        Ok(decoded) => {
            assert_eq!(decoded.accepted + decoded.rejections.total(), records, "every record is taken or refused");
            let rows: usize = decoded.rows.iter().map(|rows| rows.rows.num_rows()).sum();
            assert_eq!(rows as u64, decoded.accepted, "a row a record");
        }
        // prost skips groups and odd packed lengths in unknown fields, the walker refuses them.
        Err(DecodeError::Wire(error)) if error.fault == WireFault::WireType => {}
        Err(DecodeError::TooLarge(_)) => {}
        Err(error) => panic!("prost reads {records} records, the walker says {error:?}"),
    }
});

/// Counts the records as prost sees them; `None` where it sees no request.
fn records(signal: Signal, body: &[u8]) -> Option<u64> {
    let count: usize = match signal {
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(body).ok()?;
            let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
            scopes.map(|scope| scope.log_records.len()).sum()
        }
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(body).ok()?;
            let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            scopes.map(|scope| scope.spans.len()).sum()
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(body).ok()?;
            let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
            scopes.flat_map(|scope| &scope.metrics).map(|metric| points(metric.data.as_ref())).sum()
        }
    };
    Some(count as u64)
}

fn points(data: Option<&Data>) -> usize {
    match data {
        None => 0,
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
    }
}
