//! Spans of time as a person writes them: `30s`, `5m`, `24h`, `7d`.

use std::time::Duration;

use tidegate_core::world::SystemClock;
use tidegate_model::Clock;

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

/// Returns `from` and `to` as the API takes them; `last` is counted back from now.
pub(crate) fn parameters(last: Option<Duration>, from: Option<&str>, to: Option<&str>) -> Vec<(&'static str, String)> {
    let last = last.map(|span| {
        let now = SystemClock::start().now().0 / 1_000_000_000;
        (now - i64::try_from(span.as_secs()).unwrap_or(now)).to_string()
    });
    let from = last.or_else(|| from.map(str::to_owned)).map(|time| ("from", time));
    from.into_iter().chain(to.map(|time| ("to", time.to_owned()))).collect()
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
