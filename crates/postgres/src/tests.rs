use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use proptest::prelude::*;

use super::*;

const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

fn column(name: &str, cell: Cell) -> Column {
    Column { name: name.to_owned(), cell, is_list: false }
}

fn row(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = i16::try_from(values.len()).expect("few columns").to_be_bytes().to_vec();
    for value in values {
        match value {
            Some(value) => {
                bytes.extend(i32::try_from(value.len()).expect("short").to_be_bytes());
                bytes.extend(value);
            }
            None => bytes.extend((-1_i32).to_be_bytes()),
        }
    }
    bytes
}

fn whole(rows: &[Vec<u8>]) -> Vec<u8> {
    [HEAD, &rows.concat(), &[0xff, 0xff]].concat()
}

fn decoded(columns: Vec<Column>, rows: &[Vec<u8>]) -> Decoded {
    let mut decoder = Decoder::new(columns);
    decoder.feed(&whole(rows)).expect("rows");
    decoder.finish().expect("an end")
}

fn numeric(digits: &[u16], weight: i16, sign: u16, scale: i16) -> Vec<u8> {
    let mut bytes = u16::try_from(digits.len()).expect("few").to_be_bytes().to_vec();
    bytes.extend(weight.to_be_bytes());
    bytes.extend(sign.to_be_bytes());
    bytes.extend(scale.to_be_bytes());
    bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
    bytes
}

fn list(items: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = [1_i32, 0, 25, i32::try_from(items.len()).expect("few"), 1].map(i32::to_be_bytes).concat();
    bytes.extend(row(items).split_off(2));
    bytes
}

#[test]
fn values_of_every_type_are_read() {
    let cells = [
        Cell::Bool,
        Cell::Int2,
        Cell::Int4,
        Cell::Int8,
        Cell::Float4,
        Cell::Float8,
        Cell::Numeric { precision: 9, scale: 2 },
        Cell::Text,
        Cell::Uuid,
        Cell::Timestamp,
        Cell::Date,
        Cell::Json,
        Cell::Jsonb,
    ];
    let columns: Vec<_> = cells.into_iter().enumerate().map(|(at, cell)| column(&format!("c{at}"), cell)).collect();
    let values = vec![
        Some(vec![1]),
        Some((-2_i16).to_be_bytes().to_vec()),
        Some((-4_i32).to_be_bytes().to_vec()),
        Some((-8_i64).to_be_bytes().to_vec()),
        Some(1.5_f32.to_be_bytes().to_vec()),
        Some(2.25_f64.to_be_bytes().to_vec()),
        Some(numeric(&[1, 2345, 6700], 1, 0x4000, 2)),
        Some("größe".as_bytes().to_vec()),
        Some((0..16).collect()),
        Some(1_i64.to_be_bytes().to_vec()),
        Some((-10_957_i32).to_be_bytes().to_vec()),
        Some(b"{ }".to_vec()),
        Some(b"\x01{\"a\": 1}".to_vec()),
    ];
    let nothing = vec![None; values.len()];
    let Decoded { rows, refused } = decoded(columns, &[row(&values), row(&nothing)]);
    assert_eq!(refused, []);
    assert_eq!(rows.num_rows(), 2);
    let at = |place: usize| rows.column(place);
    assert!(at(0).as_boolean().value(0));
    assert_eq!([1, 2, 3].map(|place| at(place).as_primitive::<Int64Type>().value(0)), [-2, -4, -8]);
    assert_eq!([4, 5].map(|place| at(place).as_primitive::<Float64Type>().value(0)), [1.5, 2.25]);
    assert_eq!(at(6).as_primitive::<Decimal128Type>().value(0), -1_234_567);
    let text = |place: usize| at(place).as_string::<i32>().value(0).to_owned();
    assert_eq!(text(7), "größe");
    assert_eq!(text(8), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_eq!(at(9).as_primitive::<TimestampNanosecondType>().value(0), 946_684_800_000_001_000);
    assert_eq!(at(10).as_primitive::<Date32Type>().value(0), 0);
    assert_eq!([text(11), text(12)], ["{ }", "{\"a\": 1}"]);
    assert!(rows.columns().iter().all(|array| array.is_null(1)));
    for (array, cell) in rows.columns().iter().zip(cells) {
        assert_eq!(*array.data_type(), cell.arrow());
    }
}

#[test]
fn a_value_that_does_not_fit_refuses_its_row_alone() {
    let columns = vec![
        column("n", Cell::Int8),
        column("at", Cell::Timestamp),
        column("day", Cell::Date),
        column("price", Cell::Numeric { precision: 5, scale: 1 }),
    ];
    let good = [
        Some(0_i64.to_be_bytes().to_vec()),
        Some(0_i64.to_be_bytes().to_vec()),
        Some(0_i32.to_be_bytes().to_vec()),
        Some(numeric(&[9999, 9000], 0, 0, 1)),
    ];
    let with = |place: usize, value: Vec<u8>| {
        let mut values = good.clone();
        values[place] = Some(value);
        row(&values)
    };
    let rows = [
        row(&good),
        with(1, i64::MAX.to_be_bytes().to_vec()),
        with(1, (9_000_000_000_000_000_000_i64 / 10).to_be_bytes().to_vec()),
        with(2, i32::MIN.to_be_bytes().to_vec()),
        with(2, 109_573_i32.to_be_bytes().to_vec()),
        with(3, numeric(&[1, 0], 1, 0, 0)),
        with(3, numeric(&[1234], -1, 0, 4)),
        with(3, numeric(&[], 0, 0xC000, 0)),
        row(&good),
    ];
    let Decoded { rows, refused } = decoded(columns, &rows);
    assert_eq!(rows.num_rows(), 2);
    assert_eq!(rows.column(3).as_primitive::<Decimal128Type>().values()[..], [99_999, 99_999]);
    let told: Vec<_> = refused.iter().map(|row| (row.row, row.column.as_str(), row.why.as_str())).collect();
    assert_eq!(
        told,
        [
            (1, "at", "an infinite time"),
            (2, "at", "a time before 1677 or after 2262"),
            (3, "day", "an infinite date"),
            (4, "day", "a date before 1900 or after 2299"),
            (5, "price", "a number with more than 5 digits, or more than 1 behind the point"),
            (6, "price", "a number with more than 5 digits, or more than 1 behind the point"),
            (7, "price", "a number that is infinite, or none"),
        ]
    );
}

#[test]
fn lists_have_their_items() {
    let columns = vec![Column { name: "tags".to_owned(), cell: Cell::Text, is_list: true }];
    let empty = [0_i32, 0, 25].map(i32::to_be_bytes).concat();
    let nested = [2_i32, 0, 25, 1, 1, 1, 1].map(i32::to_be_bytes).concat();
    let some = list(&[Some(b"a".to_vec()), None, Some(b"bc".to_vec())]);
    let rows =
        [row(&[Some(some)]), row(&[Some(empty)]), row(&[None]), row(&[Some(nested)]), row(&[Some(list(&[None]))])];
    let Decoded { rows, refused } = decoded(columns, &rows);
    assert_eq!(refused.len(), 1);
    let lists = rows.column(0).as_list::<i32>();
    assert_eq!(lists.offsets().to_vec(), [0, 3, 3, 3, 4]);
    let items: Vec<_> = lists.value(0).as_string::<i32>().iter().map(|item| item.map(str::to_owned)).collect();
    assert_eq!(items, [Some("a".to_owned()), None, Some("bc".to_owned())]);
}

#[test]
fn bytes_that_are_no_rows_are_told() {
    let columns = || vec![column("n", Cell::Int4)];
    let fed = |bytes: &[u8]| {
        let mut decoder = Decoder::new(columns());
        decoder.feed(bytes).and_then(|()| decoder.finish())
    };
    assert_eq!(fed(b"PGCOPX").err(), Some(CopyError::Header));
    assert_eq!(fed(HEAD).err(), Some(CopyError::CutOff { rows: 0 }));
    let two = whole(&[row(&[None, None])]);
    assert_eq!(fed(&two).err(), Some(CopyError::Values { row: 0, found: 2, wanted: 1 }));
    let short = whole(&[row(&[Some(vec![1])])]);
    assert!(matches!(fed(&short), Err(CopyError::Value { row: 0, .. })));
    let mut behind = whole(&[]);
    behind.push(0);
    assert_eq!(fed(&behind).err(), Some(CopyError::Behind));
}

#[test]
fn types_are_taken_as_what_holds_them() {
    let kind = |name: &str, class, is_list, modifier| Kind { name: name.to_owned(), class, is_list, modifier };
    let told = |kind: &Kind| {
        let offer = offer(kind);
        (offer.cell, offer.is_list, offer.cast)
    };
    assert_eq!(told(&kind("jsonb", 'b', false, -1)), (Cell::Jsonb, false, ""));
    assert_eq!(told(&kind("status", 'e', false, -1)), (Cell::Text, false, "::text"));
    assert_eq!(told(&kind("interval", 'b', true, -1)), (Cell::Text, true, "::text[]"));
    assert_eq!(told(&kind("numeric", 'b', false, -1)), (Cell::Text, false, "::text"));
    let of = |precision: i32, scale: i32| (precision << 16 | scale & 0x7ff) + 4;
    assert_eq!(told(&kind("numeric", 'b', false, of(18, 4))), (Cell::Numeric { precision: 18, scale: 4 }, false, ""));
    assert_eq!(told(&kind("numeric", 'b', false, of(39, 4))), (Cell::Text, false, "::text"));
    assert_eq!(told(&kind("numeric", 'b', false, of(5, -2))), (Cell::Text, false, "::text"));
    assert!(offer(&kind("bytea", 'b', false, -1)).is_hex);
}

fn told(rows: &RecordBatch) -> Vec<(Option<i64>, Option<String>)> {
    let (numbers, texts) = (rows.column(0).as_primitive::<Int64Type>(), rows.column(1).as_string::<i32>());
    numbers.iter().zip(texts.iter().map(|text| text.map(str::to_owned))).collect()
}

proptest! {
    #[test]
    fn rows_are_the_same_however_they_are_cut(
        values in prop::collection::vec((any::<Option<i64>>(), any::<Option<String>>()), 0..20),
        cuts in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let rows: Vec<_> = values
            .iter()
            .map(|(number, text)| row(&[number.map(|n| n.to_be_bytes().to_vec()), text.clone().map(String::into_bytes)]))
            .collect();
        let bytes = whole(&rows);
        let mut decoder = Decoder::new(vec![column("n", Cell::Int8), column("t", Cell::Text)]);
        let (mut rest, mut cuts) = (&bytes[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            decoder.feed(piece).expect("rows");
            rest = behind;
        }
        prop_assert_eq!(told(&decoder.finish().expect("an end").rows), values);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), is_list: bool, has_head: bool) {
        for cell in [Cell::Text, Cell::Numeric { precision: 38, scale: 9 }, Cell::Jsonb, Cell::Timestamp, Cell::Uuid] {
            let mut decoder = Decoder::new(vec![Column { name: "c".to_owned(), cell, is_list }]);
            let head: &[u8] = if has_head { HEAD } else { &[] };
            // One value of these bytes, whatever they say.
            let framed = if has_head { row(&[Some(bytes.clone())]) } else { bytes.clone() };
            if decoder.feed(&[head, &framed].concat()).is_ok() {
                decoder.take().expect("what was read makes rows");
            }
        }
    }
}
