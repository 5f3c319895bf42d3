//! Prometheus' remote write 1.0, turned into an OTLP request: gauges whose scope says where they came from.
//!
//! Name and labels stay as they are; the label `job` is the resource's `service.name` as well. Values keep their bits, so
//! that a marker of staleness is one when it is read. The protocol does not tell the type of a series with its samples.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidegate_model::Signal;
use tidegate_model::limits::REQUEST_INFLATED_BYTES_MAX;
use tidegate_model::tables::{METRIC_SAMPLES, REMOTE_WRITE_SCOPE};

use super::rejection::{Reason, Rejection, Rejections};
use super::wire::{Reader, WireError, Writer, fixed64, len, varint};
use super::{Admitted, Encoding, Ingest, IngestError, OtlpRequest};

/// Why a request cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    /// It is not packed as it says.
    #[error("the body is not a block of snappy: {0}")]
    Snappy(String),
    /// It is larger unpacked than a request may be.
    #[error("the body has {0} bytes unpacked, {REQUEST_INFLATED_BYTES_MAX} are allowed; send it in smaller pieces")]
    TooLarge(usize),
    /// It is no such message.
    #[error("the body is not a WriteRequest of remote write 1.0: {0}")]
    Wire(#[from] WireError),
}

/// A request as OTLP, and what of it cannot be one.
#[derive(Debug)]
pub struct RemoteWrite {
    /// An `ExportMetricsServiceRequest`.
    pub otlp: Bytes,
    /// Samples that are not in it.
    pub rejected: Rejections,
}

/// Unpacks and reads a request.
pub fn remote_write(body: &[u8]) -> Result<RemoteWrite, RemoteWriteError> {
    let unpacked = unpacked(body)?;
    let mut request = Request::default();
    let mut reader = Reader::new(&unpacked);
    while let Some(tag) = reader.tag()? {
        match tag {
            SERIES => request.take_series(reader.message()?)?,
            _ => reader.skip(tag, 0b10)?,
        }
    }
    Ok(RemoteWrite { otlp: request.otlp().into(), rejected: request.rejected })
}

impl Ingest {
    /// Takes a request of remote write: every sample that can be taken is durable when this returns `Ok`.
    pub async fn remote_write(&self, request: RemoteWrite) -> Result<Admitted, IngestError> {
        let RemoteWrite { otlp: body, rejected } = request;
        let otlp = OtlpRequest { signal: Signal::Metrics, encoding: Encoding::Protobuf, body, idempotency_key: None };
        let mut admitted = self.otlp(otlp).await?;
        if !admitted.is_retry && rejected.total() > 0 {
            self.buffer.count_rejected(&METRIC_SAMPLES.name, rejected.total());
        }
        for (count, more) in admitted.rejected.counts.iter_mut().zip(rejected.counts) {
            *count += more;
        }
        admitted.rejected.listed.extend(rejected.listed);
        Ok(admitted)
    }
}

fn unpacked(body: &[u8]) -> Result<Vec<u8>, RemoteWriteError> {
    let failed = |error: snap::Error| RemoteWriteError::Snappy(error.to_string());
    let length = snap::raw::decompress_len(body).map_err(failed)?;
    if length > REQUEST_INFLATED_BYTES_MAX {
        return Err(RemoteWriteError::TooLarge(length));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(failed)
}

const SERIES: u32 = len(1);
const LABELS: u32 = len(1);
const SAMPLES: u32 = len(2);
const HISTOGRAMS: u32 = len(4);
const LABEL_NAME: u32 = len(1);
const LABEL_VALUE: u32 = len(2);
const SAMPLE_VALUE: u32 = fixed64(1);
const SAMPLE_TIME: u32 = varint(2);

const NAME_LABEL: &[u8] = b"__name__";
const NANOS_PER_MILLI: i64 = 1_000_000;

/// A series of the request.
#[derive(Default)]
struct Series<'b> {
    name: &'b [u8],
    labels: Vec<(&'b [u8], &'b [u8])>,
    /// Nanoseconds, and values.
    samples: Vec<(u64, f64)>,
}

#[derive(Default)]
struct Request<'b> {
    /// By the label `job`.
    jobs: BTreeMap<&'b [u8], Vec<Series<'b>>>,
    rejected: Rejections,
    /// How many samples came.
    seen: u64,
}

impl<'b> Request<'b> {
    fn take_series(&mut self, mut reader: Reader<'b>) -> Result<(), WireError> {
        let mut series = Series::default();
        let mut refused = Vec::new();
        while let Some(tag) = reader.tag()? {
            match tag {
                LABELS => take_label(reader.message()?, &mut series)?,
                SAMPLES => {
                    let (value, millis) = sample(reader.message()?)?;
                    let nanos = millis.checked_mul(NANOS_PER_MILLI).and_then(|nanos| u64::try_from(nanos).ok());
                    match nanos {
                        Some(nanos) => series.samples.push((nanos, value)),
                        None => {
                            refused.push((Reason::InvalidTimestamp, "timestamp is before 1970 or past the year 2262"))
                        }
                    }
                }
                HISTOGRAMS => {
                    reader.message()?;
                    refused.push((Reason::InvalidType, "native histograms are not taken: send classic ones"));
                }
                _ => reader.skip(tag, 0b1_0110)?,
            }
        }
        if series.name.is_empty() {
            let unnamed = (Reason::Missing, "the label __name__ is missing");
            refused.extend(series.samples.drain(..).map(|_| unnamed));
        }
        let first = self.seen;
        self.seen += (series.samples.len() + refused.len()) as u64;
        for (index, (reason, detail)) in (first..).zip(refused) {
            self.rejected.push(Rejection::new(index, reason, detail));
        }
        let job = series.labels.iter().find(|(name, _)| *name == b"job").map_or(&[][..], |(_, value)| value);
        if !series.samples.is_empty() {
            self.jobs.entry(job).or_default().push(series);
        }
        Ok(())
    }

    fn otlp(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for (job, series) in &self.jobs {
            writer.message(1, |resource_metrics| {
                if !job.is_empty() {
                    resource_metrics.message(1, |resource| put_attribute(resource, 1, b"service.name", job));
                }
                resource_metrics.message(2, |scope_metrics| {
                    scope_metrics.message(1, |scope| scope.bytes(1, REMOTE_WRITE_SCOPE.as_bytes()));
                    for series in series {
                        scope_metrics.message(2, |metric| put_metric(metric, series));
                    }
                });
            });
        }
        writer.into_bytes()
    }
}

fn take_label<'b>(mut reader: Reader<'b>, series: &mut Series<'b>) -> Result<(), WireError> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    while let Some(tag) = reader.tag()? {
        match tag {
            LABEL_NAME => name = reader.bytes()?,
            LABEL_VALUE => value = reader.bytes()?,
            _ => reader.skip(tag, 0b110)?,
        }
    }
    match name {
        NAME_LABEL => series.name = value,
        // To Prometheus an empty label is none.
        _ if value.is_empty() => {}
        _ => series.labels.push((name, value)),
    }
    Ok(())
}

fn sample(mut reader: Reader<'_>) -> Result<(f64, i64), WireError> {
    let (mut value, mut millis) = (0.0, 0);
    while let Some(tag) = reader.tag()? {
        match tag {
            SAMPLE_VALUE => value = reader.double()?,
            SAMPLE_TIME => millis = reader.varint()?.cast_signed(),
            _ => reader.skip(tag, 0b110)?,
        }
    }
    Ok((value, millis))
}

fn put_metric(metric: &mut Writer, series: &Series<'_>) {
    metric.bytes(1, series.name);
    metric.message(5, |gauge| {
        for (nanos, value) in &series.samples {
            gauge.message(1, |point| {
                for (name, value) in &series.labels {
                    put_attribute(point, 7, name, value);
                }
                point.fixed64(3, *nanos);
                point.double(4, *value);
            });
        }
    });
}

fn put_attribute(writer: &mut Writer, field: u32, key: &[u8], value: &[u8]) {
    writer.message(field, |pair| {
        pair.bytes(1, key);
        pair.message(2, |any| any.bytes(1, value));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(series: &mut Writer, name: &str, value: &str) {
        series.message(1, |label| {
            label.bytes(1, name.as_bytes());
            label.bytes(2, value.as_bytes());
        });
    }

    fn packed(write: impl Fn(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        snap::raw::Encoder::new().compress_vec(&writer.into_bytes()).expect("a small body can be packed")
    }

    fn sample(series: &mut Writer, value: f64, millis: i64) {
        series.message(2, |sample| {
            sample.double(1, value);
            sample.int(2, millis);
        });
    }

    #[test]
    fn samples_that_cannot_be_stored_are_told_and_the_others_taken() {
        let body = packed(|request| {
            request.message(1, |series| {
                label(series, "__name__", "up");
                label(series, "job", "a");
                sample(series, 1.0, 1_000);
                sample(series, 2.0, -5);
                series.message(4, |histogram| histogram.uint(1, 3));
            });
            request.message(1, |series| sample(series, 3.0, 1_000));
        });
        let read = remote_write(&body).expect("it is a request");
        let listed: Vec<_> = read.rejected.listed.iter().map(ToString::to_string).collect();
        expect_test::expect![[r#"
            [
                "row 0: timestamp is before 1970 or past the year 2262",
                "row 1: native histograms are not taken: send classic ones",
                "row 3: the label __name__ is missing",
            ]
        "#]]
        .assert_debug_eq(&listed);
        let has = |text: &[u8]| read.otlp.windows(text.len()).any(|window| window == text);
        assert!(has(b"up") && has(REMOTE_WRITE_SCOPE.as_bytes()) && has(b"service.name"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert!(matches!(remote_write(b"\xff\xff\xff\xff\xff"), Err(RemoteWriteError::Snappy(_))));
        let text = snap::raw::Encoder::new().compress_vec(b"not protobuf at all").expect("text can be packed");
        assert!(matches!(remote_write(&text), Err(RemoteWriteError::Wire(_))));
        // The length that a body claims is looked at before a byte of it is made.
        assert!(matches!(remote_write(&[0xff, 0xff, 0xff, 0xff, 0x07]), Err(RemoteWriteError::TooLarge(_))));
    }
}
