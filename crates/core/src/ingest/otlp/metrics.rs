//! Metrics: what their points share, then the points, each kind into its own table.

use std::sync::LazyLock;

use arrow_schema::SchemaRef;
use tidegate_model::TableSpec;
use tidegate_model::tables::{METRIC_EXPONENTIAL_HISTOGRAMS, METRIC_HISTOGRAMS, METRIC_SAMPLES, METRIC_SUMMARIES};

use super::envelope::{each_item, each_scope};
use super::origin::Origin;
use super::points::{ExponentialColumns, HistogramColumns, Identity, SampleColumns, SummaryColumns};
use super::series::{Metric, Series, metric_digest};
use super::value::read_entry;
use super::{Context, DecodeError, Decoded, Stop, Tally, assemble, enum_name};
use crate::ingest::columns::{Column, EntryList};
use crate::ingest::rejection::{Fault, Reason};
use crate::ingest::wire::{Nested, Reader, len, varint};

/// A table of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Sum => "sum",
            Self::Histogram => "histogram",
            Self::Exponential => "exponential_histogram",
            Self::Summary => "summary",
        }
    }

    /// Returns the place of the kind's table in [`TABLES`].
    const fn table(self) -> usize {
        match self {
            Self::Gauge | Self::Sum => 0,
            Self::Histogram => 1,
            Self::Exponential => 2,
            Self::Summary => 3,
        }
    }
}

static TABLES: [&LazyLock<TableSpec>; 4] =
    [&METRIC_SAMPLES, &METRIC_HISTOGRAMS, &METRIC_EXPONENTIAL_HISTOGRAMS, &METRIC_SUMMARIES];

static SCHEMAS: LazyLock<[SchemaRef; 4]> = LazyLock::new(|| TABLES.map(|table| table.row_schema()));

/// Decodes an `ExportMetricsServiceRequest`.
pub(super) fn decode(body: &[u8], context: Context, is_known: &dyn Fn(u64) -> bool) -> Result<Decoded, DecodeError> {
    let mut points = Points::new(context);
    let mut series = Series::new(context.strict, is_known);
    each_scope(body, |origin, scope| each_item(scope, |metric| points.push_metric(metric, origin, &mut series)))?;
    let rejected = TABLES.iter().zip(points.rejected).map(|(table, rows)| (table.name.clone(), rows)).collect();
    let rejections = std::mem::take(&mut points.tally.rejections);
    let accepted = points.tally.next - rejections.total();
    let [samples, histograms, exponentials, summaries] = &*SCHEMAS;
    let rows = [
        assemble(&METRIC_SAMPLES, samples, points.samples)?,
        assemble(&METRIC_HISTOGRAMS, histograms, points.histograms)?,
        assemble(&METRIC_EXPONENTIAL_HISTOGRAMS, exponentials, points.exponentials)?,
        assemble(&METRIC_SUMMARIES, summaries, points.summaries)?,
    ];
    Ok(Decoded { rows: rows.into_iter().flatten().collect(), series: series.finish()?, accepted, rejections, rejected })
}

/// The points of one request.
struct Points {
    samples: SampleColumns,
    histograms: HistogramColumns,
    exponentials: ExponentialColumns,
    summaries: SummaryColumns,
    tally: Tally,
    rejected: [u64; TABLES.len()],
    context: Context,
}

const NAME: u32 = len(1);
const DESCRIPTION: u32 = len(2);
const UNIT: u32 = len(3);
const GAUGE: u32 = len(5);
const SUM: u32 = len(7);
const HISTOGRAM: u32 = len(9);
const EXPONENTIAL: u32 = len(10);
const SUMMARY: u32 = len(11);
const METADATA: u32 = len(12);
const KNOWN: u64 = 0b1_1110_1010_1110;

impl Points {
    fn new(context: Context) -> Self {
        Self {
            samples: SampleColumns::new(context.strict),
            histograms: HistogramColumns::new(context.strict),
            exponentials: ExponentialColumns::new(context.strict),
            summaries: SummaryColumns::new(),
            tally: Tally::default(),
            rejected: [0; TABLES.len()],
            context,
        }
    }

    fn push_metric(&mut self, mut reader: Reader<'_>, origin: Origin<'_>, series: &mut Series<'_>) -> Result<(), Stop> {
        let (mut name, mut description, mut unit): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let (mut kind, mut data) = (None, Nested::Absent);
        let mut metadata = EntryList::new("metadata");
        let mut fault = origin.fault();
        while let Some(tag) = reader.tag()? {
            let found = match tag {
                NAME => {
                    name = reader.bytes()?;
                    continue;
                }
                DESCRIPTION => {
                    description = reader.bytes()?;
                    continue;
                }
                UNIT => {
                    unit = reader.bytes()?;
                    continue;
                }
                METADATA => {
                    match read_entry(reader.message()?, &mut metadata) {
                        Err(Stop::Row(bad)) => fault = fault.or(Some(bad)),
                        other => other?,
                    }
                    continue;
                }
                GAUGE => Kind::Gauge,
                SUM => Kind::Sum,
                HISTOGRAM => Kind::Histogram,
                EXPONENTIAL => Kind::Exponential,
                SUMMARY => Kind::Summary,
                _ => {
                    reader.skip(tag, KNOWN)?;
                    continue;
                }
            };
            if kind.replace(found) != Some(found) {
                data = Nested::Absent;
            }
            data.push(reader.message()?);
        }
        let Some(kind) = kind else { return Ok(()) };
        let mut digits = itoa::Buffer::new();
        let (temporality, is_monotonic) = read_aggregation(kind, data.reader(), &mut digits)?;
        let metric = Metric { name, description, unit, kind: kind.name(), temporality, is_monotonic, metadata };
        let fault = fault.or_else(|| metric_fault(&metric));
        self.push_points(kind, data.reader(), (&metric, origin, fault), series)
    }

    fn push_points(
        &mut self,
        kind: Kind,
        mut reader: Reader<'_>,
        (metric, origin, fault): (&Metric<'_>, Origin<'_>, Option<Fault>),
        series: &mut Series<'_>,
    ) -> Result<(), Stop> {
        let digest = metric_digest(metric, &origin);
        while let Some(tag) = reader.tag()? {
            if tag != DATA_POINTS {
                reader.skip(tag, 0)?;
                continue;
            }
            let point = reader.message()?;
            let outcome = match fault {
                None => self.push_point(kind, point, (metric, digest, &origin), series),
                Some(fault) => Err(fault.into()),
            };
            if !self.tally.settle(outcome)? {
                self.rejected[kind.table()] += 1;
                self.truncate_open_row(kind);
            }
        }
        Ok(())
    }

    fn push_point(
        &mut self,
        kind: Kind,
        point: Reader<'_>,
        metric: (&Metric<'_>, u128, &Origin<'_>),
        series: &mut Series<'_>,
    ) -> Result<(), Stop> {
        let context = self.context;
        let mut series_budget = super::Budget::default();
        let mut fingerprint = |attributes: &EntryList, time: i64| {
            series.fingerprint(metric, attributes, time, (context, &mut series_budget))
        };
        let mut identity = Identity {
            metric_name: metric.0.name,
            service_name: &metric.2.resource.service_name,
            fingerprint: &mut fingerprint,
        };
        let budget = &mut self.tally.budget;
        let outcome = match kind {
            Kind::Gauge | Kind::Sum => self.samples.push(point, &mut identity, context, budget),
            Kind::Histogram => self.histograms.push(point, &mut identity, context, budget),
            Kind::Exponential => self.exponentials.push(point, &mut identity, context, budget),
            Kind::Summary => self.summaries.push(point, &mut identity, context, budget),
        };
        budget.take_bytes(series_budget.bytes)?;
        outcome
    }

    fn truncate_open_row(&mut self, kind: Kind) {
        match kind {
            Kind::Gauge | Kind::Sum => truncate_to_whole(&mut self.samples),
            Kind::Histogram => truncate_to_whole(&mut self.histograms),
            Kind::Exponential => truncate_to_whole(&mut self.exponentials),
            Kind::Summary => truncate_to_whole(&mut self.summaries),
        }
    }
}

/// The first column of every point is its partition, which is pushed last.
fn truncate_to_whole(columns: &mut impl Column) {
    let rows = columns.len();
    columns.truncate(rows);
}

const DATA_POINTS: u32 = len(1);
const TEMPORALITY: u32 = varint(2);
const IS_MONOTONIC: u32 = varint(3);
const TEMPORALITIES: [&str; 3] = ["UNSPECIFIED", "DELTA", "CUMULATIVE"];

/// Skims over the points for what belongs to all of them and may come behind them.
fn read_aggregation<'d>(
    kind: Kind,
    mut reader: Reader<'_>,
    digits: &'d mut itoa::Buffer,
) -> Result<(&'d [u8], bool), Stop> {
    let (has_temporality, known) = match kind {
        Kind::Gauge | Kind::Summary => (false, 0b10),
        Kind::Histogram | Kind::Exponential => (true, 0b110),
        Kind::Sum => (true, 0b1110),
    };
    let (mut temporality, mut is_monotonic) = (0, false);
    while let Some(tag) = reader.tag()? {
        match tag {
            DATA_POINTS => drop(reader.bytes()?),
            TEMPORALITY if has_temporality => temporality = reader.varint32()?,
            IS_MONOTONIC if kind == Kind::Sum => is_monotonic = reader.bool()?,
            _ => reader.skip(tag, known)?,
        }
    }
    let name = if has_temporality { enum_name(&TEMPORALITIES, temporality, digits) } else { b"" };
    Ok((name, is_monotonic))
}

fn metric_fault(metric: &Metric<'_>) -> Option<Fault> {
    let texts = [(metric.name, "metric name"), (metric.description, "description"), (metric.unit, "unit")];
    let bad = texts.iter().find(|(text, _)| std::str::from_utf8(text).is_err());
    bad.map(|(_, field)| Fault::new(Reason::InvalidUtf8, field))
}
