//! Spans of AI applications: what clients send of them, ask of them, and are told.
//!
//! ```text
//!  native JSON ─┐             ┌─ derived columns ─▶ row of `ai_spans`
//!  OTLP ────────┴▶ vocabulary ▶ Span ◀─ row         filter ─▶ SQL, or over a span
//!                                 ├─▶ tree, roll-ups ─▶ answer
//!                                 └─▶ analytics
//! ```
//!
//! Pure: no I/O, no clock, no chance. What a span lacks comes in as [`Defaults`].
//!
//! | place | holds |
//! |---|---|
//! | `json/` | [`Json`], whose numbers keep their letters |
//! | `error.rs` | [`Invalid`]: where a request is wrong, and how to mend it |
//! | `members.rs` | members of a request's objects |
//! | `ids.rs`, `moment.rs` | ids and times in all forms in which clients send them |
//! | `span/` | [`Span`], its JSON, its row |
//! | `otlp/` | OTLP's spans |
//! | `simple/` | [`Simple`]: annotations and invocations of one span |
//! | `vocabulary/` | what other libraries call things becomes `ag.*` |
//! | `derive.rs`, `prices.rs` | [`derive()`]: the columns that are worked out; what models cost |
//! | `filter/` | [`Filter`]: over a span and as SQL |
//! | `latest.rs` | which rows of the table are the latest of their spans |
//! | `query.rs` | [`QueryBody`]: focus, format, window, filter |
//! | `tree/` | [`Tree`]: a trace's spans below each other, and what they come to |
//! | `analytics/` | statistics over values, by windows of time |

mod analytics;
mod derive;
mod error;
mod filter;
mod ids;
pub mod json;
mod latest;
mod members;
mod moment;
mod otlp;
mod prices;
mod query;
mod simple;
mod span;
mod tree;
pub mod vocabulary;

pub use analytics::{Analytics, Bucket, MetricType, Plan, Spec, default_specs};
pub use derive::{Amounts, Basis, Derived, derive, derived};
pub use error::Invalid;
pub use filter::{Condition, Field, Filter, Path, Sql, Step};
pub use ids::{SpanId, TraceId, Uuid};
pub use json::{Json, Object, View};
pub use latest::{DATASET, TABLE, latest, scope};
pub use moment::{moment, read_moment};
pub use otlp::{Exported, read_export};
pub use prices::{Price, Prices};
pub use query::{Cursor, Focus, Form, QueryBody, Window};
pub use simple::Simple;
pub use span::{
    COLUMNS, Defaults, Lifecycle, OWN_COLUMNS, Span, SpanKind, SpanType, StatusCode, TIME_COLUMN, TraceType,
    derived_of_row, made_ids, row,
};
pub use tree::{Own, Place, RollUp, Tree};
