//! Bytes of PostgreSQL's binary COPY, damaged anywhere and cut anywhere: rows, refused rows or an error, and the same ones
//! however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_postgres::{Cell, Column, CopyError, Decoded, Decoder};

const CELLS: [Cell; 6] =
    [Cell::Int8, Cell::Text, Cell::Uuid, Cell::Timestamp, Cell::Numeric { precision: 18, scale: 4 }, Cell::Jsonb];

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let columns: Vec<Column> = (0_u8..)
        .zip(CELLS)
        .map(|(at, cell)| Column { name: format!("c{at}"), cell, is_list: first >> at & 1 == 1 })
        .collect();
    let whole = read(&columns, bytes, bytes.len());
    let cut = read(&columns, bytes, usize::from(*first) + 1);
    match (whole, cut) {
        (Ok(whole), Ok(cut)) => {
            assert_eq!(whole.refused, cut.refused, "the same rows are refused");
            assert_eq!(whole.rows.num_rows(), cut.rows.num_rows(), "the same rows are read");
            // Not by equality of arrays: a NaN is none to itself.
            assert_eq!(format!("{:?}", whole.rows), format!("{:?}", cut.rows), "the same values are read");
        }
        (whole, cut) => assert_eq!(whole.err(), cut.err(), "bytes are refused alike"),
    }
});

fn read(columns: &[Column], bytes: &[u8], piece: usize) -> Result<Decoded, CopyError> {
    let mut decoder = Decoder::new(columns.to_vec());
    for some in bytes.chunks(piece.max(1)) {
        decoder.feed(some)?;
    }
    decoder.finish()
}
