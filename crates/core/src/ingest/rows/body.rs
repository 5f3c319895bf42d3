use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_model::limits::IDEMPOTENCY_KEY_BYTES_MAX;

use super::error::RowsError;
use super::value::FieldType;
use crate::ingest::json::scan::{Scanner, SyntaxError, Value};

/// What a JSON body says beside its rows.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) schema: Option<Vec<FieldSpec>>,
    /// `partition.key` as JSON, its names in order; empty when there is none.
    pub(super) partition_key: String,
    pub(super) idempotency_key: Option<String>,
    /// The place of the opening bracket of the rows.
    pub(super) rows_at: Option<usize>,
}

/// One field of a schema that is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct FieldSpec {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) field_type: FieldType,
}

#[derive(Deserialize)]
struct SchemaSpec {
    fields: Vec<FieldSpec>,
}

#[derive(Deserialize)]
struct PartitionSpec {
    #[serde(default)]
    key: BTreeMap<String, String>,
}

impl Body {
    /// Reads all of the body but its rows; a bare array is a body that has nothing else.
    pub(super) fn read(body: &[u8]) -> Result<Self, RowsError> {
        let mut scan = Scanner::new(body);
        let mut found = Self::default();
        match scan.value().map_err(|error| syntax(error, body))? {
            Value::Array => found.rows_at = Some(scan.at),
            Value::Object => found.members(&mut scan, body)?,
            other => return Err(field("body", format!("{} instead of an object or an array", other.kind()))),
        }
        Ok(found)
    }

    fn members(&mut self, scan: &mut Scanner<'_>, body: &[u8]) -> Result<(), RowsError> {
        scan.open();
        let mut is_first = true;
        while let Some(name) = scan.next_member(&mut is_first).map_err(|error| syntax(error, body))? {
            scan.peek();
            let start = scan.at;
            scan.skip().map_err(|error| syntax(error, body))?;
            let text = scan.since(start);
            if text == b"null" {
                continue;
            }
            match name.raw {
                b"rows" if text.starts_with(b"[") => self.rows_at = Some(start),
                b"rows" => return Err(field("rows", "not an array".to_owned())),
                b"schema" => self.schema = Some(parse::<SchemaSpec>("schema", text)?.fields),
                b"partition" => self.partition_key = partition_key(parse("partition", text)?),
                b"idempotencyKey" => self.idempotency_key = Some(idempotency_key(parse("idempotencyKey", text)?)?),
                b"tableName" if text != b"\"records\"" => {
                    return Err(field("tableName", "a dataset has one table; leave it out".to_owned()));
                }
                _ => {}
            }
        }
        scan.finish().map_err(|error| syntax(error, body))
    }
}

/// Checks the length of a key.
pub(super) fn idempotency_key(key: String) -> Result<String, RowsError> {
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let problem = format!("{} bytes; 1 to {IDEMPOTENCY_KEY_BYTES_MAX} are allowed", key.len());
        return Err(field("idempotencyKey", problem));
    }
    Ok(key)
}

/// Says where a body stops to be JSON.
pub(super) fn syntax(error: SyntaxError, body: &[u8]) -> RowsError {
    let (line, column) = error.line_and_column(body);
    RowsError::Syntax { line, column, problem: error.problem }
}

fn partition_key(partition: PartitionSpec) -> String {
    if partition.key.is_empty() { String::new() } else { serde_json::json!(partition.key).to_string() }
}

fn parse<'a, T: Deserialize<'a>>(name: &'static str, text: &'a [u8]) -> Result<T, RowsError> {
    serde_json::from_slice(text).map_err(|error| field(name, error.to_string()))
}

fn field(field: &'static str, problem: String) -> RowsError {
    RowsError::Body { field, problem }
}
