use crate::limits::AGENT_LINE_BYTES_MAX;
use memchr::memchr;
use regex::bytes::Regex;

/// A row's bytes within what was read: from where to where, and whether the text goes on in the next row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    /// Behind the text; line ends between joined lines are within it.
    pub(super) text_end: usize,
    /// Where the next row begins.
    pub(super) end: usize,
    /// The line was longer than a row may be: its next bytes are the next row.
    pub(super) is_cut: bool,
}

/// Cuts what was read into rows; `first_line` joins lines up to the next one that it matches.
///
/// What has no end yet is left, but `is_last` takes it as it is. A row never has more than [`AGENT_LINE_BYTES_MAX`] bytes.
pub(super) fn cut(bytes: &[u8], first_line: Option<&Regex>, is_last: bool) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    // A joined row stays open until a line that is not part of it.
    let mut is_open = false;
    let mut at = 0;
    while at < bytes.len() {
        let Some(line) = next_line(bytes, at, is_last) else { break };
        let text = &bytes[line.start..line.text_end];
        let joins = is_open && first_line.is_some_and(|pattern| !pattern.is_match(text));
        match spans.last_mut() {
            Some(open) if joins && line.text_end - open.start <= AGENT_LINE_BYTES_MAX => {
                (open.text_end, open.end, open.is_cut) = (line.text_end, line.end, line.is_cut);
            }
            _ => spans.push(line),
        }
        is_open = first_line.is_some() && !line.is_cut;
        at = line.end;
    }
    if is_open && !is_last {
        spans.pop();
    }
    spans
}

fn next_line(bytes: &[u8], start: usize, is_last: bool) -> Option<Span> {
    let rest = &bytes[start..];
    let window = &rest[..rest.len().min(AGENT_LINE_BYTES_MAX + 1)];
    if let Some(length) = memchr(b'\n', window) {
        let end = start + length + 1;
        let text_end = if length > 0 && rest[length - 1] == b'\r' { end - 2 } else { end - 1 };
        return Some(Span { start, text_end, end, is_cut: false });
    }
    if rest.len() > AGENT_LINE_BYTES_MAX {
        let end = start + whole_characters(&rest[..AGENT_LINE_BYTES_MAX]);
        return Some(Span { start, text_end: end, end, is_cut: true });
    }
    let end = bytes.len();
    is_last.then_some(Span { start, text_end: end, end, is_cut: false })
}

/// Returns how many bytes end with a whole character, when the last one is cut.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8], first_line: Option<&str>, is_last: bool) -> Vec<String> {
        let pattern = first_line.map(|pattern| Regex::new(pattern).unwrap());
        let spans = cut(bytes, pattern.as_ref(), is_last);
        spans.iter().map(|span| String::from_utf8_lossy(&bytes[span.start..span.text_end]).into_owned()).collect()
    }

    #[test]
    fn lines_end_with_their_newline_and_a_half_one_waits() {
        assert_eq!(texts(b"one\r\n\ntwo\nhal", None, false), ["one", "", "two"]);
        assert_eq!(texts(b"one\nhal", None, true), ["one", "hal"]);
    }

    #[test]
    fn joined_lines_wait_for_the_next_first_line() {
        let text = b"at 1\n  more\n  more\nat 2\n  x\n";
        assert_eq!(texts(text, Some("^at"), false), ["at 1\n  more\n  more"]);
        assert_eq!(texts(text, Some("^at"), true), ["at 1\n  more\n  more", "at 2\n  x"]);
    }

    #[test]
    fn a_long_line_becomes_rows_that_join_to_it() {
        let mut bytes = "ä".repeat(AGENT_LINE_BYTES_MAX).into_bytes();
        bytes.insert(0, b'x');
        bytes.extend_from_slice(b"\nshort\n");
        let spans = cut(&bytes, None, false);
        assert!(spans.iter().all(|span| span.text_end - span.start <= AGENT_LINE_BYTES_MAX));
        let joined: Vec<u8> =
            spans.iter().take(3).flat_map(|span| &bytes[span.start..span.text_end]).copied().collect();
        assert_eq!(joined, &bytes[..bytes.len() - 7]);
        assert_eq!(spans.iter().map(|span| span.is_cut).collect::<Vec<_>>(), [true, true, false, false]);
    }
}
