use tidegate_model::{Merge, SAVED, SavedTable};

use super::super::read::Sql;
use super::file::Wanted;
use crate::errors::Failure;

/// Returns the statement that answers with every row of a session, one JSON text each: one statement, one moment.
pub(super) fn statement(wanted: &Wanted) -> Result<Sql, Failure> {
    let signals = wanted.signals.iter().map(|word| catalog_signal(word)).collect::<Result<Vec<_>, _>>()?;
    let mut own = String::new();
    if !signals.is_empty() {
        own += " AND signal IN {signals:Array(String)}";
    }
    let of_signal = own.clone();
    if !wanted.services.is_empty() {
        own += " AND service_name IN {services:Array(String)}";
    }
    let has = |signal: &str| signals.is_empty() || signals.contains(&signal);
    let selects = SAVED.iter().filter_map(|saved| {
        let condition = match saved.spec.name.as_str() {
            "catalog_signals" | "catalog_attributes" => own.clone(),
            "catalog_values" => of_signal.clone(),
            name if name.starts_with("log_") => return has("logs").then(|| select(saved, "")),
            _ if !has("metrics") => return None,
            _ => format!(" AND metric_name IN (SELECT name FROM catalog_signals WHERE signal = 'metrics'{own})"),
        };
        Some(select(saved, &condition))
    });
    let sql = Sql::new(selects.collect::<Vec<_>>().join(" UNION ALL "));
    Ok(sql.texts("signals", signals).texts("services", wanted.services.iter().map(String::as_str)))
}

/// Reads one table, its rows merged by their rules.
fn select(saved: &SavedTable, condition: &str) -> String {
    let name = &saved.spec.name;
    let (values, by): (Vec<String>, String) = match saved.spec.roll_up {
        Some(roll_up) => {
            let value = |column: &str| match roll_up.rule(column) {
                None => column.to_owned(),
                Some(Merge::Sum) => format!("sum({column})"),
                Some(Merge::Min) => format!("min({column})"),
                Some(Merge::Max) => format!("max({column})"),
                Some(Merge::Union) => format!("arraySort(groupUniqArrayArray({column}))"),
            };
            (saved.names().map(value).collect(), roll_up.keys.join(", "))
        }
        None if name.as_str() == "metric_series" => {
            let value = |column: &str| match column {
                "metric_name" => column.to_owned(),
                "metadata" => "argMin(metadata, fingerprint)".to_owned(),
                "fingerprint" => ANY_SERIES.to_owned(),
                "aggregation_temporality" | "is_monotonic" => format!("max({column})"),
                _ => format!("min({column})"),
            };
            (saved.names().map(value).collect(), "metric_name".to_owned())
        }
        None => {
            let value = |column: &str| match column {
                "fingerprint" => ANY_SERIES.to_owned(),
                // JSON has no infinity, and a bound is none.
                "explicit_bounds" => "arrayFilter(bound -> isFinite(bound), explicit_bounds)".to_owned(),
                _ => column.to_owned(),
            };
            let by: Vec<&str> = saved.names().filter(|column| *column != "fingerprint").collect();
            (saved.names().map(value).collect(), by.join(", "))
        }
    };
    format!(
        "SELECT concat('{{\"{name}\":', formatRowNoNewline('JSONCompactEachRow', {}), '}}') AS line FROM {name} \
         WHERE 1{condition} GROUP BY {by}",
        values.join(", ")
    )
}

/// The fingerprint of what a session says of a metric as a whole.
const ANY_SERIES: &str = "toUInt64(0)";

/// Reads the word for a signal, in the catalogue's word.
pub(super) fn catalog_signal(word: &str) -> Result<&'static str, Failure> {
    match word {
        "metrics" | "metric" => Ok("metrics"),
        "spans" | "span" | "traces" => Ok("traces"),
        "logs" | "log" => Ok("logs"),
        _ => Err(Failure::invalid(format!("`signals` are of metrics, spans and logs, there is `{word}`"))),
    }
}
