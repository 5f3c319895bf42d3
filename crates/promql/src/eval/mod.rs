//! What an expression is worth over what was found for its reads.
//!
//! Every vector is kept as series over all steps; what holds at one step holds at each of them alone.
//!
//! | file | holds |
//! |---|---|
//! | `windows.rs` | windows of samples, subqueries, the functions over them |
//! | `rates.rs` | `rate` and its kin, as Prometheus extrapolates |
//! | `over_time.rs` | statistics of a window |
//! | `regression.rs` | `deriv`, `predict_linear`, `holt_winters` |
//! | `aggregate.rs` | aggregations |
//! | `operate.rs` | operators of numbers and of a vector with a number |
//! | `matching.rs` | operators of two vectors |
//! | `each.rs` | functions of each value |
//! | `calendar.rs` | dates of moments |
//! | `relabel.rs` | `label_replace`, `label_join` |
//! | `histogram.rs` | `histogram_quantile` |

mod aggregate;
mod calendar;
mod each;
mod histogram;
mod matching;
mod operate;
mod over_time;
mod rates;
mod regression;
mod relabel;
mod windows;

use std::collections::HashMap;

use crate::plan::{Call, Node, VectorFunction};
use crate::{Found, Grid, Labels, Plan, PromqlError, SampleSeries};

pub(crate) use rates::grid_function;
pub(crate) use windows::{last, window};

/// One series of a vector: its value at each step, where it has one.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its values.
    pub values: Vec<Option<f64>>,
}

/// What an expression is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number at each step.
    Scalar(Vec<f64>),
    /// Series.
    Vector(Vec<VectorSeries>),
    /// Samples as they are.
    Matrix(Vec<SampleSeries>),
    /// A text.
    Text(String),
}

impl Plan {
    /// Evaluates the expression over what was found for each of its reads, in their order.
    pub fn evaluate(&self, found: &[Found]) -> Result<Value, PromqlError> {
        Evaluation { found, start: self.grid.start }.value(&self.root, self.grid)
    }
}

/// One evaluation on its way.
pub(super) struct Evaluation<'f> {
    found: &'f [Found],
    /// The first moment of the whole query.
    start: i64,
}

impl Evaluation<'_> {
    fn value(&self, node: &Node, grid: Grid) -> Result<Value, PromqlError> {
        Ok(match node {
            Node::Number(number) => Value::Scalar(vec![*number; grid.steps]),
            Node::Text(text) => Value::Text(text.clone()),
            Node::Time => Value::Scalar(grid.times().map(seconds).collect()),
            Node::Found { read, is_named, is_fixed } => {
                Value::Vector(merged(self.found(*read, (*is_named, *is_fixed), grid)?)?)
            }
            Node::Matrix(source) => Value::Matrix(self.matrix(source, grid)?),
            Node::Over(over) => Value::Vector(merged(self.over(over, grid)?)?),
            Node::Negative(of) => match self.value(of, grid)? {
                Value::Scalar(values) => Value::Scalar(values.into_iter().map(|value| -value).collect()),
                value => Value::Vector(merged(each::mapped(vector(value)?, |value| Some(-value)))?),
            },
            Node::Operation { operator, left, right, matching } => {
                operate::operation((*operator, matching), self.value(left, grid)?, self.value(right, grid)?)?
            }
            Node::Aggregate { by, parameter, of, grouping } => {
                let parameter = match parameter {
                    Some(parameter) => Some(self.value(parameter, grid)?),
                    None => None,
                };
                Value::Vector(aggregate::aggregated((*by, parameter, grouping), self.vector(of, grid)?, grid.steps)?)
            }
            Node::Call(call) => self.called(call, grid)?,
        })
    }

    fn called(&self, call: &Call, grid: Grid) -> Result<Value, PromqlError> {
        let vector = match call {
            Call::Each(VectorFunction::Timestamp, of, _) => {
                let of = self.vector(of, grid)?;
                let at = |(at, value): (usize, &Option<f64>)| value.map(|_| seconds(grid.time(at)));
                let timed = of.into_iter().map(|series| VectorSeries {
                    labels: series.labels.unnamed(),
                    values: series.values.iter().enumerate().map(at).collect(),
                });
                merged(timed.collect())?
            }
            Call::Each(function, of, scalars) => {
                let scalars = scalars.iter().map(|scalar| self.scalar(scalar, grid)).collect::<Result<Vec<_>, _>>()?;
                merged(each::each(*function, self.vector(of, grid)?, &scalars))?
            }
            Call::Absent(of, labels) | Call::AbsentOver(of, labels) => {
                let of = self.vector(of, grid)?;
                let is_absent = |at: usize| of.iter().all(|series| series.values[at].is_none());
                let values = (0..grid.steps).map(|at| is_absent(at).then_some(1.0)).collect();
                vec![VectorSeries { labels: labels.clone(), values }]
            }
            Call::HistogramQuantile(quantile, of) => {
                histogram::quantile(&self.scalar(quantile, grid)?, self.vector(of, grid)?)
            }
            Call::LabelReplace { of, target, replacement, source, pattern } => {
                let rule = relabel::Rule { target, replacement, source, pattern };
                merged(relabel::replaced(&rule, self.vector(of, grid)?))?
            }
            Call::LabelJoin { of, target, separator, sources } => {
                merged(relabel::joined((target, separator, sources), self.vector(of, grid)?))?
            }
            Call::Sort { of, is_descending } => aggregate::sorted(self.vector(of, grid)?, *is_descending),
            Call::Scalar(of) => return Ok(Value::Scalar(only(&self.vector(of, grid)?, grid.steps))),
            Call::Vector(of) => {
                let values = self.scalar(of, grid)?.into_iter().map(Some).collect();
                vec![VectorSeries { labels: Labels::default(), values }]
            }
        };
        Ok(Value::Vector(vector))
    }

    fn vector(&self, node: &Node, grid: Grid) -> Result<Vec<VectorSeries>, PromqlError> {
        vector(self.value(node, grid)?)
    }

    fn scalar(&self, node: &Node, grid: Grid) -> Result<Vec<f64>, PromqlError> {
        match self.value(node, grid)? {
            Value::Scalar(values) => Ok(values),
            _ => Err(PromqlError::Execution("a number is wanted here, such as 5 or scalar(…)".to_owned())),
        }
    }

    fn found(
        &self,
        read: usize,
        (is_named, is_fixed): (bool, bool),
        grid: Grid,
    ) -> Result<Vec<VectorSeries>, PromqlError> {
        let Some(Found::Grid(found)) = self.found.get(read) else {
            return Err(PromqlError::Execution("what was read is not what was asked for".to_owned()));
        };
        let series = found.iter().map(|(labels, values)| VectorSeries {
            labels: if is_named { labels.clone() } else { labels.unnamed() },
            values: if is_fixed { vec![values.first().copied().flatten(); grid.steps] } else { values.clone() },
        });
        Ok(series.filter(|series| series.values.iter().any(Option::is_some)).collect())
    }
}

fn vector(value: Value) -> Result<Vec<VectorSeries>, PromqlError> {
    match value {
        Value::Vector(series) => Ok(series),
        _ => Err(PromqlError::Execution("an instant vector is wanted here, such as up".to_owned())),
    }
}

/// Puts series with the same labels together; both may not have a value at the same step.
fn merged(series: Vec<VectorSeries>) -> Result<Vec<VectorSeries>, PromqlError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut merged: Vec<VectorSeries> = Vec::with_capacity(series.len());
    for series in series {
        let Some(&at) = places.get(&series.labels) else {
            places.insert(series.labels.clone(), merged.len());
            merged.push(series);
            continue;
        };
        for (own, other) in merged[at].values.iter_mut().zip(series.values) {
            if own.is_some() && other.is_some() {
                let text = format!("vector cannot contain metrics with the same labelset: {}", series.labels);
                return Err(PromqlError::Execution(text));
            }
            *own = own.or(other);
        }
    }
    Ok(merged)
}

/// The value of a vector's only series, at each step.
fn only(series: &[VectorSeries], steps: usize) -> Vec<f64> {
    let at = |at: usize| {
        let mut values = series.iter().filter_map(|series| series.values[at]);
        match (values.next(), values.next()) {
            (Some(value), None) => value,
            _ => f64::NAN,
        }
    };
    (0..steps).map(at).collect()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of any year that matters are exact")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}
