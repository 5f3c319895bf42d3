use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt16Array, new_null_array,
};
use arrow_schema::ArrowError;
use arrow_select::filter::filter;
use bytes::Bytes;
use tidegate_model::limits::{REQUEST_CELLS_MAX, REQUEST_INFLATED_BYTES_MAX};
use tidegate_model::{TableSpec, UnixNanos, partition_day};
use twox_hash::XxHash3_128;

use super::body::{self, Body};
use super::cells::{Cells, PARTITION_KEY};
use super::error::RowsError;
use super::refusals::Refusals;
use super::schema::{self, Found, Needed};
use super::value::{self, FieldType};
use crate::buffer::{RetryKey, Rows, Write};
use crate::catalog::{CatalogError, Dataset};
use crate::ingest::mining::Told;
use crate::ingest::service::Ready;
use crate::ingest::{Admitted, Ingest, IngestError, Reason, answer};

/// The form of a request of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowsFormat {
    /// `application/json`: an object with `rows`, or the bare array.
    Json,
    /// `application/x-ndjson`: an object a line.
    Ndjson,
    /// `application/vnd.apache.arrow.stream`.
    ArrowStream,
}

/// Rows for one dataset, inflated.
#[derive(Debug, Clone)]
pub struct DatasetRequest {
    /// The dataset; the first request makes it.
    pub slug: String,
    /// How the body is written.
    pub format: RowsFormat,
    /// The body.
    pub body: Bytes,
    /// The requester's key, from the header; a JSON body may carry it instead.
    pub idempotency_key: Option<String>,
}

/// Another request changed the dataset's schema meanwhile: so often the rows are read again.
const STALE_TRIES: usize = 5;

impl Ingest {
    /// Takes rows for a dataset: every row that fits is durable when this returns `Ok`.
    pub async fn dataset_rows(&self, request: DatasetRequest) -> Result<Admitted, IngestError> {
        schema::table_of(&request.slug)?;
        let (request, received) = (Arc::new(request), self.clock.now());
        let mut tries = 0;
        loop {
            tries += 1;
            let stored = self.catalog.dataset(&request.slug).await?;
            let work = Arc::clone(&request);
            let planned = self.on_a_core(move || plan(&work, stored.as_ref(), received)).await??;
            if planned.is_changed {
                self.check_table_is_free(&planned.dataset).await?;
                match self.catalog.put_dataset(&planned.dataset, received).await {
                    Err(CatalogError::StaleDataset { .. }) if tries < STALE_TRIES => continue,
                    outcome => outcome?,
                }
            }
            return self.append(planned.ready, None).await;
        }
    }

    /// Two slugs may lead to one table (`a-b`, `a_b`): the first one has it.
    async fn check_table_is_free(&self, dataset: &Dataset) -> Result<(), IngestError> {
        if dataset.version > 1 {
            return Ok(());
        }
        let others = self.catalog.datasets().await?;
        match others.into_iter().find(|other| other.spec.name == dataset.spec.name && other.slug != dataset.slug) {
            None => Ok(()),
            Some(other) => {
                let (slug, table) = (dataset.slug.clone(), dataset.spec.name.clone());
                let owner = format!("dataset `{}`", other.slug);
                Err(RowsError::TableTaken { slug, table, owner }.into())
            }
        }
    }
}

/// Says what a request would make of its dataset and what it would be told, and writes nothing.
pub fn dry_run(
    request: &DatasetRequest,
    stored: Option<&Dataset>,
    received: UnixNanos,
) -> Result<(Dataset, Admitted), RowsError> {
    decode(request, stored, received).map(|decoded| (decoded.dataset, decoded.admitted))
}

/// Rows that are ready to be written, once their dataset is.
struct Planned {
    /// The dataset as the rows need it.
    dataset: Dataset,
    /// It is new or changed, and written first.
    is_changed: bool,
    ready: Ready,
}

/// A request's rows, and what they need.
pub(super) struct Decoded {
    pub(super) dataset: Dataset,
    pub(super) is_changed: bool,
    pub(super) rows: RecordBatch,
    pub(super) retry: Option<RetryKey>,
    pub(super) admitted: Admitted,
}

/// The rows of a request in either form.
enum Source<'a> {
    Json(Cells<'a>),
    Arrow(RecordBatch),
}

fn plan(request: &DatasetRequest, stored: Option<&Dataset>, received: UnixNanos) -> Result<Planned, RowsError> {
    let Decoded { dataset, is_changed, rows, retry, admitted } = decode(request, stored, received)?;
    let table = dataset.spec.name.clone();
    let rejected = admitted.rejected.total();
    let rejected = if rejected > 0 { vec![(table.clone(), rejected)] } else { Vec::new() };
    let has_something = admitted.accepted > 0 || retry.is_some();
    let rows = if admitted.accepted > 0 { vec![Rows { table, rows }] } else { Vec::new() };
    let write = has_something.then(|| Write::new(rows, retry, answer::told(&admitted)));
    Ok(Planned { dataset, is_changed, ready: Ready { write, admitted, rejected, told: Told::default() } })
}

pub(super) fn decode(
    request: &DatasetRequest,
    stored: Option<&Dataset>,
    received: UnixNanos,
) -> Result<Decoded, RowsError> {
    if request.body.len() > REQUEST_INFLATED_BYTES_MAX {
        let problem = format!("{} bytes; {REQUEST_INFLATED_BYTES_MAX} are allowed", request.body.len());
        return Err(RowsError::Body { field: "body", problem });
    }
    let (body, source, mut refusals) = read(request)?;
    let retry = retry_of(request, &body)?;
    let found = source.found(&refusals)?;
    let Needed { dataset, is_changed } = schema::needed(&request.slug, stored, body.schema.as_deref(), &found)?;
    let (rows, columns) = (refusals.rows(), dataset.spec.columns.len());
    if rows.saturating_mul(columns) > REQUEST_CELLS_MAX {
        return Err(RowsError::TooManyCells { rows, columns });
    }
    let rows = source.batch(&dataset, &body.partition_key, received, &mut refusals)?;
    let accepted = rows.num_rows() as u64;
    let admitted = Admitted { accepted, rejected: refusals.into_rejections(), ..Admitted::default() };
    // Rows that were all refused leave no trace, not even a dataset.
    let is_changed = is_changed && (accepted > 0 || body.schema.is_some());
    Ok(Decoded { dataset, is_changed, rows, retry, admitted })
}

fn read(request: &DatasetRequest) -> Result<(Body, Source<'_>, Refusals), RowsError> {
    let bytes: &[u8] = &request.body;
    let mut cells = Cells::new(bytes);
    let mut found = Body::default();
    match request.format {
        RowsFormat::Json => {
            found = Body::read(bytes)?;
            match found.rows_at {
                Some(at) => cells.read_array(at).map_err(|error| body::syntax(error, bytes))?,
                None if found.schema.is_some() => {}
                None => return Err(RowsError::Body { field: "rows", problem: "missing".to_owned() }),
            }
        }
        RowsFormat::Ndjson => cells.read_lines(),
        RowsFormat::ArrowStream => {
            let batch = super::arrow::read(&request.body)?;
            let mut refusals = Refusals::default();
            refusals.add_rows(batch.num_rows());
            return Ok((found, Source::Arrow(batch), refusals));
        }
    }
    let refusals = std::mem::take(&mut cells.refusals);
    Ok((found, Source::Json(cells), refusals))
}

impl Source<'_> {
    fn found(&self, refusals: &Refusals) -> Result<Vec<Found>, RowsError> {
        let cells = match self {
            Self::Arrow(batch) => return super::arrow::found(batch),
            Self::Json(cells) => cells,
        };
        let rows = refusals.kept();
        let found = cells.columns.iter().filter_map(|column| {
            let field_type = value::infer(cells, column)?;
            Some(Found { name: column.name.clone(), field_type, is_complete: column.cells.len() == rows })
        });
        Ok(found.collect())
    }

    /// Makes the rows of the dataset's table, without the refused ones.
    fn batch(
        &self,
        dataset: &Dataset,
        partition_key: &str,
        received: UnixNanos,
        refusals: &mut Refusals,
    ) -> Result<RecordBatch, RowsError> {
        let spec = &dataset.spec;
        self.refuse_unknown_columns(spec, refusals);
        let rows = refusals.rows();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(spec.columns.len());
        for column in &spec.columns {
            let array = match FieldType::of(&column.kind) {
                Some(wanted) => self.array(&column.name, wanted, refusals)?,
                None if column.name == PARTITION_KEY => repeated(partition_key, rows),
                None => None,
            };
            arrays.push(array.unwrap_or_else(|| new_null_array(&column.kind.arrow(), rows)));
        }
        let time = dataset
            .time_column
            .as_ref()
            .and_then(|name| spec.columns.iter().position(|column| column.name == *name).map(|index| (name, index)));
        if let Some((name, index)) = time {
            for row in (0..rows).filter(|row| arrays[index].is_null(*row)) {
                refusals.refuse(row, Reason::Missing, || format!("`{name}`, the time of a row, is missing"));
            }
        }
        let kept = refusals.filter();
        let arrays = arrays.iter().map(|array| filter(array, &kept)).collect::<Result<Vec<_>, _>>();
        let mut arrays = arrays.map_err(internal)?;
        arrays[0] = partitions(time.map(|(_, index)| Arc::clone(&arrays[index])), arrays[0].len(), received);
        RecordBatch::try_new(spec.row_schema(), arrays).map_err(internal)
    }

    /// Only a schema that is given leaves columns out: rows with such a column do not fit it.
    fn refuse_unknown_columns(&self, spec: &TableSpec, refusals: &mut Refusals) {
        let detail = |name: &str| format!("`{name}` is not in the schema");
        match self {
            Self::Json(cells) => {
                for column in cells.columns.iter().filter(|column| spec.column(&column.name).is_none()) {
                    for cell in &column.cells {
                        refusals.refuse(cell.row as usize, Reason::Unknown, || detail(&column.name));
                    }
                }
            }
            Self::Arrow(batch) => {
                let schema = batch.schema();
                let columns = schema.fields().iter().zip(batch.columns());
                for (field, array) in columns.filter(|(field, _)| spec.column(field.name()).is_none()) {
                    for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
                        refusals.refuse(row, Reason::Unknown, || detail(field.name()));
                    }
                }
            }
        }
    }

    fn array(&self, name: &str, wanted: FieldType, refusals: &mut Refusals) -> Result<Option<ArrayRef>, RowsError> {
        match self {
            Self::Json(cells) => {
                let column = cells.columns.iter().find(|column| column.name == name);
                Ok(column.map(|column| value::array(cells, column, wanted, refusals)))
            }
            Self::Arrow(batch) => {
                let array = batch.column_by_name(name).filter(|array| array.logical_null_count() < array.len());
                array.map(|array| super::arrow::array(name, array, wanted, refusals)).transpose()
            }
        }
    }
}

fn repeated(text: &str, rows: usize) -> Option<ArrayRef> {
    let values: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let keys = Int32Array::from(vec![0; rows]);
    DictionaryArray::<Int32Type>::try_new(keys, values).ok().map(|array| Arc::new(array) as ArrayRef)
}

fn partitions(time: Option<ArrayRef>, rows: usize, received: UnixNanos) -> ArrayRef {
    let days: UInt16Array = match time {
        Some(time) => {
            let times = time.as_primitive::<TimestampNanosecondType>().values().iter();
            times.map(|nanos| partition_day(UnixNanos(*nanos), received)).collect()
        }
        None => UInt16Array::from(vec![partition_day(received, received); rows]),
    };
    Arc::new(days)
}

/// Hashes the key with its dataset; rows without a key may be sent twice on purpose.
fn retry_of(request: &DatasetRequest, body: &Body) -> Result<Option<RetryKey>, RowsError> {
    let header = request.idempotency_key.clone().map(body::idempotency_key).transpose()?;
    let key = match (header, &body.idempotency_key) {
        (Some(header), Some(own)) if header != *own => {
            let problem = "another one than in the header".to_owned();
            return Err(RowsError::Body { field: "idempotencyKey", problem });
        }
        (Some(key), _) => key,
        (None, Some(key)) => key.clone(),
        (None, None) => return Ok(None),
    };
    // The seeds keep these hashes apart from those of OTLP requests.
    const KEY_SEED: u64 = 0x6461_7461_7365_7473;
    let content_seed = KEY_SEED + 1 + request.format as u64;
    let key = XxHash3_128::oneshot_with_seed(KEY_SEED, format!("{}/{key}", request.slug).as_bytes());
    Ok(Some(RetryKey { key, content: XxHash3_128::oneshot_with_seed(content_seed, &request.body) }))
}

fn internal(error: ArrowError) -> RowsError {
    RowsError::Arrow(error.to_string())
}
