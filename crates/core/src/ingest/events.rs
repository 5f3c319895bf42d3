//! Which log records are events, and their rows.
//!
//! A log record with a name is an event: it is a row of `events`, and of no other table. Its name is the record's
//! `event_name`; older producers write it as the attribute `event.name`.

use std::sync::{Arc, LazyLock};

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BooleanArray, MapArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::filter::filter_record_batch;
use tidegate_model::tables::{EVENTS, LOGS};

use crate::buffer::Rows;

/// Where older producers write an event's name.
const NAME: &str = "event.name";
const AGENT: &str = "agent.id";
const INSTANCE: &str = "service.instance.id";
const SESSION: &str = "session.id";

/// The columns with a record's own attributes, and with its resource's.
const OWN: &str = "attributes";
const RESOURCE: &str = "resource_attributes";

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| EVENTS.row_schema());

/// Makes rows of `events` of those log records that have a name.
pub(crate) fn part(rows: &mut Vec<Rows>) -> Result<(), ArrowError> {
    let Some(at) = rows.iter().position(|rows| rows.table == LOGS.name) else { return Ok(()) };
    let logs = rows[at].rows.clone();
    let Some(names) = names(&logs)? else { return Ok(()) };
    let is_event: BooleanArray = names.iter().map(|name| Some(!name.is_empty())).collect();
    let others: BooleanArray = names.iter().map(|name| Some(name.is_empty())).collect();
    let named: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    if named.is_empty() {
        return Ok(());
    }
    let events = events(&filter_record_batch(&logs, &is_event)?, &named)?;
    if events.num_rows() == logs.num_rows() {
        rows.remove(at);
    } else {
        rows[at].rows = filter_record_batch(&logs, &others)?;
    }
    rows.push(Rows { table: EVENTS.name.clone(), rows: events });
    Ok(())
}

/// Returns the name of each record, empty where it has none; `None` where a look at the words of the columns says that
/// no record has one.
fn names(logs: &RecordBatch) -> Result<Option<Vec<&str>>, ArrowError> {
    let own = column(logs, "event_name")?.as_dictionary::<Int32Type>();
    let words: &StringArray = own.values().as_string();
    let attributes = Entries::of(column(logs, "attributes")?, NAME);
    if attributes.is_none() && words.iter().flatten().all(str::is_empty) {
        return Ok(None);
    }
    let name = |row: usize| {
        let name = own.key(row).map_or("", |word| words.value(word));
        if name.is_empty() { attributes.as_ref().and_then(|entries| entries.get(row)).unwrap_or("") } else { name }
    };
    Ok(Some((0..logs.num_rows()).map(name).collect()))
}

fn events(logs: &RecordBatch, names: &[&str]) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(SCHEMA.fields().len());
    for field in SCHEMA.fields() {
        columns.push(match field.name().as_str() {
            "event_name" => words(names.iter().copied()),
            "agent_id" => {
                let found = Found::of(logs, &[(OWN, AGENT), (RESOURCE, AGENT), (RESOURCE, INSTANCE)])?;
                words((0..logs.num_rows()).map(|row| found.get(row)))
            }
            "session_id" => {
                let found = Found::of(logs, &[(OWN, SESSION), (RESOURCE, SESSION)])?;
                Arc::new(StringArray::from_iter_values((0..logs.num_rows()).map(|row| found.get(row))))
            }
            shared => Arc::clone(column(logs, shared)?),
        });
    }
    RecordBatch::try_new(SCHEMA.clone(), columns)
}

/// Where a value is looked for, in this order.
struct Found<'a>(Vec<Entries<'a>>);

impl<'a> Found<'a> {
    /// Takes the columns and keys of the places.
    fn of(logs: &'a RecordBatch, places: &[(&str, &str)]) -> Result<Self, ArrowError> {
        let entries = places.iter().map(|(map, key)| Ok(Entries::of(column(logs, map)?, key)));
        Ok(Self(entries.collect::<Result<Vec<_>, ArrowError>>()?.into_iter().flatten().collect()))
    }

    fn get(&self, row: usize) -> &'a str {
        self.0.iter().filter_map(|entries| entries.get(row)).find(|value| !value.is_empty()).unwrap_or("")
    }
}

/// The values of one key in a map column, whose rows may share maps.
struct Entries<'a> {
    /// Which map each row has, where they are shared.
    shared: Option<&'a [i32]>,
    map: &'a MapArray,
    keys: &'a [i32],
    wanted: i32,
}

impl<'a> Entries<'a> {
    /// Returns `None` where no row has the key.
    fn of(column: &'a ArrayRef, key: &str) -> Option<Self> {
        let shared = column.as_dictionary_opt::<Int32Type>();
        let map = shared.map_or(column, |shared| shared.values()).as_map();
        let keys = map.keys().as_dictionary::<Int32Type>();
        let words: &StringArray = keys.values().as_string();
        let wanted = words.iter().position(|word| word == Some(key))?;
        let shared = shared.map(|shared| shared.keys().values().as_ref());
        Some(Self { shared, map, keys: keys.keys().values(), wanted: i32::try_from(wanted).ok()? })
    }

    /// Returns the row's value; of a key that comes twice the first.
    fn get(&self, row: usize) -> Option<&'a str> {
        let map = self.shared.map_or(Some(row), |shared| usize::try_from(shared[row]).ok())?;
        let offsets = self.map.value_offsets();
        let (first, end) = (usize::try_from(offsets[map]).ok()?, usize::try_from(offsets[map + 1]).ok()?);
        let at = (first..end).find(|entry| self.keys[*entry] == self.wanted)?;
        let values: &StringArray = self.map.values().as_string();
        Some(values.value(at))
    }
}

fn words<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    values.for_each(|value| builder.append_value(value));
    Arc::new(builder.finish())
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    rows.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("the rows have no column `{name}`")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;
    use tidegate_model::{Signal, UnixNanos};

    use super::*;
    use crate::ingest::json::to_protobuf;
    use crate::ingest::otlp::decode;
    use crate::ingest::otlp::tests::generate::Generator;

    /// 2026-11-21T05:00:00Z.
    const RECEIVED: UnixNanos = UnixNanos(1_795_237_200_000_000_000);

    fn parted(request: &[u8]) -> (Vec<Rows>, BTreeMap<String, RecordBatch>) {
        let mut rows = decode(Signal::Logs, request, RECEIVED, &|_| true).expect("a request").rows;
        let before = rows.clone();
        part(&mut rows).expect("rows");
        (before, rows.into_iter().map(|rows| (rows.table.to_string(), rows.rows)).collect())
    }

    fn texts(rows: &RecordBatch, name: &str) -> Vec<String> {
        let found = column(rows, name).expect("a column");
        let plain = arrow_cast::cast(found, &arrow_schema::DataType::Utf8).expect("text");
        plain.as_string::<i32>().iter().map(|text| text.unwrap_or("-").to_owned()).collect()
    }

    #[test]
    fn every_record_is_in_one_table_with_all_that_it_came_with() {
        let mut seen = [0, 0];
        for seed in 0..60 {
            let (before, after) = parted(&Generator::new(seed).logs().encode_to_vec());
            let Some(all) = before.iter().find(|rows| rows.table == LOGS.name).map(|rows| &rows.rows) else { continue };
            let (logs, events) = (after.get("logs"), after.get("events"));
            seen[0] += logs.map_or(0, RecordBatch::num_rows);
            seen[1] += events.map_or(0, RecordBatch::num_rows);
            let names = texts(all, "event_name");
            assert!(logs.is_none_or(|logs| texts(logs, "event_name").iter().all(String::is_empty)));
            for field in all.schema().fields() {
                let of = |is_event: bool| {
                    let mask: BooleanArray = names.iter().map(|name| Some(name.is_empty() != is_event)).collect();
                    filter_record_batch(all, &mask).expect("rows").column_by_name(field.name()).expect("it").to_data()
                };
                for (rows, is_event) in [(logs, false), (events, true)] {
                    let Some(rows) = rows else { continue };
                    let own = rows.column_by_name(field.name()).expect("a column of both").to_data();
                    if field.name() == "event_name" {
                        let wanted: Vec<_> = names.iter().filter(|name| name.is_empty() != is_event).cloned().collect();
                        assert_eq!(texts(rows, "event_name"), wanted);
                    } else {
                        assert_eq!(own, of(is_event), "{}", field.name());
                    }
                }
            }
        }
        assert!(seen.iter().all(|rows| *rows > 20), "{seen:?}");
    }

    #[test]
    fn an_event_is_known_by_its_name_and_tells_its_agent_and_session() {
        let attribute = |key: &str, value: &str| serde_json::json!({ "key": key, "value": { "stringValue": value } });
        let record = |name: &str, attributes: &[serde_json::Value]| serde_json::json!({ "eventName": name, "attributes": attributes });
        let request = |resource: &[serde_json::Value], records: &[serde_json::Value]| serde_json::json!({ "resource": { "attributes": resource }, "scopeLogs": [{ "logRecords": records }] });
        let body = serde_json::json!({ "resourceLogs": [
            request(
                &[attribute("agent.id", "a-1"), attribute("service.instance.id", "i-1")],
                &[
                    record("started", &[attribute("session.id", "s-1")]),
                    record("", &[attribute("event.name", "older"), attribute("agent.id", "own")]),
                    record("both", &[attribute("event.name", "not this")]),
                    record("", &[attribute("event.name", "")]),
                ],
            ),
            request(&[attribute("service.instance.id", "i-2"), attribute("session.id", "s-2")], &[record("ended", &[])]),
        ] });
        let body = to_protobuf(Signal::Logs, body.to_string().as_bytes()).expect("OTLP").protobuf;
        let (_, after) = parted(&body);
        let events = &after["events"];
        let told: Vec<_> = ["event_name", "agent_id", "session_id"].map(|name| texts(events, name).join(" ")).into();
        assert_eq!(told, ["started older both ended", "a-1 own a-1 i-2", "s-1   s-2"]);
        assert_eq!(after["logs"].num_rows(), 1);
    }

    #[test]
    fn records_without_a_name_stay_as_they_are() {
        let body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"b"}}]}]}]}"#;
        let body = to_protobuf(Signal::Logs, body).expect("OTLP").protobuf;
        let (before, after) = parted(&body);
        assert_eq!((after.len(), &after["logs"]), (1, &before[0].rows));
    }
}
