use std::fmt;

use crate::Invalid;
use crate::error::shown;

/// A UUID: whoever made or changed a span, or a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub u128);

/// A trace's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub u128);

/// A span's id. The 16 digits of OpenTelemetry are kept as a UUID that has them twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub u128);

impl Uuid {
    /// Reads 32 hexadecimal digits, with hyphens or without.
    pub fn read(text: &str, place: &str) -> Result<Self, Invalid> {
        let found = digits(text).filter(|(_, count)| *count == 32).map(|(value, _)| Self(value));
        found.ok_or_else(|| wrong(text, place, "a UUID has 32 hexadecimal digits"))
    }
}

impl TraceId {
    /// Reads 32 hexadecimal digits, with hyphens or without; an id of zeros is none.
    pub fn read(text: &str, place: &str) -> Result<Self, Invalid> {
        let found = digits(text).filter(|(value, count)| *count == 32 && *value != 0).map(|(value, _)| Self(value));
        found.ok_or_else(|| wrong(text, place, "a trace's id has 32 hexadecimal digits that are not all zero"))
    }

    /// Returns the hundredth of all traces that it belongs to, by its first eight digits.
    #[must_use]
    pub fn hundredth(self) -> f64 {
        u8::try_from((self.0 >> 96) % 100).map_or(0.0, f64::from)
    }

    /// Returns it as the tables have it.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        Uuid(self.0)
    }
}

impl SpanId {
    /// Returns the id of OpenTelemetry's eight bytes.
    #[must_use]
    pub const fn doubled(bytes: u64) -> Self {
        Self(((bytes as u128) << 64) | bytes as u128)
    }

    /// Reads 16 hexadecimal digits, or 32 with hyphens or without; an id of zeros is none.
    pub fn read(text: &str, place: &str) -> Result<Self, Invalid> {
        let found = digits(text).filter(|(value, _)| *value != 0).and_then(|(value, count)| match count {
            16 => u64::try_from(value).ok().map(Self::doubled),
            32 => Some(Self(value)),
            _ => None,
        });
        found.ok_or_else(|| {
            wrong(text, place, "a span's id has 16 hexadecimal digits (or 32 as a UUID) that are not all zero")
        })
    }

    /// Returns it as the tables have it.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        Uuid(self.0)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        let last = id & 0xffff_ffff_ffff;
        let (a, b, c, d) = (id >> 96, (id >> 80) & 0xffff, (id >> 64) & 0xffff, (id >> 48) & 0xffff);
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{last:012x}")
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    /// Writes 16 digits, and 32 where the halves differ.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = (self.0 >> 64, self.0 & u128::from(u64::MAX));
        if high == low { write!(f, "{low:016x}") } else { write!(f, "{:032x}", self.0) }
    }
}

/// Reads hexadecimal digits, and counts them; hyphens stand where a UUID has them or nowhere.
fn digits(text: &str) -> Option<(u128, usize)> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let hyphens: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(at, _)| at).collect();
    let plain: String = text.chars().filter(|c| *c != '-').collect();
    let is_placed = hyphens.is_empty() || (hyphens == [8, 13, 18, 23] && plain.len() == 32);
    if !is_placed || !plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&plain, 16).ok().map(|value| (value, plain.len()))
}

fn wrong(text: &str, place: &str, help: &str) -> Invalid {
    Invalid::at(place, format!("`{}` is no id", shown(text)), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_all_their_forms() {
        let trace = |text: &str| TraceId::read(text, "trace_id").map(|id| (id.to_string(), id.uuid().to_string()));
        let both = ("31d6cfe04b9011ec800142010a8000b0".to_owned(), "31d6cfe0-4b90-11ec-8001-42010a8000b0".to_owned());
        assert_eq!(trace(&both.0), Ok(both.clone()));
        assert_eq!(trace(&both.1), Ok(both.clone()));
        assert_eq!(trace("0x31D6CFE04B9011EC800142010A8000B0"), Ok(both));
        for bad in
            ["", "0", &"0".repeat(32), "31d6cfe04b9011ec", "31d6cfe0-4b9011ec800142010a8000b0", &"g".repeat(32), "é"]
        {
            assert!(trace(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_spans_id_is_doubled_and_comes_back_with_16_digits() {
        let span = |text: &str| SpanId::read(text, "span_id").map(|id| (id.to_string(), id.uuid().to_string()));
        let doubled = ("00f067aa0ba902b7".to_owned(), "00f067aa-0ba9-02b7-00f0-67aa0ba902b7".to_owned());
        assert_eq!(span("00f067aa0ba902b7"), Ok(doubled.clone()));
        assert_eq!(span("00f067aa-0ba9-02b7-00f0-67aa0ba902b7"), Ok(doubled));
        let other = "00f067aa-0ba9-02b7-00f0-67aa0ba902b8";
        assert_eq!(span(other).map(|(_, uuid)| uuid), Ok(other.to_owned()));
        assert_eq!(
            span("zz").expect_err("no id").to_string(),
            "span_id: `zz` is no id; a span's id has 16 hexadecimal digits (or 32 as a UUID) that are not all zero"
        );
    }
}
