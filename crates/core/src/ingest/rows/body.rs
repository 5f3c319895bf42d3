use std::collections::BTreeMap;

use serde::Deserialize;
use tidegate_model::FieldType;
use tidegate_model::limits::{ACTOR_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, PARTITION_BYTES_MAX, TABLE_NAME_BYTES_MAX};

use super::error::RowsError;
use super::scalar;
use crate::ingest::json::scan::{Scanner, SyntaxError, Value};

/// What a JSON body says beside its rows.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) schema: Option<DeclaredSchema>,
    pub(super) partition: Partition,
    /// The same as it was written.
    pub(super) partition_text: String,
    pub(super) table: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) dataset_name: Option<String>,
    pub(super) storage_target: Option<String>,
    /// The places of the opening bracket of the rows, and behind the closing one.
    pub(super) rows_at: Option<(usize, usize)>,
}

/// A schema that is given with the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DeclaredSchema {
    pub(super) fields: Vec<FieldSpec>,
    /// Values of columns that come with this request, as JSON.
    pub(super) defaults: Vec<(String, String)>,
    /// Rows from before have them too.
    pub(super) backfill: bool,
}

/// One field of a schema that is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct FieldSpec {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) field_type: FieldType,
}

/// The slice of the dataset that a request is for, as the requester names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Partition {
    /// As JSON, its names in order; empty when there is none.
    pub(super) key: String,
    /// As JSON, as it was written.
    pub(super) attributes: String,
    /// From and to, in nanoseconds.
    pub(super) range: Option<(i64, i64)>,
}

impl Partition {
    /// Says whether anything is told.
    pub(super) fn is_given(&self) -> bool {
        *self != Self::default()
    }
}

#[derive(Deserialize)]
struct SchemaSpec {
    fields: Vec<FieldSpec>,
    #[serde(default)]
    evolution: EvolutionSpec,
}

#[derive(Default, Deserialize)]
struct EvolutionSpec {
    #[serde(default)]
    backfill: bool,
}

#[derive(Deserialize)]
struct PartitionSpec {
    #[serde(default)]
    key: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ActorSpec {
    Id(String),
    Named { id: String },
}

impl Body {
    /// Reads all of the body but its rows; a bare array is a body that has nothing else.
    pub(super) fn read(body: &[u8]) -> Result<Self, RowsError> {
        let mut scan = Scanner::new(body);
        let mut found = Self::default();
        match scan.value().map_err(|error| syntax(error, body))? {
            Value::Array => found.rows_at = Some((scan.at, body.len())),
            Value::Object => {
                let mut members = Members::of(scan);
                while let Some((name, text, start)) = members.next().map_err(|error| syntax(error, body))? {
                    if text != b"null" {
                        found.member(name, text, start)?;
                    }
                }
                members.scan.finish().map_err(|error| syntax(error, body))?;
            }
            other => return Err(field("body", format!("{} instead of an object or an array", other.kind()))),
        }
        Ok(found)
    }

    fn member(&mut self, name: &[u8], text: &[u8], start: usize) -> Result<(), RowsError> {
        match name {
            b"rows" if text.starts_with(b"[") => self.rows_at = Some((start, start + text.len())),
            b"rows" => return Err(field("rows", "not an array".to_owned())),
            b"schema" => self.schema = Some(schema(text)?),
            b"partition" => {
                self.partition = partition(text)?;
                self.partition_text = String::from_utf8_lossy(text).into_owned();
            }
            b"idempotencyKey" => self.idempotency_key = Some(idempotency_key(parse("idempotencyKey", text)?)?),
            b"tableName" => self.table = Some(short("tableName", parse("tableName", text)?, TABLE_NAME_BYTES_MAX)?),
            b"datasetName" => self.dataset_name = Some(short("datasetName", parse("datasetName", text)?, NAME_MAX)?),
            b"storageTargetId" => {
                self.storage_target = Some(short("storageTargetId", parse("storageTargetId", text)?, NAME_MAX)?);
            }
            b"actor" => {
                let (ActorSpec::Id(id) | ActorSpec::Named { id }) = parse("actor", text)?;
                self.actor = Some(short("actor", id, ACTOR_BYTES_MAX)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A name that is shown to people: what existing clients allow.
const NAME_MAX: usize = 255;

fn short(name: &'static str, text: String, bytes_max: usize) -> Result<String, RowsError> {
    if text.is_empty() || text.len() > bytes_max {
        return Err(field(name, format!("{} bytes; 1 to {bytes_max} are allowed", text.len())));
    }
    Ok(text)
}

/// Checks the length of a key.
pub(super) fn idempotency_key(key: String) -> Result<String, RowsError> {
    short("idempotencyKey", key, IDEMPOTENCY_KEY_BYTES_MAX)
}

/// Says where a body stops to be JSON.
pub(super) fn syntax(error: SyntaxError, body: &[u8]) -> RowsError {
    let (line, column) = error.line_and_column(body);
    RowsError::Syntax { line, column, problem: error.problem }
}

fn schema(text: &[u8]) -> Result<DeclaredSchema, RowsError> {
    let SchemaSpec { fields, evolution } = parse("schema", text)?;
    let mut declared = DeclaredSchema { fields, defaults: Vec::new(), backfill: evolution.backfill };
    // Cut out, not parsed: a number keeps its digits.
    let defaults = member(text, b"evolution").and_then(|evolution| member(evolution, b"defaults"));
    let Some(defaults) = defaults.filter(|defaults| *defaults != b"null") else { return Ok(declared) };
    let not_an_object = || field("schema.evolution.defaults", "not an object".to_owned());
    if !defaults.starts_with(b"{") {
        return Err(not_an_object());
    }
    let mut members = Members::of(Scanner::new(defaults));
    while let Some((name, value, _)) = members.next().map_err(|_| not_an_object())? {
        let name: String = parse("schema.evolution.defaults", &[b"\"", name, b"\""].concat())?;
        declared.defaults.push((name, String::from_utf8_lossy(value).into_owned()));
    }
    Ok(declared)
}

fn partition(text: &[u8]) -> Result<Partition, RowsError> {
    if text.len() > PARTITION_BYTES_MAX {
        return Err(field("partition", format!("{} bytes; {PARTITION_BYTES_MAX} are allowed", text.len())));
    }
    let PartitionSpec { key } = parse("partition", text)?;
    let key = if key.is_empty() { String::new() } else { serde_json::json!(key).to_string() };
    let attributes = match member(text, b"attributes") {
        None | Some(b"null" | b"{}") => String::new(),
        Some(object) if object.starts_with(b"{") => {
            std::str::from_utf8(object).map_err(|error| field("partition.attributes", error.to_string()))?.to_owned()
        }
        Some(_) => return Err(field("partition.attributes", "not an object".to_owned())),
    };
    let range = match member(text, b"timeRange") {
        None | Some(b"null") => None,
        Some(range) => Some(time_range(range)?),
    };
    Ok(Partition { key, attributes, range })
}

fn time_range(range: &[u8]) -> Result<(i64, i64), RowsError> {
    let moment = |name: &'static str| {
        let wrong = |why: &str| field("partition.timeRange", format!("`{name}` {why}"));
        let raw = range.starts_with(b"{").then(|| member(range, name.as_bytes())).flatten();
        let raw = raw.ok_or_else(|| wrong("is missing"))?;
        scalar::moment(scalar::read(raw)).map_err(|(_, wanted)| wrong(&format!("is not {wanted}")))
    };
    let (start, end) = (moment("start")?, moment("end")?);
    if start > end {
        return Err(field("partition.timeRange", "`start` is after `end`".to_owned()));
    }
    Ok((start, end))
}

/// Finds a member of an object, as it is written; the text is JSON.
fn member<'a>(object: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut scan = Scanner::new(object);
    scan.value().ok().filter(|value| *value == Value::Object)?;
    let mut members = Members::of(scan);
    while let Ok(Some((name, text, _))) = members.next() {
        if name == wanted {
            return Some(text);
        }
    }
    None
}

/// The members of an object whose bracket is next.
struct Members<'a> {
    scan: Scanner<'a>,
    is_first: bool,
}

/// A name, its value as written, and where that begins.
type Member<'a> = (&'a [u8], &'a [u8], usize);

impl<'a> Members<'a> {
    fn of(mut scan: Scanner<'a>) -> Self {
        scan.open();
        Self { scan, is_first: true }
    }

    fn next(&mut self) -> Result<Option<Member<'a>>, SyntaxError> {
        let Some(name) = self.scan.next_member(&mut self.is_first)? else { return Ok(None) };
        self.scan.peek();
        let start = self.scan.at;
        self.scan.skip()?;
        Ok(Some((name.raw, self.scan.since(start), start)))
    }
}

fn parse<'a, T: Deserialize<'a>>(name: &'static str, text: &'a [u8]) -> Result<T, RowsError> {
    serde_json::from_slice(text).map_err(|error| field(name, error.to_string()))
}

fn field(field: &'static str, problem: String) -> RowsError {
    RowsError::Body { field, problem }
}
