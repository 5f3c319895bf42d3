//! A request's bytes become rows of its dataset's table, in memory; nothing is written here.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt16Array};
use arrow_array::{Scalar as OneValue, TimestampNanosecondArray, new_null_array};
use arrow_schema::ArrowError;
use arrow_select::filter::filter;
use arrow_select::zip::zip;
use bytes::Bytes;
use tidegate_model::limits::{REQUEST_CELLS_MAX, REQUEST_INFLATED_BYTES_MAX};
use tidegate_model::{ColumnKind, ColumnSpec, FieldType, TableSpec, UnixNanos, partition_day};

use super::body::{self, Body, Partition};
use super::cells::{Cells, PARTITION_ATTRIBUTES, PARTITION_END, PARTITION_KEY, PARTITION_START};
use super::error::RowsError;
use super::refusals::{Refusals, RefusedRow};
use super::retry::{self, Known};
use super::schema::{self, Asked, Found, Needed};
use super::service::{DatasetRequest, RowsFormat};
use super::{csv, parquet, value, written};
use crate::buffer::{nothing, repeated};
use crate::catalog::Dataset;
use crate::ingest::{Admitted, Reason};

/// A request's rows, and what they need.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) needed: Needed,
    pub(super) rows: RecordBatch,
    pub(super) known: Option<Known>,
    pub(super) admitted: Admitted,
    pub(super) refused: Vec<RefusedRow>,
    pub(super) body: Body,
}

/// The rows of a request in either form.
enum Source<'a> {
    Json(Cells<'a>),
    Arrow(RecordBatch),
}

/// Finds which table of the dataset a request is for, and who asks; reads no row.
pub(super) fn addressed(request: &DatasetRequest) -> Result<(String, String), RowsError> {
    let body = match (request.format, &request.head) {
        (RowsFormat::Json, _) => Body::read(&request.body)?,
        (_, Some(head)) => Body::read(head)?,
        (_, None) => Body::default(),
    };
    let actor = body.actor.or_else(|| request.actor.clone()).unwrap_or_default();
    Ok((body.table.unwrap_or_else(|| Dataset::RECORDS.to_owned()), actor))
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
    let lines;
    let bytes: &[u8] = if request.format == RowsFormat::Csv {
        lines = csv::lines(&request.body)?;
        &lines
    } else {
        &request.body
    };
    let (mut body, source, mut refusals) = read(request, bytes)?;
    if let Some(piece) = &request.piece {
        if body.partition.is_given() {
            let problem = "rows of a migration have one of their own".to_owned();
            return Err(RowsError::Body { field: "partition", problem });
        }
        body.partition.attributes = piece.attributes();
        body.partition_text = format!("{{\"attributes\":{}}}", body.partition.attributes);
    }
    let found = source.found(&refusals)?;
    let known = retry::known(request, &body, &found)?;
    let label = body.table.as_deref().unwrap_or(Dataset::RECORDS);
    let asked = Asked {
        slug: &request.slug,
        label,
        declared: body.schema.as_ref(),
        found: &found,
        partition: &body.partition,
        may_grow: request.may_grow,
    };
    let mut needed = schema::needed(&asked, stored)?;
    let (rows, columns) = (refusals.rows(), needed.dataset.spec.columns.len());
    if rows.saturating_mul(columns) > REQUEST_CELLS_MAX {
        return Err(RowsError::TooManyCells { rows, columns });
    }
    let rows = source.batch(&needed.dataset, (&body.partition, received), &mut refusals)?;
    let accepted = rows.num_rows() as u64;
    let (rejected, refused) = refusals.into_rejections(|row| source.text(row));
    let admitted = Admitted { accepted, rejected, ..Admitted::default() };
    // Rows that were all refused leave no trace, not even a dataset.
    needed.is_changed &= accepted > 0 || body.schema.is_some();
    Ok(Decoded { needed, rows, known, admitted, refused, body })
}

fn read<'a>(request: &'a DatasetRequest, bytes: &'a [u8]) -> Result<(Body, Source<'a>, Refusals), RowsError> {
    let mut cells = Cells::new(bytes);
    let head = |head: &Option<Bytes>| head.as_ref().map(|head| Body::read(head)).transpose();
    let mut found = head(&request.head)?.unwrap_or_default();
    let batch = match request.format {
        RowsFormat::Json => {
            found = Body::read(bytes)?;
            match found.rows_at {
                Some((at, _)) => cells.read_array(at).map_err(|error| body::syntax(error, bytes))?,
                None if found.schema.is_some() => {}
                None => return Err(RowsError::Body { field: "rows", problem: "missing".to_owned() }),
            }
            None
        }
        RowsFormat::Ndjson | RowsFormat::Csv => {
            cells.read_lines();
            None
        }
        RowsFormat::Arrow => Some(super::arrow::read(&request.body)?),
        RowsFormat::Parquet => Some(parquet::read(&request.body)?),
    };
    if let Some(batch) = batch {
        let mut refusals = Refusals::default();
        refusals.add_rows(batch.num_rows());
        return Ok((found, Source::Arrow(batch), refusals));
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

    /// Returns a row as JSON, or as it was written where that is no JSON.
    fn text(&self, row: usize) -> String {
        match self {
            Self::Json(cells) => String::from_utf8_lossy(cells.row_text(row)).trim().to_owned(),
            Self::Arrow(batch) => written::row(batch, row),
        }
    }

    /// Makes the rows of the dataset's table, without the refused ones.
    fn batch(
        &self,
        dataset: &Dataset,
        (partition, received): (&Partition, UnixNanos),
        refusals: &mut Refusals,
    ) -> Result<RecordBatch, RowsError> {
        let spec = &dataset.spec;
        self.refuse_unknown_columns(spec, refusals);
        let rows = refusals.rows();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(spec.columns.len());
        for column in &spec.columns {
            arrays.push(match FieldType::of(column) {
                Some(wanted) => self.column(column, wanted, refusals)?,
                None => ours(column, partition, rows)?,
            });
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

    /// Makes a column that requests name: what the rows bring, their default where they bring nothing.
    fn column(&self, column: &ColumnSpec, wanted: FieldType, refusals: &mut Refusals) -> Result<ArrayRef, RowsError> {
        let brought = self.array(&column.name, wanted, refusals)?;
        let (default, rows) = (column.default.as_ref(), refusals.rows());
        match (brought, default) {
            (Some(array), Some(default)) if array.null_count() > 0 => {
                let one = OneValue::new(repeated(&default.text, &column.kind, 1).map_err(internal)?);
                let has_value = arrow_array::BooleanArray::new(
                    array.logical_nulls().map_or_else(|| vec![true; rows].into(), |nulls| nulls.into_inner()),
                    None,
                );
                zip(&has_value, &array, &one).map_err(internal)
            }
            (Some(array), _) => Ok(array),
            (None, Some(default)) => repeated(&default.text, &column.kind, rows).map_err(internal),
            (None, None) => Ok(nothing(&column.kind, rows)),
        }
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

/// Makes a column that no request can name.
fn ours(column: &ColumnSpec, partition: &Partition, rows: usize) -> Result<ArrayRef, RowsError> {
    let moment = |nanos: Option<i64>| match nanos {
        None => nothing(&column.kind, rows),
        Some(nanos) => Arc::new(TimestampNanosecondArray::from(vec![nanos; rows]).with_timezone("UTC")) as ArrayRef,
    };
    match column.name.as_str() {
        PARTITION_KEY => words(&partition.key, rows),
        PARTITION_ATTRIBUTES => words(&partition.attributes, rows),
        PARTITION_START => Ok(moment(partition.range.map(|(start, _)| start))),
        PARTITION_END => Ok(moment(partition.range.map(|(_, end)| end))),
        // Filled once it is known which rows stay.
        _ => Ok(new_null_array(&ColumnKind::Day.arrow(), rows)),
    }
}

fn words(text: &str, rows: usize) -> Result<ArrayRef, RowsError> {
    let values: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let keys = Int32Array::from(vec![0; rows]);
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values).map_err(internal)?))
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

fn internal(error: ArrowError) -> RowsError {
    RowsError::Arrow(error.to_string())
}
