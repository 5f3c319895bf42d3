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
/// `scope` is the condition of the project, and `among` that of its trace, or of some, or empty. Each row is looked for in one
/// set, of the versions that are not the last of their spans, so only spans with further versions cost something. Of all traces
/// together ClickHouse finds out first, while it plans, whether the project has further versions: if not, it reads nothing for
/// this, where the keys of all rows would cost more than most questions. Of a few traces that would be one more statement.
#[must_use]
pub fn latest(scope: &str, among: &str) -> String {
    let further = format!("FROM {TABLE} WHERE `row_version` > 0 AND {scope}");
    let earlier = "arrayJoin(arrayPopBack(arraySort(arrayPushFront(groupArray(`row_version`), 0))))";
    let is_latest = |among: &str| {
        format!(
            "((`trace_id`, `span_id`, `row_version`) NOT IN \
             (SELECT `trace_id`, `span_id`, {earlier} {further}{among} GROUP BY `trace_id`, `span_id`) \
             AND NOT ifNull(`row_deleted`, false))"
        )
    };
    match among {
        "" => format!("(NOT EXISTS (SELECT 1 {further}) OR {})", is_latest("")),
        _ => is_latest(&format!(" AND {among}")),
    }
}
