use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray};
use arrow_schema::{Field, Schema};
use tidegate_model::UnixNanos;
use tidegate_traces::{Basis, COLUMNS, DATASET, Derived, Prices, SpanType, View, derived, json};

use super::map::Map;

/// Says whether rows of a dataset are spans of AI applications, which have columns that are worked out of the others.
pub(super) fn is_spans(dataset: &str) -> bool {
    dataset == DATASET
}

/// Returns the type of a column, where spans have it of few distinct values: the source may know them as UUIDs or words.
pub(super) fn kind(name: &str, planned: String) -> String {
    let own = COLUMNS.iter().find(|(own, kind)| *own == name && *kind == "keyword");
    own.map_or(planned, |(_, kind)| (*kind).to_owned())
}

/// Fails where a map gives a column of spans another type than every span has there.
pub(super) fn check(map: &Map) -> Result<()> {
    for (column, kind) in &map.types {
        let own = map.name_of(column).unwrap_or(column);
        if let Some((_, known)) = COLUMNS.iter().find(|(name, _)| *name == own) {
            ensure!(
                kind.to_string() == *known,
                "`{own}` of spans is {known}, and [types] says {kind}: leave it out there"
            );
        }
    }
    Ok(())
}

/// Lists the columns that the source need not have, with their types.
pub(super) fn further<'p>(planned: impl Iterator<Item = &'p str> + Clone) -> impl Iterator<Item = (String, String)> {
    let lacking = COLUMNS.iter().filter(move |(name, _)| !planned.clone().any(|own| own == *name));
    lacking.map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect::<Vec<_>>().into_iter()
}

/// Adds what is worked out of spans: durations, tokens, costs, errors, models, and the items by which attributes are found.
pub(super) fn completed(rows: &RecordBatch, prices: &Prices) -> Result<RecordBatch> {
    let columns = Columns::of(rows);
    let mut worked_out = WorkedOut::default();
    for row in 0..rows.num_rows() {
        worked_out.add(&columns.derived(row, prices)?);
    }
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    let mut arrays = rows.columns().to_vec();
    for (name, array) in worked_out.arrays() {
        fields.push(Arc::new(Field::new(name, array.data_type().clone(), true)));
        arrays.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// The columns of which others are worked out.
struct Columns<'r> {
    attributes: Option<&'r StringArray>,
    events: Option<&'r StringArray>,
    span_type: Option<&'r StringArray>,
    start_time: Times<'r>,
    end_time: Times<'r>,
}

impl<'r> Columns<'r> {
    fn of(rows: &'r RecordBatch) -> Self {
        let texts = |name: &str| rows.column_by_name(name)?.as_string_opt();
        Self {
            attributes: texts("attributes"),
            events: texts("events"),
            span_type: texts("span_type"),
            start_time: Times::of(rows.column_by_name("start_time")),
            end_time: Times::of(rows.column_by_name("end_time")),
        }
    }

    fn derived(&self, row: usize, prices: &Prices) -> Result<Derived> {
        let attributes = match document(self.attributes, row)? {
            Some(object @ View::Object(_)) => object,
            _ => View::Null,
        };
        let events = document(self.events, row)?;
        let is_exception = |event: &&View<'_>| event.at(&["name"]).and_then(View::as_text) == Some("exception");
        let errors = events.as_ref().and_then(View::as_list).map_or(0, |list| list.iter().filter(is_exception).count());
        let basis = Basis {
            attributes: &attributes,
            span_type: text(self.span_type, row).and_then(|word| SpanType::read(word, "span_type").ok()),
            start_time: self.start_time.at(row),
            end_time: self.end_time.at(row),
            errors: errors as u64,
        };
        Ok(derived(&basis, prices))
    }
}

fn text(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row))
}

fn document(column: Option<&StringArray>, row: usize) -> Result<Option<View<'_>>> {
    let read = |text| json::view(text).map_err(|error| anyhow!("a span's JSON cannot be read: {error}"));
    text(column, row).map(read).transpose()
}

/// A column of moments.
enum Times<'r> {
    Nanos(&'r TimestampNanosecondArray),
    Micros(&'r TimestampMicrosecondArray),
    Unknown,
}

impl<'r> Times<'r> {
    fn of(column: Option<&'r ArrayRef>) -> Self {
        let nanos = column.and_then(|column| column.as_primitive_opt()).map(Self::Nanos);
        let micros = || column.and_then(|column| column.as_primitive_opt()).map(Self::Micros);
        nanos.or_else(micros).unwrap_or(Self::Unknown)
    }

    fn at(&self, row: usize) -> UnixNanos {
        UnixNanos(match self {
            Self::Nanos(times) if times.is_valid(row) => times.value(row),
            Self::Micros(times) if times.is_valid(row) => times.value(row) * 1_000,
            _ => 0,
        })
    }
}

/// The columns that are worked out.
#[derive(Default)]
struct WorkedOut {
    doubles: [Float64Builder; 7],
    errors: Int64Builder,
    model: StringBuilder,
    items: ListBuilder<StringBuilder>,
}

const DOUBLES: [&str; 7] = [
    "duration_ms",
    "tokens_prompt",
    "tokens_completion",
    "tokens_total",
    "cost_prompt",
    "cost_completion",
    "cost_total",
];

impl WorkedOut {
    fn add(&mut self, own: &Derived) {
        let (tokens, costs) = (own.tokens, own.costs);
        let values = [
            Some(own.duration_ms),
            tokens.prompt,
            tokens.completion,
            tokens.total,
            costs.prompt,
            costs.completion,
            costs.total,
        ];
        self.doubles.iter_mut().zip(values).for_each(|(builder, value)| builder.append_option(value));
        self.errors.append_value(i64::try_from(own.errors).unwrap_or(i64::MAX));
        self.model.append_option(own.model.as_deref());
        own.attribute_items.iter().for_each(|item| self.items.values().append_value(item));
        self.items.append(true);
    }

    fn arrays(mut self) -> Vec<(&'static str, ArrayRef)> {
        let doubles = DOUBLES.into_iter().zip(self.doubles.iter_mut());
        let mut all: Vec<(&'static str, ArrayRef)> =
            doubles.map(|(name, builder)| (name, Arc::new(builder.finish()) as ArrayRef)).collect();
        all.push(("errors", Arc::new(self.errors.finish())));
        all.push(("model", Arc::new(self.model.finish())));
        all.push(("attribute_items", Arc::new(self.items.finish())));
        all
    }
}
