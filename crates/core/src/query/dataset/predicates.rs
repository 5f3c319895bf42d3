use serde_json::{Map, Number, Value};
use tidegate_model::{ColumnKind, TableSpec};

use super::body::{Filters, Moment};
use super::statement::{Bound, bare, column, quoted};
use crate::query::QueryError;

/// The column with the partition key that rows were sent with, as JSON.
const PARTITION_KEY: &str = "_partition_key";

/// What values of a filter are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    Text,
    Number,
    Moment,
    Flag,
}

const OPERATORS: [(&str, &str); 5] = [("eq", "="), ("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")];

/// Writes what the filters ask for as conditions.
pub(super) fn conditions(filters: &Filters, spec: &TableSpec, bound: &mut Bound) -> Result<Vec<String>, QueryError> {
    let mut all = Vec::new();
    for (name, filter) in &filters.columns {
        let column = column(spec, name, "filters.columns")?;
        let place = format!("filters.columns.{name}");
        let compared = compared(&column.kind).ok_or_else(|| {
            let kind = column.kind.clickhouse();
            QueryError::Parameter(format!("`{place}`: columns of the type {kind} cannot be compared; ask in SQL"))
        })?;
        condition(&place, &quoted(name), (compared, filter), bound, &mut all)?;
    }
    for (key, filter) in &filters.partition_key {
        let place = format!("filters.partitionKey.{key}");
        let compared = told_type(&place, filter)?.unwrap_or(match filter {
            Value::Number(_) => Compared::Number,
            _ => Compared::Text,
        });
        let key = bound.text(key)?;
        all.push(format!("JSONHas({PARTITION_KEY}, {key})"));
        let text = format!("JSONExtractString({PARTITION_KEY}, {key})");
        let value = match compared {
            Compared::Text => text,
            Compared::Number => format!("toFloat64OrNull({text})"),
            Compared::Moment => format!("parseDateTime64BestEffortOrNull({text}, 9, 'UTC')"),
            Compared::Flag => {
                return Err(wrong(&place, "partition keys are texts, numbers or timestamps, not booleans"));
            }
        };
        condition(&place, &value, (compared, filter), bound, &mut all)?;
    }
    Ok(all)
}

fn condition(
    place: &str,
    expression: &str,
    (compared, filter): (Compared, &Value),
    bound: &mut Bound,
    all: &mut Vec<String>,
) -> Result<(), QueryError> {
    let Value::Object(predicates) = filter else {
        all.push(format!("{expression} = {}", value(place, compared, filter, bound)?));
        return Ok(());
    };
    if let Some(told) = told_type(place, filter)?
        && told != compared
    {
        return Err(wrong(place, &format!("`type` is {}, the column holds {}", told.name(), compared.name())));
    }
    let before = all.len();
    for (word, wanted) in predicates.iter().filter(|(word, _)| *word != "type") {
        all.push(predicate(place, expression, (compared, word, wanted), bound)?);
    }
    if all.len() == before {
        return Err(wrong(place, &format!("no predicate: there are {}", compared.words())));
    }
    Ok(())
}

fn predicate(
    place: &str,
    expression: &str,
    (compared, word, wanted): (Compared, &str, &Value),
    bound: &mut Bound,
) -> Result<String, QueryError> {
    if word == "in" {
        let Some(values) = wanted.as_array().filter(|values| !values.is_empty()) else {
            return Err(wrong(place, "`in` is a list of at least one value"));
        };
        let equal = values.iter().map(|one| Ok(format!("{expression} = {}", value(place, compared, one, bound)?)));
        return Ok(format!("({})", equal.collect::<Result<Vec<_>, QueryError>>()?.join(" OR ")));
    }
    let is_ordered = matches!(compared, Compared::Number | Compared::Moment);
    let operator = OPERATORS.iter().find(|(known, _)| *known == word && (is_ordered || word == "eq"));
    let Some((_, operator)) = operator else {
        return Err(wrong(place, &format!("`{word}` is no predicate here: there are {}", compared.words())));
    };
    Ok(format!("{expression} {operator} {}", value(place, compared, wanted, bound)?))
}

fn value(place: &str, compared: Compared, value: &Value, bound: &mut Bound) -> Result<String, QueryError> {
    match (compared, value) {
        (Compared::Text, Value::String(text)) => bound.text(text),
        (Compared::Number, Value::Number(number)) => bind_number(number, bound),
        (Compared::Flag, Value::Bool(flag)) => bound.bind("Bool", flag.to_string()),
        (Compared::Moment, value) => match Moment::read(value) {
            Some(Moment(moment)) => bound.moment(moment),
            None => Err(wrong(place, &format!("{value} is no time: write it as 2026-01-31T09:00:00Z"))),
        },
        (compared, value) => Err(wrong(place, &format!("{value} is no {}", compared.name()))),
    }
}

/// Compares exactly: neither a large integer nor a fraction is rounded to the column's type.
fn bind_number(number: &Number, bound: &mut Bound) -> Result<String, QueryError> {
    let kind = if number.is_i64() {
        "Int64"
    } else if number.is_u64() {
        "UInt64"
    } else {
        "Float64"
    };
    bound.bind(kind, number.to_string())
}

fn told_type(place: &str, filter: &Value) -> Result<Option<Compared>, QueryError> {
    let Some(told) = filter.as_object().and_then(|predicates: &Map<_, _>| predicates.get("type")) else {
        return Ok(None);
    };
    let all = [Compared::Text, Compared::Number, Compared::Moment, Compared::Flag];
    let found = all.into_iter().find(|one| Some(one.name()) == told.as_str());
    found
        .map(Some)
        .ok_or_else(|| wrong(place, &format!("`type` is one of string, number, timestamp and boolean, it is {told}")))
}

fn compared(kind: &ColumnKind) -> Option<Compared> {
    match bare(kind) {
        ColumnKind::Text | ColumnKind::Word | ColumnKind::Keyword => Some(Compared::Text),
        ColumnKind::U8 | ColumnKind::U32 | ColumnKind::U64 | ColumnKind::I32 | ColumnKind::I64 | ColumnKind::F64 => {
            Some(Compared::Number)
        }
        ColumnKind::Timestamp => Some(Compared::Moment),
        ColumnKind::Bool => Some(Compared::Flag),
        _ => None,
    }
}

impl Compared {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Moment => "timestamp",
            Self::Flag => "boolean",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Text | Self::Flag => "eq and in",
            Self::Number | Self::Moment => "eq, in, gt, gte, lt and lte",
        }
    }
}

fn wrong(place: &str, problem: &str) -> QueryError {
    QueryError::Parameter(format!("`{place}`: {problem}"))
}
