use regex::Regex;

use super::{Context, put_text};
use crate::rows::LogRow;

/// Reads a line by an expression's named groups; without a group `message` the line is the message.
pub(super) fn read(pattern: &Regex, text: &str, row: &mut LogRow, context: Context) -> Result<(), &'static str> {
    let Some(found) = pattern.captures(text) else { return Err("the regular expression does not match") };
    for name in pattern.capture_names().flatten() {
        if let Some(group) = found.name(name) {
            put_text(row, name, group.as_str(), context);
        }
    }
    if row.body.is_empty() && found.name("message").or(found.name("msg")).is_none() {
        text.clone_into(&mut row.body);
    }
    Ok(())
}
