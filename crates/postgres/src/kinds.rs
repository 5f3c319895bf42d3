use crate::cell::Cell;

/// Digits that a dataset's decimal can have.
const DIGITS_MAX: i32 = 38;

/// A column's type as PostgreSQL's catalog tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The name of the type, or of a list's items; of a domain the one that it is made of.
    pub name: String,
    /// Its letter in `pg_type.typtype`: `b` base, `e` enum, `c` composite, `r` range.
    pub class: char,
    /// It is a list.
    pub is_list: bool,
    /// What the column says beside its type; -1: nothing.
    pub modifier: i32,
}

/// How a column is asked for, and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The form of its values.
    pub cell: Cell,
    /// It has a list of them in each row.
    pub is_list: bool,
    /// What stands behind the column in the statement: a cast, or nothing.
    pub cast: &'static str,
    /// The column is hexadecimal text of bytes.
    pub is_hex: bool,
    /// What is to be known of that.
    pub note: Option<String>,
}

/// Says how a column of a type is taken.
#[must_use]
pub fn offer(kind: &Kind) -> Offer {
    let (cell, note) = match kind.name.as_str() {
        "bool" => (Cell::Bool, None),
        "int2" => (Cell::Int2, None),
        "int4" => (Cell::Int4, None),
        "int8" => (Cell::Int8, None),
        "float4" => (Cell::Float4, None),
        "float8" => (Cell::Float8, None),
        "text" | "varchar" | "name" => (Cell::Text, None),
        "uuid" => (Cell::Uuid, None),
        "timestamptz" => (Cell::Timestamp, None),
        "timestamp" => (Cell::Timestamp, Some("a time without a zone is taken as UTC".to_owned())),
        "date" => (Cell::Date, None),
        "json" => (Cell::Json, None),
        "jsonb" => (Cell::Jsonb, None),
        "numeric" => return numeric(kind),
        "bytea" if !kind.is_list => {
            let note = Some("bytes become hexadecimal text".to_owned());
            return Offer { cell: Cell::Text, is_list: false, cast: "", is_hex: true, note };
        }
        _ => return text(kind, other(kind)),
    };
    let note = note.or_else(|| kind.is_list.then(nothing_is_empty));
    Offer { cell, is_list: kind.is_list, cast: "", is_hex: false, note }
}

fn nothing_is_empty() -> String {
    "a list that is NULL becomes an empty one; a list of lists refuses its row".to_owned()
}

fn other(kind: &Kind) -> Option<String> {
    let is_plain = kind.class == 'e' || matches!(kind.name.as_str(), "citext" | "bpchar");
    (!is_plain).then(|| format!("{} becomes text, as PostgreSQL writes it", kind.name))
}

fn numeric(kind: &Kind) -> Offer {
    let digits = (kind.modifier - 4) >> 16 & 0xffff;
    // Eleven bits with a sign, since 15.
    let scale = ((kind.modifier - 4) & 0x7ff ^ 1024) - 1024;
    if kind.modifier < 4 {
        return text(
            kind,
            Some("a number without limits becomes text; with numeric(P,S) it would be a decimal".to_owned()),
        );
    }
    match (u8::try_from(digits), u8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if digits <= DIGITS_MAX && scale <= precision => {
            let note = Some("NaN refuses its row".to_owned());
            Offer { cell: Cell::Numeric { precision, scale }, is_list: kind.is_list, cast: "", is_hex: false, note }
        }
        _ => text(
            kind,
            Some(format!("numeric({digits},{scale}) has more digits than a decimal of 38, and becomes text")),
        ),
    }
}

fn text(kind: &Kind, note: Option<String>) -> Offer {
    let cast = if kind.is_list { "::text[]" } else { "::text" };
    let note = note.or_else(|| kind.is_list.then(nothing_is_empty));
    Offer { cell: Cell::Text, is_list: kind.is_list, cast, is_hex: false, note }
}
