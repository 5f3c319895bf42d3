use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt16Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{ArrowError, SchemaRef};
use tidegate_model::tables::{LOG_TEMPLATE_MERGES, LOG_TEMPLATES, LOGS};
use tidegate_model::{TableSpec, UnixNanos, partition_day};
use tidegate_templates::{Fact, Miner, StateError, Stats};

use super::columns::{Column, Numbers, Text, Times, columns};
use super::rejection::Fault;
use crate::buffer::Rows;

/// Finds the template of each log record; clones share one miner.
#[derive(Debug, Clone)]
pub(crate) struct Templates {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    miner: Miner,
    /// Facts that are not known to be durable, numbered. Every request tells all of them: rows of one request may have
    /// a template that another one, which may yet fail, was the first to see.
    untold: Vec<(u64, Fact)>,
    next: u64,
    /// Something was found since the state was last exported.
    is_changed: bool,
}

/// What one request tells of templates: all facts up to a number that were not durable yet.
#[derive(Debug, Default)]
pub(crate) struct Told(Option<u64>);

impl Templates {
    pub(crate) fn new(miner: Miner) -> Self {
        Self { state: Arc::new(Mutex::new(State { miner, untold: Vec::new(), next: 0, is_changed: false })) }
    }

    /// Unites what an earlier run of the program knew with what is known here.
    pub(crate) fn import(&self, state: &[u8]) -> Result<(), StateError> {
        self.lock().miner.import(state)
    }

    /// Returns what is known, if anything was found since it was last asked and all of it is durable.
    pub(crate) fn export(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        // A template that is known after a restart is never told again, so it must have been told before.
        let is_told = state.untold.is_empty();
        (is_told && std::mem::take(&mut state.is_changed)).then(|| state.miner.export())
    }

    /// Returns what was counted since the start.
    pub(crate) fn stats(&self) -> Stats {
        self.lock().miner.stats()
    }

    /// Writes the template of each log record into its row, and adds the rows that tell of new templates and merges.
    pub(crate) fn mine(&self, rows: &mut Vec<Rows>, received: UnixNanos) -> Result<Told, ArrowError> {
        let Some(logs) = rows.iter_mut().find(|rows| rows.table == LOGS.name) else { return Ok(Told::default()) };
        let (ids, untold) = self.ids(&logs.rows)?;
        logs.rows = with_ids(&logs.rows, ids)?;
        rows.extend(told_rows(untold.iter().map(|(_, fact)| fact), received)?);
        Ok(Told(untold.last().map(|(number, _)| *number)))
    }

    /// Declares durable what a request has told.
    pub(crate) fn learn(&self, told: &Told) {
        if let Told(Some(last)) = told {
            self.lock().untold.retain(|(number, _)| number > last);
        }
    }

    /// Returns the template of each row, and what is to be told.
    fn ids(&self, logs: &RecordBatch) -> Result<(UInt64Array, Vec<(u64, Fact)>), ArrowError> {
        let bodies = logs.column_by_name("body").map(|bodies| bodies.as_string::<i32>());
        let bodies = bodies.ok_or_else(|| ArrowError::SchemaError("the rows have no column `body`".into()))?;
        let mut state = self.lock();
        // A log that refuses every request must not gather facts without end.
        let held = state.untold.len();
        state.miner.hold(held);
        let ids = (0..bodies.len()).map(|row| state.miner.mine(bodies.value(row)).0).collect::<Vec<_>>();
        for fact in state.miner.take_facts() {
            let number = state.next;
            state.next += 1;
            state.untold.push((number, fact));
            state.is_changed = true;
        }
        Ok((ids.into(), state.untold.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the miner would leave its tables whole or a template short; ids do not depend on it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_ids(logs: &RecordBatch, ids: UInt64Array) -> Result<RecordBatch, ArrowError> {
    let at = logs.schema().index_of("template_id")?;
    let mut columns = logs.columns().to_vec();
    columns[at] = Arc::new(ids) as ArrayRef;
    RecordBatch::try_new(logs.schema(), columns)
}

columns! {
    /// The columns of `log_templates`, in their order.
    TemplateColumns {
        partition: Numbers<UInt16Type>,
        template_id: Numbers<UInt64Type>,
        template: Text,
        first_timestamp: Times,
    }
}

columns! {
    /// The columns of `log_template_merges`, in their order.
    MergeColumns {
        partition: Numbers<UInt16Type>,
        template_id: Numbers<UInt64Type>,
        into_id: Numbers<UInt64Type>,
        first_timestamp: Times,
    }
}

static SCHEMAS: LazyLock<[SchemaRef; 2]> =
    LazyLock::new(|| [LOG_TEMPLATES.row_schema(), LOG_TEMPLATE_MERGES.row_schema()]);

fn told_rows<'f>(
    facts: impl Iterator<Item = &'f Fact>,
    received: UnixNanos,
) -> Result<impl Iterator<Item = Rows>, ArrowError> {
    let mut templates = TemplateColumns {
        partition: Numbers::new(),
        template_id: Numbers::new(),
        template: Text::new("template", false),
        first_timestamp: Times::new(),
    };
    let mut merges = MergeColumns {
        partition: Numbers::new(),
        template_id: Numbers::new(),
        into_id: Numbers::new(),
        first_timestamp: Times::new(),
    };
    let partition = partition_day(received, received);
    for fact in facts {
        match fact {
            Fact::New { id, text } => {
                templates.partition.push(partition);
                templates.template_id.push(id.0);
                templates.template.push(text.as_bytes()).map_err(odd)?;
                templates.first_timestamp.push(received.0);
            }
            Fact::Merged { from, into } => {
                merges.partition.push(partition);
                merges.template_id.push(from.0);
                merges.into_id.push(into.0);
                merges.first_timestamp.push(received.0);
            }
        }
    }
    let [template_schema, merge_schema] = &*SCHEMAS;
    let rows = [
        assembled(&LOG_TEMPLATES, template_schema, templates)?,
        assembled(&LOG_TEMPLATE_MERGES, merge_schema, merges)?,
    ];
    Ok(rows.into_iter().flatten())
}

/// A template's text is made of bodies, which were checked when they were decoded.
fn odd(fault: Fault) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("the miner made bad text: {fault:?}"))
}

fn assembled(spec: &TableSpec, schema: &SchemaRef, columns: impl Column) -> Result<Option<Rows>, ArrowError> {
    if columns.len() == 0 {
        return Ok(None);
    }
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    columns.finish(&mut arrays)?;
    Ok(Some(Rows { table: spec.name.clone(), rows: RecordBatch::try_new(schema.clone(), arrays)? }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use tidegate_model::Signal;
    use tidegate_templates::Settings;

    use super::*;
    use crate::ingest::otlp::decode;
    use crate::ingest::otlp::tests::generate::Generator;

    /// 2026-11-21T05:00:00Z.
    const RECEIVED: UnixNanos = UnixNanos(1_795_237_200_000_000_000);

    fn numbers(rows: &RecordBatch, name: &str) -> Vec<u64> {
        rows.column_by_name(name).expect("a column").as_primitive::<UInt64Type>().values().to_vec()
    }

    #[test]
    fn a_template_is_told_until_somebody_who_told_it_is_durable() {
        let templates = Templates::new(Miner::new(Settings::default()).expect("a miner"));
        let mine = |seed| {
            let request = Generator::new(seed).logs().encode_to_vec();
            let mut decoded = decode(Signal::Logs, &request, RECEIVED, &|_| true).expect("a request");
            let told = templates.mine(&mut decoded.rows, RECEIVED).expect("rows with bodies");
            let table =
                |name: &str| decoded.rows.iter().find(|rows| rows.table.as_str() == name).map(|rows| &rows.rows);
            let used: BTreeSet<u64> =
                table("logs").map(|logs| numbers(logs, "template_id")).into_iter().flatten().collect();
            let texts = table("log_templates").map(|rows| numbers(rows, "template_id")).unwrap_or_default();
            (told, used, texts.into_iter().collect::<BTreeSet<u64>>())
        };
        let (_failed, used, texts) = mine(3);
        assert!(!used.is_empty() && used.is_subset(&texts));
        let (durable, _, again) = mine(3);
        assert!(texts.is_subset(&again), "the first request may fail: the second one tells the same");
        assert!(templates.export().is_none(), "a restart would take as told what may be lost");
        templates.learn(&durable);
        assert!(templates.export().is_some());
        assert_eq!(mine(3).2, BTreeSet::new());
    }
}
