//! The bytes of one value.

/// Why a value is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is a value, and a dataset cannot hold it.
    Refused(String),
    /// It is none.
    Broken(&'static str),
}

/// Microseconds from 1970 to 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Days from 1970 to 2000.
const EPOCH_DAYS: i32 = 10_957;

/// The days of a dataset: from 1900 to 2299.
const DAYS: std::ops::RangeInclusive<i32> = -25_567..=120_529;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What a number's sign says of one that is none.
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_NAN: u16 = 0xC000;
const NUMERIC_INFINITE: [u16; 2] = [0xD000, 0xF000];

pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unfit> {
    bytes.try_into().map_err(|_| Unfit::Broken("it has another length than values of its type"))
}

/// Reads a moment as nanoseconds since 1970.
pub(crate) fn timestamp(bytes: &[u8]) -> Result<i64, Unfit> {
    let micros = i64::from_be_bytes(fixed(bytes)?);
    if micros == i64::MAX || micros == i64::MIN {
        return Err(Unfit::Refused("an infinite time".to_owned()));
    }
    let nanos = micros.checked_add(EPOCH_MICROS).and_then(|micros| micros.checked_mul(1_000));
    nanos.ok_or_else(|| Unfit::Refused("a time before 1677 or after 2262".to_owned()))
}

/// Reads a day as days since 1970.
pub(crate) fn date(bytes: &[u8]) -> Result<i32, Unfit> {
    let days = i32::from_be_bytes(fixed(bytes)?);
    if days == i32::MAX || days == i32::MIN {
        return Err(Unfit::Refused("an infinite date".to_owned()));
    }
    let days = days.checked_add(EPOCH_DAYS).filter(|days| DAYS.contains(days));
    days.ok_or_else(|| Unfit::Refused("a date before 1900 or after 2299".to_owned()))
}

/// Appends a UUID as text.
pub(crate) fn uuid(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Unfit> {
    let bytes: [u8; 16] = fixed(bytes)?;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (place, byte) in bytes.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    out.extend_from_slice(&text);
    Ok(())
}

/// Reads a decimal number, times ten to the power of `scale`.
pub(crate) fn numeric(bytes: &[u8], precision: u8, scale: u8) -> Result<i128, Unfit> {
    let broken = Unfit::Broken("it is no number");
    let Some((head, digits)) = bytes.split_first_chunk::<8>() else { return Err(broken) };
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (count, weight, sign) = (usize::from(word(0)), i32::from(word(2).cast_signed()), word(4));
    if sign == NUMERIC_NAN || NUMERIC_INFINITE.contains(&sign) {
        return Err(Unfit::Refused("a number that is infinite, or none".to_owned()));
    }
    if digits.len() != count * 2 {
        return Err(broken);
    }
    let wide =
        || Unfit::Refused(format!("a number with more than {precision} digits, or more than {scale} behind the point"));
    let mut sum = 0_i128;
    for (at, group) in (0_i32..).zip(digits.chunks_exact(2)) {
        let group = i128::from(u16::from_be_bytes([group[0], group[1]]));
        let power = 4 * (weight - at) + i32::from(scale);
        if group == 0 {
            continue;
        }
        let ten = |power: u32| 10_i128.checked_pow(power);
        let part = if power < 0 {
            let divisor = ten(power.unsigned_abs()).ok_or_else(wide)?;
            if group % divisor != 0 {
                return Err(wide());
            }
            group / divisor
        } else {
            ten(power.unsigned_abs()).and_then(|factor| group.checked_mul(factor)).ok_or_else(wide)?
        };
        sum = sum.checked_add(part).ok_or_else(wide)?;
    }
    let limit = 10_i128.checked_pow(precision.into()).ok_or_else(wide)?;
    if sum >= limit {
        return Err(wide());
    }
    Ok(if sign == NUMERIC_NEGATIVE { -sum } else { sum })
}

/// Reads text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Unfit> {
    std::str::from_utf8(bytes).map_err(|_| Unfit::Refused("text that is not UTF-8".to_owned()))
}

/// Takes the number of its form from before JSON.
pub(crate) fn jsonb(bytes: &[u8]) -> Result<&str, Unfit> {
    match bytes.split_first() {
        Some((1, rest)) => text(rest),
        _ => Err(Unfit::Broken("its JSON is of a form that is not known here")),
    }
}
