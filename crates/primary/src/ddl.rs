use tidegate_traces::{SpanKind, SpanType, StatusCode, TraceType};

use crate::TableName;

/// The types of words, by their columns.
pub(crate) fn words() -> [(&'static str, Vec<&'static str>); 4] {
    [
        ("trace_type", TraceType::ALL.iter().map(|word| word.as_str()).collect()),
        ("span_type", SpanType::ALL.iter().map(|word| word.as_str()).collect()),
        ("span_kind", SpanKind::ALL.iter().map(|word| word.as_str()).collect()),
        ("status_code", StatusCode::ALL.iter().map(|word| word.as_str()).collect()),
    ]
}

/// Returns the statement that makes a type of words.
pub(crate) fn type_of_words(table: &TableName, name: &str, words: &[&str]) -> String {
    let labels: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    format!("CREATE TYPE {}.{name} AS ENUM ({})", table.schema(), labels.join(", "))
}

/// Returns the statements that make the table and its indexes.
pub(crate) fn table(table: &TableName) -> String {
    let (own, schema) = (table.quoted(), table.schema());
    let mut sql = format!(
        "CREATE TABLE {own} (
    project_id uuid NOT NULL, trace_id uuid NOT NULL, span_id uuid NOT NULL, parent_id uuid,
    trace_type {schema}.trace_type, span_type {schema}.span_type,
    span_kind {schema}.span_kind NOT NULL, span_name varchar NOT NULL,
    start_time timestamptz NOT NULL, end_time timestamptz NOT NULL,
    status_code {schema}.status_code NOT NULL, status_message varchar,
    attributes jsonb, \"references\" jsonb, links jsonb, hashes jsonb, events jsonb,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz, deleted_at timestamptz,
    created_by_id uuid, updated_by_id uuid, deleted_by_id uuid,
    session_id varchar, user_id varchar, agent_id varchar,
    PRIMARY KEY (project_id, trace_id, span_id))"
    );
    const INDEXES: [&str; 15] = [
        "(project_id)",
        "(project_id, trace_id)",
        "(project_id, span_id)",
        "(project_id, start_time)",
        "(project_id, session_id)",
        "(trace_type)",
        "(span_type)",
        "(project_id, trace_id, created_at DESC)",
        "USING gin (attributes)",
        "USING gin (\"references\" jsonb_path_ops)",
        "USING gin (links jsonb_path_ops)",
        "USING gin (hashes jsonb_path_ops)",
        "USING gin (events jsonb_path_ops)",
        "USING gin (to_tsvector('simple'::regconfig, attributes))",
        "USING gin (to_tsvector('simple'::regconfig, events))",
    ];
    for index in INDEXES {
        sql.push_str(&format!(";\nCREATE INDEX ON {own} {index}"));
    }
    sql
}
