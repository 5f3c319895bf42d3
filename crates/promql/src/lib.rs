//! PromQL: what an expression reads, and what it is worth over what was read.
//!
//! ```text
//!  text ─▶ plan ─▶ reads ─▶ (whoever has the samples) ─▶ what was found ─▶ evaluate ─▶ value
//! ```
//!
//! Pure: no I/O, no clock. Whoever has the samples answers a [`Read`] with samples, or with a value at every step where
//! it can tell that cheaper; [`GridFunction::over`] turns the first into the second.
//!
//! A window is open at its beginning and closed at its end, as in Prometheus 3.
//!
//! | file | holds |
//! |---|---|
//! | `labels.rs` | [`Labels`], the identity of a series |
//! | `samples.rs` | samples, steps, staleness |
//! | `names.rs` | how OpenTelemetry's metrics are named here |
//! | `series.rs` | which Prometheus series a stored series holds |
//! | `selector.rs` | which series an expression means |
//! | `plan/` | from text to [`Plan`] |
//! | `eval/` | from what was found to [`Value`] |

mod error;
mod eval;
mod labels;
mod names;
mod plan;
mod samples;
mod selector;
mod series;

#[cfg(test)]
mod tests;

pub use error::PromqlError;
pub use eval::{Value, VectorSeries};
pub use labels::{Labels, METRIC_NAME};
pub use names::{label_name, metric_name};
pub use plan::{GridFunction, Plan, Read, Span, Want, duration_ms, plan, pretty};
pub use samples::{Found, Grid, Point, STALE, SampleSeries, is_stale};
pub use selector::{Selector, selector};
pub use series::{Facet, OtelSeries};

/// Writes a value as Prometheus does: the shortest digits that read back the same, never with an exponent.
#[must_use]
pub fn value_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    value.to_string()
}
