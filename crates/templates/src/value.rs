//! What a word's characters say about it, without knowing any other line.

use crate::bytes::{DIGIT, ENDS_PATH, HEX, LETTER, NAME, SPACE, class, class_at, is_all};
use crate::kind::Kind;

const MONTHS: &[&[u8]] =
    &[b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: &[&[u8]] = &[b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const UNITS_OF_SIZE: &[&[u8]] =
    &[b"B", b"KB", b"MB", b"GB", b"TB", b"PB", b"KiB", b"MiB", b"GiB", b"TiB", b"kB", b"K", b"M", b"G", b"T"];
const UNITS_OF_TIME: &[&[u8]] =
    &[b"ns", b"us", b"\xc2\xb5s", b"ms", b"s", b"sec", b"secs", b"m", b"min", b"mins", b"h", b"hr", b"hrs", b"d"];

const FLAGS: &[&[u8]] = &[b"true", b"false", b"True", b"False", b"TRUE", b"FALSE", b"null", b"NULL", b"nil", b"None"];

/// Hexadecimal letters alone are a value from this length on: shorter ones are words (`added`, `facade`).
const HEX_LETTERS_MIN: usize = 8;

/// Returns the kind of a word that has a digit.
pub(crate) fn with_digit(word: &[u8]) -> Kind {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(word[0], b'-' | b'+'));
    if digits + sign == word.len() {
        return Kind::Num;
    }
    let dots = memchr::memchr_iter(b'.', word).count();
    if digits + dots == word.len() {
        return if dots == 3 { Kind::Ip } else { Kind::Num };
    }
    if is_email(word) {
        return Kind::Email;
    }
    with_letters(word, sign)
}

fn with_letters(word: &[u8], sign: usize) -> Kind {
    if word.len() == 36 && is_uuid(word) {
        return Kind::Uuid;
    }
    if word.len() > 2 && word[0] == b'0' && word[1] | 32 == b'x' && is_all(&word[2..], HEX) {
        return Kind::Hex;
    }
    if word.len() >= HEX_LETTERS_MIN && is_all(word, HEX) {
        return Kind::Hex;
    }
    let number = word[sign..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let unit = &word[sign + number..];
    match (number, unit) {
        (1.., b"%") => Kind::Num,
        (1.., unit) if UNITS_OF_SIZE.contains(&unit) => Kind::Size,
        (1.., unit) if UNITS_OF_TIME.contains(&unit) => Kind::Duration,
        (4, unit) if unit.len() >= 6 && unit[0] == b'-' && unit[3] == b'-' => Kind::Timestamp,
        _ => Kind::Id,
    }
}

fn is_email(word: &[u8]) -> bool {
    memchr::memchr(b'@', word).is_some_and(|at| at > 0 && word[at..].contains(&b'.'))
}

/// Says whether a word is a truth value or the absence of one.
pub(crate) fn is_flag(word: &[u8]) -> bool {
    FLAGS.contains(&word)
}

pub(crate) fn is_uuid(word: &[u8]) -> bool {
    word.len() == 36
        && word
            .iter()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// Returns the kind of a word without a digit, if it is a value all the same; `rest` is what follows it.
#[inline]
pub(crate) fn without_digit(word: &[u8], rest: &[u8]) -> Option<Kind> {
    if word.len() == 3 && is_calendar(word, rest) {
        return Some(Kind::Timestamp);
    }
    if word.len() >= HEX_LETTERS_MIN && is_all(word, HEX) {
        return Some(Kind::Hex);
    }
    if is_email(word) {
        return Some(Kind::Email);
    }
    // A dotted name with a port is a machine, even one without a digit in its name.
    if rest.first() == Some(&b':') && class_at(rest, 1) & DIGIT != 0 && word.contains(&b'.') {
        return Some(Kind::Host);
    }
    None
}

/// A month before a day, a weekday before either: `Jul 17`, `Sun Jul 17`.
fn is_calendar(word: &[u8], rest: &[u8]) -> bool {
    let next = rest.iter().take_while(|byte| matches!(byte, b' ' | b',')).count();
    if next == 0 {
        return false;
    }
    let rest = &rest[next..];
    let before_digit = class_at(rest, 0) & DIGIT != 0;
    let before_month = rest.get(..3).is_some_and(|next| MONTHS.contains(&next)) && class_at(rest, 3) & LETTER == 0;
    (MONTHS.contains(&word) && before_digit) || (WEEKDAYS.contains(&word) && (before_digit || before_month))
}

/// Returns where a date that begins with a weekday or a month ends: behind its days, times, years and months.
pub(crate) fn calendar_end(line: &[u8], mut end: usize) -> usize {
    loop {
        let gap = line[end..].iter().take_while(|byte| matches!(byte, b' ' | b',')).count();
        let rest = &line[end + gap..];
        let is_month = rest.get(..3).is_some_and(|next| MONTHS.contains(&next)) && class_at(rest, 3) & LETTER == 0;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b':').count();
        let length = if is_month { 3 } else { digits };
        let goes_on = class_at(rest, length) & (LETTER | DIGIT) != 0;
        if length == 0 || goes_on || rest[length - 1] == b':' {
            return end;
        }
        end += gap + length;
    }
}

/// Returns the length of a unit that stands apart from its number, the space included, and the number's kind with it.
pub(crate) fn unit_after(rest: &[u8]) -> Option<(usize, Kind)> {
    let rest = rest.strip_prefix(b" ")?;
    let unit = &rest[..rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()];
    // A letter alone stands for too much (`3 s`, `5 m`, `disk 1 T`) unless it is bytes.
    let kind = match unit {
        b"B" => Kind::Size,
        [_, _, ..] if UNITS_OF_SIZE.contains(&unit) => Kind::Size,
        [_, _, ..] if UNITS_OF_TIME.contains(&unit) => Kind::Duration,
        _ => return None,
    };
    Some((1 + unit.len(), kind))
}

/// Returns the end of a hardware or IPv6 address that begins at `start`, and which of them it is.
pub(crate) fn colon_address(line: &[u8], start: usize) -> Option<(usize, Kind)> {
    let mut end = start;
    let (mut colons, mut group, mut pairs) = (0, 0, true);
    while let Some(byte) = line.get(end) {
        if *byte == b':' && colons < 8 {
            pairs &= group == 2;
            (colons, group) = (colons + 1, 0);
        } else if class(*byte) & HEX != 0 && group < 4 {
            group += 1;
        } else {
            break;
        }
        end += 1;
    }
    let ends_here = class_at(line, end) & NAME == 0;
    if ends_here && colons == 5 && pairs && group == 2 {
        return Some((end, Kind::Mac));
    }
    let doubled = line[start..end].windows(2).any(|pair| pair == b"::");
    let is_ip = ends_here && group > 0 && (colons == 7 || (doubled && (2..8).contains(&colons)));
    is_ip.then_some((end, Kind::Ip))
}

/// Returns where a path or URL that goes on at `from` ends; a full stop behind it is not part of it.
pub(crate) fn path_end(line: &[u8], from: usize) -> usize {
    let mut end = from.min(line.len());
    while end < line.len() && class(line[end]) & ENDS_PATH == 0 {
        end += 1;
    }
    while end > from && matches!(line[end - 1], b'.' | b':' | b'!' | b'?') {
        end -= 1;
    }
    end
}

/// Says whether a word that ends at a slash begins a path: one slash alone is `read/write`, unless there are dots on
/// both sides of it, as in `org.app/.Screen`.
pub(crate) fn goes_on_as_path(line: &[u8], start: usize, slash: usize) -> bool {
    let rest = &line[slash..path_end(line, slash)];
    let slashes = rest.iter().filter(|byte| matches!(byte, b'/' | b'\\')).count();
    slashes >= 2 || (line[start..slash].contains(&b'.') && rest.contains(&b'.'))
}

/// Says whether the slash at `at` begins a path: it follows no name, and a name follows it.
pub(crate) fn begins_path(line: &[u8], at: usize) -> bool {
    let follows_name = at > 0 && class(line[at - 1]) & NAME != 0;
    let next = line.get(at + 1).copied().unwrap_or(b' ');
    !follows_name && (class(next) & NAME != 0 || matches!(next, b'.' | b'_' | b'\\')) && class(next) & SPACE == 0
}
