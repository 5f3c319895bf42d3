use super::{Value, VectorSeries, matching, merged};
use crate::PromqlError;
use crate::plan::{Matching, Operator};

/// What an operator makes of two numbers.
pub(super) enum Made {
    /// Another number.
    Number(f64),
    /// The left one, if this holds.
    Kept(bool),
}

pub(super) fn made(operator: Operator, left: f64, right: f64) -> Made {
    match operator {
        Operator::Add => Made::Number(left + right),
        Operator::Sub => Made::Number(left - right),
        Operator::Mul => Made::Number(left * right),
        Operator::Div => Made::Number(left / right),
        Operator::Mod => Made::Number(left % right),
        Operator::Pow => Made::Number(left.powf(right)),
        Operator::Atan2 => Made::Number(left.atan2(right)),
        #[expect(clippy::float_cmp, reason = "it is what the expression asks for")]
        Operator::Equal => Made::Kept(left == right),
        #[expect(clippy::float_cmp, reason = "it is what the expression asks for")]
        Operator::NotEqual => Made::Kept(left != right),
        Operator::Less => Made::Kept(left < right),
        Operator::LessEqual => Made::Kept(left <= right),
        Operator::Greater => Made::Kept(left > right),
        Operator::GreaterEqual => Made::Kept(left >= right),
        Operator::And | Operator::Or | Operator::Unless => Made::Kept(false),
    }
}

impl Made {
    /// Returns the value of the result, if there is one; `kept` is what a comparison that holds passes on.
    pub(super) fn value(self, is_bool: bool, kept: f64) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Kept(holds) if is_bool => Some(f64::from(u8::from(holds))),
            Self::Kept(holds) => holds.then_some(kept),
        }
    }
}

/// Says whether the result is no longer what its name said.
pub(super) const fn loses_name(operator: Operator, is_bool: bool) -> bool {
    is_bool
        || matches!(
            operator,
            Operator::Add
                | Operator::Sub
                | Operator::Mul
                | Operator::Div
                | Operator::Mod
                | Operator::Pow
                | Operator::Atan2
        )
}

/// Operates on whatever both sides are.
pub(super) fn operation(
    (operator, matching): (Operator, &Matching),
    left: Value,
    right: Value,
) -> Result<Value, PromqlError> {
    let is_bool = matching.is_bool;
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            // A comparison of two numbers is 0 or 1: there is nothing to leave out.
            let number = |(left, right)| made(operator, left, right).value(true, left).unwrap_or(f64::NAN);
            Ok(Value::Scalar(left.into_iter().zip(right).map(number).collect()))
        }
        (Value::Vector(left), Value::Scalar(right)) => {
            let value = |own, at: usize| made(operator, own, right[at]).value(is_bool, own);
            with_number(left, loses_name(operator, is_bool), value)
        }
        (Value::Scalar(left), Value::Vector(right)) => {
            let value = |own, at: usize| made(operator, left[at], own).value(is_bool, own);
            with_number(right, loses_name(operator, is_bool), value)
        }
        (Value::Vector(left), Value::Vector(right)) => match operator {
            Operator::And | Operator::Or | Operator::Unless => {
                Ok(Value::Vector(merged(matching::set(operator, matching, left, right))?))
            }
            _ => Ok(Value::Vector(matching::matched((operator, matching), &left, &right)?)),
        },
        _ => Err(PromqlError::Execution("operators take numbers and instant vectors".to_owned())),
    }
}

fn with_number(
    series: Vec<VectorSeries>,
    loses_name: bool,
    value: impl Fn(f64, usize) -> Option<f64>,
) -> Result<Value, PromqlError> {
    let operated = series.into_iter().map(|series| VectorSeries {
        labels: if loses_name { series.labels.unnamed() } else { series.labels },
        values: series.values.iter().enumerate().map(|(at, own)| own.and_then(|own| value(own, at))).collect(),
    });
    let kept = operated.filter(|series| series.values.iter().any(Option::is_some)).collect();
    Ok(Value::Vector(merged(kept)?))
}
