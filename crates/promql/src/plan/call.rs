use promql_parser::parser::{Call as Called, Expr, MatrixSelector};
use regex::Regex;

use super::build::Builder;
use super::node::{Call, Node, Over, VectorFunction, Windowed};
use super::read::GridFunction;
use crate::{Grid, Labels, PromqlError, Selector};

/// Functions over windows.
const WINDOWED: [(&str, Windowed); 24] = [
    ("rate", Windowed::Rate),
    ("increase", Windowed::Increase),
    ("delta", Windowed::Delta),
    ("irate", Windowed::InstantRate),
    ("idelta", Windowed::InstantDelta),
    ("changes", Windowed::Changes),
    ("resets", Windowed::Resets),
    ("avg_over_time", Windowed::Avg),
    ("min_over_time", Windowed::Min),
    ("max_over_time", Windowed::Max),
    ("sum_over_time", Windowed::Sum),
    ("count_over_time", Windowed::Count),
    ("quantile_over_time", Windowed::Quantile),
    ("stddev_over_time", Windowed::Stddev),
    ("stdvar_over_time", Windowed::Stdvar),
    ("mad_over_time", Windowed::Mad),
    ("first_over_time", Windowed::First),
    ("last_over_time", Windowed::Last),
    ("present_over_time", Windowed::Present),
    ("absent_over_time", Windowed::Present),
    ("deriv", Windowed::Derivative),
    ("predict_linear", Windowed::PredictLinear),
    ("holt_winters", Windowed::HoltWinters),
    ("double_exponential_smoothing", Windowed::HoltWinters),
];

/// Functions of each value.
const EACH: [(&str, VectorFunction); 36] = [
    ("abs", VectorFunction::Abs),
    ("ceil", VectorFunction::Ceil),
    ("floor", VectorFunction::Floor),
    ("round", VectorFunction::Round),
    ("sgn", VectorFunction::Sign),
    ("exp", VectorFunction::Exp),
    ("ln", VectorFunction::Ln),
    ("log2", VectorFunction::Log2),
    ("log10", VectorFunction::Log10),
    ("sqrt", VectorFunction::Sqrt),
    ("clamp", VectorFunction::Clamp),
    ("clamp_min", VectorFunction::ClampMin),
    ("clamp_max", VectorFunction::ClampMax),
    ("acos", VectorFunction::Acos),
    ("acosh", VectorFunction::Acosh),
    ("asin", VectorFunction::Asin),
    ("asinh", VectorFunction::Asinh),
    ("atan", VectorFunction::Atan),
    ("atanh", VectorFunction::Atanh),
    ("cos", VectorFunction::Cos),
    ("cosh", VectorFunction::Cosh),
    ("sin", VectorFunction::Sin),
    ("sinh", VectorFunction::Sinh),
    ("tan", VectorFunction::Tan),
    ("tanh", VectorFunction::Tanh),
    ("deg", VectorFunction::Deg),
    ("rad", VectorFunction::Rad),
    ("minute", VectorFunction::Minute),
    ("hour", VectorFunction::Hour),
    ("day_of_month", VectorFunction::DayOfMonth),
    ("day_of_week", VectorFunction::DayOfWeek),
    ("day_of_year", VectorFunction::DayOfYear),
    ("days_in_month", VectorFunction::DaysInMonth),
    ("month", VectorFunction::Month),
    ("year", VectorFunction::Year),
    ("timestamp", VectorFunction::Timestamp),
];

impl Builder {
    pub(super) fn call(&mut self, call: &Called, grid: Grid) -> Result<Node, PromqlError> {
        let (name, args) = (call.func.name, &call.args.args);
        if let Some((_, function)) = WINDOWED.iter().find(|(own, _)| *own == name) {
            return self.windowed(*function, call, grid);
        }
        if let Some((_, function)) = EACH.iter().find(|(own, _)| *own == name) {
            return self.each(*function, call, grid);
        }
        let first = args.first();
        let call = match (name, first) {
            ("time", _) => return Ok(Node::Time),
            ("pi", _) => return Ok(Node::Number(std::f64::consts::PI)),
            ("absent", Some(of)) => Call::Absent(self.boxed(of, grid)?, said(of)),
            ("histogram_quantile", Some(at)) => {
                Call::HistogramQuantile(self.boxed(at, grid)?, self.boxed(argument(call, 1)?, grid)?)
            }
            ("label_replace", Some(of)) => self.label_replace(call, of, grid)?,
            ("label_join", Some(of)) => {
                let (target, separator) = (label(call, 1)?, text(call, 2)?);
                let sources = (3..args.len()).map(|at| label(call, at)).collect::<Result<_, _>>()?;
                Call::LabelJoin { of: self.boxed(of, grid)?, target, separator, sources }
            }
            ("sort" | "sort_desc", Some(of)) => {
                Call::Sort { of: self.boxed(of, grid)?, is_descending: name == "sort_desc" }
            }
            ("scalar", Some(of)) => Call::Scalar(self.boxed(of, grid)?),
            ("vector", Some(of)) => Call::Vector(self.boxed(of, grid)?),
            _ => return Err(PromqlError::Unsupported(format!("the function `{name}`"))),
        };
        Ok(Node::Call(call))
    }

    fn boxed(&mut self, expr: &Expr, grid: Grid) -> Result<Box<Node>, PromqlError> {
        self.node(expr, grid).map(Box::new)
    }

    fn windowed(&mut self, function: Windowed, call: &Called, grid: Grid) -> Result<Node, PromqlError> {
        // All have one argument that is a range vector, and scalars around it.
        let is_range = |expr: &Expr| matches!(bare(expr), Expr::MatrixSelector(_) | Expr::Subquery(_));
        let args = &call.args.args;
        let Some(of) = args.iter().find(|arg| is_range(arg)) else {
            return Err(PromqlError::Parse(format!("{} wants a range vector such as up[5m]", call.func.name)));
        };
        if let (Some(pushed), Expr::MatrixSelector(matrix)) = (pushed(function), bare(of)) {
            return self.pushed(matrix, pushed, grid);
        }
        let source = self.source(of, grid)?;
        let parameters: Result<_, _> =
            args.iter().filter(|arg| !is_range(arg)).map(|arg| self.node(arg, grid)).collect();
        let over = Node::Over(Over { function, source, parameters: parameters? });
        if call.func.name == "absent_over_time" {
            return Ok(Node::Call(Call::AbsentOver(Box::new(over), said(of))));
        }
        Ok(over)
    }

    fn each(&mut self, function: VectorFunction, call: &Called, grid: Grid) -> Result<Node, PromqlError> {
        let args = &call.args.args;
        let Some(of) = args.first() else {
            // `hour()` is that of the moment.
            return Ok(Node::Call(Call::Each(
                function,
                Box::new(Node::Call(Call::Vector(Box::new(Node::Time)))),
                vec![],
            )));
        };
        if let (VectorFunction::Timestamp, Expr::VectorSelector(selector)) = (function, bare(of)) {
            return self.instant(selector, GridFunction::LastTime, grid);
        }
        let of = self.boxed(of, grid)?;
        let scalars = args[1..].iter().map(|arg| self.node(arg, grid)).collect::<Result<_, _>>()?;
        Ok(Node::Call(Call::Each(function, of, scalars)))
    }

    fn label_replace(&mut self, call: &Called, of: &Expr, grid: Grid) -> Result<Call, PromqlError> {
        let (target, replacement) = (label(call, 1)?, text(call, 2)?);
        let (source, pattern) = (text(call, 3)?, text(call, 4)?);
        let pattern = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|_| PromqlError::Parse(format!("invalid regular expression in label_replace(): {pattern}")))?;
        Ok(Call::LabelReplace { of: self.boxed(of, grid)?, target, replacement, source, pattern })
    }
}

/// Returns the function's form that whoever has the samples may compute.
const fn pushed(function: Windowed) -> Option<GridFunction> {
    Some(match function {
        Windowed::Rate => GridFunction::Rate,
        Windowed::Increase => GridFunction::Increase,
        Windowed::Delta => GridFunction::Delta,
        Windowed::InstantRate => GridFunction::InstantRate,
        Windowed::InstantDelta => GridFunction::InstantDelta,
        Windowed::Changes => GridFunction::Changes,
        Windowed::Resets => GridFunction::Resets,
        _ => return None,
    })
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => bare(&paren.expr),
        other => other,
    }
}

fn said(expr: &Expr) -> Labels {
    match bare(expr) {
        Expr::VectorSelector(selector) => Selector::of(selector).said(),
        Expr::MatrixSelector(MatrixSelector { vs, .. }) => Selector::of(vs).said(),
        _ => Labels::default(),
    }
}

fn argument(call: &Called, at: usize) -> Result<&Expr, PromqlError> {
    let lacking = || PromqlError::Parse(format!("{} lacks its argument {}", call.func.name, at + 1));
    call.args.args.get(at).map(|arg| bare(arg)).ok_or_else(lacking)
}

fn text(call: &Called, at: usize) -> Result<String, PromqlError> {
    match argument(call, at)? {
        Expr::StringLiteral(text) => Ok(text.val.clone()),
        _ => Err(PromqlError::Parse(format!("argument {} of {} must be a text", at + 1, call.func.name))),
    }
}

fn label(call: &Called, at: usize) -> Result<String, PromqlError> {
    let name = text(call, at)?;
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_name {
        Ok(name)
    } else {
        Err(PromqlError::Execution(format!("invalid label name in {}(): {name}", call.func.name)))
    }
}
