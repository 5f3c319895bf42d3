use crate::{Sql, Uuid};

/// The dataset of spans.
pub const DATASET: &str = "ai-spans";

/// Its table.
pub const TABLE: &str = "ai_spans";

/// Writes the condition that a row is of a project.
pub fn scope(project: Uuid, sql: &mut Sql) -> String {
    format!("`project_id` = {}", sql.text(&project.to_string()))
}

/// Writes the condition that a row is the latest version of its span, and does not say that it is gone.
///
/// `scope` is a condition that is the same for all versions of a span, as that of its project. Only spans with further
/// versions cost anything: of all others the first row is known by its version, 0. Where there are none at all ClickHouse
/// finds out while it plans, and reads nothing for it: the keys of all rows would cost more than most questions.
#[must_use]
pub fn latest(scope: &str) -> String {
    let further = format!("FROM {TABLE} WHERE `row_version` > 0 AND {scope}");
    format!(
        "(NOT EXISTS (SELECT 1 {further}) OR ((`row_version` = 0 AND (`trace_id`, `span_id`) NOT IN (SELECT `trace_id`, `span_id` {further})) \
         OR (`row_version` > 0 AND (`trace_id`, `span_id`, `row_version`) IN \
         (SELECT `trace_id`, `span_id`, max(`row_version`) {further} GROUP BY `trace_id`, `span_id`))) \
         AND NOT ifNull(`row_deleted`, false))"
    )
}
