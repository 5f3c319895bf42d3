use anyhow::{Result, bail};
use tidegate_model::FieldType::{self, Array, One};
use tidegate_model::Scalar::{Decimal, Double, Keyword, String as Text};
use tidegate_postgres::{Cell, Offer};

/// Digits that every number of a type of whole numbers has room in.
const INT2_DIGITS: u8 = 5;
const INT4_DIGITS: u8 = 10;
const INT8_DIGITS: u8 = 19;

/// Returns the type that a column becomes where nobody names another.
pub(super) const fn becomes(offer: &Offer) -> FieldType {
    let scalar = offer.cell.scalar();
    if offer.is_list { Array(scalar) } else { One(scalar) }
}

/// Says how a column is asked for that is to become a type that somebody names: every value must have one there.
pub(super) fn taken_as(offer: &Offer, wanted: FieldType) -> Result<Offer> {
    let own = becomes(offer);
    let offer = match wanted {
        _ if wanted == own => offer.clone(),
        One(Text | Keyword) if offer.is_list => as_text(offer, "::text"),
        One(Text | Keyword) | Array(Text | Keyword) if is_text(offer.cell) && offer.is_list == is_list(wanted) => {
            offer.clone()
        }
        One(Text | Keyword) => as_text(offer, "::text"),
        Array(Text | Keyword) if offer.is_list => as_text(offer, "::text[]"),
        _ if offer.is_list == is_list(wanted) && holds(wanted, offer.cell) => offer.clone(),
        _ => bail!("not every {own} is a {wanted}; {}", others(offer)),
    };
    Ok(offer)
}

/// Takes values as the text that PostgreSQL makes of them.
fn as_text(offer: &Offer, cast: &'static str) -> Offer {
    let note = Some("becomes text, as PostgreSQL writes it".to_owned());
    Offer { cell: Cell::Text, is_list: cast.ends_with("[]"), cast, is_hex: offer.is_hex, note }
}

const fn is_list(kind: FieldType) -> bool {
    matches!(kind, Array(_))
}

/// Says whether values come as text anyway.
const fn is_text(cell: Cell) -> bool {
    matches!(cell, Cell::Text | Cell::Uuid | Cell::Json | Cell::Jsonb)
}

/// Says whether numbers of another type have room for all of a column's.
fn holds(wanted: FieldType, cell: Cell) -> bool {
    let (One(wanted) | Array(wanted)) = wanted else { return false };
    match (cell, wanted) {
        (Cell::Int2 | Cell::Int4, Double) => true,
        (Cell::Int2, Decimal { precision, scale }) => precision - scale >= INT2_DIGITS,
        (Cell::Int4, Decimal { precision, scale }) => precision - scale >= INT4_DIGITS,
        (Cell::Int8, Decimal { precision, scale }) => precision - scale >= INT8_DIGITS,
        (Cell::Numeric { precision: digits, scale: behind }, Decimal { precision, scale }) => {
            scale >= behind && precision - scale >= digits - behind
        }
        _ => false,
    }
}

/// Lists the types that a column may become.
fn others(offer: &Offer) -> String {
    let numbers = match offer.cell {
        Cell::Int2 | Cell::Int4 => " double, a decimal(P,S) with enough digits,",
        Cell::Int8 | Cell::Numeric { .. } => " a decimal(P,S) with enough digits,",
        _ => "",
    };
    let own = becomes(offer);
    if offer.is_list {
        format!("it may be {own}, array(string), array(keyword), or as one text string or keyword")
    } else {
        format!("it may be {own},{numbers} string or keyword")
    }
}

#[cfg(test)]
mod tests {
    use tidegate_postgres::{Kind, offer};

    use super::*;

    /// How a column of PostgreSQL's type is taken as one of a dataset's: its cast, or why not.
    fn check(name: &str, modifier: i32, wanted: &str) -> Result<&'static str, String> {
        let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |item| (item, true));
        let own = offer(&Kind { name: name.to_owned(), class: 'b', is_list, modifier });
        let wanted: FieldType = wanted.parse().expect("a type");
        let taken = taken_as(&own, wanted).map_err(|error| error.to_string())?;
        let as_is = becomes(&taken) == wanted || is_text(taken.cell) || holds(wanted, taken.cell);
        assert!(as_is && taken.is_list == super::is_list(wanted), "{name}: {taken:?} is no {wanted}");
        Ok(taken.cast)
    }

    /// What a column says of `numeric(precision, scale)`.
    const fn numeric(precision: i32, scale: i32) -> i32 {
        (precision << 16 | scale) + 4
    }

    #[test]
    fn every_value_has_one_of_the_type_that_is_named() {
        for (name, wanted, cast) in [
            ("text", "keyword", ""),
            ("text", "string", ""),
            ("uuid", "keyword", ""),
            ("jsonb", "string", ""),
            ("jsonb", "json", ""),
            ("int8", "integer", ""),
            ("int8", "keyword", "::text"),
            ("int8", "decimal(19,0)", ""),
            ("int4", "double", ""),
            ("timestamptz", "string", "::text"),
            ("text[]", "array(keyword)", ""),
            ("int8[]", "array(string)", "::text[]"),
            ("int8[]", "string", "::text"),
            ("int4[]", "array(double)", ""),
            ("bytea", "keyword", ""),
        ] {
            assert_eq!(check(name, -1, wanted), Ok(cast), "{name} as {wanted}");
        }
        assert_eq!(check("numeric", numeric(18, 4), "decimal(20,6)"), Ok(""));
    }

    #[test]
    fn a_type_that_some_value_does_not_fit_is_refused_with_those_that_do() {
        for (name, wanted) in [
            ("text", "json"),
            ("text", "uuid"),
            ("int8", "double"),
            ("int8", "uint64"),
            ("int8", "decimal(18,0)"),
            ("int4", "decimal(10,1)"),
            ("float8", "integer"),
            ("date", "timestamp"),
            ("text", "array(string)"),
            ("text[]", "array(integer)"),
            ("json", "map(string)"),
        ] {
            let told = check(name, -1, wanted).expect_err(&format!("{name} as {wanted}"));
            assert!(told.contains(&format!("is a {wanted}; it may be ")), "{told}");
        }
        let told = check("numeric", numeric(18, 4), "decimal(20,2)").expect_err("digits are lost");
        assert!(told.contains("decimal(P,S) with enough digits"), "{told}");
    }
}
