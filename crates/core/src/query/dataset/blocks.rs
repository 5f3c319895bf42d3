use bytes::{Buf, Bytes, BytesMut};

use super::answer::broken;
use crate::query::QueryError;

/// The longest text that a block may have before its columns' values: a name or a type.
const WORD_BYTES_MAX: usize = 64 << 10;

/// Reads ClickHouse's `Native` format as it comes: blocks of columns, each `name, type, values`, lengths as LEB128.
///
/// It is what ClickHouse holds in memory, written as it is: Arrow costs the engine half as much again. The values stay
/// where they came; what is read twice when a piece breaks in the middle of them is a word at most.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    buffer: BytesMut,
    open: Option<Open>,
}

/// Columns that came together.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) rows: usize,
    pub(super) columns: Vec<Column>,
}

/// A column of a block.
#[derive(Debug)]
pub(super) struct Column {
    /// A byte a row, other than 0 where there is no value; none where the type has none.
    pub(super) nulls: Option<Bytes>,
    pub(super) values: Values,
}

/// Values as they came: numbers of eight bytes, the lowest first.
#[derive(Debug)]
pub(super) enum Values {
    /// Texts with their lengths, and where each begins and ends.
    Texts(Bytes, Vec<(u32, u32)>),
    Flags(Bytes),
    Signed(Bytes),
    Unsigned(Bytes),
    Doubles(Bytes),
}

/// A block whose columns are still coming.
#[derive(Debug)]
struct Open {
    columns: usize,
    rows: usize,
    done: Vec<Column>,
    column: Option<OpenColumn>,
}

/// A column whose type is known.
#[derive(Debug)]
struct OpenColumn {
    kind: Kind,
    is_nullable: bool,
    nulls: Option<Bytes>,
    /// Texts that were found, and where the next one begins.
    texts: Vec<(u32, u32)>,
    at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Signed,
    Unsigned,
    Double,
}

impl Values {
    /// Says what these are, for messages.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Texts(..) => "String",
            Self::Flags(_) => "Bool",
            Self::Signed(_) => "Int64",
            Self::Unsigned(_) => "UInt64",
            Self::Doubles(_) => "Float64",
        }
    }
}

impl Column {
    /// Returns a number without its type; `None`: there is no value, or it is no number.
    pub(super) fn bits(&self, row: usize) -> Option<u64> {
        let (Values::Signed(bytes) | Values::Unsigned(bytes) | Values::Doubles(bytes)) = &self.values else {
            return None;
        };
        (!self.is_null(row)).then(|| eight(bytes, row))
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls[row] != 0)
    }
}

/// Reads the number of a row.
pub(super) fn eight(bytes: &[u8], row: usize) -> u64 {
    let own: [u8; 8] = bytes[row * 8..row * 8 + 8].try_into().expect("eight bytes were sliced");
    u64::from_le_bytes(own)
}

impl Blocks {
    /// Takes what came next.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Returns the next block with rows; `None`: more must come first.
    pub(super) fn next(&mut self) -> Result<Option<Block>, QueryError> {
        loop {
            let begun = match self.open.take() {
                Some(open) => Some(open),
                None => head(&mut self.buffer)?,
            };
            let Some(mut open) = begun else { return Ok(None) };
            while open.done.len() < open.columns {
                let Some(column) = column(&mut self.buffer, &mut open.column, open.rows)? else {
                    self.open = Some(open);
                    return Ok(None);
                };
                open.done.push(column);
            }
            if open.rows > 0 {
                return Ok(Some(Block { rows: open.rows, columns: open.done }));
            }
        }
    }

    /// Checks that the last block came whole.
    pub(super) fn finish(&self) -> Result<(), QueryError> {
        let is_whole = self.buffer.is_empty() && self.open.is_none();
        if is_whole { Ok(()) } else { Err(broken("the last block ends in its middle")) }
    }
}

fn head(buffer: &mut BytesMut) -> Result<Option<Open>, QueryError> {
    let Some((columns, first)) = number(buffer)? else { return Ok(None) };
    let Some((rows, second)) = number(&buffer[first..])? else { return Ok(None) };
    buffer.advance(first + second);
    Ok(Some(Open { columns, rows, done: Vec::new(), column: None }))
}

/// Goes on with a column; `None`: more must come first.
fn column(buffer: &mut BytesMut, open: &mut Option<OpenColumn>, rows: usize) -> Result<Option<Column>, QueryError> {
    let begun = match open.take() {
        Some(own) => Some(own),
        None => begun(buffer)?,
    };
    let Some(mut own) = begun else { return Ok(None) };
    let Some(bytes) = own.whole(buffer, rows)? else {
        *open = Some(own);
        return Ok(None);
    };
    let values = buffer.split_to(bytes).freeze();
    let values = match own.kind {
        Kind::Text => Values::Texts(values, own.texts),
        Kind::Flag => Values::Flags(values),
        Kind::Signed => Values::Signed(values),
        Kind::Unsigned => Values::Unsigned(values),
        Kind::Double => Values::Doubles(values),
    };
    Ok(Some(Column { nulls: own.nulls, values }))
}

impl OpenColumn {
    /// Returns how many bytes the values have, once all came.
    fn whole(&mut self, buffer: &mut BytesMut, rows: usize) -> Result<Option<usize>, QueryError> {
        if self.is_nullable && self.nulls.is_none() {
            if buffer.len() < rows {
                return Ok(None);
            }
            self.nulls = Some(buffer.split_to(rows).freeze());
        }
        let bytes = match self.kind {
            Kind::Text => {
                if !self.scan(buffer, rows)? {
                    return Ok(None);
                }
                self.at
            }
            Kind::Flag => rows,
            Kind::Signed | Kind::Unsigned | Kind::Double => {
                rows.checked_mul(8).ok_or_else(|| broken("a block has more rows than memory"))?
            }
        };
        Ok((buffer.len() >= bytes).then_some(bytes))
    }

    /// Looks for the ends of texts; returns whether all came.
    fn scan(&mut self, bytes: &[u8], rows: usize) -> Result<bool, QueryError> {
        let too_large = || broken("a block's texts have more than 4 GiB");
        while self.texts.len() < rows {
            let Some((length, before)) = number(bytes.get(self.at..).unwrap_or_default())? else { return Ok(false) };
            let first = self.at + before;
            let end = first.checked_add(length).ok_or_else(too_large)?;
            if bytes.len() < end {
                return Ok(false);
            }
            let place = |at: usize| u32::try_from(at).map_err(|_| too_large());
            self.texts.push((place(first)?, place(end)?));
            self.at = end;
        }
        Ok(true)
    }
}

/// Reads a column's name and type.
fn begun(buffer: &mut BytesMut) -> Result<Option<OpenColumn>, QueryError> {
    let Some((_, first)) = word(buffer)? else { return Ok(None) };
    let Some((kind, second)) = word(&buffer[first..])? else { return Ok(None) };
    let bare = kind.strip_prefix("Nullable(").and_then(|inner| inner.strip_suffix(')'));
    let found = match bare.unwrap_or(kind) {
        "String" => Kind::Text,
        "Bool" => Kind::Flag,
        "Int64" => Kind::Signed,
        "UInt64" => Kind::Unsigned,
        "Float64" => Kind::Double,
        other => return Err(broken(&format!("a column comes as {other}"))),
    };
    let is_nullable = bare.is_some();
    buffer.advance(first + second);
    Ok(Some(OpenColumn { kind: found, is_nullable, nulls: None, texts: Vec::new(), at: 0 }))
}

fn word(bytes: &[u8]) -> Result<Option<(&str, usize)>, QueryError> {
    let Some((length, before)) = number(bytes)? else { return Ok(None) };
    if length > WORD_BYTES_MAX {
        return Err(broken("a column's name or type has no end"));
    }
    let Some(text) = bytes.get(before..before + length) else { return Ok(None) };
    let text = std::str::from_utf8(text).map_err(|_| broken("a column's name or type is no text"))?;
    Ok(Some((text, before + length)))
}

/// Reads a number of seven bits a byte, the lowest first; returns it with how many bytes it has.
fn number(bytes: &[u8]) -> Result<Option<(usize, usize)>, QueryError> {
    const BYTES_MAX: usize = 9;
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() < BYTES_MAX { Ok(None) } else { Err(broken("a length has no end")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of two rows: a text of 130 bytes and an empty one, a whole number and none, doubles, flags.
    fn sample() -> Vec<u8> {
        let mut out = vec![4, 2];
        let mut column = |name: &str, kind: &str, values: &[u8]| {
            for word in [name, kind] {
                out.push(u8::try_from(word.len()).expect("a short word"));
                out.extend_from_slice(word.as_bytes());
            }
            out.extend_from_slice(values);
        };
        let mut texts = vec![0x82, 0x01];
        texts.extend_from_slice(&[b'x'; 130]);
        texts.push(0);
        column("t", "String", &texts);
        column("n", "Nullable(Int64)", &[&[0, 1][..], &(-5_i64).to_le_bytes(), &[0; 8]].concat());
        column("d", "Float64", &[1.5_f64.to_le_bytes(), (-0.25_f64).to_le_bytes()].concat());
        column("f", "Bool", &[1, 0]);
        out
    }

    #[test]
    fn a_block_is_the_same_wherever_its_pieces_break() {
        let one = sample();
        let all = [&one[..], &[0, 0], &one[..]].concat();
        for size in [1, 2, 3, 7, 64, 131, all.len()] {
            let (mut blocks, mut found) = (Blocks::default(), 0);
            for piece in all.chunks(size) {
                blocks.push(piece);
                while let Some(block) = blocks.next().expect("sound") {
                    found += 1;
                    assert_eq!((block.rows, block.columns.len()), (2, 4));
                    let Values::Texts(bytes, ends) = &block.columns[0].values else { panic!("no texts") };
                    assert_eq!(ends, &[(2, 132), (133, 133)]);
                    assert!(bytes[2..132].iter().all(|byte| *byte == b'x'));
                    assert_eq!(block.columns[1].bits(0), Some((-5_i64).cast_unsigned()));
                    assert_eq!(block.columns[1].bits(1), None);
                    assert_eq!(block.columns[2].bits(1).map(f64::from_bits), Some(-0.25));
                    let Values::Flags(flags) = &block.columns[3].values else { panic!("no flags") };
                    assert_eq!(flags[..], [1, 0]);
                }
            }
            assert_eq!(found, 2, "pieces of {size}");
            blocks.finish().expect("whole");
        }
    }

    #[test]
    fn what_is_cut_off_or_of_another_type_is_told() {
        let one = sample();
        for cut in 1..one.len() {
            let mut blocks = Blocks::default();
            blocks.push(&one[..cut]);
            assert!(matches!(blocks.next(), Ok(None)), "{cut}");
            assert!(blocks.finish().is_err(), "{cut}");
        }
        for (bytes, why) in [(&b"\x01\x01\x01a\x05Int32"[..], "Int32"), (&[0xff; 12][..], "no end")] {
            let mut blocks = Blocks::default();
            blocks.push(bytes);
            let error = blocks.next().expect_err("not ours");
            assert!(format!("{error:?}").contains(why), "{error:?}");
        }
    }
}
