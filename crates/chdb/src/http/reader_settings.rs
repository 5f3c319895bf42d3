use crate::exception::{Exception, codes};

/// Families of settings that change how an answer looks, never what may be read.
const FAMILIES: [&str; 6] = ["output_format_", "input_format_", "format_", "date_time_", "http_", "join_"];

/// Single settings of the same kind, and limits that can only make a query end earlier.
const SINGLE: [&str; 28] = [
    "max_execution_time",
    "max_query_size",
    "max_result_rows",
    "max_result_bytes",
    "result_overflow_mode",
    "max_rows_to_read",
    "max_bytes_to_read",
    "read_overflow_mode",
    "timeout_overflow_mode",
    "max_threads",
    "max_block_size",
    "session_timezone",
    "extremes",
    "limit",
    "offset",
    "final",
    "any_join_distinct_right_table_keys",
    "aggregate_functions_null_for_empty",
    "distinct_overflow_mode",
    "cancel_http_readonly_queries_on_client_close",
    "send_progress_in_http_headers",
    "totals_mode",
    "group_by_use_nulls",
    "use_uncompressed_cache",
    "prefer_column_name_to_alias",
    "enable_global_with_statement",
    "allow_experimental_analyzer",
    "allow_experimental_time_series_aggregate_functions",
];

/// Refuses what a reader may not set. `readonly` itself is taken as said: a reader is always under it.
pub(super) fn check(settings: &[(String, String)]) -> Result<(), Exception> {
    match settings.iter().find(|(name, value)| !may_set(name, value)) {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!("Cannot modify '{name}' setting in readonly mode");
            Err(Exception::of(codes::READONLY, "READONLY", message))
        }
    }
}

fn may_set(name: &str, value: &str) -> bool {
    match name {
        "readonly" => true,
        // Zero would lift the limit; more than the engine has is cut off by its own.
        "max_memory_usage" => value.parse::<u64>().is_ok_and(|bytes| bytes > 0),
        _ => FAMILIES.iter().any(|family| name.starts_with(family)) || SINGLE.contains(&name),
    }
}
