use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType, UInt16Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt16Array,
    UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use hashbrown::{HashMap, HashSet};
use tidegate_model::{ColumnKind, ColumnSpec, Merge, SeqRange, TableSpec};

/// Adds the rows' numbers as their last column.
pub fn with_seq(rows: RecordBatch, range: SeqRange) -> Result<RecordBatch, ArrowError> {
    let (schema, mut columns, _) = rows.into_parts();
    let seq = Field::new(TableSpec::SEQ, DataType::UInt64, false);
    let fields: Vec<_> = schema.fields().iter().cloned().chain([Arc::new(seq)]).collect();
    columns.push(Arc::new(UInt64Array::from_iter_values(range.first.0..=range.last.0)) as ArrayRef);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Makes one row of all rows of a roll-up that have equal keys, with `_seq` as its last column where the rows have it.
///
/// The outcome depends on the rows alone, never on how they are divided into batches: rows come out in the order of
/// their keys, lists in the order of their items.
pub fn merge(batches: &[RecordBatch], spec: &TableSpec) -> Result<RecordBatch, ArrowError> {
    let Some(roll_up) = spec.roll_up else {
        return Err(ArrowError::InvalidArgumentError(format!("the rows of {} do not merge", spec.name)));
    };
    let keys: Vec<&str> = std::iter::once(TableSpec::PARTITION).chain(roll_up.keys.iter().copied()).collect();
    let groups = Groups::of(batches, &keys)?;
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for column in &spec.columns {
        let parts = parts(batches, &column.name)?;
        let merged = match roll_up.rule(&column.name) {
            None => groups.firsts(&parts, column)?,
            Some(rule) => groups.merged(&parts, column, rule)?,
        };
        fields.push(Field::new(&column.name, merged.data_type().clone(), false));
        columns.push(merged);
    }
    let has_seq = batches.first().is_some_and(|batch| batch.column_by_name(TableSpec::SEQ).is_some());
    if has_seq {
        let seq = ColumnSpec::new(TableSpec::SEQ, ColumnKind::U64);
        columns.push(groups.merged(&parts(batches, TableSpec::SEQ)?, &seq, Merge::Max)?);
        fields.push(Field::new(TableSpec::SEQ, DataType::UInt64, false));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn parts(batches: &[RecordBatch], name: &str) -> Result<Vec<ArrayRef>, ArrowError> {
    let lacks = || ArrowError::SchemaError(format!("the rows have no column `{name}`"));
    batches.iter().map(|batch| batch.column_by_name(name).cloned().ok_or_else(lacks)).collect()
}

/// Which rows are one.
struct Groups {
    /// The group of each row, batch after batch; groups are numbered in the order of their keys.
    of_row: Vec<usize>,
    /// The first row of each group: its batch, and its place there.
    first: Vec<(usize, usize)>,
}

impl Groups {
    fn of(batches: &[RecordBatch], keys: &[&str]) -> Result<Self, ArrowError> {
        let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
        let (mut found, mut first) = (Vec::new(), Vec::new());
        let mut bytes = Vec::new();
        for (part, batch) in batches.iter().enumerate() {
            let columns: Vec<KeyColumn<'_>> = keys
                .iter()
                .map(|name| batch.column_by_name(name).and_then(KeyColumn::of))
                .map(|column| column.ok_or_else(|| ArrowError::SchemaError("a key is no text or number".into())))
                .collect::<Result<_, _>>()?;
            for row in 0..batch.num_rows() {
                bytes.clear();
                columns.iter().for_each(|column| column.put(row, &mut bytes));
                let next = known.len();
                let group = *known.entry_ref(bytes.as_slice()).or_insert(next);
                if group == next {
                    first.push((part, row));
                }
                found.push(group);
            }
        }
        let mut by_key: Vec<(Vec<u8>, usize)> = known.into_iter().collect();
        by_key.sort_unstable();
        let mut place = vec![0; by_key.len()];
        by_key.iter().enumerate().for_each(|(at, (_, group))| place[*group] = at);
        Ok(Self {
            of_row: found.into_iter().map(|group| place[group]).collect(),
            first: by_key.iter().map(|(_, group)| first[*group]).collect(),
        })
    }

    /// Returns the first value of each group.
    fn firsts(&self, parts: &[ArrayRef], column: &ColumnSpec) -> Result<ArrayRef, ArrowError> {
        let first = self.first.iter();
        match column.kind {
            ColumnKind::Day => {
                let values = first.map(|(part, row)| Some(parts[*part].as_primitive::<UInt16Type>().value(*row)));
                Ok(Arc::new(values.collect::<UInt16Array>()))
            }
            ColumnKind::U64 => {
                let values = first.map(|(part, row)| Some(parts[*part].as_primitive::<UInt64Type>().value(*row)));
                Ok(Arc::new(values.collect::<UInt64Array>()))
            }
            ColumnKind::Timestamp => {
                let values =
                    first.map(|(part, row)| Some(parts[*part].as_primitive::<TimestampNanosecondType>().value(*row)));
                Ok(Arc::new(values.collect::<TimestampNanosecondArray>().with_timezone("UTC")))
            }
            ColumnKind::Word => {
                let (mut texts, mut known, mut numbers) = (Vec::new(), HashMap::new(), Vec::new());
                for (part, row) in first {
                    let text = word(&parts[*part], *row);
                    let next = i32::try_from(texts.len()).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
                    let number = *known.entry(text).or_insert(next);
                    if number == next {
                        texts.push(text);
                    }
                    numbers.push(number);
                }
                let values = Arc::new(StringArray::from_iter_values(texts));
                Ok(Arc::new(DictionaryArray::try_new(Int32Array::from(numbers), values)?))
            }
            _ => Err(no_rule(column)),
        }
    }

    fn merged(&self, parts: &[ArrayRef], column: &ColumnSpec, rule: Merge) -> Result<ArrayRef, ArrowError> {
        match (&column.kind, rule) {
            (ColumnKind::U64, Merge::Sum | Merge::Min | Merge::Max) => {
                let values = parts.iter().flat_map(|part| part.as_primitive::<UInt64Type>().values().iter().copied());
                let fold = match rule {
                    Merge::Sum => u64::wrapping_add,
                    Merge::Min => u64::min,
                    _ => u64::max,
                };
                Ok(Arc::new(UInt64Array::from(self.fold(values, fold))))
            }
            (ColumnKind::Timestamp, Merge::Min | Merge::Max) => {
                let nanos = |part: &ArrayRef| part.as_primitive::<TimestampNanosecondType>().values().to_vec();
                let fold = if rule == Merge::Min { i64::min } else { i64::max };
                let values = self.fold(parts.iter().flat_map(nanos), fold);
                Ok(Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC")))
            }
            (ColumnKind::Text, Merge::Min | Merge::Max) => {
                let texts = parts.iter().flat_map(|part| part.as_string::<i32>().iter().map(Option::unwrap_or_default));
                let fold = if rule == Merge::Min { std::cmp::min::<&str> } else { std::cmp::max::<&str> };
                Ok(Arc::new(StringArray::from_iter_values(self.fold(texts, fold))))
            }
            (ColumnKind::List(item), Merge::Union) => match **item {
                ColumnKind::U64 => Ok(self.union_of_numbers(parts)),
                ColumnKind::Text => Ok(self.union_of_texts(parts)),
                _ => Err(no_rule(column)),
            },
            _ => Err(no_rule(column)),
        }
    }

    fn fold<T: Clone>(&self, values: impl Iterator<Item = T>, fold: impl Fn(T, T) -> T) -> Vec<T> {
        let mut folded: Vec<Option<T>> = vec![None; self.first.len()];
        for (group, value) in self.of_row.iter().zip(values) {
            let slot = &mut folded[*group];
            *slot = Some(match slot.take() {
                None => value,
                Some(before) => fold(before, value),
            });
        }
        folded.into_iter().flatten().collect()
    }

    fn union_of_numbers(&self, parts: &[ArrayRef]) -> ArrayRef {
        let mut sets: Vec<HashSet<u64>> = vec![HashSet::new(); self.first.len()];
        for (group, items) in self.of_row.iter().zip(lists(parts)) {
            sets[*group].extend(items.as_primitive::<UInt64Type>().values());
        }
        let item = Field::new("item", DataType::UInt64, false);
        let mut lists = ListBuilder::new(UInt64Builder::new()).with_field(item);
        for set in sets {
            let mut items: Vec<u64> = set.into_iter().collect();
            items.sort_unstable();
            lists.values().append_slice(&items);
            lists.append(true);
        }
        Arc::new(lists.finish())
    }

    fn union_of_texts(&self, parts: &[ArrayRef]) -> ArrayRef {
        let mut sets: Vec<BTreeSet<String>> = vec![BTreeSet::new(); self.first.len()];
        for (group, items) in self.of_row.iter().zip(lists(parts)) {
            for text in items.as_string::<i32>().iter().flatten() {
                if !sets[*group].contains(text) {
                    sets[*group].insert(text.to_owned());
                }
            }
        }
        let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new("item", DataType::Utf8, false));
        for set in sets {
            set.iter().for_each(|text| lists.values().append_value(text));
            lists.append(true);
        }
        Arc::new(lists.finish())
    }
}

/// Returns the lists of all rows, batch after batch.
fn lists(parts: &[ArrayRef]) -> impl Iterator<Item = ArrayRef> {
    parts.iter().flat_map(|part| {
        let lists = part.as_list::<i32>();
        (0..lists.len()).map(|row| lists.value(row))
    })
}

fn no_rule(column: &ColumnSpec) -> ArrowError {
    ArrowError::SchemaError(format!("the column `{}` has no way to merge", column.name))
}

fn word(column: &ArrayRef, row: usize) -> &str {
    let words = column.as_dictionary::<Int32Type>();
    let number = words.key(row).unwrap_or_default();
    words.values().as_string::<i32>().value(number)
}

/// A key's column, as bytes that sort and differ as its values do.
enum KeyColumn<'a> {
    Day(&'a UInt16Array),
    Number(&'a UInt64Array),
    Time(&'a TimestampNanosecondArray),
    Word(&'a ArrayRef),
}

impl<'a> KeyColumn<'a> {
    fn of(column: &'a ArrayRef) -> Option<Self> {
        match column.data_type() {
            DataType::UInt16 => Some(Self::Day(column.as_primitive())),
            DataType::UInt64 => Some(Self::Number(column.as_primitive())),
            DataType::Timestamp(..) => Some(Self::Time(column.as_primitive())),
            DataType::Dictionary(..) => Some(Self::Word(column)),
            _ => None,
        }
    }

    fn put(&self, row: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Day(days) => bytes.extend_from_slice(&days.value(row).to_be_bytes()),
            Self::Number(numbers) => bytes.extend_from_slice(&numbers.value(row).to_be_bytes()),
            Self::Time(times) => bytes.extend_from_slice(&times.value(row).to_be_bytes()),
            Self::Word(words) => {
                let text = word(words, row);
                bytes.extend_from_slice(text.as_bytes());
                // No byte of UTF-8 is 0xff, so no text with a longer one behind it looks like another.
                bytes.push(0xff);
            }
        }
    }
}
