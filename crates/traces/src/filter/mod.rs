//! The filter language: conditions on spans, and the ways in which they are put together.
//!
//! One tree has two readings that agree: [`Filter::matches`] over a span in memory, and [`Filter::sql`] over the columns of
//! the table. What is not there is decided once, for both:
//!
//! - A comparison with a missing value is false, whichever its operator; `is` with `null` asks whether it is missing. In the
//!   attributes a `null` is missing, too.
//! - `not`, `nand` and `nor` are the plain negation of the rest: what is missing then is in.
//! - Lists (`links`, `references`, `events`, `hashes`) are never missing: a span without links has none of them.
//! - Texts compare letter by letter; without `case_sensitive`, `A` to `Z` are as `a` to `z`.
//! - Attributes compare with values of their kind only: the number 5 is not the text `5`.
//!
//! | file | holds |
//! |---|---|
//! | `field.rs` | which fields there are, and which operators each takes |
//! | `read.rs` | from JSON to the tree |
//! | `path.rs` | paths into attributes |
//! | `matches.rs` | the tree over a span |
//! | `like.rs` | patterns with `%` and `_` |
//! | `sql.rs` | the tree over the columns |

mod field;
mod like;
mod matches;
mod path;
mod read;
mod sql;

#[cfg(test)]
mod tests;

use tidegate_model::UnixNanos;

use crate::Uuid;
pub use field::Field;
use like::Like;
pub use path::{Path, Step};
pub use sql::Sql;

/// Conditions on spans.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them hold; of none, every span is in.
    And(Vec<Filter>),
    /// One of them holds.
    Or(Vec<Filter>),
    /// Not all of them hold: `not` and `nand`.
    Nand(Vec<Filter>),
    /// None of them holds.
    Nor(Vec<Filter>),
    /// One condition.
    Is(Condition),
    /// The spans of a share of the traces: the first eight digits of the trace's id, modulo 100, are below the percentage.
    Sample(f64),
}

/// What is asked of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    field: Field,
    /// The path into the attributes.
    path: Path,
    test: Test,
}

/// The question itself.
#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// It is there.
    Exists,
    /// It is not.
    Missing,
    /// It stands so to a value.
    Order(Order, Value),
    /// It is not below the first value, and not above the second.
    Between(Value, Value),
    /// Its text is so.
    Text(TextTest, IsFolded),
    /// It is one of these; or, of an array, has one or all of them.
    In { values: Vec<Value>, all: bool },
    /// It is there, and none of these.
    NotIn { values: Vec<Value> },
    /// An element of the list has all these members, for one or all of the values.
    Has { wanted: Vec<Element>, all: bool },
    /// No element of the list has them, for none of the values.
    HasNot { wanted: Vec<Element> },
}

/// Members that an element has.
type Element = Vec<(Path, Value)>;

/// Whether `A` to `Z` are as `a` to `z`.
type IsFolded = bool;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
enum TextTest {
    Starts(String),
    Ends(String),
    Contains(String),
    Equals(String),
    Like(Like),
}

/// What a field is compared with, or holds.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Id(Uuid),
    Text(String),
    Number(f64),
    Flag(bool),
    Moment(UnixNanos),
}

impl Filter {
    /// Puts another condition beside this one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::And(mut all) => {
                all.push(other);
                Self::And(all)
            }
            one => Self::And(vec![one, other]),
        }
    }
}
