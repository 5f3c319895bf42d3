use std::time::SystemTime;

use tidegate_model::Signal;

use crate::wire::ProtoWriter;

/// The attribute of log records and spans whose value no other row has.
pub const ID_ATTRIBUTE: &str = "request.id";

const ROWS_PER_RESOURCE: u64 = 100;
const SERVICES: u64 = 20;
const SERIES: u64 = 2_000;
/// The rows of a source are this far apart in event time: 10,000 rows a second.
const STEP_NANOS: u64 = 100_000;
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const ROUTES: [&str; 5] =
    ["/api/v1/orders/{id}", "/api/v1/users/{id}/cart", "/api/v1/search", "/api/v1/payments", "/healthz"];
const SEVERITIES: [(u64, &str); 4] = [(9, "INFO"), (5, "DEBUG"), (13, "WARN"), (17, "ERROR")];

/// Makes OTLP requests; a row is a function of the source's seed and the row's number, and of nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    seed: u64,
    base_unix_nanos: u64,
}

impl Source {
    /// Makes a source whose first row has the event time `base_unix_nanos`.
    #[must_use]
    pub const fn new(seed: u64, base_unix_nanos: u64) -> Self {
        Self { seed, base_unix_nanos }
    }

    /// Returns the value of [`ID_ATTRIBUTE`] of row `n`, 16 hex digits; sources of other seeds have other ids.
    #[must_use]
    pub fn row_id(&self, n: u64) -> String {
        // `mix` is a bijection, so ids are unique as long as seeds stay under 2^24 and row numbers under 2^40.
        format!("{:016x}", mix(self.seed << 40 | n))
    }

    /// Returns the protobuf body of an export request with the rows `first..first + rows`.
    #[must_use]
    pub fn request(&self, signal: Signal, first: u64, rows: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::try_from(rows).unwrap_or(0) * 600);
        let mut n = first;
        while n < first + rows {
            let end = ((n / ROWS_PER_RESOURCE + 1) * ROWS_PER_RESOURCE).min(first + rows);
            out.message(1, |out| self.resource_group(out, signal, n..end));
            n = end;
        }
        out
    }

    fn resource_group(&self, out: &mut Vec<u8>, signal: Signal, rows: std::ops::Range<u64>) {
        let group = rows.start / ROWS_PER_RESOURCE;
        out.message(1, |out| resource(out, group % SERVICES));
        out.message(2, |out| {
            out.message(1, |out| {
                out.bytes_field(1, b"io.example.http.server");
                out.bytes_field(2, b"2.7.1");
            });
            for n in rows {
                match signal {
                    Signal::Logs => out.message(2, |out| self.log(out, n)),
                    Signal::Traces => out.message(2, |out| self.span(out, n)),
                    Signal::Metrics => out.message(2, |out| self.metric(out, n)),
                }
            }
        });
    }

    fn log(&self, out: &mut Vec<u8>, n: u64) {
        let draw = self.draw(n);
        let time = self.time(n);
        let (number, text) = SEVERITIES[pick(draw, 20, 40).saturating_sub(16).min(3)];
        let id = draw >> 16 & 0xffff;
        let status = [200_u64, 200, 200, 404, 500][pick(draw, 32, 5)];
        out.fixed64_field(1, time);
        out.varint_field(2, number);
        out.bytes_field(3, text.as_bytes());
        let body = format!(
            "{} {} finished with {status} in {:.3} ms: {} rows read from shard {}, cache {}",
            METHODS[pick(draw, 8, 4)],
            path(draw),
            duration_ms(draw),
            draw >> 24 & 0xff,
            draw >> 12 & 0x1f,
            if draw & 1 == 0 { "hit" } else { "miss" },
        );
        out.message(5, |out| out.bytes_field(1, body.as_bytes()));
        text_attribute(out, 6, "http.request.method", METHODS[pick(draw, 8, 4)]);
        text_attribute(out, 6, "http.route", ROUTES[pick(draw, 40, 5)]);
        text_attribute(out, 6, "url.path", &path(draw));
        int_attribute(out, 6, "http.response.status_code", status);
        text_attribute(out, 6, "user.id", &format!("u-{}", id % 48_000));
        text_attribute(out, 6, "client.address", &format!("10.{}.{}.7", id % 20, id % 250));
        double_attribute(out, 6, "duration_ms", duration_ms(draw));
        text_attribute(out, 6, ID_ATTRIBUTE, &self.row_id(n));
        int_attribute(out, 6, "server.port", 8_443);
        text_attribute(out, 6, "thread.name", &format!("worker-{}", draw & 7));
        text_attribute(out, 6, "code.function.name", "handle_request");
        text_attribute(out, 6, "feature.flag.key", "checkout-b");
        if draw % 10 < 3 {
            out.bytes_field(9, &ids(draw).0);
            out.bytes_field(10, &ids(draw).1);
        }
        out.fixed64_field(11, time + 1_500);
    }

    fn span(&self, out: &mut Vec<u8>, n: u64) {
        let draw = self.draw(n);
        let (trace_id, parent) = ids(self.draw(n / 8));
        let start = self.time(n);
        out.bytes_field(1, &trace_id);
        out.bytes_field(2, &mix(draw).to_be_bytes());
        if !n.is_multiple_of(8) {
            out.bytes_field(4, &parent);
        }
        out.bytes_field(5, format!("{} {}", METHODS[pick(draw, 8, 4)], ROUTES[pick(draw, 40, 5)]).as_bytes());
        out.varint_field(6, 2);
        out.fixed64_field(7, start);
        out.fixed64_field(8, start + draw % 90_000_000);
        text_attribute(out, 9, "http.request.method", METHODS[pick(draw, 8, 4)]);
        text_attribute(out, 9, "http.route", ROUTES[pick(draw, 40, 5)]);
        text_attribute(out, 9, "url.path", &path(draw));
        int_attribute(out, 9, "http.response.status_code", [200, 200, 200, 404, 500][pick(draw, 32, 5)]);
        text_attribute(out, 9, "user.id", &format!("u-{}", (draw >> 16 & 0xffff) % 48_000));
        text_attribute(out, 9, "server.address", "edge-7.example.internal");
        int_attribute(out, 9, "server.port", 8_443);
        text_attribute(out, 9, ID_ATTRIBUTE, &self.row_id(n));
        text_attribute(out, 9, "network.protocol.version", "1.1");
        text_attribute(out, 9, "user_agent.original", "okhttp/5.1.0 (Linux; edge)");
        if draw.is_multiple_of(4) {
            out.message(11, |out| {
                out.fixed64_field(1, start + 1_000_000);
                out.bytes_field(2, b"cache.lookup");
                text_attribute(out, 3, "cache.name", "session");
            });
        }
        out.message(15, |out| out.varint_field(3, u64::from(draw.is_multiple_of(50)) + 1));
    }

    /// One metric with one data point: of four, two gauges, a sum and a histogram.
    fn metric(&self, out: &mut Vec<u8>, n: u64) {
        let draw = self.draw(n);
        let series = n % SERIES;
        let name = ["system.memory.utilization", "process.cpu.time", "http.server.request.duration", "queue.length"];
        let kind = usize::try_from(series % 4).unwrap_or(0);
        out.bytes_field(1, name[kind].as_bytes());
        out.bytes_field(2, b"Measured by the example service at its own pace");
        out.bytes_field(3, if kind == 2 { b"s" } else { b"1" });
        match kind {
            1 => out.message(7, |out| {
                out.message(1, |out| {
                    self.point_times(out, n);
                    out.fixed64_field(6, n);
                    point_attributes(out, 7, series);
                });
                out.varint_field(2, 2);
                out.varint_field(3, 1);
            }),
            2 => out.message(9, |out| {
                out.message(1, |out| {
                    self.point_times(out, n);
                    histogram(out, draw);
                    point_attributes(out, 9, series);
                });
                out.varint_field(2, 2);
            }),
            _ => out.message(5, |out| {
                out.message(1, |out| {
                    self.point_times(out, n);
                    out.fixed64_field(4, duration_ms(draw).to_bits());
                    point_attributes(out, 7, series);
                });
            }),
        }
    }

    fn point_times(&self, out: &mut Vec<u8>, n: u64) {
        out.fixed64_field(2, self.base_unix_nanos);
        out.fixed64_field(3, self.time(n));
    }

    fn time(&self, n: u64) -> u64 {
        self.base_unix_nanos + n * STEP_NANOS + self.draw(n) % STEP_NANOS
    }

    fn draw(&self, n: u64) -> u64 {
        mix(mix(self.seed.wrapping_mul(0x9e37) ^ n) ^ 0x5bd1)
    }
}

/// Returns the wall-clock time.
#[expect(clippy::disallowed_methods, reason = "a producer stamps its rows itself; this crate is never shipped")]
#[must_use]
pub fn now_unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn resource(out: &mut Vec<u8>, service: u64) {
    text_attribute(out, 1, "service.name", &format!("checkout-{service}"));
    text_attribute(out, 1, "service.version", "4.12.0");
    text_attribute(out, 1, "host.name", &format!("node-{}.example.internal", service % 7));
    text_attribute(out, 1, "k8s.namespace.name", "shop");
    text_attribute(out, 1, "k8s.pod.name", &format!("checkout-{service}-7d9f8b6c5-x{service}k2p"));
    text_attribute(out, 1, "deployment.environment.name", "production");
}

fn point_attributes(out: &mut Vec<u8>, field: u32, series: u64) {
    text_attribute(out, field, "http.route", ROUTES[pick(series, 2, 5)]);
    text_attribute(out, field, "http.request.method", METHODS[pick(series, 4, 4)]);
    text_attribute(out, field, "instance", &format!("i-{series:08x}"));
    int_attribute(out, field, "cpu.logical_number", series % 16);
}

fn histogram(out: &mut Vec<u8>, draw: u64) {
    const BOUNDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
    let counts: Vec<u64> = (0..=BOUNDS.len()).map(|bucket| draw >> (bucket * 4) & 0xf).collect();
    out.fixed64_field(4, counts.iter().sum());
    out.fixed64_field(5, duration_ms(draw).to_bits());
    out.message(6, |out| counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes())));
    out.message(7, |out| BOUNDS.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes())));
}

fn text_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    attribute(out, field, key, |out| out.bytes_field(1, value.as_bytes()));
}

fn int_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: u64) {
    attribute(out, field, key, |out| out.varint_field(3, value));
}

fn double_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: f64) {
    attribute(out, field, key, |out| out.fixed64_field(4, value.to_bits()));
}

fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
    out.message(field, |out| {
        out.bytes_field(1, key.as_bytes());
        out.message(2, value);
    });
}

fn path(draw: u64) -> String {
    format!("/api/v1/orders/{}", (draw >> 16 & 0xffff) % 48_000)
}

fn duration_ms(draw: u64) -> f64 {
    // 22 bits of a draw: of 160,000 rows about 2 % share their value with another.
    f64::from(u32::try_from(draw >> 36 & 0x3f_ffff).unwrap_or(0)) / 1_000.0
}

fn ids(draw: u64) -> ([u8; 16], [u8; 8]) {
    let (high, low, span) = (mix(draw ^ 1), mix(draw ^ 2), mix(draw ^ 3));
    ((u128::from(high) << 64 | u128::from(low)).to_be_bytes(), span.to_be_bytes())
}

fn pick(draw: u64, shift: u32, choices: u64) -> usize {
    usize::try_from((draw >> shift) % choices).unwrap_or(0)
}

/// The finalizer of splitmix64: a bijection that leaves no pattern.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    use super::*;

    const SOURCE: Source = Source::new(7, 1_790_000_000_000_000_000);

    #[test]
    fn log_requests_are_what_the_bench_promises() {
        let body = SOURCE.request(Signal::Logs, 0, 1_000);
        let request = ExportLogsServiceRequest::decode(body.as_slice()).unwrap();
        let records: Vec<_> = request
            .resource_logs
            .iter()
            .flat_map(|group| &group.scope_logs)
            .flat_map(|scope| &scope.log_records)
            .collect();
        assert_eq!(records.len(), 1_000);
        assert!(records.iter().all(|record| record.attributes.len() == 12));
        assert!(request.resource_logs.iter().all(|group| group.resource.as_ref().unwrap().attributes.len() == 6));
        let bytes = body.len() / 1_000;
        assert!((510..=530).contains(&bytes), "{bytes} wire bytes a record");
        let traced = records.iter().filter(|record| record.trace_id.len() == 16).count();
        assert!((250..=350).contains(&traced), "{traced} of 1000 have a trace id");
    }

    #[test]
    fn span_and_metric_requests_parse() {
        let spans = ExportTraceServiceRequest::decode(SOURCE.request(Signal::Traces, 50, 130).as_slice()).unwrap();
        let count: usize = spans.resource_spans.iter().map(|group| group.scope_spans[0].spans.len()).sum();
        assert_eq!((spans.resource_spans.len(), count), (2, 130));
        let metrics = ExportMetricsServiceRequest::decode(SOURCE.request(Signal::Metrics, 0, 100).as_slice()).unwrap();
        assert_eq!(metrics.resource_metrics[0].scope_metrics[0].metrics.len(), 100);
    }

    #[test]
    fn ids_are_unique_across_rows_and_seeds() {
        let ids: HashSet<_> = (0..3).flat_map(|seed| (0..5_000).map(move |n| Source::new(seed, 0).row_id(n))).collect();
        assert_eq!(ids.len(), 15_000);
    }
}
