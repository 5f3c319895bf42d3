//! Spans of time as a person writes them: `30s`, `5m`, `24h`, `7d`.

use std::time::Duration;

/// Reads a whole number and its unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("write it like 30s, 5m, 24h or 7d, it is `{text}`");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    match number.checked_mul(seconds) {
        Some(0) => Err("it must be longer than nothing".to_owned()),
        // No clock of ours counts further, and no person waits.
        Some(seconds) if seconds <= u64::from(u32::MAX) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("`{text}` is longer than a hundred years")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_number_and_a_unit() {
        let read = |text| parse(text).map(|span| span.as_secs()).ok();
        assert_eq!([read("30s"), read("5m"), read("24h"), read("7d")], [30, 300, 86_400, 604_800].map(Some));
        for text in ["", "30", "s", "-3s", "1.5h", "3 s", "3w", "0s", "99999999999999999999s", "9999999d"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
