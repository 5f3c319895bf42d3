//! Alert rules: what they ask, and when what comes back makes them fire.
//!
//! Pure: no I/O, no clock. The server asks the questions and says what time it is.
//!
//! ```text
//! answer ─▶ judgement: past the threshold? past where it recovers? no value? ─▶ state ─▶ the change to tell of
//! ```
//!
//! Invariants:
//! - A state follows from the judgements alone, and a property test compares it with their whole history.
//! - Between the threshold and where the rule recovers a state stays as it is (hysteresis); a value that is not a number
//!   is no value.
//! - What has no value is never taken for good news unless the rule says so.
//!
//! | file | holds |
//! |---|---|
//! | `rule.rs` | [`Rule`]: as it is written in TOML and JSON, and what is wrong with it |
//! | `judge.rs` | [`Judgement`]: what a value means |
//! | `state.rs` | [`State`]: pending, firing, without data |
//! | `baseline.rs` | [`Baseline`]: what is usual at this hour of the week |
//! | `silence.rs` | [`Silence`]: who is not told for a while |
//! | `span.rs` | [`Span`]: `30s`, `5m` |
//! | `summary.rs` | the sentence that people are sent |

mod baseline;
mod judge;
mod rule;
mod silence;
mod span;
mod state;
mod summary;

use std::collections::BTreeMap;

pub use baseline::Baseline;
pub use judge::Judgement;
pub use rule::{Anomaly, Direction, NoData, Question, Rule, RuleError, Severity};
pub use silence::{Matcher, Silence};
pub use span::Span;
pub use state::{Change, Phase, State};
pub use summary::summary;

/// What tells the alerts of one rule apart.
pub type Labels = BTreeMap<String, String>;
