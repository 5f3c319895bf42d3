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
/// `scope` is the condition of the project, and `among` one that is the same for all versions of a span, as that of its trace,
/// or empty: the narrower it is, the less is looked up. Only spans with further versions are: of all others the first row is
/// known by its version, 0. Where the project has none at all ClickHouse finds out while it plans, and reads nothing for it:
/// the keys of all rows would cost more than most questions. Otherwise it looks for each row in one set, of the versions that are not the last of their spans: with a
/// set for first versions and another for later ones every row was looked up twice.
#[must_use]
pub fn latest(scope: &str, among: &str) -> String {
    let and = if among.is_empty() { "" } else { " AND " };
    let further = format!("FROM {TABLE} WHERE `row_version` > 0 AND {scope}");
    let earlier = "arrayJoin(arrayPopBack(arraySort(arrayPushFront(groupArray(`row_version`), 0))))";
    format!(
        "(NOT EXISTS (SELECT 1 {further}) OR ((`trace_id`, `span_id`, `row_version`) NOT IN \
         (SELECT `trace_id`, `span_id`, {earlier} {further}{and}{among} GROUP BY `trace_id`, `span_id`) \
         AND NOT ifNull(`row_deleted`, false)))"
    )
}
