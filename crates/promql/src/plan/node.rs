use promql_parser::label::Labels as Names;

use crate::{Grid, Labels};

/// An expression whose times are settled.
#[derive(Debug)]
pub(crate) enum Node {
    Number(f64),
    Text(String),
    /// The moments themselves, in seconds.
    Time,
    /// What a read found at each step; without the name where a function was computed.
    Found {
        read: usize,
        is_named: bool,
        is_fixed: bool,
    },
    /// Samples as they are: only at the top of a query of one moment.
    Matrix(Source),
    Over(Over),
    Negative(Box<Node>),
    Operation {
        operator: Operator,
        left: Box<Node>,
        right: Box<Node>,
        matching: Matching,
    },
    Aggregate {
        by: Aggregation,
        parameter: Option<Box<Node>>,
        of: Box<Node>,
        grouping: Grouping,
    },
    Call(Call),
}

/// A function over windows of samples.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) function: Windowed,
    pub(crate) source: Source,
    pub(crate) parameters: Vec<Node>,
}

/// Where windows of samples come from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) samples: Samples,
    pub(crate) range: i64,
    pub(crate) shift: Shift,
}

#[derive(Debug)]
pub(crate) enum Samples {
    Read(usize),
    Subquery(Box<Node>, Grid),
}

/// How the end of a window follows from the moment of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) at: Option<i64>,
    pub(crate) offset: i64,
}

impl Shift {
    pub(crate) fn end(self, moment: i64) -> i64 {
        self.at.unwrap_or(moment).saturating_sub(self.offset)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windowed {
    Rate,
    Increase,
    Delta,
    InstantRate,
    InstantDelta,
    Changes,
    Resets,
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Quantile,
    Stddev,
    Stdvar,
    Mad,
    First,
    Last,
    Present,
    Derivative,
    PredictLinear,
    HoltWinters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Unless,
}

/// How the series of two sides find each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matching {
    /// `on`: by these labels; otherwise by all but these.
    pub(crate) is_on: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) cardinality: Cardinality,
    pub(crate) is_bool: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) enum Cardinality {
    #[default]
    OneToOne,
    /// `group_left`, with the labels that the right side gives.
    ManyToOne(Vec<String>),
    /// `group_right`, with the labels that the left side gives.
    OneToMany(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregation {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    Quantile,
    CountValues,
}

/// By which labels series are put together.
#[derive(Debug, Clone)]
pub(crate) enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}

/// A call of a function of instant vectors and scalars.
#[derive(Debug)]
pub(crate) enum Call {
    /// A function of each value, with scalars beside it.
    Each(VectorFunction, Box<Node>, Vec<Node>),
    Absent(Box<Node>, Labels),
    AbsentOver(Box<Node>, Labels),
    HistogramQuantile(Box<Node>, Box<Node>),
    LabelReplace {
        of: Box<Node>,
        target: String,
        replacement: String,
        source: String,
        pattern: regex::Regex,
    },
    LabelJoin {
        of: Box<Node>,
        target: String,
        separator: String,
        sources: Vec<String>,
    },
    Sort {
        of: Box<Node>,
        is_descending: bool,
    },
    Scalar(Box<Node>),
    Vector(Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VectorFunction {
    Abs,
    Ceil,
    Floor,
    Round,
    Sign,
    Exp,
    Ln,
    Log2,
    Log10,
    Sqrt,
    Clamp,
    ClampMin,
    ClampMax,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Cos,
    Cosh,
    Sin,
    Sinh,
    Tan,
    Tanh,
    Deg,
    Rad,
    Minute,
    Hour,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Month,
    Year,
    Timestamp,
}

pub(crate) fn names(labels: &Names) -> Vec<String> {
    labels.labels.clone()
}
