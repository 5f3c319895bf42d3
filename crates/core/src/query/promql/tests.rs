use tidegate_promql::{Facet, Found, Labels, METRIC_NAME, Plan, Span, is_stale};

use super::series::Chosen;
use super::{found, statement};

fn planned(text: &str) -> Plan {
    tidegate_promql::plan(text, Span::Range { start: 60_000, end: 120_000, step: 30_000 }, 100)
        .expect("it can be planned")
}

fn chosen(fingerprints: &[u64], is_merged: bool) -> Chosen {
    let labels = || Labels::default().with(METRIC_NAME, "m");
    let series = fingerprints.iter().map(|own| ((*own, Facet::Value), labels())).collect();
    Chosen { series, names: vec!["it's".into()], is_merged }
}

/// A row as ClickHouse writes it.
fn row(fingerprint: u64, points: &[(i64, u64, f64)], values: &[Option<f64>]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0];
    bytes.extend(fingerprint.to_le_bytes());
    bytes.push(0);
    let length = |count: usize| u8::try_from(count).expect("a short list");
    bytes.push(length(points.len()));
    points.iter().for_each(|(time, ..)| bytes.extend(time.to_le_bytes()));
    bytes.push(length(points.len()));
    points.iter().for_each(|(_, seq, _)| bytes.extend(seq.to_le_bytes()));
    let all: Vec<_> = points.iter().map(|(.., value)| Some(*value)).chain(values.iter().copied()).collect();
    bytes.push(length(all.len()));
    for value in all {
        match value {
            Some(value) => {
                bytes.push(0);
                bytes.extend(value.to_le_bytes());
            }
            None => bytes.push(1),
        }
    }
    bytes
}

#[test]
fn a_function_that_the_engine_knows_is_computed_there_unless_series_are_put_together() {
    let plan = planned("rate(m[5m])");
    let sql = statement::statement(&plan.reads, &[chosen(&[7], false)]).expect("a series is meant");
    assert!(sql.contains("timeSeriesRateToGrid(fromUnixTimestamp64Milli(toInt64(60000), 'UTC')"), "{sql}");
    assert!(sql.contains("toDecimal64('30.000', 3), toDecimal64('300.000', 3)"), "{sql}");
    assert!(sql.contains(r"metric_name IN ('it\'s') AND fingerprint IN (7)"), "{sql}");
    let merged = statement::statement(&plan.reads, &[chosen(&[7, 8], true)]).expect("series are meant");
    assert!(!merged.contains("timeSeries") && merged.contains("groupArray(_value)"), "{merged}");
    assert_eq!(statement::statement(&plan.reads, &[Chosen::default()]), None);
}

#[test]
fn of_several_samples_at_one_moment_the_last_that_came_counts() {
    let plan = planned("last_over_time(m[5m])");
    let mut bytes = row(7, &[(50_000, 4, 1.0), (40_000, 2, 9.0), (50_000, 3, 5.0)], &[]);
    bytes.extend(row(8, &[(45_000, 1, 2.0)], &[]));
    let found = found::found(&bytes, &plan.reads, &[chosen(&[7, 8], true)]).expect("whole rows");
    let Found::Samples(series) = &found[0] else { panic!("samples were asked for") };
    let points: Vec<_> = series[0].points.iter().map(|point| (point.time, point.value)).collect();
    assert_eq!((series.len(), points), (1, vec![(40_000, 9.0), (45_000, 2.0), (50_000, 1.0)]));
}

#[test]
fn a_marker_is_no_value_and_a_row_that_is_cut_off_is_an_error() {
    let plan = planned("m");
    let stale = f64::from_bits(tidegate_promql::STALE);
    assert!(is_stale(stale));
    let bytes = row(7, &[], &[Some(1.0), Some(stale), None]);
    let found = found::found(&bytes, &plan.reads, &[chosen(&[7], false)]).expect("a whole row");
    let Found::Grid(series) = &found[0] else { panic!("values were asked for") };
    assert_eq!(series[0].1, [Some(1.0), None, None]);
    for cut in 1..bytes.len() {
        assert!(found::found(&bytes[..cut], &plan.reads, &[chosen(&[7], false)]).is_err(), "cut at {cut}");
    }
}

#[test]
fn statements_of_every_facet_may_be_read() {
    use tidegate_model::TableSpec;

    let plan = planned("m + rate(m[5m]) + last_over_time(m[5m])");
    let facets = statement::FACETS.into_iter().zip(1_u64..);
    let series = facets.map(|(facet, own)| ((own, facet), Labels::default().with(METRIC_NAME, "m"))).collect();
    let all = Chosen { series, names: vec!["m".into()], is_merged: false };
    let none = || Chosen::default();
    let chosen = [all, chosen(&[1], false), chosen(&[1], true)];
    let sql = statement::statement(&plan.reads, &chosen).expect("series are meant");
    let specs: Vec<&TableSpec> = tidegate_model::tables::all().into_iter().collect();
    let planned = crate::query::plan::plan(&sql, &[], "tidegate", &specs).expect("the statement is let through");
    assert_eq!(planned.tables.len(), 4);
    assert!(statement::statement(&plan.reads, &[none(), none(), none()]).is_none());
}
