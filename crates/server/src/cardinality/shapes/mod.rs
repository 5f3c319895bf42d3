//! The answers' JSON schemas, by name.
//!
//! | file | holds |
//! |---|---|
//! | `items.rs` | metrics, spans, logs, templates, services |
//! | `attributes.rs` | attributes, rankings, watches |
//! | `sessions.rs` | sessions and what changed between them |
//! | `second.rs` | what only `/v2` has |

mod attributes;
mod items;
mod second;
mod sessions;

use serde_json::Value;

use crate::routes::{Shapes, flag, object, text};

/// Returns every shape of these routes.
pub(crate) fn shapes() -> Shapes {
    let mut all = Shapes::from([("CatalogueError", object(&[("error", text()), ("kind", text())])), ("Name", text())]);
    all.extend(items::shapes());
    all.extend(attributes::shapes());
    all.extend(sessions::shapes());
    all.extend(second::shapes());
    all
}

/// An object that says whether its numbers are exact.
fn exactly(fields: &[(&str, Value)]) -> Value {
    let mut all = fields.to_vec();
    all.extend([("exact", flag()), ("cap?", text())]);
    object(&all)
}
