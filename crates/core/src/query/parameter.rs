/// Writes the value of a `{name:String}` parameter as ClickHouse reads it: tab-separated, with backslashes; quotes, too,
/// so that it may stand between them in an array.
#[must_use]
pub fn parameter_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out
}
