//! The JSON reader takes every text that serde_json takes, and writes only what prost and the walker read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::de::IgnoredAny;
use tidegate_core::ingest::json::{JsonError, to_protobuf};
use tidegate_core::ingest::otlp::decode;
use tidegate_model::{Signal, UnixNanos};

const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let signal = Signal::ALL[usize::from(*first) % 3];
    match to_protobuf(signal, body) {
        Ok(transcoded) => {
            let bytes = transcoded.protobuf.as_slice();
            let error = match signal {
                Signal::Logs => ExportLogsServiceRequest::decode(bytes).err(),
                Signal::Traces => ExportTraceServiceRequest::decode(bytes).err(),
                Signal::Metrics => ExportMetricsServiceRequest::decode(bytes).err(),
            };
            assert!(error.is_none(), "prost does not read what the JSON reader wrote: {error:?}");
            let left_out: u64 = transcoded.dropped.by_table().map(|(_, count)| count).sum();
            assert_eq!(transcoded.rejections.total(), left_out);
            decode(signal, bytes, NOW, &|_| false).expect("the walker reads what the JSON reader wrote");
        }
        Err(JsonError::Syntax { line, column, problem }) => {
            let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
            assert!(!is_json, "serde_json reads it, the JSON reader stops at {line}:{column}: {problem}");
        }
        Err(JsonError::Structure { .. } | JsonError::TooLarge) => {}
    }
});
