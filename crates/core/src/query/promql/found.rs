use std::collections::BTreeMap;

use tidegate_model::limits::PROMQL_POINTS_MAX;
use tidegate_promql::{
    Facet, Found, GridFunction, Labels, Point, PromqlError, Read, SampleSeries, Want, is_stale, value_text,
};

use super::PromqlFailure;
use super::series::Chosen;
use super::statement::FACETS;
use crate::query::QueryError;

/// What is found where nothing is.
pub(super) fn empty(reads: &[Read]) -> Vec<Found> {
    let of = |read: &Read| match read.want {
        Want::Samples => Found::Samples(Vec::new()),
        Want::Grid(_) => Found::Grid(Vec::new()),
    };
    reads.iter().map(of).collect()
}

/// Turns the rows of an answer into what each read wants.
pub(super) fn found(bytes: &[u8], reads: &[Read], chosen: &[Chosen]) -> Result<Vec<Found>, PromqlFailure> {
    let mut grids: Vec<Vec<(Labels, Vec<Option<f64>>)>> = vec![Vec::new(); reads.len()];
    let mut samples: Vec<BTreeMap<Labels, Vec<Numbered>>> = vec![BTreeMap::new(); reads.len()];
    let (mut rest, mut values) = (bytes, 0_usize);
    while !rest.is_empty() {
        let row = row(&mut rest).ok_or(QueryError::WithinRow)?;
        values = values.saturating_add(row.values.len());
        let known = reads.get(row.read).zip(chosen.get(row.read));
        let (read, chosen) = known.ok_or(QueryError::WithinRow)?;
        // Past the limit of a list the statement does not name single series.
        let Some(labels) = chosen.series.get(&(row.fingerprint, row.facet)) else { continue };
        let labels = parted(labels, &row);
        if !read.selector.matches(&labels) {
            continue;
        }
        match read.want {
            Want::Grid(function) if !chosen.is_merged => grids[row.read].push((labels, at_steps(function, row.values))),
            _ => samples[row.read].entry(labels).or_default().extend(numbered(row)),
        }
    }
    if values > PROMQL_POINTS_MAX {
        let text = format!("the query reads {values} samples, more than {PROMQL_POINTS_MAX}: ask for less time");
        return Err(PromqlError::TooLarge(text).into());
    }
    let of = |((read, chosen), (grid, samples)): ((&Read, &Chosen), (_, _))| match read.want {
        Want::Grid(function) if chosen.is_merged => function.over(&in_order(samples), read.grid, read.range),
        Want::Grid(_) => Found::Grid(grid),
        Want::Samples => Found::Samples(in_order(samples)),
    };
    Ok(reads.iter().zip(chosen).zip(grids.into_iter().zip(samples)).map(of).collect())
}

/// A sample and the number of its row.
type Numbered = (Point, u64);

fn numbered(row: Row) -> impl Iterator<Item = Numbered> {
    let points = row.times.into_iter().zip(row.values).zip(row.seqs);
    points.filter_map(|((time, value), seq)| Some((Point { time, value: value? }, seq)))
}

/// Sorts samples; of several at one moment the last one that came counts.
fn in_order(samples: BTreeMap<Labels, Vec<Numbered>>) -> Vec<SampleSeries> {
    let of = |(labels, mut numbered): (Labels, Vec<Numbered>)| {
        numbered.sort_unstable_by_key(|(point, seq)| (point.time, *seq));
        let mut points: Vec<Point> = Vec::with_capacity(numbered.len());
        for (point, _) in numbered {
            match points.last_mut() {
                Some(last) if last.time == point.time => *last = point,
                _ => points.push(point),
            }
        }
        SampleSeries { labels, points }
    };
    samples.into_iter().map(of).collect()
}

fn at_steps(function: GridFunction, values: Vec<Option<f64>>) -> Vec<Option<f64>> {
    match function {
        GridFunction::Last | GridFunction::LastTime => {
            values.into_iter().map(|value| value.filter(|value| !is_stale(*value))).collect()
        }
        _ => values,
    }
}

/// Adds `le` or `quantile`, written as Prometheus does.
fn parted(labels: &Labels, row: &Row) -> Labels {
    let Some(name) = row.facet.label() else { return labels.clone() };
    let text = row.part.parse().map_or_else(|_| row.part.clone(), value_text);
    labels.clone().with(name, text)
}

/// A row of the statement.
struct Row {
    read: usize,
    facet: Facet,
    fingerprint: u64,
    part: String,
    times: Vec<i64>,
    seqs: Vec<u64>,
    values: Vec<Option<f64>>,
}

/// Reads a row of RowBinary; `None` where it is cut off.
fn row(rest: &mut &[u8]) -> Option<Row> {
    let read = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
    let [facet] = take::<1>(rest)?;
    let facet = *FACETS.get(usize::from(facet))?;
    let fingerprint = u64::from_le_bytes(take(rest)?);
    let length = length(rest)?;
    let (part, behind) = rest.split_at_checked(length)?;
    let part = String::from_utf8_lossy(part).into_owned();
    *rest = behind;
    let times = list(rest, |rest| Some(i64::from_le_bytes(take(rest)?)))?;
    let seqs = list(rest, |rest| Some(u64::from_le_bytes(take(rest)?)))?;
    let values = list(rest, |rest| match take(rest)? {
        [0] => Some(Some(f64::from_le_bytes(take(rest)?))),
        _ => Some(None),
    })?;
    Some(Row { read, facet, fingerprint, part, times, seqs, values })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*head)
}

fn list<T>(rest: &mut &[u8], item: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let items = length(rest)?;
    (0..items).map(|_| item(rest)).collect()
}

/// A length of one to ten bytes, seven bits each.
fn length(rest: &mut &[u8]) -> Option<usize> {
    let mut length = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest)?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return usize::try_from(length).ok();
        }
    }
    None
}
