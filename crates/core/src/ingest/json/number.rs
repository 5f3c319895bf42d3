//! JSON numbers to integers and doubles, exactly.

use std::fmt;

pub(crate) use super::scan::number_bytes;

/// Why a number does not become the wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberProblem {
    /// It is not a number at all.
    NotANumber,
    /// It has a fraction.
    NotWhole,
    /// It is too large or too small.
    OutOfRange,
}

impl fmt::Display for NumberProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "not a number",
            Self::NotWhole => "not a whole number",
            Self::OutOfRange => "out of range",
        })
    }
}

/// Digits that no 64-bit integer exceeds.
const DIGITS_MAX: usize = 20;

/// Reads a whole number without a detour over doubles: `1.7e18` and `9007199254740993` are exact, `5.0` is 5.
pub(crate) fn integer(text: &[u8]) -> Result<i128, NumberProblem> {
    let (is_negative, magnitude) = match text.strip_prefix(b"-") {
        Some(magnitude) => (true, magnitude),
        None => (false, text),
    };
    let is_plain = !magnitude.is_empty() && magnitude.len() < DIGITS_MAX && magnitude.iter().all(u8::is_ascii_digit);
    let value = if is_plain { i128::from(plain(magnitude)) } else { scaled(text, magnitude)? };
    Ok(if is_negative { -value } else { value })
}

/// Reads a double; a number too large for one is refused, not turned into infinity.
pub(crate) fn double(text: &[u8]) -> Result<f64, NumberProblem> {
    if !is_number(text) {
        return Err(NumberProblem::NotANumber);
    }
    let text = std::str::from_utf8(text).map_err(|_| NumberProblem::NotANumber)?;
    let value: f64 = text.parse().map_err(|_| NumberProblem::NotANumber)?;
    if value.is_finite() { Ok(value) } else { Err(NumberProblem::OutOfRange) }
}

fn is_number(text: &[u8]) -> bool {
    number_bytes(text) == Ok(text.len())
}

fn plain(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
}

fn scaled(text: &[u8], magnitude: &[u8]) -> Result<i128, NumberProblem> {
    if !is_number(text) {
        return Err(NumberProblem::NotANumber);
    }
    let mut parts = magnitude.splitn(2, |&b| b == b'e' || b == b'E');
    let mantissa = parts.next().unwrap_or_default();
    let exponent = parts.next().map_or(0, saturating_exponent);
    let fraction_digits = mantissa.iter().rev().position(|&b| b == b'.').unwrap_or(0);
    let digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();

    let leading_zeros = digits.iter().take_while(|&&b| b == b'0').count();
    let trailing_zeros = digits[leading_zeros..].iter().rev().take_while(|&&b| b == b'0').count();
    let significant = &digits[leading_zeros..digits.len() - trailing_zeros];
    if significant.is_empty() {
        return Ok(0);
    }
    let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX / 4);
    let zeros_to_add = exponent + size(trailing_zeros) - size(fraction_digits);
    if zeros_to_add < 0 {
        return Err(NumberProblem::NotWhole);
    }
    if size(significant.len()) + zeros_to_add > size(DIGITS_MAX) {
        return Err(NumberProblem::OutOfRange);
    }
    let zeros_to_add = u32::try_from(zeros_to_add).map_err(|_| NumberProblem::OutOfRange)?;
    let value = significant.iter().fold(0, |value, digit| value * 10 + i128::from(digit - b'0'));
    Ok(value * 10_i128.pow(zeros_to_add))
}

/// An exponent past a million is as good as any larger one: the number is zero, has a fraction, or is out of range.
fn saturating_exponent(text: &[u8]) -> i64 {
    const FAR: i64 = 1 << 40;
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().unwrap_or(if text.starts_with('-') { -FAR } else { FAR }).clamp(-FAR, FAR)
}
