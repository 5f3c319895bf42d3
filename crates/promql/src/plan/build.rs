use std::time::{Duration, SystemTime};

use promql_parser::parser::{AtModifier, Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector};

use super::node::{Node, Samples, Shift, Source};
use super::read::{GridFunction, Read, Want};
use super::{LOOKBACK_MS, SUBQUERY_STEP_MS};
use crate::{Grid, PromqlError, Selector};

/// Builds the tree, and gathers what it reads.
pub(super) struct Builder {
    pub(super) reads: Vec<Read>,
    /// What `@ start()` and `@ end()` mean.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) steps_max: usize,
}

impl Builder {
    pub(super) fn node(&mut self, expr: &Expr, grid: Grid) -> Result<Node, PromqlError> {
        match expr {
            Expr::NumberLiteral(number) => Ok(Node::Number(number.val)),
            Expr::StringLiteral(text) => Ok(Node::Text(text.val.clone())),
            Expr::Paren(paren) => self.node(&paren.expr, grid),
            Expr::Unary(unary) => Ok(Node::Negative(Box::new(self.node(&unary.expr, grid)?))),
            Expr::VectorSelector(selector) => self.instant(selector, GridFunction::Last, grid),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => Ok(Node::Matrix(self.source(expr, grid)?)),
            Expr::Binary(binary) => self.binary(binary, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Expr::Call(call) => self.call(call, grid),
            Expr::Extension(_) => Err(PromqlError::Unsupported("an extension of the syntax".to_owned())),
        }
    }

    pub(super) fn instant(
        &mut self,
        selector: &VectorSelector,
        function: GridFunction,
        grid: Grid,
    ) -> Result<Node, PromqlError> {
        let shift = self.shift(selector.at.as_ref(), selector.offset.as_ref())?;
        let grid = shifted(grid, shift);
        let want = Want::Grid(function);
        let read = self.read(Read { selector: Selector::of(selector), want, grid, range: LOOKBACK_MS });
        let is_named = function == GridFunction::Last;
        Ok(Node::Found { read, is_named, is_fixed: shift.at.is_some() })
    }

    /// Reads a function over windows in the form in which its values are found elsewhere.
    pub(super) fn pushed(
        &mut self,
        matrix: &MatrixSelector,
        function: GridFunction,
        grid: Grid,
    ) -> Result<Node, PromqlError> {
        let shift = self.shift(matrix.vs.at.as_ref(), matrix.vs.offset.as_ref())?;
        let (grid, range) = (shifted(grid, shift), millis(matrix.range)?);
        let want = Want::Grid(function);
        let read = self.read(Read { selector: Selector::of(&matrix.vs), want, grid, range });
        Ok(Node::Found { read, is_named: false, is_fixed: shift.at.is_some() })
    }

    pub(super) fn source(&mut self, expr: &Expr, grid: Grid) -> Result<Source, PromqlError> {
        match expr {
            Expr::Paren(paren) => self.source(&paren.expr, grid),
            Expr::MatrixSelector(matrix) => {
                let shift = self.shift(matrix.vs.at.as_ref(), matrix.vs.offset.as_ref())?;
                let range = millis(matrix.range)?;
                let (selector, grid) = (Selector::of(&matrix.vs), shifted(grid, shift));
                let read = self.read(Read { selector, want: Want::Samples, grid, range });
                Ok(Source { samples: Samples::Read(read), range, shift })
            }
            Expr::Subquery(subquery) => self.subquery(subquery, grid),
            _ => Err(PromqlError::Parse("a range vector such as up[5m] is wanted".to_owned())),
        }
    }

    fn subquery(&mut self, subquery: &SubqueryExpr, grid: Grid) -> Result<Source, PromqlError> {
        let shift = self.shift(subquery.at.as_ref(), subquery.offset.as_ref())?;
        let range = millis(subquery.range)?;
        let step = subquery.step.map_or(Ok(SUBQUERY_STEP_MS), millis)?;
        if step <= 0 {
            return Err(PromqlError::Parse("the step of a subquery must be longer than 0".to_owned()));
        }
        let outer = shifted(grid, shift);
        let before = outer.start.saturating_sub(range);
        // Moments are multiples of the step, so that they are the same ones whenever the query is asked.
        let start = before.div_euclid(step).saturating_add(1).saturating_mul(step);
        let span = outer.last().saturating_sub(start);
        let steps = usize::try_from(span.div_euclid(step).saturating_add(1)).unwrap_or(0);
        if steps > self.steps_max.saturating_mul(SUBQUERY_STEPS_FACTOR) {
            return Err(PromqlError::TooLarge(format!(
                "a subquery has {steps} steps, more than {}: give it a longer step",
                self.steps_max.saturating_mul(SUBQUERY_STEPS_FACTOR)
            )));
        }
        // Without a moment in it the subquery is empty; its one step is then in no window.
        let inner = Grid { start, step, steps: steps.max(1) };
        let node = self.node(&subquery.expr, inner)?;
        Ok(Source { samples: Samples::Subquery(Box::new(node), inner), range, shift })
    }

    fn read(&mut self, read: Read) -> usize {
        if let Some(same) = self.reads.iter().position(|known| *known == read) {
            return same;
        }
        self.reads.push(read);
        self.reads.len() - 1
    }

    fn shift(&self, at: Option<&AtModifier>, offset: Option<&Offset>) -> Result<Shift, PromqlError> {
        let at = match at {
            None => None,
            Some(AtModifier::Start) => Some(self.start),
            Some(AtModifier::End) => Some(self.end),
            Some(AtModifier::At(time)) => Some(moment(*time)?),
        };
        let offset = match offset {
            None => 0,
            Some(Offset::Pos(by)) => millis(*by)?,
            Some(Offset::Neg(by)) => -millis(*by)?,
        };
        Ok(Shift { at, offset })
    }
}

/// A subquery may have so many times the steps of a query: they are not sent to anybody.
const SUBQUERY_STEPS_FACTOR: usize = 10;

fn shifted(grid: Grid, shift: Shift) -> Grid {
    match shift.at {
        Some(_) => Grid { start: shift.end(0), step: 1, steps: 1 },
        None => Grid { start: shift.end(grid.start), ..grid },
    }
}

fn millis(duration: Duration) -> Result<i64, PromqlError> {
    i64::try_from(duration.as_millis()).map_err(|_| PromqlError::Parse("a duration is too long".to_owned()))
}

fn moment(time: SystemTime) -> Result<i64, PromqlError> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => Ok(-millis(before.duration())?),
    }
}
