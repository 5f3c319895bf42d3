//! Values that rows have in a new column where they bring none.

use arrow_array::ArrayRef;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use tidegate_model::{FieldType, Scalar};

use super::body::DeclaredSchema;
use super::error::RowsError;
use super::scalar;
use super::value::scalars;

/// Checks that every default is a column's.
pub(super) fn check(declared: &DeclaredSchema) -> Result<(), RowsError> {
    for (name, _) in &declared.defaults {
        if !declared.fields.iter().any(|field| field.name == *name) {
            return Err(wrong(name, "is no field of the schema"));
        }
    }
    Ok(())
}

/// Returns the default of a column as text that ClickHouse and Arrow both read.
pub(super) fn of(declared: &DeclaredSchema, name: &str, field_type: FieldType) -> Result<Option<String>, RowsError> {
    let given = declared.defaults.iter().find(|(column, _)| column == name);
    let Some((_, raw)) = given.filter(|(_, raw)| raw != "null") else { return Ok(None) };
    let FieldType::One(scalar) = field_type else {
        return Err(wrong(name, "is an array or a map, whose default is always empty"));
    };
    let raw = raw.as_bytes();
    match scalar {
        Scalar::String | Scalar::Keyword => {
            scalar::text(raw).map(|text| Some(text.into_owned())).map_err(|misfit| unfit(name, misfit.1))
        }
        Scalar::Json => scalar::json(raw).map(|text| Some(text.into_owned())).map_err(|misfit| unfit(name, misfit.1)),
        // Without a zone: the name of one would ask for a table of all zones.
        Scalar::Timestamp => {
            let nanos = scalar::moment(scalar::read(raw)).map_err(|misfit| unfit(name, misfit.1))?;
            let moment: ArrayRef = std::sync::Arc::new(arrow_array::TimestampNanosecondArray::from(vec![nanos]));
            Ok(Some(shown(&moment).replace('T', " ")))
        }
        other => {
            let mut refused = None;
            let one = scalars(std::iter::once((0, raw)), 1, other, &mut |_, _, (_, wanted)| refused = Some(wanted));
            match refused {
                Some(wanted) => Err(unfit(name, wanted)),
                None => Ok(Some(shown(&one))),
            }
        }
    }
}

fn shown(one: &ArrayRef) -> String {
    let formatter = ArrayFormatter::try_new(one, &FormatOptions::default());
    formatter.map(|formatter| formatter.value(0).to_string()).unwrap_or_default()
}

fn unfit(name: &str, wanted: &str) -> RowsError {
    wrong(name, &format!("is not {wanted}"))
}

fn wrong(name: &str, why: &str) -> RowsError {
    RowsError::Body { field: "schema.evolution.defaults", problem: format!("`{name}` {why}") }
}
