//! From text to a tree in which every selector is a [`Read`] with the moments that it is asked for.
//!
//! | file | holds |
//! |---|---|
//! | `node.rs` | the tree |
//! | `read.rs` | [`Read`], [`GridFunction`] |
//! | `build.rs` | syntax to tree: times, offsets, `@`, subqueries |
//! | `call.rs` | function calls |
//! | `operator.rs` | binary operators and aggregations |

mod build;
mod call;
mod node;
mod operator;
mod read;

use std::sync::Once;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, Function};

pub(crate) use node::{
    Aggregation, Call, Cardinality, Grouping, Matching, Node, Operator, Over, Samples, Source, VectorFunction, Windowed,
};
pub use read::{GridFunction, Read, Want};

use crate::{Grid, PromqlError};

/// The moments of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// One moment.
    Instant(i64),
    /// From a moment to another, both included if the step meets it.
    Range {
        /// The first moment.
        start: i64,
        /// None is later.
        end: i64,
        /// From one to the next.
        step: i64,
    },
}

/// An expression that is ready to be read for.
#[derive(Debug)]
pub struct Plan {
    pub(crate) root: Node,
    /// What it reads, in the order in which the answers are wanted.
    pub reads: Vec<Read>,
    /// The moments of its values.
    pub grid: Grid,
}

/// How far back a value is still the newest one, as Prometheus has it.
pub(crate) const LOOKBACK_MS: i64 = 5 * 60 * 1_000;

/// The step of a subquery that says none: Prometheus' default of `evaluation_interval`.
pub(crate) const SUBQUERY_STEP_MS: i64 = 60 * 1_000;

/// Plans an expression; `steps_max` bounds every list of moments in it.
pub fn plan(text: &str, span: Span, steps_max: usize) -> Result<Plan, PromqlError> {
    let expr = parse(text)?;
    let grid = grid(span, steps_max)?;
    if let (Span::Range { .. }, kind @ (ValueType::Matrix | ValueType::String)) = (span, expr.value_type()) {
        return Err(PromqlError::Parameter(format!(
            "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
            if kind == ValueType::Matrix { "range vector" } else { "string" }
        )));
    }
    let mut builder = build::Builder { reads: Vec::new(), start: grid.start, end: end_of(span), steps_max };
    let root = builder.node(&expr, grid)?;
    Ok(Plan { root, reads: builder.reads, grid })
}

/// Writes an expression over several lines where it is long.
pub fn pretty(text: &str) -> Result<String, PromqlError> {
    parse(text).map(|expr| expr.prettify())
}

/// Reads a duration such as `5m` or `1h30m`, in milliseconds.
#[must_use]
pub fn duration_ms(text: &str) -> Option<i64> {
    let duration = promql_parser::util::parse_duration(text).ok()?;
    i64::try_from(duration.as_millis()).ok()
}

fn parse(text: &str) -> Result<Expr, PromqlError> {
    static OLD_NAMES: Once = Once::new();
    OLD_NAMES.call_once(|| {
        use ValueType::{Matrix, Scalar, Vector};
        let holt = Function::new("holt_winters", vec![Matrix, Scalar, Scalar], 0, Vector, false);
        // The parser knows it already if this fails.
        drop(promql_parser::parser::function::register_extra_functions(vec![holt]));
    });
    promql_parser::parser::parse(text).map_err(PromqlError::Parse)
}

fn grid(span: Span, steps_max: usize) -> Result<Grid, PromqlError> {
    let (start, end, step) = match span {
        Span::Instant(at) => return Ok(Grid { start: at, step: 1, steps: 1 }),
        Span::Range { start, end, step } => (start, end, step),
    };
    if end < start {
        return Err(PromqlError::Parameter("end timestamp must not be before start time".to_owned()));
    }
    if step <= 0 {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(PromqlError::Parameter(text.to_owned()));
    }
    let steps = usize::try_from((end.abs_diff(start)) / step.unsigned_abs()).unwrap_or(usize::MAX);
    if steps > steps_max {
        return Err(PromqlError::Parameter(format!(
            "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
            steps_max
        )));
    }
    Ok(Grid { start, step, steps: steps + 1 })
}

const fn end_of(span: Span) -> i64 {
    match span {
        Span::Instant(at) => at,
        Span::Range { end, .. } => end,
    }
}
